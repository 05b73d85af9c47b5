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
import type {RunnerRequest, SandboxSpec} from '#contract/sandbox.ts';
import {mintPermit} from '#kernel/permit.ts';
import {encodeFrame} from '#sandbox/frames.ts';
import {createPool, type Pool} from '#sandbox/pool.ts';
import {createProcessProvider} from '#sandbox/process/process.ts';
import {createRuntime, type Program} from '#sandbox/runtime.ts';
import type {SandboxProvider} from '#sandbox/sandbox.ts';
import {attackerRuntime} from '../src/sandbox/fixtures/attack.ts';
import {descendants} from '../src/sandbox/fixtures/descendants.ts';
import {type Figure, figure, report, timed} from './harness.ts';

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

type Work = {readonly spec: SandboxSpec; readonly request: RunnerRequest; readonly endless: RunnerRequest};
type Name = 'sql' | 'python';

const sql = (text: string): RunnerRequest => ({kind: 'sql', views: [], sql: text, maxRows: 10, maxBytes: 10_000});
const python = (code: string): RunnerRequest => ({kind: 'python', views: [], code, maxRows: 10, maxBytes: 10_000});
const WORK: Record<Name, Work> = {
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

function permitOf(tenant: string) {
	return mintPermit({id: 'bench', runId: 'run_bench', actionId: 'act_bench', tool: 'bench', tenant, binding: ''});
}
const permit = permitOf('bench');

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
async function killed(provider: SandboxProvider, {spec, endless}: Work, by: 'limit' | 'abort'): Promise<number> {
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

async function rested(pool: Pool, idle: number): Promise<void> {
	for (const end = Date.now() + 30_000; pool.stats().idle < idle; await delay(2))
		if (Date.now() > end) throw new Error(`the pool did not fill: ${JSON.stringify(pool.stats())}`);
}

async function warm({spec, request}: Work, runs: number): Promise<{samples: number[]; failed: number}> {
	const pool = createPool({provider: open(), size: 4, perSpec: 2, concurrency: 2, queue: 10});
	await pool.warm([{spec, tenant: 'bench'}]);
	const outcome = {samples: [] as number[], failed: 0};
	for (let run = 0; run < runs; run++) {
		await rested(pool, 2);
		const took = await timed(() => pool.run(permit, {spec, request}, signal).catch(() => (outcome.failed += 1)));
		outcome.samples.push(took);
	}
	await pool.close(); // and the provider with it
	return outcome;
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

const TENANTS = ['a', 'b', 'c', 'd'];

type Burst = {readonly perSecond: number; readonly bare: number; readonly failed: number; readonly unfair: number};

/** All at once, from several tenants. `unfair` is how much later than the first the last tenant had half of its answers. */
async function burst(work: Work, runs: number): Promise<Burst> {
	const {spec, request} = work;
	const pool = createPool({provider: open(), size: 8, perSpec: 2, concurrency: 8, queue: runs});
	await pool.warm(TENANTS.map((tenant) => ({spec, tenant})));
	const answered = new Map<string, number[]>(TENANTS.map((tenant) => [tenant, []]));
	const counts = {failed: 0};
	const started = performance.now();
	const one = async (tenant: string) => {
		await pool.run(permitOf(tenant), {spec, request}, signal).catch(() => (counts.failed += 1));
		answered.get(tenant)?.push(performance.now() - started);
	};
	await Promise.all(Array.from({length: runs}, (_, index) => one(TENANTS[index % TENANTS.length] ?? '')));
	const took = performance.now() - started;
	await pool.close();
	const halves = [...answered.values()].map((times) => times[Math.floor(times.length / 2)] ?? 0);
	const unfair = Math.max(...halves) / Math.min(...halves);
	return {perSecond: (runs / took) * 1e3, bare: await bareThroughput(work, Math.ceil(runs / 4)), failed: counts.failed, unfair};
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

type Footprint = Readonly<Record<'processes' | 'mounts' | 'groups' | 'descriptors', number>>;

function footprint(): Footprint {
	return {
		processes: descendants(process.pid).length,
		mounts: readFileSync('/proc/self/mounts', 'utf8').split('\n').length,
		groups: globSync(`/sys/fs/cgroup/**/writ-${process.pid}-*`).length,
		descriptors: readdirSync('/proc/self/fd').length,
	};
}

/** What many runs leave: more of anything than there was after the first hundred. And how much our own memory grew meanwhile. */
async function leaks(runs: number): Promise<{left: number; grownMib: number}> {
	const provider = createProcessProvider({runtime: attackerRuntime()});
	const {spec} = WORK.python;
	const left = {runs};
	const lane = async () => {
		while (left.runs-- > 0) {
			const sandbox = await provider.open(spec, {warm: false, signal});
			await sandbox.run(permit, python('answer(1)'), signal);
			await sandbox.ended;
		}
	};
	const run = async (count: number) => {
		left.runs = count;
		await Promise.all(Array.from({length: 8}, lane));
		globalThis.gc?.();
		return {footprint: footprint(), memory: process.memoryUsage().rss / MIB + memoryOf(process.pid)};
	};
	const before = await run(Math.ceil(runs / 10));
	const after = await run(runs);
	await provider.close();
	const keys = Object.keys(before.footprint) as (keyof Footprint)[];
	const grown = keys.map((key) => Math.max(0, after.footprint[key] - before.footprint[key]));
	return {left: grown.reduce((sum, each) => sum + each, 0), grownMib: Math.max(0, after.memory - before.memory)};
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
	const {samples, failed} = await warm(work, quick ? 20 : 1_000);
	const success = 100 - (100 * failed) / samples.length;
	const claim = `sandbox ${name}, warm: claim to answer, one after the other (baseline: cold)`;
	return [
		figure({
			...{name: `sandbox ${name}, cold: start to answer (baseline: the runner without a sandbox)`, unit: 'ms'},
			...{samples: started, baseline: alone, target: {of: 'p50', atMost: 250}},
		}),
		figure({
			...{name: claim, unit: 'ms', samples, baseline: started},
			target: {of: 'p50', atMost: name === 'sql' ? 10 : 15},
		}),
		figure({...{name: `${claim}, the slowest`, unit: 'ms', samples, target: {of: 'p95', atMost: 30}}}),
		figure({
			...{name: `sandbox ${name}, warm: answered`, unit: '%', samples: [success], runs: samples.length},
			target: {of: 'p50', atLeast: 99.9},
		}),
		figure({
			...{name: `sandbox ${name}, kill: time limit or cancellation to nothing left`, unit: 'ms'},
			...{samples: kills, target: {of: 'p99', atMost: 250}},
		}),
	];
}

async function crowds(name: Name, quick: boolean): Promise<Figure[]> {
	const runs = quick ? 40 : 200;
	const bursts: Burst[] = [];
	for (let round = 0; round < (quick ? 1 : 3); round++) bursts.push(await burst(WORK[name], runs));
	const memory: number[] = [];
	for (let round = 0; round < (quick ? 1 : 3); round++) memory.push(await idleMemory(WORK[name], quick ? 5 : 10));
	const what = `sandbox ${name}, burst of ${runs} runs of ${TENANTS.length} tenants on 8 places`;
	return [
		figure({
			...{name: `${what} (baseline: the runner without a sandbox, one a processor)`, unit: '1/s'},
			...{samples: bursts.map(({perSecond}) => perSecond), baseline: bursts.map((each) => each.bare)},
		}),
		figure({
			...{name: `${what}: of the throughput without a sandbox`, unit: '%'},
			...{samples: bursts.map((each) => (100 * each.perSecond) / each.bare), target: {of: 'p50', atLeast: 60}},
		}),
		figure({
			...{name: `${what}: failed`, unit: '%', runs: runs * bursts.length},
			...{samples: bursts.map(({failed}) => (100 * failed) / runs), target: {of: 'p99', atMost: 0}},
		}),
		figure({
			...{name: `${what}: half of the answers, slowest tenant to fastest`, unit: '%'},
			...{samples: bursts.map(({unfair}) => 100 * unfair), target: {of: 'p99', atMost: 150}},
		}),
		figure({
			...{name: `sandbox ${name}, idle: memory of one (30 fit into a GB)`, unit: 'MiB'},
			...{samples: memory, target: {of: 'p50', atMost: 1_000 / 1.048576 / 30}},
		}),
	];
}

await report(async ({quick, long}) => {
	const names: readonly Name[] = (await runtime.versions()).python === undefined ? ['sql'] : ['sql', 'python'];
	const figures: Figure[] = [];
	for (const name of names) figures.push(...(await latencies(name, quick)), ...(await crowds(name, quick)));
	const runs = long ? 10_000 : quick ? 100 : 500;
	const {left, grownMib} = await leaks(runs);
	return [
		...figures,
		figure({
			...{name: 'sandbox leaks: processes, mounts, control groups and descriptors left (%: of the runs)', unit: '%', runs},
			...{samples: [(100 * left) / runs], target: {of: 'p50', atMost: 0}},
		}),
		figure({name: 'sandbox leaks: memory grown meanwhile', unit: 'MiB', runs, samples: [grownMib]}),
	];
});
