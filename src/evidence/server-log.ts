/**
 * The log of all runs: each finished run's signed head is a leaf of one Merkle tree, kept as tiles in the data directory, with a
 * signed checkpoint of every size. What is appended to an anchor outside of the data directory lets anybody tell that this log was
 * cut or rewritten since.
 */
import {appendFile, mkdir, readdir, readFile, rename, rm, stat, writeFile} from 'node:fs/promises';
import path from 'node:path';
import type {SignedHead} from '#contract/event.ts';
import type {Store} from '#kernel/ports.ts';
import {canonical} from './canonical.ts';
import {signCheckpoint} from './checkpoint.ts';
import type {Keyring} from './keyring.ts';
import {createRange, hashLeaf, inclusionProof, TILE, tilePath, toEntry} from './merkle.ts';

type LogPorts = {
	readonly store: Pick<Store, 'heads' | 'headPosition'>;
	/** the first of them names the log */
	readonly keyring: Keyring;
	readonly directory: string;
	/** a file, or a directory for a file `checkpoints`; null keeps checkpoints in the log's own directory alone */
	readonly anchor: string | null;
};

/** A run's place: the checkpoint of the tree that ends with it, and the proof that it does. */
export type LogPlace = {readonly index: number; readonly checkpoint: string; readonly proof: readonly string[]};

export type AnchorState = {
	readonly kind: 'none' | 'inside' | 'anchored' | 'forked';
	readonly size: number;
	/** a sentence for the person who runs the platform */
	readonly why: string;
};

export type ServerLog = {
	/**
	 * Takes in what finished since, and anchors it. Resolves when all that was durable at the call is in, to what is wrong if the log is
	 * not the one that was anchored: then nothing was written.
	 */
	sync(): Promise<string | null>;
	/** Resolves when what was begun has ended, however. */
	settled(): Promise<void>;
	/** Null for a run that has not finished. */
	place(runId: string): Promise<LogPlace | null>;
	/** Whether a truncation or a fork would be noticed. */
	state(): Promise<AnchorState>;
};

/** Heads read at once. */
const PAGE = 200;

export function createServerLog(ports: LogPorts): ServerLog {
	const {store, keyring, directory, anchor} = ports;
	const places = [path.join(directory, 'checkpoints'), ...(anchor === null ? [] : [anchor])];
	const tree = {entries: [] as string[], leaves: [] as Buffer[], range: createRange()};
	/** checkpoints that are not on disk yet, and how many are */
	const out = {notes: [] as string[], written: 0, fault: null as string | null};
	const origin = () => `writ/log/${keyring.records()[0]?.keyId.slice(0, 16) ?? ''}`;
	const checkpoint = (size: number, root: Buffer) => signCheckpoint({origin: origin(), size, root}, keyring.current());

	const take = async (): Promise<string | null> => {
		for (const head of await headsFrom(store, tree.leaves.length)) out.notes.push(grow(tree, head, checkpoint));
		if (out.notes.length === 0) return out.fault;
		const growth = {origin: origin(), notes: out.notes, first: out.written};
		const news = await Promise.all(places.map((place) => compareAnchor(place, growth)));
		out.fault = news.find(({fault}) => fault !== null)?.fault ?? null;
		if (out.fault !== null) return out.fault;
		await writeTiles(directory, tree, out.written);
		await replace(path.join(directory, 'keys.json'), `${canonical(keyring.records())}\n`);
		await replace(path.join(directory, 'checkpoint'), out.notes.at(-1) ?? '');
		for (const {file, lines} of news) await appendFile(file, lines, {flush: true});
		out.written += out.notes.length;
		out.notes = [];
		return null;
	};
	const line: {last: Promise<unknown>} = {last: Promise.resolve()};
	// One at a time: two would write the same tile.
	const sync = () => {
		const next = line.last.then(take, take);
		line.last = next.catch(() => {});
		return next;
	};

	return {
		sync,
		settled: async () => void (await line.last),
		async place(runId) {
			const index = await store.headPosition(runId);
			if (index === null) return null;
			if (index >= tree.leaves.length) await sync();
			const leaves = tree.leaves.slice(0, index + 1);
			const range = createRange();
			for (const leaf of leaves) range.append(leaf);
			const proof = inclusionProof(leaves, index).map((each) => each.toString('base64'));
			return {index, checkpoint: checkpoint(index + 1, range.root()), proof};
		},
		async state() {
			await sync();
			return describe(anchor, directory, {size: tree.leaves.length, fault: out.fault});
		},
	};
}

async function headsFrom(store: LogPorts['store'], from: number): Promise<readonly SignedHead[]> {
	const heads: SignedHead[] = [];
	for (;;) {
		const page = await store.heads(from + heads.length, PAGE);
		heads.push(...page);
		if (page.length < PAGE) return heads;
	}
}

type Tree = {readonly entries: string[]; readonly leaves: Buffer[]; readonly range: ReturnType<typeof createRange>};

function grow(tree: Tree, head: SignedHead, checkpoint: (size: number, root: Buffer) => string): string {
	const entry = `${canonical(head)}\n`;
	const leaf = hashLeaf(entry);
	tree.entries.push(entry);
	tree.leaves.push(leaf);
	tree.range.append(leaf);
	return checkpoint(tree.range.size, tree.range.root());
}

/** Writes the tiles that have changed since the log had `from` leaves; a partial tile goes when its successor is there. */
async function writeTiles(directory: string, {entries, leaves}: Tree, from: number): Promise<void> {
	await writeLevel(directory, {
		kind: 'entries',
		from,
		size: entries.length,
		bytesOf: (start, end) => entries.slice(start, end).map(toEntry),
	});
	let hashes: readonly Buffer[] = leaves;
	let start = from;
	for (let level = 0; hashes.length > 0; level += 1) {
		const each = hashes;
		await writeLevel(directory, {
			kind: String(level),
			from: start,
			size: each.length,
			bytesOf: (first, end) => each.slice(first, end),
		});
		const full = Math.floor(each.length / TILE);
		hashes = Array.from({length: full}, (_, index) => rootOfTile(each.slice(index * TILE, (index + 1) * TILE)));
		start = Math.floor(start / TILE);
	}
}

type Level = {
	readonly kind: string;
	readonly from: number;
	readonly size: number;
	readonly bytesOf: (start: number, end: number) => readonly Buffer[];
};

async function writeLevel(directory: string, {kind, from, size, bytesOf}: Level): Promise<void> {
	for (let index = Math.floor(from / TILE); index * TILE < size; index += 1) {
		const [start, end] = [index * TILE, Math.min((index + 1) * TILE, size)];
		const file = path.join(directory, tilePath(kind, index, end - start));
		await mkdir(path.dirname(file), {recursive: true});
		await replace(file, Buffer.concat(bytesOf(start, end)));
		// Narrower ones before it, also those of a process that is gone.
		const partials = path.dirname(path.join(directory, tilePath(kind, index, 1)));
		const others = (await readdir(partials).catch(() => [])).filter((name) => path.join(partials, name) !== file);
		for (const name of others) await rm(path.join(partials, name));
	}
}

function rootOfTile(hashes: readonly Buffer[]): Buffer {
	const range = createRange();
	for (const each of hashes) range.append(each);
	return range.root();
}

/** Whole or not at all: a reader never sees half a file. */
async function replace(file: string, content: string | Uint8Array): Promise<void> {
	const draft = `${file}.${process.pid}.draft`;
	await writeFile(draft, content, {flush: true});
	await rename(draft, file);
}

type Compared = {readonly file: string; readonly lines: string; readonly fault: string | null};
type Growth = {readonly origin: string; readonly notes: readonly string[]; readonly first: number};

/**
 * The lines that an anchor does not have yet; or what is wrong when it holds another root for a size, or more than there is, for then
 * the anchor is what counts.
 */
async function compareAnchor(place: string, {origin, notes, first}: Growth): Promise<Compared> {
	const isDirectory = await stat(place).then(
		(found) => found.isDirectory(),
		() => place.endsWith('/'),
	);
	const file = isDirectory ? path.join(place, 'checkpoints') : place;
	await mkdir(path.dirname(file), {recursive: true});
	const known = new Map<string, string>();
	for (const text of (await readFile(file, 'utf8').catch(() => '')).split('\n')) {
		const [of, size = '', root = ''] = parseNote(text);
		if (of === origin) known.set(size, root);
	}
	const size = first + notes.length;
	const beyond = Math.max(0, ...[...known.keys()].map(Number));
	const fail = (fault: string): Compared => ({file, lines: '', fault: `${file}: ${fault}`});
	if (beyond > size) return fail(`it has seen ${beyond} finished runs, and the store has ${size}: the log was cut`);
	for (const note of notes) {
		const [, at = '', root] = note.split('\n');
		if (known.has(at) && known.get(at) !== root)
			return fail(`the log had another root when its size was ${at}: it was rewritten`);
	}
	const fresh = notes.filter((note) => !known.has(note.split('\n')[1] ?? ''));
	return {file, lines: fresh.map((note) => `${JSON.stringify(note)}\n`).join(''), fault: null};
}

function parseNote(line: string): readonly string[] {
	try {
		return String(JSON.parse(line)).split('\n');
	} catch {
		return []; // not a line of ours: verifiers do not count it either
	}
}

function describe(anchor: string | null, directory: string, {size, fault}: {size: number; fault: string | null}): AnchorState {
	if (fault) return {kind: 'forked', size, why: fault};
	if (anchor === null) return {kind: 'none', size, why: `${size} runs; ${ALONE}`};
	const inside = !path.relative(path.dirname(directory), path.resolve(anchor)).startsWith('..');
	if (inside) return {kind: 'inside', size, why: `${size} runs; the anchor is in the data directory: ${ALONE}`};
	return {kind: 'anchored', size, why: `${size} runs, the checkpoint of each in ${anchor}`};
}

const ALONE = 'whoever can change that directory can cut or rewrite the log unnoticed';
