/**
 * One governed action with a tool that does nothing, each of its records on disk before it goes on: what the path costs beyond its
 * commits, how many there are in a second, and what the same tool costs in other frameworks.
 */
import path from 'node:path';
import {DatabaseSync} from 'node:sqlite';
import {openSqlite} from '#store/sqlite.ts';
import {type Bench, type Figure, figure, inTurn, report, timed} from './harness.ts';
import {createAgent} from './noop-kernel.ts';
import {openPeers, versionOf} from './peers.ts';

const OVERHEAD_MS = 1;
const PER_SECOND = 1_500;
const CONCURRENT = 64;
/** the rate is that of a tenth of the actions at a time */
const WINDOWS = 10;

await report(async (bench) => [...(await measureOne(bench)), await measureMany(bench)]);

async function measureOne({dir, quick, after}: Bench): Promise<readonly Figure[]> {
	const rounds = quick ? {runs: 200, warmUp: 50} : {runs: 1_000, warmUp: 200};
	const store = await openSqlite(path.join(dir, 'writ.db'));
	after(() => store.close());
	const agent = createAgent(() => store);
	const commit = openRaw(path.join(dir, 'raw.db'), after);
	const {langGraph, openaiAgents} = await openPeers(path.join(dir, 'langgraph.db'));
	after(langGraph.close);

	const beyond: number[] = [];
	const samples = await inTurn(rounds, {
		prepare: () => agent.prepare(),
		governed: () => agent.act(),
		raw: () => commit(agent.events().slice(-5)),
		langGraph: (round) => langGraph.act(`hello ${round}`),
		openaiAgents: (round) => openaiAgents.act(`hello ${round}`),
	});
	for (const [round, governed] of samples.governed.entries()) beyond.push(governed - (samples.raw[round] ?? Number.NaN));
	return [
		figure({name: 'governed action, durable', unit: 'ms', samples: samples.governed, baseline: samples.raw}),
		figure({
			...{name: 'governed action, beyond its 2 commits', unit: 'ms', samples: beyond, baseline: samples.raw},
			target: {of: 'p50', atMost: OVERHEAD_MS},
		}),
		figure({
			...{name: `same tool, ${versionOf('@langchain/langgraph')}, sync checkpoints`, unit: 'ms'},
			...{samples: samples.langGraph, baseline: samples.governed},
		}),
		figure({
			...{name: `same tool, ${versionOf('@openai/agents')}, nothing durable`, unit: 'ms'},
			...{samples: samples.openaiAgents, baseline: samples.governed},
		}),
	];
}

/** The commits of one action with nothing around them: three events, then two, as many bytes, with the same durability. */
function openRaw(file: string, after: Bench['after']): (events: readonly unknown[]) => void {
	const db = new DatabaseSync(file);
	after(() => db.close());
	db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
	db.exec('CREATE TABLE events (run_id TEXT, seq INTEGER, event TEXT, PRIMARY KEY (run_id, seq))');
	const insert = db.prepare('INSERT INTO events VALUES (?, ?, ?)');
	const state = {seq: 0};
	const commit = (events: readonly unknown[]) => {
		db.exec('BEGIN IMMEDIATE');
		for (const event of events) {
			state.seq += 1;
			insert.run('run', state.seq, JSON.stringify(event));
		}
		db.exec('COMMIT');
	};
	return (events) => {
		if (events.length !== 5) throw new Error(`an action makes 5 events, not ${events.length}`);
		commit(events.slice(0, 3));
		commit(events.slice(3));
	};
}

async function measureMany({dir, quick, after}: Bench): Promise<Figure> {
	const store = await openSqlite(path.join(dir, 'many.db'));
	after(() => store.close());
	const total = quick ? 3_000 : 12_000;
	const ends: number[] = [];
	const begin = performance.now();
	await timed(() =>
		Promise.all(
			Array.from({length: CONCURRENT}, async () => {
				const agent = createAgent(() => store);
				while (ends.length < total) {
					await agent.prepare();
					await agent.act();
					ends.push(performance.now());
				}
			}),
		),
	);
	const size = Math.floor(ends.length / WINDOWS);
	const samples = Array.from({length: WINDOWS}, (_, window) => {
		const from = window === 0 ? begin : (ends[window * size - 1] ?? Number.NaN);
		return (size / ((ends[(window + 1) * size - 1] ?? Number.NaN) - from)) * 1_000;
	});
	const name = `governed actions, durable, ${CONCURRENT} at a time`;
	return figure({name, unit: '1/s', samples, target: {of: 'p50', atLeast: PER_SECOND}});
}
