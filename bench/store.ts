/**
 * What durability costs: a raw commit of SQLite, one append through the store, and governed actions (two appends each) at 64
 * concurrent, with the responsiveness of the event loop meanwhile.
 */
import {join} from 'node:path';
import {monitorEventLoopDelay} from 'node:perf_hooks';
import {DatabaseSync} from 'node:sqlite';
import type {Store} from '#kernel/ports.ts';
import {openMemory} from '#store/memory.ts';
import {openPostgres} from '#store/postgres.ts';
import {batch, intent, started} from '#store/sample-run.ts';
import {openSqlite} from '#store/sqlite.ts';
import {type Bench, type Figure, figure, report, timed} from './harness.ts';

const SAMPLES = 1_000;
const WARM_UP = 200;
const CONCURRENT = 64;
const ACTIONS = 6_000;
const WINDOWS = 10;
const MAX_OVERHEAD_MS = 0.3;
const MIN_ACTIONS_PER_S = 1_500;
const MAX_LOOP_DELAY_MS = 20;

await report(measureAll);

async function measureAll({dir}: Bench): Promise<readonly Figure[]> {
	const figures: Figure[] = [];
	const {raw, appended} = await measureOverhead(dir);
	const beyond = appended.map((took, index) => took - (raw[index] ?? Number.NaN));
	figures.push(figure({name: 'one append, sqlite', unit: 'ms', samples: appended, baseline: raw}));
	figures.push(
		figure({
			...{name: 'one append, sqlite, beyond its commit', unit: 'ms', samples: beyond, baseline: raw},
			target: {of: 'p50', atMost: MAX_OVERHEAD_MS},
		}),
	);
	const sqlite = await openSqlite(join(dir, 'load.db'));
	figures.push(...(await measureLoad('sqlite', sqlite)));
	await sqlite.close();
	figures.push(...(await measureLoad('memory', openMemory())));
	const url = process.env.DATABASE_URL;
	if (url) {
		const postgres = await openPostgres(url);
		figures.push(figure({name: 'one append, postgres', unit: 'ms', samples: await appendOneByOne(postgres)}));
		figures.push(...(await measureLoad('postgres', postgres)));
		await postgres.close();
	}
	return figures;
}

/** Alternates the two, so that a change of the machine's load reaches both. */
async function measureOverhead(dir: string): Promise<{raw: number[]; appended: number[]}> {
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
	const rate = figure({
		...{name: `actions at ${CONCURRENT} concurrent, ${name}`, unit: '1/s', samples: rates},
		...(name === 'sqlite' ? {target: {of: 'p50', atLeast: MIN_ACTIONS_PER_S}} : {}),
	});
	// In memory nothing is waited for, so the loop never turns and there is nothing to report of it.
	if (delay.count === 0) return [rate];
	const samples = Array.from({length: 1_000}, (_, n) => delay.percentile((n + 0.5) / 10) / 1e6);
	const loop = {name: `event loop delay meanwhile, ${name}`, unit: 'ms', samples} as const;
	return [rate, figure({...loop, target: {of: 'p99', atMost: MAX_LOOP_DELAY_MS}})];
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
