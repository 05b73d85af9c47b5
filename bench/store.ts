/**
 * What durability costs: a raw commit of SQLite, one append through the store, and governed actions (two appends each) at 64
 * concurrent, with the responsiveness of the event loop meanwhile. `--json` prints one object per figure.
 */
import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {monitorEventLoopDelay} from 'node:perf_hooks';
import {DatabaseSync} from 'node:sqlite';
import type {Store} from '#kernel/ports.ts';
import {openMemory} from '#store/memory.ts';
import {openPostgres} from '#store/postgres.ts';
import {batch, intent, started} from '#store/sample-run.ts';
import {openSqlite} from '#store/sqlite.ts';

type Figure = {
	readonly name: string;
	readonly unit: 'ms' | '1/s';
	readonly p50: number;
	readonly p95: number;
	readonly p99: number;
	readonly runs: number;
	readonly baseline: number | null;
	readonly ratio: number | null;
	readonly target: string | null;
	readonly ok: boolean | null;
};

const SAMPLES = 1_000;
const WARM_UP = 200;
const CONCURRENT = 64;
const ACTIONS = 6_000;
const WINDOWS = 10;
const MAX_OVERHEAD_MS = 0.3;
const MIN_ACTIONS_PER_S = 1_500;
const MAX_LOOP_DELAY_MS = 20;

const dir = mkdtempSync(join(tmpdir(), 'writ-bench-'));
try {
	const figures = await measureAll();
	if (process.argv.includes('--json')) for (const figure of figures) console.log(JSON.stringify(figure));
	else console.table(figures.map(({name, ...rest}) => ({figure: name, ...rest})));
	process.exitCode = figures.some(({ok}) => ok === false) ? 1 : 0;
} finally {
	rmSync(dir, {recursive: true});
}

async function measureAll(): Promise<readonly Figure[]> {
	const figures: Figure[] = [];
	const {raw, appended} = await measureOverhead();
	figures.push(latency('raw commit of one event, sqlite', raw));
	figures.push(againstCommit('one append, sqlite', appended, quantile(raw, 0.5)));
	const sqlite = await openSqlite(join(dir, 'load.db'));
	figures.push(...(await measureLoad('sqlite', sqlite)));
	await sqlite.close();
	figures.push(...(await measureLoad('memory', openMemory())));
	const url = process.env.DATABASE_URL;
	if (url) {
		const postgres = await openPostgres(url);
		figures.push(latency('one append, postgres', await appendOneByOne(postgres)));
		figures.push(...(await measureLoad('postgres', postgres)));
		await postgres.close();
	}
	return figures;
}

/** Alternates the two, so that a change of the machine's load reaches both. */
async function measureOverhead(): Promise<{raw: number[]; appended: number[]}> {
	const db = new DatabaseSync(join(dir, 'raw.db'));
	db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
	db.exec('CREATE TABLE events (run_id TEXT, seq INTEGER, event TEXT, PRIMARY KEY (run_id, seq))');
	const insert = db.prepare('INSERT INTO events VALUES (?, ?, ?)');
	const store = await openSqlite(join(dir, 'one.db'));
	const [raw, appended]: [number[], number[]] = [[], []];
	for (let n = 0; n < SAMPLES + WARM_UP; n += 1) {
		const next = batch({runId: 'r', expectedSeq: n, second: 0}, n === 0 ? started() : intent());
		const text = JSON.stringify(next.events[0]);
		raw.push(await timed(() => insert.run('r', n, text)));
		appended.push(await timed(() => store.append(next)));
	}
	await store.close();
	db.close();
	return {raw: raw.slice(WARM_UP), appended: appended.slice(WARM_UP)};
}

async function appendOneByOne(store: Store): Promise<number[]> {
	const runId = `one-${process.pid}-${Date.now()}`;
	const times: number[] = [];
	for (let n = 0; n < SAMPLES; n += 1)
		times.push(await timed(() => store.append(batch({runId, expectedSeq: n, second: 0}, n === 0 ? started() : intent()))));
	return times.slice(WARM_UP);
}

/** Two appends an action, as `govern` makes them: the intent, then the outcome. */
async function measureLoad(name: string, store: Store): Promise<readonly Figure[]> {
	const counter = {left: ACTIONS};
	const ends: number[] = [];
	const delay = monitorEventLoopDelay({resolution: 1});
	delay.enable();
	const begin = performance.now();
	await Promise.all(
		Array.from({length: CONCURRENT}, (_, n) => act(store, `${name}-${process.pid}-${begin}-${n}`, {counter, ends})),
	);
	delay.disable();
	const rates = Array.from({length: WINDOWS}, (_, n) => rateOf(ends, begin, n));
	const [p50, p95, p99] = [0.5, 0.05, 0.01].map((q) => round(quantile(rates, q))) as [number, number, number];
	const target = name === 'sqlite' ? `>= ${MIN_ACTIONS_PER_S}` : null;
	const rate: Figure = {
		...{name: `actions at ${CONCURRENT} concurrent, ${name}`, unit: '1/s', p50, p95, p99},
		...{runs: ACTIONS, baseline: null, ratio: null, target, ok: target ? p50 >= MIN_ACTIONS_PER_S : null},
	};
	const [l50, l95, l99] = [50, 95, 99].map((q) => round(delay.percentile(q) / 1e6)) as [number, number, number];
	const loop: Figure = {
		...{name: `event loop delay meanwhile, ${name}`, unit: 'ms', p50: l50, p95: l95, p99: l99},
		...{runs: delay.count, baseline: null, ratio: null, target: `p99 <= ${MAX_LOOP_DELAY_MS}`, ok: l99 <= MAX_LOOP_DELAY_MS},
	};
	// In memory nothing is waited for, so the loop never turns and there is nothing to report of it.
	return delay.count > 0 ? [rate, loop] : [rate];
}

async function act(
	store: Store,
	runId: string,
	{counter, ends}: {readonly counter: {left: number}; readonly ends: number[]},
): Promise<void> {
	await store.append(batch({runId, expectedSeq: 0}, started()));
	for (let seq = 1; counter.left > 0; seq += 2) {
		counter.left -= 1;
		await store.append(batch({runId, expectedSeq: seq, second: 0}, intent()));
		await store.append(batch({runId, expectedSeq: seq + 1, second: 0}, intent()));
		ends.push(performance.now());
	}
}

/** Actions a second in the n-th tenth of them. */
function rateOf(ends: readonly number[], begin: number, n: number): number {
	const size = Math.floor(ends.length / WINDOWS);
	const from = n === 0 ? begin : (ends[n * size - 1] ?? begin);
	const to = ends[(n + 1) * size - 1] ?? from;
	return (size / (to - from)) * 1000;
}

async function timed(work: () => unknown): Promise<number> {
	const begin = performance.now();
	await work();
	return performance.now() - begin;
}

function latency(name: string, times: readonly number[]): Figure {
	const [p50, p95, p99] = [0.5, 0.95, 0.99].map((q) => round(quantile(times, q))) as [number, number, number];
	return {name, unit: 'ms', p50, p95, p99, runs: times.length, baseline: null, ratio: null, target: null, ok: null};
}

function againstCommit(name: string, times: readonly number[], commit: number): Figure {
	const figure = latency(name, times);
	const target = `p50 <= commit + ${MAX_OVERHEAD_MS}`;
	const ok = figure.p50 - commit <= MAX_OVERHEAD_MS;
	return {...figure, baseline: round(commit), ratio: round(figure.p50 / commit), target, ok};
}

function quantile(values: readonly number[], q: number): number {
	const sorted = values.toSorted((a, b) => a - b);
	return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN;
}

function round(value: number): number {
	return Math.round(value * 1000) / 1000;
}
