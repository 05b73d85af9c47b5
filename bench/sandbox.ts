/** How long a sandbox takes to answer, cold and warm, and to die. `node bench/sandbox.ts [--json]` */
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {join} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import type {RunnerRequest, SandboxSpec} from '#contract/sandbox.ts';
import {mintPermit} from '#kernel/permit.ts';
import {createPool} from '#sandbox/pool.ts';
import {createProcessProvider} from '#sandbox/process.ts';
import {createRuntime} from '#sandbox/runtime.ts';

type Figure = {name: string; samples: number[]; baseline: number[] | null; target: number};

const MIB = 2 ** 20;
const RUNS = 30;
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
const spec: SandboxSpec = {runner: 'sql', mounts: [], network: 'none', limits};
const count: RunnerRequest = {kind: 'sql', views: [], sql: 'SELECT count(*) FROM range(6417)', maxRows: 10, maxBytes: 10_000};
const endless: RunnerRequest = {
	...count,
	sql: 'SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range + b.range = 1',
};
const permit = mintPermit({id: 'bench', runId: 'run_bench', actionId: 'act_bench', tool: 'bench', tenant: 'bench', binding: ''});
const provider = createProcessProvider({
	runtime: createRuntime({root, nodePath: process.execPath, pythonPath: '/usr/bin/python3'}),
});

async function sample(runs: number, measure: () => Promise<number>): Promise<number[]> {
	const samples: number[] = [];
	for (let run = 0; run < runs; run++) samples.push(await measure());
	return samples;
}

async function timed(act: () => Promise<unknown>): Promise<number> {
	const started = performance.now();
	await act();
	return performance.now() - started;
}

/** The same runner, started by hand with no isolation at all, until its first frame. */
async function bareStart(): Promise<void> {
	const script = join(root, 'src/sandbox/runners/sql.ts');
	const child = spawn(process.execPath, ['--no-warnings', script, JSON.stringify({limits})], {
		stdio: ['pipe', 'ignore', 'ignore', 'pipe'],
	});
	await once(child.stdio[3] as NodeJS.ReadableStream, 'data');
	child.kill('SIGKILL');
	await once(child, 'close');
}

async function cold(): Promise<void> {
	const sandbox = await provider.open(spec, {warm: false, signal});
	await sandbox.run(permit, count, signal);
}

async function killed(): Promise<number> {
	const wallMs = 100;
	const sandbox = await provider.open({...spec, limits: {...limits, wallMs}}, {warm: false, signal});
	const took = await timed(() => sandbox.run(permit, endless, signal).catch(() => sandbox.ended));
	return took - wallMs;
}

async function warm(): Promise<number[]> {
	const pool = createPool({provider, size: 4, perSpec: 2, concurrency: 2, queue: 10});
	await pool.warm([{spec, tenant: 'bench'}]);
	const samples = await sample(RUNS, async () => {
		while (pool.stats().idle < 2) await delay(5);
		return timed(() => pool.run(permit, spec, count, signal));
	});
	await pool.close(); // and the provider with it
	return samples;
}

function percentile(samples: readonly number[], share: number): number {
	const sorted = samples.toSorted((a, b) => a - b);
	return Math.round((sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN) * 10) / 10;
}

function report({name, samples, baseline, target}: Figure) {
	const [p50, p95, p99] = [percentile(samples, 0.5), percentile(samples, 0.95), percentile(samples, 0.99)];
	const base = baseline && percentile(baseline, 0.5);
	const ratio = base === null ? null : Math.round((p50 / base) * 100) / 100;
	return {name, unit: 'ms', p50, p95, p99, runs: samples.length, baseline: base, ratio, target, ok: p50 <= target};
}

await cold();
await delay(500); // the compiled code of the runner is kept from here on
const bare = await sample(10, () => timed(bareStart));
const colds = await sample(RUNS, () => timed(cold));
const kills = await sample(20, killed);
const figures = [
	{name: 'sandbox cold: start to answer (baseline: the runner alone, to ready)', samples: colds, baseline: bare, target: 450},
	{name: 'sandbox warm: claim to answer (baseline: cold)', samples: await warm(), baseline: colds, target: 25},
	{name: 'sandbox kill: time limit to nothing left', samples: kills, baseline: null, target: 250},
].map(report);

if (process.argv.includes('--json')) for (const figure of figures) console.log(JSON.stringify(figure));
else console.table(figures);
