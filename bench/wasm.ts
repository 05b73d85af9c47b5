/** What a sandbox of Wasm costs, for Python and for SQL: a count over a small snapshot when it waits for it, a start, and the memory it waits in. */
import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import type {RunnerRequest, SandboxSpec} from '#contract/sandbox.ts';
import {mintPermit} from '#kernel/permit.ts';
import {createPool} from '#sandbox/pool.ts';
import {snapshots} from '#sandbox/runners/run-in-child.ts';
import type {SandboxProvider} from '#sandbox/sandbox.ts';
import {createWasmProvider} from '#sandbox/wasm/wasm.ts';
import {figure, report, timed} from './harness.ts';

const MIB = 2 ** 20;
const root = join(import.meta.dirname, '..');
const signal = new AbortController().signal;
const permit = mintPermit({id: 'bench', runId: 'run_bench', actionId: 'act_bench', tool: 'bench', tenant: 'bench', binding: ''});
const {data} = await snapshots({
	orders: "SELECT range AS id, 'customer ' || (range % 97) AS customer, range / 7 AS price FROM range(6417)",
});
const limits = {
	wallMs: 20_000,
	memoryBytes: 512 * MIB,
	cpus: 1,
	processes: 8,
	openFiles: 64,
	scratchBytes: 64 * MIB,
	outputBytes: 16 * MIB,
};
const spec: SandboxSpec = {runner: 'python', mounts: [{source: data, target: '/data'}], network: 'none', limits};
const views = [{table: 'orders', path: '/data/orders.parquet'}];
const count: RunnerRequest = {kind: 'python', views, code: 'sum(1 for row in orders)', maxRows: 10, maxBytes: 10_000};
const sqlSpec: SandboxSpec = {...spec, runner: 'sql'};
const sql = 'SELECT customer, count(*) AS n, avg(price) FROM orders GROUP BY customer ORDER BY n DESC, customer LIMIT 5';
const grouped: RunnerRequest = {kind: 'sql', views, sql, maxRows: 10, maxBytes: 10_000};
const endless: RunnerRequest = {...count, code: 'while True: pass'};
const provider = createWasmProvider({root, nodePath: process.execPath});

async function sample(runs: number, measure: () => Promise<number>): Promise<number[]> {
	const samples: number[] = [];
	for (let run = 0; run < runs; run++) samples.push(await measure());
	return samples;
}

async function cold(of: SandboxSpec, request: RunnerRequest): Promise<void> {
	const sandbox = await provider.open(of, {warm: false, signal});
	const {frames} = await sandbox.run(permit, request, signal);
	if (frames.at(-1)?.type !== 'done') throw new Error(`it did not answer: ${JSON.stringify(frames)}`);
	await sandbox.ended;
}

async function killed(): Promise<number> {
	const wallMs = 100;
	const sandbox = await provider.open({...spec, limits: {...limits, wallMs}}, {warm: false, signal});
	const took = await timed(() => sandbox.run(permit, endless, signal).catch(() => sandbox.ended));
	return took - wallMs;
}

type Work = {readonly spec: SandboxSpec; readonly request: RunnerRequest};

async function warm(own: SandboxProvider, runs: number, work: Work): Promise<number[]> {
	const pool = createPool({provider: own, size: 2, perSpec: 2, concurrency: 2, queue: 10});
	await pool.warm([{spec: work.spec, tenant: 'bench'}]);
	const samples = await sample(runs, async () => {
		while (pool.stats().idle < 2) await delay(5);
		return timed(() => pool.run(permit, work, signal));
	});
	await pool.close(); // and the provider with it
	return samples;
}

/** Of this process's children, the one that was started last. Only Linux tells. */
function residentOfChild(): number {
	const children = readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim().split(' ');
	const status = readFileSync(`/proc/${children.at(-1)}/smaps_rollup`, 'utf8');
	return Number(/^Rss:\s+(\d+)/m.exec(status)?.[1]) / 1024;
}

async function idle(of: SandboxSpec): Promise<number> {
	const sandbox = await provider.open(of, {warm: true, signal});
	const resident = residentOfChild();
	await sandbox.dispose();
	return resident;
}

await report(async ({quick, after}) => {
	after(() => provider.close());
	await cold(spec, count); // the memory of a started interpreter is kept from here on
	const runs = quick ? 8 : 200;
	const own = () => createWasmProvider({root, nodePath: process.execPath});
	const started = await sample(quick ? 5 : 50, () => timed(() => cold(spec, count)));
	const opened = await sample(quick ? 5 : 50, () => timed(() => cold(sqlSpec, grouped)));
	return [
		figure({name: 'wasm cold: start to answer', unit: 'ms', samples: started}),
		figure({name: 'wasm cold, SQL: start to answer', unit: 'ms', samples: opened}),
		figure({
			...{name: 'wasm warm: claim to a count over 6,417 rows (baseline: cold)', unit: 'ms'},
			...{samples: await warm(own(), runs, {spec, request: count}), baseline: started},
			target: {of: 'p50', atMost: 60},
		}),
		figure({
			...{name: 'wasm warm, SQL: claim to groups of 6,417 rows (baseline: cold)', unit: 'ms'},
			...{samples: await warm(own(), runs, {spec: sqlSpec, request: grouped}), baseline: opened},
			target: {of: 'p50', atMost: 60},
		}),
		figure({
			...{name: 'wasm kill: time limit to nothing left', unit: 'ms'},
			...{samples: await sample(quick ? 5 : 30, killed), target: {of: 'p99', atMost: 250}},
		}),
		...(process.platform === 'linux' ? await idleFigures(quick ? 3 : 10) : []),
	];
});

async function idleFigures(runs: number) {
	const [python, engine] = [await sample(runs, () => idle(spec)), await sample(runs, () => idle(sqlSpec))];
	return [
		figure({name: 'wasm idle: memory of a sandbox that waits', unit: 'MiB', samples: python}),
		figure({name: 'wasm idle, SQL: memory of a sandbox that waits', unit: 'MiB', samples: engine}),
	];
}
