/**
 * Analytic queries on ten million rows: over HTTP through every gate into a sandbox, beside DuckDB alone on the same snapshot with
 * the same threads and memory; and queries that do not fit into memory.
 */
import {globSync} from 'node:fs';
import path from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import {DuckDBInstance} from '@duckdb/node-api';
import type {ChatResponse} from '#contract/api.ts';
import type {Event} from '#contract/event.ts';
import {startWrit, type Writ} from '../test/server.ts';
import {type Bench, type Figure, figure, inTurn, report} from './harness.ts';

const MIB = 2 ** 20;
/** at full size; with less data the start of a sandbox weighs more */
const RATIO = 1.25;
const CPUS = 2;
const MEMORY_MIB = 1_024;
/** A pool of one fills up again: neither side shares the processors with the start of the next sandbox, which would slow the baseline most. */
const REST_MS = 750;
/** The scratch of a sandbox is a file system in memory. */
const SCRATCH_MIB = 2_048;
/** what the sandbox's engine is given of it; see src/sandbox/runners/engine.ts */
const ENGINE_MIB = MEMORY_MIB - 384;

const QUERIES = {
	'group by':
		'SELECT region, product, count(*) AS n, sum(amount) AS total, avg(amount) AS mean FROM sales GROUP BY ALL ORDER BY ALL',
	'top n': 'SELECT * FROM sales ORDER BY amount DESC, id LIMIT 100',
	join: 'SELECT c.segment, count(*) AS n, sum(s.amount) AS total FROM sales s JOIN customers c ON c.id = s.customer GROUP BY 1 ORDER BY 1',
	window:
		'SELECT region, max(gap) AS gap FROM (SELECT region, sold_at - lag(sold_at) OVER (PARTITION BY customer ORDER BY sold_at, id) AS gap FROM sales) GROUP BY 1 ORDER BY 1',
	'distinct and quantiles':
		'SELECT region, count(DISTINCT customer) AS customers, quantile_cont(amount, [0.5, 0.95, 0.99]) AS q FROM sales GROUP BY 1 ORDER BY 1',
};

/** Sorts every row of every column: more than the engine may hold. */
const SPILLING =
	'SELECT max(n) AS n, max(length(note)) AS longest FROM (SELECT note, row_number() OVER (ORDER BY note DESC, amount) AS n FROM sales)';

await report(async (bench) => {
	const rows = bench.quick ? 1_000_000 : 10_000_000;
	const files = await generate(bench.dir, rows);
	const env = {
		WRIT_SANDBOX_CPUS: String(CPUS),
		WRIT_SANDBOX_MEMORY_MB: String(MEMORY_MIB),
		WRIT_SANDBOX_SCRATCH_MB: String(SCRATCH_MIB),
		RUN_TIMEOUT_SECONDS: '300',
		WRIT_POOL_SIZE: '1',
		LOG_LEVEL: 'info',
	};
	const writ = await startWrit(bench, {env});
	const added = await writ.post<{tables: {rows: number}[]}>('/datasets', {path: files, id: 'big'});
	if (added.status !== 201 && added.status !== 200) throw new Error(`not added: ${JSON.stringify(added.body)}`);
	const bare = await openBare(snapshotsOf(writ), bench);

	const figures: Figure[] = [];
	const peaks: number[] = [];
	for (const [name, sql] of Object.entries(QUERIES)) {
		const runs = {runs: bench.quick ? 3 : 7, warmUp: 1};
		const last = {run: ''};
		const samples = await inTurn(runs, {
			bare: () => bare(sql),
			writ: async () => {
				last.run = await runThrough(writ, sql);
			},
			rest: () => delay(REST_MS),
		});
		figures.push(
			figure({
				...{name: `${name}, ${rows / 1e6} million rows (baseline: DuckDB alone)`, unit: 'ms'},
				...{samples: samples.writ, baseline: samples.bare, ...(bench.quick ? {} : {target: {of: 'ratio', atMost: RATIO}})},
			}),
		);
		peaks.push(await peakMemory(writ, last.run));
	}
	return [
		...figures,
		figure({name: 'peak memory of those', unit: 'MiB', samples: peaks, target: {of: 'p99', atMost: MEMORY_MIB}}),
		...(await spill(bench, writ)),
	];
});

/** One that must spill, under the usual limit at full size, and with less memory where the data is small. */
async function spill(bench: Bench, roomy: Writ): Promise<readonly Figure[]> {
	const memory = bench.quick ? 384 : MEMORY_MIB;
	const env = {
		WRIT_SANDBOX_MEMORY_MB: String(memory),
		WRIT_SANDBOX_SCRATCH_MB: String(SCRATCH_MIB),
		RUN_TIMEOUT_SECONDS: '300',
		WRIT_POOL_SIZE: '0',
		LOG_LEVEL: 'info',
	};
	const writ = bench.quick ? await reopen(bench, roomy, env) : roomy;
	const begin = performance.now();
	const run = await runThrough(writ, SPILLING);
	const took = performance.now() - begin;
	return [
		figure({name: `a query that spills, ${memory} MiB`, unit: 'ms', samples: [took]}),
		figure({
			...{name: 'its peak memory, with what it spilled', unit: 'MiB', samples: [await peakMemory(writ, run)]},
			target: {of: 'p50', atMost: memory + SCRATCH_MIB},
		}),
	];
}

async function reopen(bench: Bench, {dataDir, stop}: Writ, env: Readonly<Record<string, string>>): Promise<Writ> {
	await stop();
	return startWrit(bench, {dataDir, env});
}

async function generate(dir: string, rows: number): Promise<readonly string[]> {
	const [sales, customers] = [path.join(dir, 'sales.parquet'), path.join(dir, 'customers.parquet')];
	const instance = await DuckDBInstance.create(':memory:', {threads: String(CPUS), memory_limit: '2GiB'});
	const connection = await instance.connect();
	await connection.run(`COPY (SELECT range AS id, hash(range * 7) % 100000 AS customer,
		'region ' || hash(range * 11) % 12 AS region, 'product ' || hash(range * 13) % 200 AS product,
		CAST(hash(range * 17) % 1000000 / 100.0 AS DECIMAL(12, 2)) AS amount,
		TIMESTAMP '2024-01-01' + to_seconds(CAST(hash(range * 19) % 31536000 AS BIGINT)) AS sold_at,
		md5(CAST(range AS VARCHAR)) || md5(CAST(range * 3 AS VARCHAR)) AS note
		FROM range(${rows})) TO '${sales}' (FORMAT parquet)`);
	await connection.run(`COPY (SELECT range AS id, 'segment ' || hash(range) % 8 AS segment FROM range(100000))
		TO '${customers}' (FORMAT parquet)`);
	connection.closeSync();
	instance.closeSync();
	return [sales, customers];
}

function snapshotsOf({dataDir}: Writ): readonly string[] {
	const files = globSync('datasets/local/big/*/*.parquet', {cwd: dataDir}).map((file) => path.join(dataDir, file));
	if (files.length !== 2) throw new Error(`${files.length} snapshots, not 2`);
	return files;
}

/** DuckDB as it comes, in this process, which does nothing else meanwhile. */
async function openBare(files: readonly string[], bench: Bench): Promise<(sql: string) => Promise<void>> {
	const spillTo = path.join(bench.dir, 'spill');
	const options = {threads: String(CPUS), memory_limit: `${ENGINE_MIB}MiB`, temp_directory: spillTo};
	const instance = await DuckDBInstance.create(':memory:', options);
	const connection = await instance.connect();
	bench.after(() => {
		connection.closeSync();
		instance.closeSync();
	});
	for (const file of files)
		await connection.run(`CREATE VIEW ${path.basename(file, '.parquet')} AS SELECT * FROM read_parquet('${file}')`);
	return async (sql) => {
		const reader = await connection.runAndReadAll(sql);
		if (reader.currentRowCount === 0) throw new Error('no rows');
	};
}

async function runThrough(writ: Writ, sql: string): Promise<string> {
	const {status, body} = await writ.post<ChatResponse>('/runs', {dataset_id: 'big', sql});
	if (status !== 200 || body.status !== 'succeeded') throw new Error(`${sql}: ${JSON.stringify(body)}`);
	return body.run_id;
}

async function peakMemory(writ: Writ, runId: string): Promise<number> {
	const outcome = (await writ.events(runId)).find(
		(event): event is Extract<Event, {type: 'action.outcome'}> => event.type === 'action.outcome',
	);
	const peak = outcome?.data.usage?.peakMemoryBytes;
	if (peak === null || peak === undefined) throw new Error('the peak of memory is not known here');
	return peak / MIB;
}
