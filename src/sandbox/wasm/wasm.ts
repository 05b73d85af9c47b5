/**
 * The `wasm` provider: code runs in Wasm, in a Node process of its own that may read its runner and the mounts and do nothing else.
 * It needs no privileges and no program that npm does not bring, so it works wherever Writ does.
 */
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {readFileSync, realpathSync} from 'node:fs';
import {join} from 'node:path';
import type {Readable, Writable} from 'node:stream';
import {WritError} from '#contract/errors.ts';
import type {Isolation, SandboxLimits, SandboxSpec} from '#contract/sandbox.ts';
import {createCompileCache} from '../compile-cache.ts';
import {notStarted} from '../endings.ts';
import type {OpenOptions, ProviderFacts, Sandbox, SandboxProvider} from '../sandbox.ts';
import {type StartedRunner, supervise} from '../supervise.ts';
import {HAS_RLIMITS, type Snapshot, type WasmRunner, type WasmRuntime, wasmCommand, withRlimits} from './command.ts';

const MIB = 2 ** 20;
const FACTS_LIMIT_MS = 20_000;
const SNAPSHOT_LIMIT_MS = 60_000;
/** Node, an interpreter or engine with its compiled code and its memory before any code has run: 200 to 220 MiB on x86-64. */
const OUTSIDE_CODE = 224 * MIB;

export function createWasmProvider(options: WasmRuntime): SandboxProvider {
	const live = new Set<Sandbox>();
	const openings = new Set<Promise<unknown>>();
	const closing = new AbortController();
	const kept: {snapshots?: ReturnType<typeof createCompileCache>; making?: Promise<void>} = {};
	const snapshot = async (signal: AbortSignal): Promise<Snapshot | undefined> => {
		kept.snapshots ??= snapshotsOf(options);
		const find = () =>
			kept.snapshots?.find((unfinished) => (kept.making = tracked(keepSnapshot(options, unfinished, closing.signal))));
		// Two first starts at once would take longer than one after the other.
		if (find() === undefined && kept.making) await settled(kept.making, signal);
		const directory = find();
		return directory === undefined ? undefined : {directory, keep: false};
	};
	const open = async (spec: SandboxSpec, {warm, signal: given}: OpenOptions) => {
		const runner = assertPossible(spec, options);
		const signal = AbortSignal.any([given, closing.signal]);
		const memory = runner === 'python' ? await snapshot(signal) : undefined;
		const started = start(options, {runner, spec, warm, snapshot: memory});
		const sandbox = await supervise(started, {warm, signal});
		live.add(sandbox);
		sandbox.ended.finally(() => live.delete(sandbox)).catch(() => {});
		return sandbox;
	};
	const tracked = <T>(opening: Promise<T>): Promise<T> => {
		const tracking = opening.finally(() => openings.delete(tracking));
		openings.add(tracking);
		return tracking;
	};
	const provider: SandboxProvider = {
		name: 'wasm',
		open: (spec, opening) => tracked(open(spec, opening)),
		facts: () => factsOf(options, provider),
		runners: async () => versionsOf(RUNNERS, options),
		async close() {
			closing.abort();
			await Promise.allSettled(openings);
			await Promise.all([...live].map((sandbox) => sandbox.dispose()));
		},
	};
	return provider;
}

const RUNNERS: readonly WasmRunner[] = ['sql', 'python'];

/** What cannot be had in Wasm is refused by name, before anything starts. */
function assertPossible({runner: asked, output, network}: SandboxSpec, options: WasmRuntime): WasmRunner {
	const hint = 'choose another provider for it: see `writ doctor`';
	const runner = RUNNERS.find((each) => each === asked);
	if (!runner) throw new WritError('sandbox_unavailable', `the wasm sandbox does not run ${asked}`, {hint});
	if (output !== undefined) throw new WritError('sandbox_unavailable', 'the wasm sandbox writes no files', {hint});
	if (network !== 'none') throw new WritError('sandbox_unavailable', 'the wasm sandbox has no way to the network', {hint});
	versionsOf([runner], options);
	return runner;
}

/** The memory of a started interpreter saves four fifths of a start; it is made once, in the background, by a process of its own. */
function snapshotsOf({root, nodePath}: WasmRuntime): ReturnType<typeof createCompileCache> {
	const inputs = [nodePath, join(root, 'node_modules/pyodide'), join(root, 'src/sandbox/runners')];
	return createCompileCache(join(root, 'node_modules/.cache/writ-runners'), 'wasm-python', inputs);
}

async function keepSnapshot({root, nodePath}: WasmRuntime, directory: string, signal: AbortSignal): Promise<void> {
	const command = wasmCommand(root, {runner: 'python', limits: PROBE.limits, mounts: [], snapshot: {directory, keep: true}});
	const child = spawn(nodePath, command, {
		cwd: root,
		env: {},
		stdio: 'ignore',
		signal,
		timeout: SNAPSHOT_LIMIT_MS,
		windowsHide: true,
	});
	const [code] = await once(child, 'close');
	// Half of a memory is none.
	if (code !== 0) throw notStarted(`the memory of an interpreter was not kept: exit code ${code}`);
}

/** Waits for `work` to end, however it does, and no longer than the signal allows. */
async function settled(work: Promise<void>, signal: AbortSignal): Promise<void> {
	if (signal.aborted) return;
	const done = new AbortController();
	await Promise.race([work, once(signal, 'abort', {signal: done.signal})]).catch(() => {});
	done.abort();
}

type Start = {
	readonly runner: WasmRunner;
	readonly spec: SandboxSpec;
	readonly warm: boolean;
	readonly snapshot: Snapshot | undefined;
};

function start({root, nodePath}: WasmRuntime, {runner, spec, warm, snapshot}: Start): StartedRunner {
	const mounts = spec.mounts.map(({source, target}) => ({source: resolveSource(source), target}));
	const [file, ...args] = withRlimits(nodePath, wasmCommand(root, {runner, limits: spec.limits, mounts, snapshot}), spec.limits);
	const child = spawn(file, args, {
		cwd: root,
		env: {},
		stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
		windowsHide: true,
	});
	const [requests, stdout, stderr, frames] = child.stdio as unknown as [Writable, Readable, Readable, Readable];
	const {promise: exited, resolve, reject} = Promise.withResolvers<Awaited<StartedRunner['exited']>>();
	child.once('error', (cause) => reject(notStarted(cause.message, cause)));
	// Not 'exit': what the runner sent before it died must be read first.
	child.once('close', (code, by) => resolve({code, by, exceeded: []}));
	return {
		...{spec, requests, stdout, stderr, frames, exited},
		isolation: isolationOf(warm),
		kill: () => void child.kill('SIGKILL'),
		exceeded: () => [],
		usage: () => ({cpuMs: null, peakMemoryBytes: null}),
		processBytes: () => Math.max(0, residentBytes(child.pid) - OUTSIDE_CODE),
		async cleanUp() {},
	};
}

function resolveSource(path: string): string {
	try {
		return realpathSync(path);
	} catch (cause) {
		throw new WritError('sandbox_unavailable', `${path} cannot be mounted: it does not exist`, {cause});
	}
}

/** 0 where the system does not say, or the process is gone. */
function residentBytes(pid: number | undefined): number {
	if (process.platform !== 'linux' || pid === undefined) return 0;
	try {
		const pages = readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1];
		return Number(pages) * PAGE_BYTES;
	} catch {
		return 0; // it ended a moment ago, and its exit says why
	}
}

const PAGE_BYTES = 4_096;

function isolationOf(warm: boolean): Isolation {
	return {
		provider: 'wasm',
		level: 'kernel-shared',
		namespaces: [],
		seccomp: false,
		limits: ENFORCED,
		network: 'none',
		warm,
	};
}

const ENFORCED = {
	wallMs: 'kill',
	memoryBytes: 'engine',
	cpus: HAS_RLIMITS ? 'rlimit' : 'none',
	processes: 'engine',
	openFiles: HAS_RLIMITS ? 'rlimit' : 'none',
	scratchBytes: 'none',
	fileBytes: HAS_RLIMITS ? 'rlimit' : 'engine',
	outputBytes: 'kill',
} as const satisfies Record<keyof SandboxLimits, Isolation['limits'][string]>;

const WEAKNESSES = [
	'code that breaks out of V8 has the rights of the user who runs writ: there is no second wall behind Wasm',
	'code inside can learn in which directory writ is installed',
	HAS_RLIMITS
		? 'processor time is limited in all, not at a time: a run may keep one processor busy until then'
		: 'processor time is not limited: a run may keep one processor busy until its time limit',
	'scratch space is memory, and the memory limit is its limit',
	'Python has its standard library only: no pandas and numpy, and a table is a list of dicts',
	'code inside can call no tools',
	'uploads cannot be read and results cannot be exported: DuckDB-Wasm from npm comes without the extension that writes Parquet',
	'SQL has no JSON functions, and no time zones but UTC: DuckDB-Wasm from npm comes without its json and icu extensions',
	'what a query reads is held in memory: nothing is moved to disk',
	...(process.platform === 'linux' ? [] : ['memory outside Wasm and the JavaScript heap is not limited on this system']),
];

/** Opens one of each for real: nothing less shows that Node, its flags and the packages agree. */
async function factsOf(options: WasmRuntime, provider: SandboxProvider): Promise<ProviderFacts> {
	const base = {
		name: 'wasm',
		level: 'kernel-shared',
		namespaces: [],
		seccomp: false,
		egress: false,
		limits: ENFORCED,
	} as const;
	const errors: (WritError | undefined)[] = [];
	// One after the other: two first starts at once would take longer.
	for (const runner of RUNNERS) errors.push(await errorOf(runner, provider));
	const runs = RUNNERS.filter((_, index) => errors[index] === undefined);
	const missing = errors.flatMap((error, index) => (error ? [`${RUNNERS[index]} does not run: ${error.message}`] : []));
	const weaknesses = [...missing, ...WEAKNESSES];
	const [error] = errors;
	if (runs.length === 0 && error) {
		const availability = {kind: 'unavailable', reason: error.message, hint: error.hint ?? ''} as const;
		return {...base, runs, weaknesses, versions: {}, availability};
	}
	const versions = {...versionsOf(runs, options), isolation: 'Wasm behind the permission model of Node'};
	return {...base, runs, weaknesses, versions, availability: {kind: 'available'}};
}

async function errorOf(runner: WasmRunner, provider: SandboxProvider): Promise<WritError | undefined> {
	try {
		const sandbox = await provider.open({...PROBE, runner}, {warm: false, signal: AbortSignal.timeout(FACTS_LIMIT_MS)});
		await sandbox.dispose();
		return undefined;
	} catch (error) {
		if (error instanceof WritError) return error;
		throw error;
	}
}

const PROBE: SandboxSpec = {
	runner: 'python',
	mounts: [],
	network: 'none',
	limits: {
		...{wallMs: FACTS_LIMIT_MS, memoryBytes: 256 * MIB, cpus: 1, processes: 1, openFiles: 64},
		...{scratchBytes: MIB, outputBytes: MIB},
	},
};

/** Throws `sandbox_unavailable` when a package that one of the runners needs is not there. */
function versionsOf(runners: readonly WasmRunner[], {root}: WasmRuntime): Readonly<Record<string, string>> {
	const read = (path: string): unknown => JSON.parse(readFileSync(join(root, 'node_modules', path), 'utf8'));
	const found: Record<string, string> = {};
	for (const runner of runners) {
		const name = runner === 'sql' ? '@duckdb/duckdb-wasm' : 'pyodide';
		try {
			const {version} = read(`${name}/package.json`) as {version: string};
			found[runner === 'sql' ? 'duckdb-wasm' : name] = version;
			if (runner === 'python') {
				const {info} = read('pyodide/pyodide-lock.json') as {info: {python: string}};
				found.python = `${info.python}, without pandas`;
			}
		} catch (cause) {
			throw new WritError('sandbox_unavailable', `the npm package \`${name}\` is not installed`, {
				hint: 'run `npm install`',
				cause,
			});
		}
	}
	return found;
}
