import {createHash, randomUUID} from 'node:crypto';
import {constants} from 'node:fs';
import {type FileHandle, open, readdir, rename, rm, stat} from 'node:fs/promises';
import {join} from 'node:path';
import {pipeline} from 'node:stream/promises';

/**
 * A sandbox reads a snapshot as a user of its own, so others may pass; only the platform may look around, and without its hash, which
 * only the platform can read, no snapshot is found.
 */
export const UNLISTED = 0o711;

/** SHA-256 of a file, hex, in constant memory; null when there is no plain file under this very name. */
export async function hashFile(path: string): Promise<string | null> {
	const opened = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch((error) => {
		if (isMissing(error) || isCode(error, 'ELOOP', 'ENXIO')) return null;
		throw error;
	});
	if (opened === null) return null;
	await using handle = opened;
	return (await handle.stat()).isFile() ? await hashHandle(handle) : null;
}

/** SHA-256 of all an open file holds, hex. The handle stays open. */
export async function hashHandle(handle: FileHandle, signal?: AbortSignal): Promise<string> {
	const hash = createHash('sha256');
	const bytes = handle.createReadStream({autoClose: false, start: 0, highWaterMark: 1 << 20});
	await (signal ? pipeline(bytes, hash, {signal}) : pipeline(bytes, hash));
	return hash.digest('hex');
}

/** INVARIANT: a reader sees the old content or the new, whole, and after a crash one of the two is there. */
export async function replaceFile(path: string, content: string): Promise<void> {
	const temporary = `${path}.${randomUUID()}`;
	await using cleanup = new AsyncDisposableStack();
	cleanup.defer(() => rm(temporary, {force: true}));
	{
		await using file = await open(temporary, 'wx', 0o600);
		await file.writeFile(content);
		await file.sync();
	}
	await rename(temporary, path);
	await syncDirectory(join(path, '..'));
}

export async function syncDirectory(path: string): Promise<void> {
	await using handle = await open(path, 'r');
	await handle.sync();
}

/** Removes a directory that nothing in it was touched in since `before`; false when something was. */
async function removeIfStale(path: string, before: number): Promise<boolean> {
	const names = await readdir(path, {recursive: true}).catch(emptyIfMissing);
	const touched = await Promise.all(
		[path, ...names.map((name) => join(path, name))].map((name) => stat(name).catch(nullIfMissing)),
	);
	if (touched.some((facts) => facts && facts.mtimeMs > before)) return false;
	await rm(path, {recursive: true, force: true});
	return true;
}

/** Removes what in a directory nobody touched since `before`; resolves to how much that was. */
export async function sweepDirectory(path: string, before: number): Promise<number> {
	const entries = await readdir(path).catch(emptyIfMissing);
	const swept = await Promise.all(entries.map((name) => removeIfStale(join(path, name), before)));
	return swept.filter(Boolean).length;
}

export function isCode(error: unknown, ...codes: readonly string[]): boolean {
	return error instanceof Error && 'code' in error && codes.includes(String(error.code));
}

export function isMissing(error: unknown): boolean {
	return isCode(error, 'ENOENT', 'ENOTDIR');
}

export function emptyIfMissing(error: unknown): string[] {
	if (isMissing(error)) return [];
	throw error;
}

export function nullIfMissing(error: unknown): null {
	if (isMissing(error)) return null;
	throw error;
}
