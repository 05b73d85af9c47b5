import {createProcessProvider} from '#sandbox/process.ts';
import {createRuntime} from '#sandbox/runtime.ts';
import {mintPermit} from '#kernel/permit.ts';
import {setTimeout as delay} from 'node:timers/promises';
import {DuckDBInstance} from '@duckdb/node-api';
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import path from 'node:path';
import {encodeFrame} from '../src/sandbox/frames.ts';
const MIB = 2 ** 20, CPUS = 2, MEM = 1024;
const data = process.env['DATA'] ?? '/tmp/an/data';
const root = path.join(import.meta.dirname, '..');
const signal = new AbortController().signal;
const limits = {wallMs: 60000, memoryBytes: MEM * MIB, cpus: Number(process.env['CPUS'] ?? CPUS), processes: 64, openFiles: 256, scratchBytes: 2048 * MIB, outputBytes: 16 * MIB};
export const QUERIES: Record<string, string> = {
	'group by': 'SELECT region, product, count(*) AS n, sum(amount) AS total, avg(amount) AS mean FROM sales GROUP BY ALL ORDER BY ALL',
	'top n': 'SELECT * FROM sales ORDER BY amount DESC, id LIMIT 100',
	join: 'SELECT c.segment, count(*) AS n, sum(s.amount) AS total FROM sales s JOIN customers c ON c.id = s.customer GROUP BY 1 ORDER BY 1',
	window: 'SELECT region, max(gap) AS gap FROM (SELECT region, sold_at - lag(sold_at) OVER (PARTITION BY customer ORDER BY sold_at, id) AS gap FROM sales) GROUP BY 1 ORDER BY 1',
	distinct: 'SELECT region, count(DISTINCT customer) AS customers, quantile_cont(amount, [0.5, 0.95, 0.99]) AS q FROM sales GROUP BY 1 ORDER BY 1',
};
const only = (process.env['Q'] ?? 'group by,join').split(',');
const N = Number(process.env['N'] ?? 7);
const views = (dir: string) => ['sales', 'customers'].map((table) => ({table, path: `${dir}/${table}.parquet`}));
const request = (sql: string, dir: string) => ({kind: 'sql' as const, views: views(dir), dataset: 'big', sql, maxRows: 1000, maxBytes: 4e6});
const permit = mintPermit({id: 'b', runId: 'r', actionId: 'a', tool: 'b', tenant: 'b', binding: ''});
const prov = (o: object) => createProcessProvider({runtime: createRuntime({root, nodePath: process.execPath, pythonPath: '/usr/bin/python3'}), ...o});
const provs: Record<string, ReturnType<typeof prov>> = {full: prov({}), nogroup: prov({cgroups: 'off'}), noseccomp: prov({seccomp: 'off'}), neither: prov({cgroups: 'off', seccomp: 'off'})};
const spec = {runner: 'sql' as const, mounts: [{source: data, target: '/data'}], network: 'none' as const, limits};
async function boxed(name: string, sql: string): Promise<number> {
	const s = await provs[name]!.open(spec, {warm: true, signal});
	await delay(300);
	const t = performance.now();
	await s.run(permit, request(sql, '/data'), signal);
	const took = performance.now() - t;
	await s.dispose();
	return took;
}
async function plain(sql: string): Promise<number> {
	const child = spawn(process.execPath, ['--no-warnings', '--v8-pool-size=1', path.join(root, 'src/sandbox/runners/sql.ts'), JSON.stringify({limits, roots: {data, scratch: '/tmp/an'}})], {stdio: ['pipe', 'ignore', 'inherit', 'pipe'], env: {UV_THREADPOOL_SIZE: '2'}});
	const out = child.stdio[3] as NodeJS.ReadableStream;
	await once(out, 'data');
	await delay(300);
	const t = performance.now();
	out.on('data', () => {});
	child.stdin!.end(encodeFrame(request(sql, data)));
	await once(child, 'close');
	return performance.now() - t;
}
async function bareOpen(extra: Record<string, string>) {
	const inst = await DuckDBInstance.create(':memory:', {threads: '2', memory_limit: '640MiB', ...extra});
	const c = await inst.connect();
	for (const t of ['sales', 'customers']) await c.run(`CREATE VIEW ${t} AS SELECT * FROM read_parquet('${data}/${t}.parquet')`);
	return async (sql: string) => { const t = performance.now(); await c.runAndReadAll(sql); return performance.now() - t; };
}
const bare = await bareOpen({}), bareNoCache = await bareOpen({enable_external_file_cache: 'false'});
const kinds: Record<string, (sql: string) => Promise<number>> = {bare, bareNoCache, plain, ...Object.fromEntries(Object.keys(provs).map((k) => [k, (sql: string) => boxed(k, sql)]))};
const pick = (process.env['K'] ?? Object.keys(kinds).join(',')).split(',');
for (const q of only) {
	const res: Record<string, number[]> = {};
	for (let i = -1; i < N; i++) for (const k of pick) { const ms = await kinds[k]!(QUERIES[q]!); if (i >= 0) (res[k] ??= []).push(ms); }
	const med = (a: number[]) => a.toSorted((x, y) => x - y)[Math.floor(a.length / 2)]!;
	console.log(q.padEnd(10), Object.entries(res).map(([k, a]) => `${k} ${med(a).toFixed(0)} [${Math.min(...a).toFixed(0)}–${Math.max(...a).toFixed(0)}]`).join('  '));
}
for (const p of Object.values(provs)) await p.close();
process.exit(0);
