/** What a sandbox leaves in its output directory. */
import {randomUUID} from 'node:crypto';
import {constants, type Dirent} from 'node:fs';
import {chmod, chown, type FileHandle, lchown, lstat, open, readdir, rename, rmdir, unlink} from 'node:fs/promises';

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
/** What the smallest file takes, so that many small ones count as well. */
const LEAST_BYTES = 4_096;

/** Calls `exceeded`, once, soon after more than `bytes` are in the directory. Returns what stops the watch. */
export function watchOutput(directory: string, bytes: number, exceeded: () => void): () => void {
	const state = {isBusy: false};
	const look = async () => {
		if (state.isBusy) return;
		state.isBusy = true;
		const isOver = (await measure(Buffer.from(directory), bytes)) > bytes;
		state.isBusy = false;
		if (!isOver) return;
		clearInterval(timer);
		exceeded();
	};
	const timer = setInterval(look, WATCH_MS);
	return () => clearInterval(timer);
}

/**
 * What the files take on the disk, or more than `enough` as soon as it is more. A program inside may change what is looked at while it
 * is: that can make this number wrong by what was changed, and nothing is read but sizes.
 */
async function measure(directory: Path, enough: number): Promise<number> {
	const entries = await orElse(entriesOf(directory), []);
	if (entries === undefined) return Number.POSITIVE_INFINITY;
	let total = entries.length * LEAST_BYTES;
	for (const entry of entries) {
		if (total > enough) break;
		const path = below(directory, entry.name);
		if (entry.isDirectory()) total += await measure(path, enough - total);
		else total += ((await orElse<{readonly blocks: number}>(lstat(path), {blocks: 0}))?.blocks ?? Number.POSITIVE_INFINITY) * 512;
	}
	return total;
}

/** `gone` for what was there a moment ago; undefined for what cannot be looked into, and could hold anything. */
async function orElse<T>(looking: Promise<T>, gone: T): Promise<T | undefined> {
	return looking.catch((error: NodeJS.ErrnoException) => (error.code === 'ENOENT' ? gone : undefined));
}
