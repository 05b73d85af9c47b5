/** What a sandbox of Wasm costs, for Python and for SQL: a count over a small snapshot when it waits for it, a start, and the memory it waits in. */
import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import type {RunnerRequest, SandboxSpec} from '#contract/sandbox.ts';
import {mintPermit} from '#kernel/permit.ts';
import {snapshots} from '#sandbox/runners/run-in-child.ts';
import {createWasmProvider} from '#sandbox/wasm/wasm.ts';
import {figure, report, timed} from './harness.ts';
import {atOnce, oneByOne} from './pool-load.ts';

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
const text = 'SELECT customer, count(*) AS n, avg(price) FROM orders GROUP BY customer ORDER BY n DESC, customer LIMIT 5';
const grouped: RunnerRequest = {kind: 'sql', views, sql: text, maxRows: 10, maxBytes: 10_000};
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
	const own = {open: () => createWasmProvider({root, nodePath: process.execPath}), runs: quick ? 8 : 1_000};
	const python = {...own, name: 'wasm Python', work: {spec, request: count}};
	const sql = {...own, name: 'wasm SQL', work: {spec: sqlSpec, request: grouped}};
	const crowd = quick ? {runs: 16, rounds: 1} : {runs: 200, rounds: 2};
	const started = await sample(quick ? 5 : 50, () => timed(() => cold(spec, count)));
	const opened = await sample(quick ? 5 : 50, () => timed(() => cold(sqlSpec, grouped)));
	return [
		figure({name: 'wasm cold: start to answer', unit: 'ms', samples: started}),
		figure({name: 'wasm cold, SQL: start to answer', unit: 'ms', samples: opened}),
		...(await oneByOne({...python, cold: started, atMost: {p50: 60}})),
		...(await oneByOne({...sql, cold: opened, atMost: {p50: 60}})),
		...(await atOnce({...python, ...crowd})),
		...(await atOnce({...sql, ...crowd})),
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
