/** How long a sandbox takes to answer, cold and warm, and to die. */
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {join} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import type {RunnerRequest, SandboxSpec} from '#contract/sandbox.ts';
import {mintPermit} from '#kernel/permit.ts';
import {createPool} from '#sandbox/pool.ts';
import {createProcessProvider} from '#sandbox/process.ts';
import {createRuntime} from '#sandbox/runtime.ts';
import {figure, report, timed} from './harness.ts';

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

async function warm(runs: number): Promise<number[]> {
	const pool = createPool({provider, size: 4, perSpec: 2, concurrency: 2, queue: 10});
	await pool.warm([{spec, tenant: 'bench'}]);
	const samples = await sample(runs, async () => {
		while (pool.stats().idle < 2) await delay(5);
		return timed(() => pool.run(permit, {spec, request: count}, signal));
	});
	await pool.close(); // and the provider with it
	return samples;
}

await report(async ({quick, after}) => {
	after(() => provider.close());
	const runs = quick ? 8 : RUNS;
	await cold();
	await delay(500); // the compiled code of the runner is kept from here on
	const baseline = await sample(quick ? 3 : 10, () => timed(bareStart));
	const started = await sample(runs, () => timed(cold));
	return [
		figure({
			...{name: 'sandbox cold: start to answer (baseline: the runner alone, started)', unit: 'ms'},
			...{samples: started, baseline, target: {of: 'p50', atMost: 450}},
		}),
		figure({
			...{name: 'sandbox kill: time limit to nothing left', unit: 'ms'},
			...{samples: await sample(quick ? 5 : 20, killed), target: {of: 'p50', atMost: 250}},
		}),
		figure({
			...{name: 'sandbox warm: claim to answer (baseline: cold)', unit: 'ms'},
			...{samples: await warm(runs), baseline: started, target: {of: 'p50', atMost: 25}},
		}),
	];
});
