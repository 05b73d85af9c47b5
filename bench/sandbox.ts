/**
 * How long a sandbox takes to answer, warm and cold, and to die; how many fit into memory; what a burst of many tenants gets through.
 * `--long` adds ten thousand runs, to see what they leave behind.
 */
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {existsSync, globSync, readdirSync, readFileSync} from 'node:fs';
import {availableParallelism} from 'node:os';
import {join} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import type {RunnerRequest} from '#contract/sandbox.ts';
import {mintPermit} from '#kernel/permit.ts';
import {encodeFrame} from '#sandbox/frames.ts';
import {createProcessProvider} from '#sandbox/process/process.ts';
import {createRuntime, type Program} from '#sandbox/runtime.ts';
import type {SandboxProvider} from '#sandbox/sandbox.ts';
import {attackerRuntime} from '../src/sandbox/fixtures/attack.ts';
import {descendants} from '../src/sandbox/fixtures/descendants.ts';
import {type Figure, figure, report, timed} from './harness.ts';
import {leaks} from './leaks.ts';
import {atOnce, oneByOne, type Work} from './pool-load.ts';

const MIB = 2 ** 20;
const root = join(import.meta.dirname, '..');
const signal = new AbortController().signal;
const limits = {
	wallMs: 10_000,
	memoryBytes: 512 * MIB,
	cpus: 2,
	processes: 64,
	openFiles: 256,
	scratchBytes: 64 * MIB,
	outputBytes: 16 * MIB,
};

type Task = Work & {readonly endless: RunnerRequest};
type Name = 'sql' | 'python';

const sql = (text: string): RunnerRequest => ({kind: 'sql', views: [], sql: text, maxRows: 10, maxBytes: 10_000});
const python = (code: string): RunnerRequest => ({kind: 'python', views: [], code, maxRows: 10, maxBytes: 10_000});
const WORK: Record<Name, Task> = {
	sql: {
		spec: {runner: 'sql', mounts: [], network: 'none', limits},
		request: sql('SELECT count(*) FROM range(6417)'),
		endless: sql('SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range + b.range = 1'),
	},
	python: {
		spec: {runner: 'python', mounts: [], network: 'none', limits},
		request: python('pd.DataFrame({"k": ["a", "b", "a"], "v": [1, 2, 3]}).groupby("k")["v"].sum()'),
		endless: python('while True: pass'),
	},
};

const runtime = createRuntime({root, nodePath: process.execPath, pythonPath: join(root, '.writ/python/bin/python3')});
const open = () => createProcessProvider({runtime});

const permit = mintPermit({id: 'bench', runId: 'run_bench', actionId: 'act_bench', tool: 'bench', tenant: 'bench', binding: ''});

async function sample(runs: number, measure: () => Promise<number>): Promise<number[]> {
	const samples: number[] = [];
	for (let run = 0; run < runs; run++) samples.push(await measure());
	return samples;
}

/** The same program with the same request, started by hand with no isolation at all. */
async function bare({command, environment}: Pick<Program, 'command' | 'environment'>, request: RunnerRequest): Promise<void> {
	const [file = '', ...args] = command;
	const child = spawn(file, args, {env: environment, stdio: ['pipe', 'ignore', 'ignore', 'pipe']});
	child.stdin?.on('error', () => {});
	child.stdin?.end(encodeFrame(request));
	(child.stdio[3] as NodeJS.ReadableStream).resume();
	const [code] = await once(child, 'close');
	if (code !== 0) throw new Error(`without a sandbox ${file} ended with ${code}`);
}

/** The command that a sandbox would run, with the paths of the host in it, and with the compiled code that a sandbox would find. */
async function bareProgram({spec}: Work): Promise<Pick<Program, 'command' | 'environment'>> {
	const {command, mounts, environment} = await runtime.program(spec);
	const onHost = (path: string) => {
		const mount = mounts.find(({target}) => path === target || path.startsWith(`${target}/`));
		return mount ? mount.source + path.slice(mount.target.length) : path;
	};
	const [caches] = globSync(join(root, `node_modules/.cache/writ-runners/${spec.runner}-*`)).filter(
		(path) => !/\.\d+$/.test(path),
	);
	const cached = caches && spec.runner === 'sql' ? {NODE_COMPILE_CACHE: caches} : {};
	const [first = '', ...rest] = command;
	// A virtual environment is known by the path of its interpreter, which is the same inside.
	return {command: [existsSync(first) ? first : onHost(first), ...rest.map(onHost)], environment: {...environment, ...cached}};
}

async function runOnce(provider: SandboxProvider, {spec, request}: Work): Promise<void> {
	const sandbox = await provider.open(spec, {warm: false, signal});
	const {frames} = await sandbox.run(permit, request, signal);
	if (frames.at(-1)?.type !== 'done') throw new Error(`not answered: ${JSON.stringify(frames)}`);
}

/** From the time limit, or from the moment that it is given up, to the end of all of it. */
async function killed(provider: SandboxProvider, {spec, endless}: Task, by: 'limit' | 'abort'): Promise<number> {
	const wallMs = by === 'limit' ? 100 : limits.wallMs;
	const sandbox = await provider.open({...spec, limits: {...limits, wallMs}}, {warm: false, signal});
	const cancel = new AbortController();
	const started = performance.now();
	const running = sandbox.run(permit, endless, cancel.signal).catch(() => {});
	if (by === 'abort') await delay(100);
	const from = by === 'abort' ? performance.now() : started + wallMs;
	if (by === 'abort') cancel.abort();
	await running;
	await sandbox.ended;
	return performance.now() - from;
}

/** Memory that the waiting sandboxes do not share with anybody, and their part of what they do share. */
async function idleMemory({spec}: Work, count: number): Promise<number> {
	const provider = open();
	const first = await provider.open(spec, {warm: true, signal});
	await delay(500);
	const before = memoryOf(process.pid);
	const more = await Promise.all(Array.from({length: count}, () => provider.open(spec, {warm: true, signal})));
	await delay(500);
	const each = (memoryOf(process.pid) - before) / count;
	await Promise.all([first, ...more].map((sandbox) => sandbox.dispose()));
	await provider.close();
	return each;
}

function memoryOf(ancestor: number): number {
	const sizes = descendants(ancestor).map(({pid}) => {
		try {
			return Number(/^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1]);
		} catch {
			return 0; // it ended while we looked
		}
	});
	return sizes.reduce((sum, size) => sum + size, 0) / 1_024;
}

async function bareThroughput(work: Work, runs: number): Promise<number> {
	const program = await bareProgram(work);
	const left = {runs};
	const began = performance.now();
	const lane = async () => {
		while (left.runs-- > 0) await bare(program, work.request);
	};
	await Promise.all(Array.from({length: availableParallelism()}, lane));
	return (runs / (performance.now() - began)) * 1e3;
}

/** What many runs leave. */
async function leftBehind(runs: number, dir: string): Promise<Figure[]> {
	process.env.TMPDIR = dir;
	const provider = createProcessProvider({runtime: attackerRuntime()});
	const {spec} = WORK.python;
	const figures = await leaks({
		...{name: 'sandbox', runs, lanes: 8},
		async run() {
			const sandbox = await provider.open(spec, {warm: false, signal});
			await sandbox.run(permit, python('answer(1)'), signal);
			await sandbox.ended;
		},
		traces: () => ({
			processes: descendants(process.pid).length,
			mounts: readFileSync('/proc/self/mounts', 'utf8').split('\n').length,
			'control groups': globSync(`/sys/fs/cgroup/**/writ-${process.pid}-*`).length,
			descriptors: readdirSync('/proc/self/fd').length,
			files: readdirSync(dir, {recursive: true}).length,
		}),
		memory: () => memoryOf(process.pid),
	});
	await provider.close();
	return figures;
}

async function latencies(name: Name, quick: boolean): Promise<Figure[]> {
	const work = WORK[name];
	const provider = open();
	await runOnce(provider, work);
	await delay(500); // the compiled code of the runner is kept from here on
	const program = await bareProgram(work);
	const started: number[] = [];
	const alone: number[] = [];
	for (let run = 0; run < (quick ? 8 : 30); run++) {
		started.push(await timed(() => runOnce(provider, work)));
		if (run < (quick ? 3 : 10)) alone.push(await timed(() => bare(program, work.request)));
	}
	const kills = [
		...(await sample(quick ? 5 : 100, () => killed(provider, work, 'limit'))),
		...(await sample(quick ? 5 : 100, () => killed(provider, work, 'abort'))),
	];
	await provider.close();
	const warm = {name: `sandbox ${name}`, open, work, runs: quick ? 20 : 1_000, cold: started};
	return [
		figure({
			...{name: `sandbox ${name}, cold: start to answer (baseline: the runner without a sandbox)`, unit: 'ms'},
			...{samples: started, baseline: alone, target: {of: 'p50', atMost: 250}},
		}),
		...(await oneByOne({...warm, atMost: {p50: name === 'sql' ? 10 : 15, p95: 30}})),
		figure({
			...{name: `sandbox ${name}, kill: time limit or cancellation to nothing left`, unit: 'ms'},
			...{samples: kills, target: {of: 'p99', atMost: 250}},
		}),
	];
}

async function crowds(name: Name, quick: boolean): Promise<Figure[]> {
	const [runs, rounds] = quick ? [40, 1] : [200, 3];
	const work = WORK[name];
	const bare = () => bareThroughput(work, Math.ceil(runs / 4));
	const bursts = await atOnce({name: `sandbox ${name}`, open, work, runs, rounds, bare});
	const memory: number[] = [];
	for (let round = 0; round < rounds; round++) memory.push(await idleMemory(work, quick ? 5 : 10));
	return [
		...bursts,
		figure({
			...{name: `sandbox ${name}, idle: memory of one (30 fit into a GB)`, unit: 'MiB'},
			...{samples: memory, target: {of: 'p50', atMost: 1_000 / 1.048576 / 30}},
		}),
	];
}

await report(async ({quick, long, dir}) => {
	const names: readonly Name[] = (await runtime.versions()).python === undefined ? ['sql'] : ['sql', 'python'];
	const figures: Figure[] = [];
	for (const name of names) figures.push(...(await latencies(name, quick)), ...(await crowds(name, quick)));
	return [...figures, ...(await leftBehind(long ? 10_000 : quick ? 100 : 500, dir))];
});
