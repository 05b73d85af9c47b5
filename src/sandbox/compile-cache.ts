/**
 * Node can keep the code it compiled. A runner that finds it starts with half the work. The cache is written by a sandbox that is
 * started for it, is given nothing to do and ends; every other sandbox has it read-only, so that no run can leave code to the next.
 */
import {createHash} from 'node:crypto';
import {chmodSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync} from 'node:fs';
import {join} from 'node:path';

/** Where a sandbox finds the cache. */
export const CACHE_MOUNT = '/runtime/cache';

export type CompileCache = {
	/** The directory to mount, once there is one. The first call starts the making of it, in the background. */
	find(fill: (directory: string) => Promise<void>): string | undefined;
};

/** `inputs` are the files and directories whose compiled form is kept: a change of one of them makes a new cache. */
export function createCompileCache(parent: string, name: string, inputs: readonly string[]): CompileCache {
	const state: {directory: string | undefined; tried: boolean} = {directory: undefined, tried: false};
	const make = async (directory: string, fill: (directory: string) => Promise<void>) => {
		// Two servers may do this at once; each fills its own, and the rename lets one win.
		const unfinished = `${directory}.${process.pid}`;
		try {
			mkdirSync(unfinished, {recursive: true});
			await fill(unfinished);
			share(unfinished);
			if (readdirSync(unfinished).length > 0 && !existsSync(directory)) renameSync(unfinished, directory);
			if (existsSync(directory)) state.directory = directory;
		} catch {
			// It only saves time. A read-only installation, for one, does without.
		} finally {
			rmSync(unfinished, {recursive: true, force: true});
		}
	};
	return {
		find(fill) {
			if (state.tried) return state.directory;
			state.tried = true;
			const directory = join(parent, `${name}-${fingerprint(inputs)}`);
			if (existsSync(directory)) state.directory = directory;
			else void make(directory, fill);
			return state.directory;
		},
	};
}

/** Node keeps its cache to the user who wrote it; every sandbox is another user. It holds nothing but compiled published code. */
function share(directory: string): void {
	for (const entry of readdirSync(directory, {withFileTypes: true, recursive: true}))
		chmodSync(join(entry.parentPath, entry.name), entry.isDirectory() ? 0o755 : 0o644);
}

function fingerprint(inputs: readonly string[]): string {
	const hash = createHash('sha256').update(process.versions.node);
	for (const input of inputs) {
		const files = statSync(input).isDirectory()
			? readdirSync(input, {recursive: true, encoding: 'utf8'}).map((name) => join(input, name))
			: [input];
		for (const file of files.toSorted()) hash.update(`${file}\0${statSync(file).size}\0${statSync(file).mtimeMs}\0`);
	}
	return hash.digest('hex').slice(0, 16);
}
