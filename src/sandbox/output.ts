/** What a sandbox leaves in its output directory. */
import {randomUUID} from 'node:crypto';
import {constants, type Dirent} from 'node:fs';
import {chmod, chown, type FileHandle, lchown, lstat, open, opendir, readdir, rename, rmdir, unlink} from 'node:fs/promises';

/** A path as the kernel has it: what a program calls its files need not be text. */
type Path = Buffer;

/** Whatever is called by a longer path, the kernel finds no more. This leaves room for one more name, and for what is above. */
const MOST_PATH_BYTES = 2_048;
/** Each directory above the one that is looked into takes a descriptor. */
const MOST_LEVELS = 64;

/** Only plain files leave a sandbox: a link would make whoever collects it read something else. What is left belongs to us again. */
export async function reclaim(directory: string, id: number | undefined): Promise<void> {
	await using root = await open(directory, DIRECTORY);
	const lifted: Path[] = [];
	const reclaiming = {root, id, lifted};
	await reclaimBelow(root, {levels: 0, bytes: 0, isKept: true}, reclaiming);
	// Each may hold more of the kind, which joins the list while it is gone through.
	for (const name of lifted) await descend(within(root, name), {levels: 1, bytes: name.length, isKept: false}, reclaiming);
}

type Reclaiming = {readonly root: FileHandle; readonly id: number | undefined; readonly lifted: Path[]};
/** Where a directory lies below the root. What was lifted from too deep is not kept. */
type Depth = {readonly levels: number; readonly bytes: number; readonly isKept: boolean};

/** O_PATH, which Node does not name, opens what its owner may not read. */
const DIRECTORY = 0o10000000 | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/**
 * INVARIANT: every name is found below the descriptor of its directory, and never through a link, so that nothing that is renamed or
 * replaced meanwhile leads out of the root.
 */
async function reclaimBelow(directory: FileHandle, depth: Depth, reclaiming: Reclaiming): Promise<void> {
	const {root, id, lifted} = reclaiming;
	const here = self(directory);
	if (id !== undefined) await chown(here, 0, 0);
	// Whoever made it may have hidden what it holds.
	await chmod(here, ((await directory.stat()).mode & 0o777) | 0o700);
	for (const entry of await entriesOf(within(directory, ''))) {
		const place = within(directory, entry.name);
		const inner = {...depth, levels: depth.levels + 1, bytes: depth.bytes + 1 + entry.name.length};
		if (entry.isDirectory() && (inner.bytes > MOST_PATH_BYTES || inner.levels > MOST_LEVELS)) {
			const name = Buffer.from(`.${randomUUID()}`);
			await rename(place, within(root, name));
			lifted.push(name);
		} else if (entry.isDirectory()) await descend(place, inner, reclaiming);
		else if (!(entry.isFile() && depth.isKept)) await unlink(place);
		else if (id !== undefined) await lchown(place, 0, 0);
	}
}

async function descend(place: Path, depth: Depth, reclaiming: Reclaiming): Promise<void> {
	const directory = await open(place as unknown as string, DIRECTORY);
	try {
		await reclaimBelow(directory, depth, reclaiming);
	} finally {
		await directory.close();
	}
	if (!depth.isKept) await rmdir(place);
}

/** A path that names what was opened, whatever it is called by now. */
function self({fd}: FileHandle): string {
	return `/proc/self/fd/${fd}`;
}

function within(directory: FileHandle, name: Path | string): Path {
	return below(Buffer.from(self(directory)), Buffer.from(name));
}

function entriesOf(directory: Path): Promise<Dirent<Buffer>[]> {
	return readdir(directory, {withFileTypes: true, encoding: 'buffer'});
}

function below(directory: Path, name: Buffer): Path {
	return Buffer.concat([directory, Buffer.from('/'), name]);
}

const WATCH_MS = 100;
/** After a long look it waits, so that looking takes a tenth of the time, but no longer than this. */
const LONGEST_WAIT_MS = 1_000;
/** What the smallest file takes, so that many small ones count as well. */
const LEAST_BYTES = 4_096;
/** More than anybody collects: see artifacts.ts. */
const MOST_ENTRIES = 10_000;

/**
 * Calls `exceeded`, once, soon after more than `bytes` or `MOST_ENTRIES` are in the directory. `nameless` tells of files that were
 * deleted and are still open, where that can be told. Returns what stops the watch.
 */
export function watchOutput(
	directory: string,
	bytes: number,
	exceeded: () => void,
	nameless: () => Promise<number> = async () => 0,
): () => void {
	const state = {isOver: false};
	const look = async () => {
		const started = performance.now();
		const named = await measure(Buffer.from(directory), {bytes, entries: MOST_ENTRIES});
		const isBeyond = named > bytes || named + ((await orElse(nameless(), 0)) ?? 0) > bytes;
		if (state.isOver) return;
		if (isBeyond) exceeded();
		else wait(Math.min(Math.max(WATCH_MS, (performance.now() - started) * 10), LONGEST_WAIT_MS));
	};
	const wait = (ms: number) => {
		timer = setTimeout(look, ms);
	};
	let timer = setTimeout(look, WATCH_MS);
	return () => {
		state.isOver = true;
		clearTimeout(timer);
	};
}

/**
 * What the files take on the disk, or more than is `left` as soon as it is more. A program inside may change what is looked at while it
 * is: that can make this number wrong by what was changed, and nothing is read but sizes.
 */
async function measure(directory: Path, left: {bytes: number; entries: number}): Promise<number> {
	const entries = await orElse(firstEntries(directory, left.entries + 1), []);
	if (entries === undefined || entries.length > left.entries) return Number.POSITIVE_INFINITY;
	left.entries -= entries.length;
	let total = entries.length * LEAST_BYTES;
	left.bytes -= total;
	for (const entry of entries) {
		if (left.bytes < 0) break;
		const path = below(directory, entry.name);
		if (entry.isDirectory()) {
			total += await measure(path, left);
			continue;
		}
		const size = await sizeOf(path);
		left.bytes -= size;
		total += size;
	}
	return total;
}

async function firstEntries(directory: Path, most: number): Promise<readonly Dirent<Buffer>[]> {
	const entries: Dirent<Buffer>[] = [];
	for await (const entry of await opendir(directory as unknown as string, {encoding: 'buffer' as BufferEncoding})) {
		entries.push(entry as unknown as Dirent<Buffer>);
		if (entries.length === most) break;
	}
	return entries;
}

async function sizeOf(path: Path): Promise<number> {
	const facts = await orElse<{readonly blocks: number}>(lstat(path), {blocks: 0});
	return facts ? facts.blocks * 512 : Number.POSITIVE_INFINITY;
}

/** `gone` for what was there a moment ago; undefined for what cannot be looked into, and could hold anything. */
async function orElse<T>(looking: Promise<T>, gone: T): Promise<T | undefined> {
	return looking.catch((error: NodeJS.ErrnoException) => (error.code === 'ENOENT' ? gone : undefined));
}
