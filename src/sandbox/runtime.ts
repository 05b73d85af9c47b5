/** Where the programs that run inside a sandbox live on this machine, and what of the machine they need to see. */
import {execFile} from 'node:child_process';
import {access} from 'node:fs/promises';
import {join} from 'node:path';
import {promisify} from 'node:util';
import type {z} from 'zod';
import {WritError} from '#contract/errors.ts';
import type {mountSchema, RunnerName, SandboxSpec} from '#contract/sandbox.ts';
import {type CompileCache, createCompileCache} from './compile-cache.ts';
import {type Equipment, equipmentFor} from './equipment.ts';

export type Mount = z.infer<typeof mountSchema>;

/** A program as a sandbox starts it. `mounts` are read-only: `source` on the host, `target` inside. */
export type Program = {
	readonly command: readonly string[];
	readonly mounts: readonly Mount[];
	readonly environment: Readonly<Record<string, string>>;
	/** memory that it asks for when it starts and never touches: an rlimit counts it, a control group does not */
	readonly reservedBytes: number;
	/** set for a Python program that may be imported once and forked for each run: it has `main` and perhaps `warm_up` */
	readonly zygote?: {readonly interpreter: readonly [string, ...string[]]; readonly script: string};
	/** compiled code that starts of this program share */
	readonly cache?: CompileCache;
	/** it runs Chromium, which needs `/proc`, shared memory and more system calls */
	readonly browser?: boolean;
};

export type Runtime = {
	/** Throws `sandbox_unavailable`, with the command that installs what is missing. */
	program(spec: SandboxSpec): Promise<Program>;
	/** Versions of what would run, by name; a missing one is left out. */
	versions(): Promise<Readonly<Record<string, string>>>;
};

type RuntimeOptions = {
	/** the directory that holds `src` and `node_modules` */
	readonly root: string;
	readonly nodePath: string;
	/** a CPython with pandas and numpy; absent or broken means no `python` runner */
	readonly pythonPath: string;
};

const run = promisify(execFile);
const MIB = 2 ** 20;
const NODE = '/runtime/node';
const APP = '/runtime/app';
const SCRIPTS = 'src/sandbox/runners';
const CACHES = 'node_modules/.cache/writ-runners';

export function createRuntime(options: RuntimeOptions): Runtime {
	const found: {python?: Promise<Python>} = {};
	const caches = new Map<RunnerName, CompileCache>();
	const places = {root: options.root, scripts: SCRIPTS};
	const cacheOf = (runner: RunnerName) => {
		const {root, nodePath} = options;
		const make = () => createCompileCache(join(root, CACHES), runner, [nodePath, join(root, SCRIPTS)]);
		const cache = caches.get(runner) ?? make();
		caches.set(runner, cache);
		return cache;
	};
	const python = () => {
		found.python ??= findPython(options.pythonPath);
		found.python.catch(() => delete found.python); // it may be installed later
		return found.python;
	};
	return {
		async program(spec) {
			if (spec.runner === 'python') return pythonProgram(options, await python(), spec);
			return {
				...equip(await nodeProgram(options, spec), await equipmentFor(spec, {...places, python})),
				cache: cacheOf(spec.runner),
			};
		},
		async versions() {
			const version = await python().then(
				(each) => ({python: each.version}),
				() => ({}),
			);
			return {node: process.versions.node, ...version};
		},
	};
}

/** How a runner is started, wherever that is. `python` is the interpreter there; all else is at the same place everywhere. */
export function startRunner(spec: SandboxSpec, python: string): Pick<Program, 'command' | 'environment'> {
	const {runner, limits} = spec;
	const threads = String(Math.max(1, Math.ceil(limits.cpus)));
	// The runner reads its limits from its only argument; `out` says that `/out` is mounted.
	const argument = JSON.stringify({limits, out: spec.output !== undefined});
	if (runner === 'python')
		return {
			command: [python, '-I', '-B', join(APP, SCRIPTS, 'python.py'), argument],
			environment: {OPENBLAS_NUM_THREADS: threads, OMP_NUM_THREADS: threads, MPLBACKEND: 'Agg'},
		};
	return {
		command: [NODE, ...NODE_FLAGS, join(APP, SCRIPTS, `${runner}.ts`), argument],
		environment: {UV_THREADPOOL_SIZE: threads},
	};
}

function equip(program: Program, {mounts, argument, browser}: Equipment): Program {
	return {
		...program,
		command: [...program.command, ...(argument === undefined ? [] : [argument])],
		mounts: [...program.mounts, ...mounts],
		...(browser ? {browser} : {}),
	};
}

async function nodeProgram({root, nodePath}: RuntimeOptions, spec: SandboxSpec): Promise<Program> {
	const inside = (path: string) => ({source: join(root, path), target: join(APP, path)});
	return {
		...startRunner(spec, ''),
		mounts: [
			...(await systemLibraries()),
			{source: nodePath, target: NODE},
			inside('package.json'),
			inside(SCRIPTS),
			...(spec.runner === 'sql' || spec.runner === 'ingest' ? [inside('node_modules/@duckdb')] : []),
		],
		reservedBytes: 640 * MIB,
	};
}

/** No warnings in the captured output, and no helper threads that a small answer would never use. */
const NODE_FLAGS = ['--no-warnings', '--v8-pool-size=1', '--disable-wasm-trap-handler'];

type Python = {readonly executable: string; readonly mounts: readonly Mount[]; readonly version: string};

async function pythonProgram({root}: RuntimeOptions, python: Python, spec: SandboxSpec): Promise<Program> {
	return {
		...startRunner(spec, python.executable),
		mounts: [...(await systemLibraries()), ...python.mounts, {source: join(root, SCRIPTS), target: join(APP, SCRIPTS)}],
		zygote: {interpreter: [python.executable, '-I', '-B'], script: join(APP, SCRIPTS, 'python.py')},
		reservedBytes: 1_280 * MIB,
	};
}

const INSPECT = `
import json, os, sys, sysconfig
import pandas, numpy
standard = [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")]
print(json.dumps({
  "real": os.path.realpath(sys.executable),
  "prefix": sys.prefix,
  "virtual": sys.prefix != sys.base_prefix,
  "modules": [os.path.realpath(p) for p in standard + sys.path if os.path.isdir(p)],
  "shared": os.path.join(sysconfig.get_config_var("LIBDIR") or "", sysconfig.get_config_var("INSTSONAME") or ""),
  "version": sys.version.split()[0] + ", pandas " + pandas.__version__}))`;

type Inspection = {real: string; prefix: string; virtual: boolean; modules: string[]; shared: string; version: string};

/** Asks the interpreter itself where it lives: distributions, pyenv, conda and virtual environments all differ. */
async function findPython(path: string): Promise<Python> {
	try {
		const {stdout} = await run(path, ['-I', '-c', INSPECT], {env: {}, timeout: 20_000});
		const {real, prefix, virtual, modules, shared, version} = JSON.parse(stdout) as Inspection;
		const same = (each: string) => ({source: each, target: each});
		// A virtual environment is known by the path of its interpreter, which there is a link that would lead nowhere inside.
		const executable = virtual ? join(prefix, 'bin/python3') : real;
		const environment = virtual ? [same(join(prefix, 'pyvenv.cfg')), same(join(prefix, 'lib'))] : [];
		const libraries = outermost([...modules, ...((await exists(shared)) ? [shared] : [])]).map(same);
		return {executable, mounts: [{source: real, target: executable}, ...environment, ...libraries], version};
	} catch (cause) {
		throw new WritError('sandbox_unavailable', `no Python with pandas and numpy was found at ${path}`, {
			hint: 'run `python3 -m venv .venv && .venv/bin/pip install pandas numpy`, or set PYTHON_PATH',
			details: {runner: 'python'},
			cause,
		});
	}
}

/** A mount covers what lies below it. */
function outermost(paths: readonly string[]): string[] {
	const unique = [...new Set(paths)];
	return unique.filter((path) => !unique.some((other) => other !== path && path.startsWith(`${other}/`)));
}

/** The dynamic loader and shared libraries: no programs, and no configuration but the loader's cache. */
async function systemLibraries(): Promise<Mount[]> {
	const found = LIBRARIES.map(async (path) => ((await exists(path)) ? [{source: path, target: path}] : []));
	return (await Promise.all(found)).flat();
}

/** Where `/lib` is a link into `/usr`, the sandbox has the same link (see bubblewrap.ts). */
const LIBRARIES = [
	'/usr/lib/x86_64-linux-gnu',
	'/usr/lib/aarch64-linux-gnu',
	'/usr/lib/ld-linux-aarch64.so.1',
	'/usr/lib64',
	'/etc/ld.so.cache',
];

async function exists(path: string): Promise<boolean> {
	if (path === '') return false;
	return access(path).then(
		() => true,
		() => false,
	);
}
