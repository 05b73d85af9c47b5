/** What a sandbox leaves in its output directory. */
import {randomUUID} from 'node:crypto';
import type {Dirent} from 'node:fs';
import {chmod, lchown, lstat, readdir, rename, rm} from 'node:fs/promises';

/** A path as the kernel has it: what a program calls its files need not be text. */
type Path = Buffer;

/** Whatever is called by a longer path, the kernel finds no more. This leaves room for one more name, and for what is above. */
const MOST_PATH_BYTES = 2_048;

/** Only plain files leave a sandbox: a link would make whoever collects it read something else. What is left belongs to us again. */
export async function reclaim(directory: string, id: number | undefined): Promise<void> {
	const root = Buffer.from(directory);
	const tooDeep: Path[] = [];
	await reclaimBelow(root, {root, id, tooDeep});
	// Each may hold more of the kind, which joins the list while it is gone through.
	for (const path of tooDeep) await reclaimBelow(path, {root, id, tooDeep});
	for (const path of tooDeep) await rm(path, {recursive: true, force: true});
}

type Reclaiming = {readonly root: Path; readonly id: number | undefined; readonly tooDeep: Path[]};

async function reclaimBelow(directory: Path, reclaiming: Reclaiming): Promise<void> {
	const {root, id, tooDeep} = reclaiming;
	if (id !== undefined) await lchown(directory, 0, 0);
	// Nobody is left inside who could put something else in its place. Whoever made it may have hidden what it holds.
	await chmod(directory, ((await lstat(directory)).mode & 0o777) | 0o700);
	for (const entry of await entriesOf(directory)) {
		const path = below(directory, entry.name);
		if (entry.isDirectory() && path.length - root.length > MOST_PATH_BYTES) {
			const lifted = below(root, Buffer.from(`.${randomUUID()}`));
			await rename(path, lifted);
			tooDeep.push(lifted);
		} else if (entry.isDirectory()) await reclaimBelow(path, reclaiming);
		else if (!entry.isFile()) await rm(path, {force: true});
		else if (id !== undefined) await lchown(path, 0, 0);
	}
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
