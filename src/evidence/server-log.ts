/**
 * The log of all runs: each finished run's signed head is a leaf of one Merkle tree, kept as tiles in the data directory, with a
 * signed checkpoint of every size. What is appended to an anchor outside of the data directory lets anybody tell that this log was
 * cut or rewritten since.
 */
import {appendFile, mkdir, readdir, readFile, rename, rm, stat, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {isDeepStrictEqual} from 'node:util';
import {makeDirectory} from '#contract/directory.ts';
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
	/** sizes of which the checkpoints are not on disk yet, and how many are */
	const out = {grown: [] as Size[], written: 0, fault: null as string | null};
	const anchors = new Map<string, Known>();
	const origin = () => `writ/log/${keyring.records()[0]?.keyId.slice(0, 16) ?? ''}`;
	const checkpoint = ({size, root}: Size) => signCheckpoint({origin: origin(), size, root}, keyring.current());

	const take = async (): Promise<string | null> => {
		for (const head of await headsFrom(store, tree.leaves.length)) out.grown.push(grow(tree, head));
		const last = out.grown.at(-1);
		if (!last) return out.fault;
		const growth = {origin: origin(), grown: out.grown, first: out.written, anchors};
		const news = await Promise.all(places.map((place) => compareAnchor(place, growth)));
		out.fault = news.find(({fault}) => fault !== null)?.fault ?? null;
		if (out.fault !== null) return out.fault;
		await writeTiles(directory, tree, out.written);
		await replace(path.join(directory, 'keys.json'), `${canonical(keyring.records())}\n`);
		await replace(path.join(directory, 'checkpoint'), checkpoint(last));
		// Only what is new is signed: after a start that is little, however long the log.
		for (const {file, fresh} of news) {
			const lines = fresh.map((size) => `${JSON.stringify(checkpoint(size))}\n`).join('');
			await appendFile(file, lines, {flush: true});
			await remember(file, fresh, {bytes: Buffer.byteLength(lines), anchors});
		}
		out.written += out.grown.length;
		out.grown = [];
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
			return {index, checkpoint: checkpoint({size: index + 1, root: range.root()}), proof};
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

/** What a checkpoint is of. */
type Size = {readonly size: number; readonly root: Buffer};

function grow(tree: Tree, head: SignedHead): Size {
	const entry = `${canonical(head)}\n`;
	const leaf = hashLeaf(entry);
	tree.entries.push(entry);
	tree.leaves.push(leaf);
	tree.range.append(leaf);
	return {size: tree.range.size, root: tree.range.root()};
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

type Compared = {readonly file: string; readonly fresh: readonly Size[]; readonly fault: string | null};
type Growth = {
	readonly origin: string;
	readonly grown: readonly Size[];
	readonly first: number;
	readonly anchors: Map<string, Known>;
};

/** Two that are equal are of one state of a file. */
type Stamp = {readonly bytes: number; readonly changed: string};
/** Roots by size, as a file had them when it was as `stamp` says. */
type Known = {readonly stamp: Stamp; readonly roots: Map<number, string>};

/**
 * What an anchor does not have yet; or what is wrong when it holds another root for a size, or more than there is, for then the anchor
 * is what counts.
 */
async function compareAnchor(place: string, {origin, grown, first, anchors}: Growth): Promise<Compared> {
	const isDirectory = await stat(place).then(
		(found) => found.isDirectory(),
		() => place.endsWith('/'),
	);
	const file = isDirectory ? path.join(place, 'checkpoints') : place;
	makeDirectory(path.dirname(file));
	const stamp = await stampOf(file);
	const before = anchors.get(file);
	const known = isDeepStrictEqual(before?.stamp, stamp) && before ? before : {stamp, roots: await readRoots(file, origin)};
	anchors.set(file, known);
	const {roots} = known;
	const size = first + grown.length;
	const beyond = [...roots.keys()].reduce((most, each) => Math.max(most, each), 0);
	const fail = (fault: string): Compared => ({file, fresh: [], fault: `${file}: ${fault}`});
	if (beyond > size) return fail(`it has seen ${beyond} finished runs, and the store has ${size}: the log was cut`);
	for (const {size: at, root} of grown)
		if (roots.has(at) && roots.get(at) !== root.toString('base64'))
			return fail(`the log had another root when its size was ${at}: it was rewritten`);
	return {file, fresh: grown.filter(({size: at}) => !roots.has(at)), fault: null};
}

async function readRoots(file: string, origin: string): Promise<Map<number, string>> {
	const roots = new Map<number, string>();
	for (const text of (await readFile(file, 'utf8').catch(() => '')).split('\n')) {
		const [of, size = '', root = ''] = parseNote(text);
		if (of === origin) roots.set(Number(size), root);
	}
	return roots;
}

/** What this process has added itself it need not read again. Had somebody else written meanwhile, the file is longer than that. */
async function remember(file: string, fresh: readonly Size[], {bytes, anchors}: Added): Promise<void> {
	const known = anchors.get(file);
	anchors.delete(file);
	const stamp = await stampOf(file);
	if (!known || stamp.bytes !== known.stamp.bytes + bytes) return;
	for (const {size, root} of fresh) known.roots.set(size, root.toString('base64'));
	anchors.set(file, {stamp, roots: known.roots});
}

type Added = {readonly bytes: number; readonly anchors: Map<string, Known>};

async function stampOf(file: string): Promise<Stamp> {
	const found = await stat(file, {bigint: true}).catch(() => null); // a file that is not there yet is empty
	return {bytes: Number(found?.size ?? 0), changed: `${found?.ino} ${found?.mtimeNs}`};
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
