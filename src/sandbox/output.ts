/** What a sandbox leaves in its output directory. */
import {lchown, readdir, rm} from 'node:fs/promises';
import {join} from 'node:path';

/** Only plain files leave a sandbox: a link would make whoever collects it read something else. What is left belongs to us again. */
export async function reclaim(directory: string, id: number | undefined): Promise<void> {
	const entries = await readdir(directory, {withFileTypes: true, recursive: true});
	for (const entry of entries) {
		const path = join(entry.parentPath, entry.name);
		if (!entry.isFile() && !entry.isDirectory()) await rm(path, {force: true});
		else if (id !== undefined) await lchown(path, 0, 0);
	}
	if (id !== undefined) await lchown(directory, 0, 0);
}
