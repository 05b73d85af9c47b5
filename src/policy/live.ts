import {existsSync, type FSWatcher, watch} from 'node:fs';
import path from 'node:path';
import type {LoadedPolicy} from './policy.ts';
import {assertSound, type ReadPolicy} from './policy-file.ts';
import type {Problem} from './policy-text.ts';

/** What an attempt to load a policy came to. */
export type Reload = {
	readonly kind: 'changed' | 'unchanged' | 'refused';
	/** the policy in force after it */
	readonly version: string;
	readonly previous: string;
	/** why the file was refused; empty otherwise */
	readonly problems: readonly Problem[];
};

export type LivePolicy = {
	/** the policy in force; it changes between two decisions, never within one */
	current(): LoadedPolicy;
	/** as they were when the policy in force was read */
	sources(): ReadPolicy['sources'];
	/** what is wrong with the file as it is now; the last good policy stays in force meanwhile */
	problems(): readonly Problem[];
	/** Reads the file again. One that is broken changes nothing. */
	reload(): Reload;
	/** Reloads whenever a file changes, and says what came of it unless nothing did. Returns how to stop. */
	watch(onReload: (reload: Reload) => void): () => void;
};

/** Editors write a file in several steps; what they leave after this long is read. */
const SETTLE_MS = 100;

/** Holds the policy in force. Throws `invalid_config` when the first one is broken: there is no last good one yet. */
export function createLivePolicy(read: () => ReadPolicy): LivePolicy {
	const first = read();
	const state = {read: first, files: first.files, policy: assertSound(first), problems: [] as readonly Problem[]};
	/** of those that watch, so that they watch what the file names now */
	const watching = new Set<() => void>();
	const reload = (): Reload => {
		const previous = state.policy.version;
		const next = read();
		state.problems = next.problems;
		if (next.files.join('\0') !== state.files.join('\0')) {
			state.files = next.files;
			for (const renew of watching) renew();
		}
		if (!next.policy) return {kind: 'refused', version: previous, previous, problems: next.problems};
		if (next.policy.version === previous) return {kind: 'unchanged', version: previous, previous, problems: []};
		[state.read, state.policy] = [next, next.policy];
		return {kind: 'changed', version: next.policy.version, previous, problems: []};
	};
	return {
		current: () => state.policy,
		sources: () => state.read.sources,
		problems: () => state.problems,
		reload,
		watch(onReload) {
			const onChange = () => {
				const before = state.problems.length;
				const result = reload();
				if (result.kind !== 'unchanged' || before > 0) onReload(result);
			};
			let watched = watchFiles(state.files, onChange);
			const renew = () => {
				watched.stop();
				watched = watchFiles(state.files, onChange);
				watched.settle(); // a file may have changed after it was read and before it was watched
			};
			watching.add(renew);
			return () => {
				watching.delete(renew);
				watched.stop();
			};
		},
	};
}

/** Directories are watched, because editors replace files rather than write to them. */
function watchFiles(files: readonly string[], onChange: () => void): {stop(): void; settle(): void} {
	const names = Map.groupBy(
		files.map((file) => path.resolve(file)),
		(file) => path.dirname(file),
	);
	const timer: {pending?: NodeJS.Timeout} = {};
	const settle = () => {
		clearTimeout(timer.pending);
		timer.pending = setTimeout(onChange, SETTLE_MS).unref();
	};
	const watchers: FSWatcher[] = [...names].flatMap(([directory, own]) => {
		if (!existsSync(directory)) return []; // a policy that is refused may name a file of a directory that is not there
		const known = new Set(own.map((file) => path.basename(file)));
		// A link to a directory that is swapped, as Kubernetes does with a ConfigMap, shows under other names.
		const watcher = watch(directory, {persistent: false}, (_event, name) => {
			if (name === null || known.has(name) || name.startsWith('..')) settle();
		});
		return watcher.on('error', () => watcher.close());
	});
	const stop = () => {
		clearTimeout(timer.pending);
		for (const watcher of watchers) watcher.close();
	};
	return {stop, settle};
}
