/** The mounts of a sandbox, as code in Wasm finds them: files of the host that may be read, each under its path inside. */
import {readdirSync, statSync} from 'node:fs';
import {join} from 'node:path';
import {RunnerError} from '../frames.ts';

export type Mount = {readonly source: string; readonly target: string};

/** The plain files of a mount, each where it lies and where it is shown. */
export function filesOf(source: string, target: string): Mount[] {
	if (statSync(source).isFile()) return [{source, target}];
	const entries = readdirSync(source, {withFileTypes: true, recursive: true}).filter((entry) => entry.isFile());
	const paths = entries.map((entry) => join(entry.parentPath, entry.name).slice(source.length));
	return paths.map((path) => ({source: join(source, path), target: target + path.replaceAll('\\', '/')}));
}

const PRELOADED_BYTES = 2 ** 20;

/** Reads each snapshot once, under its path inside. */
export function createPreload(mounts: readonly Mount[], read: (target: string, source: string) => Promise<void>) {
	const loaded = new Set<string>();
	const load = async (path: string): Promise<void> => {
		if (loaded.has(path)) return;
		await read(path, sourceOf(path, mounts));
		loaded.add(path);
	};
	return {
		load,
		/** A sandbox that waits for its run uses the time to read what it was given, as long as that is little: see PRELOADED_BYTES. */
		async loadSmall(): Promise<void> {
			const files = mounts
				.flatMap(({source, target}) => filesOf(source, target))
				.filter(({target}) => target.endsWith('.parquet'));
			const bytes = files.reduce((sum, {source}) => sum + statSync(source).size, 0);
			if (bytes > PRELOADED_BYTES) return;
			// What cannot be read is the business of the run that asks for it.
			for (const {target} of files) await load(target).catch(() => {});
		},
	};
}

/** Where a path inside lies on the host. */
function sourceOf(path: string, mounts: readonly Mount[]): string {
	const mount = mounts.find(({target}) => path === target || path.startsWith(`${target}/`));
	if (!mount) throw new RunnerError('runner_internal_error', 'a view is not part of any mount');
	return mount.source + path.slice(mount.target.length);
}
