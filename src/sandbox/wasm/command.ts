/** How Node is started to run code in Wasm: which files it may read, which limits V8 keeps, and what it may not do at all. */
import {realpathSync} from 'node:fs';
import {join} from 'node:path';
import type {SandboxLimits} from '#contract/sandbox.ts';
import type {Mount} from '../runtime.ts';

export type WasmRuntime = {
	/** the directory that holds `src` and `node_modules` */
	readonly root: string;
	readonly nodePath: string;
};

const MIB = 2 ** 20;
const PAGE = 65_536;
/** Of the interpreter's own in linear memory before any code has run, and of the SQL engine's. */
const AT_REST = 48 * MIB;

/** Where the memory of a started interpreter lies. With `keep` it is written there, by a process that runs no code of anybody's. */
export type Snapshot = {readonly directory: string; readonly keep: boolean};

export type WasmRunner = 'python' | 'sql';

type Run = {
	readonly runner: WasmRunner;
	readonly limits: SandboxLimits;
	readonly mounts: readonly Mount[];
	/** of Python */
	readonly snapshot?: Snapshot | undefined;
};

/** What each runner imports. Of the engine only the module is used: its own JavaScript is never run. */
const PACKAGES: Readonly<Record<WasmRunner, readonly string[]>> = {
	python: ['pyodide', 'hyparquet'],
	sql: ['@duckdb/node-api', '@duckdb/node-bindings', 'hyparquet'],
};
const ENGINE = '@duckdb/duckdb-wasm/dist/duckdb-eh.wasm';

/** Arguments of Node. `mounts` have been resolved: permission is given for where a file lies, not for a link to it. */
export function wasmCommand(root: string, run: Run): string[] {
	const {runner, limits, mounts, snapshot} = run;
	const packages = PACKAGES[runner].map((name) => realpathSync(join(root, 'node_modules', name)));
	const runners = realpathSync(join(root, 'src/sandbox/runners'));
	const kept = snapshot ? [snapshot.directory] : [];
	const engine = runner === 'sql' ? [realpathSync(join(root, 'node_modules', ENGINE))] : [];
	const readable = [...packages, ...engine, runners, join(root, 'package.json'), ...kept, ...mounts.map(({source}) => source)];
	const argument =
		runner === 'sql'
			? {mounts, limits, duckdb: engine[0]}
			: {
					...{mounts, pyodide: packages[0]},
					...(snapshot ? {snapshot: join(snapshot.directory, 'python.snapshot'), keep: snapshot.keep} : {}),
				};
	return [
		// Without a word after it, each of these is off: writing, child processes, workers, addons, WASI and the inspector.
		'--permission',
		...readable.map((path) => `--allow-fs-read=${path}`),
		...(snapshot?.keep ? [`--allow-fs-write=${snapshot.directory}`] : []),
		'--disallow-code-generation-from-strings',
		`--wasm-max-mem-pages=${Math.ceil((limits.memoryBytes + AT_REST) / PAGE)}`,
		`--max-old-space-size=${Math.ceil(limits.memoryBytes / MIB) + HEAP_AT_REST}`,
		// The engine has 65,000 functions, of which a statement needs some hundreds.
		...(runner === 'sql' ? ['--wasm-lazy-compilation', '--wasm-lazy-validation'] : []),
		'--v8-pool-size=1',
		'--no-warnings',
		join(runners, `wasm/${runner}.ts`),
		JSON.stringify(argument),
	];
}

/** MiB of JavaScript heap that the runner itself takes. */
const HEAP_AT_REST = 32;

/**
 * The limits that any POSIX system keeps for one process, set by its shell, which then becomes Node. A run that nobody is left to stop,
 * because Writ itself was killed, ends at its processor time. Windows has no such limits.
 */
export function withRlimits(nodePath: string, command: readonly string[], limits: SandboxLimits): [string, ...string[]] {
	if (!HAS_RLIMITS) return [nodePath, ...command];
	const seconds = Math.ceil((limits.wallMs / 1000) * limits.cpus) + STARTUP_SECONDS;
	return ['/bin/sh', '-c', RLIMITS, 'writ', String(seconds), String(limits.openFiles + NODE_FILES), nodePath, ...command];
}

export const HAS_RLIMITS = process.platform !== 'win32';

/** No file can be written at all: what Node writes to are pipes. At the soft limit of time a signal says which limit it was. */
const RLIMITS =
	'ulimit -S -t "$1" && ulimit -H -t "$(($1 + 1))" && ulimit -n "$2" && ulimit -f 0 && ulimit -c 0 || exit 111; shift 2; exec "$@"';
/** Of processor time, for a start without a kept memory. */
const STARTUP_SECONDS = 5;
/** Open in Node itself before any code has run. */
const NODE_FILES = 48;
