/** What a sandbox leaves in its output directory. */
import {chmod, lchown, lstat, readdir, rm} from 'node:fs/promises';
import {join} from 'node:path';

/** Only plain files leave a sandbox: a link would make whoever collects it read something else. What is left belongs to us again. */
export async function reclaim(directory: string, id: number | undefined): Promise<void> {
	if (id !== undefined) await lchown(directory, 0, 0);
	// Nobody is left inside who could put something else in its place. Whoever made it may have hidden what it holds.
	await chmod(directory, ((await lstat(directory)).mode & 0o777) | 0o700);
	for (const entry of await readdir(directory, {withFileTypes: true})) {
		const path = join(directory, entry.name);
		if (entry.isDirectory()) await reclaim(path, id);
		else if (!entry.isFile()) await rm(path, {force: true});
		else if (id !== undefined) await lchown(path, 0, 0);
	}
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
		const isOver = (await measure(directory, bytes)) > bytes;
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
 * is: that can make this number wrong, and nothing is read but sizes.
 */
async function measure(directory: string, enough: number): Promise<number> {
	try {
		const entries = await readdir(directory, {withFileTypes: true});
		let total = entries.length * LEAST_BYTES;
		for (const entry of entries) {
			if (total > enough) break;
			const path = join(directory, entry.name);
			if (entry.isDirectory()) total += await measure(path, enough - total);
			else total += (await lstat(path)).blocks * 512;
		}
		return total;
	} catch (error) {
		// What was there a moment ago may be gone. What cannot be looked into could hold anything.
		return (error as NodeJS.ErrnoException).code === 'ENOENT' ? 0 : Number.POSITIVE_INFINITY;
	}
}
