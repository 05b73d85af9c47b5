import {lstat, readdir} from 'node:fs/promises';
import {join} from 'node:path';

/** The sizes of all plain files below a path, or of the one it is; 0 when nothing is there. No link is followed. */
export async function bytesOnDisk(path: string): Promise<number> {
	const facts = await lstat(path).catch(() => null);
	if (!facts?.isDirectory()) return facts?.isFile() ? facts.size : 0;
	let sum = 0;
	for (const name of await readdir(path).catch(() => [])) sum += await bytesOnDisk(join(path, name));
	return sum;
}
