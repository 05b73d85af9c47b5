/**
 * Durable events in a second: many runs at once, each event redacted, chained and on disk before its run goes on, commits shared by
 * whoever waits. With the processor time of an event, which says what a machine with nothing else to do would reach.
 */
import path from 'node:path';
import type {EventBody} from '#contract/event.ts';
import {openJournal} from '#evidence/journal.ts';
import {signHead} from '#evidence/keys.ts';
import {createRedactor} from '#evidence/redact.ts';
import {ADA, STARTED, sampleBodies, sampleKey} from '#evidence/sample-run.ts';
import type {Journal, Store} from '#kernel/ports.ts';
import {openPostgres} from '#store/postgres.ts';
import {openSqlite} from '#store/sqlite.ts';
import {type Bench, type Figure, figure, report} from './harness.ts';

const PER_SECOND = 20_000;
const CONCURRENT = 256;
const WINDOWS = 10;
/** of a governed action that is allowed: what is on record before its effect, and after */
const [BEFORE, AFTER] = [sampleBodies().slice(7, 10), sampleBodies().slice(10, 12)];

const key = sampleKey();
const redact = createRedactor(['a-configured-secret']);

await report(async (bench) => [
	...(await measure('sqlite', await openSqlite(path.join(bench.dir, 'events.db')), bench)),
	...(process.env.DATABASE_URL ? await measure('postgres', await openPostgres(process.env.DATABASE_URL), bench) : []),
]);

async function measure(name: string, store: Store, {quick}: Bench): Promise<readonly Figure[]> {
	const total = quick ? 40_000 : 200_000;
	const journals = await Promise.all(Array.from({length: CONCURRENT}, (_, n) => start(store, `${name}-${process.pid}-${n}`)));
	const ends: {readonly events: number; readonly at: number; readonly cpu: number}[] = [];
	const state = {events: 0};
	const note = () => {
		const {user, system} = process.cpuUsage();
		ends.push({events: state.events, at: performance.now(), cpu: user + system});
	};
	note();
	await Promise.all(
		journals.map(async (journal, n) => {
			for (let action = 0; state.events < total; action += 1) {
				const actionId = `act_${n}_${action}`;
				for (const bodies of [BEFORE, AFTER]) {
					await journal.append(...of(actionId, bodies));
					state.events += bodies.length;
					if (state.events >= (ends.length * total) / WINDOWS) note();
				}
			}
		}),
	);
	await store.close();
	const spans = ends.slice(1).map((end, index) => ({end, begin: ends[index] ?? end}));
	const rates = spans.map(({end, begin}) => ((end.events - begin.events) / (end.at - begin.at)) * 1_000);
	const cpu = spans.map(({end, begin}) => (end.cpu - begin.cpu) / (end.events - begin.events));
	const target = name === 'sqlite' ? {target: {of: 'p50', atLeast: PER_SECOND} as const} : {};
	return [
		figure({name: `durable events, ${CONCURRENT} runs at once, ${name}`, unit: '1/s', samples: rates, ...target}),
		figure({name: `processor time of a durable event, ${name}`, unit: 'µs', samples: cpu}),
	];
}

function of(actionId: string, bodies: readonly EventBody[]): EventBody[] {
	return bodies.map((body) => ({...body, data: {...body.data, actionId}}) as EventBody);
}

function start(store: Store, runId: string): Promise<Journal> {
	return openJournal({
		store,
		runId,
		principal: ADA,
		fence: {holder: 'bench', leaseMs: 600_000},
		clock: {now: () => new Date()},
		redact,
		sign: (end) => signHead(key, end),
		started: STARTED,
	});
}
