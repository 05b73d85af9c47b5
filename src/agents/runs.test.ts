import assert from 'node:assert/strict';
import {generateKeyPairSync} from 'node:crypto';
import {test} from 'node:test';
import type {EventData, Principal} from '#contract/event.ts';
import {openJournal, resumeJournal} from '#evidence/journal.ts';
import {openMemory} from '#store/memory.ts';
import {createRuns} from './runs.ts';

const USER: Principal = {kind: 'user', id: 'ada', tenant: 'local'};
const AGENT: Principal = {kind: 'agent', id: 'analyst', tenant: 'local'};
const STARTED: EventData<'run.started'> = {
	...{
		job: 'analyst',
		mode: 'chat',
		threadId: 't',
		question: 'how many?',
		dataset: null,
		principal: USER,
		software: 'test',
		policyVersion: 'p',
	},
};
const ENDING = {status: 'succeeded', resultActionId: null, error: null} as const;
const never = new AbortController().signal;

function setUp(time = {now: new Date('2026-01-01T00:00:00Z')}) {
	const store = openMemory();
	const {privateKey} = generateKeyPairSync('ed25519');
	const clock = {now: () => time.now};
	const counter = {runs: 0};
	const server = (holder: string) => {
		const ports = {
			store,
			clock,
			redact: (value: unknown) => ({value, count: 0}),
			sign: (end: object) => ({...end, keyId: String(privateKey.type), signature: ''}) as never,
		};
		return createRuns({
			...{store, clock, holder, leaseMs: 30_000},
			newRunId: () => `run_${++counter.runs}`,
			journals: {
				open: (runId, started, principal) => openJournal({...ports, runId, principal, started, fence: {holder, leaseMs: 30_000}}),
				resume: (runId, token) => resumeJournal({...ports, runId, fence: {holder, token, leaseMs: 30_000}}),
			},
		});
	};
	return {store, server, time};
}

test('a run is durable when it is open, and its end is its last event', async () => {
	const {store, server} = setUp();
	const run = await server('a').open(STARTED, AGENT, never);
	assert.equal((await store.run(run.id))?.status, 'running');
	await run.finish(ENDING);
	assert.equal((await store.run(run.id))?.status, 'succeeded');
	assert.deepEqual(
		(await store.read(run.id)).map((event) => event.type),
		['run.started', 'run.finished'],
	);
});

test('an agent acts in the name of a person, and both are on record', async () => {
	const {store, server} = setUp();
	const run = await server('a').open(STARTED, AGENT, never);
	const [first] = await store.read(run.id);
	assert.deepEqual(
		[first?.actor, first?.type === 'run.started' && first.data.principal, run.journal.principal],
		[AGENT, USER, AGENT],
	);
	run.park();
});

test('a caller that leaves aborts the signal of its own run alone', async () => {
	const runs = setUp().server('a');
	const caller = new AbortController();
	const [one, two] = [await runs.open(STARTED, USER, caller.signal), await runs.open(STARTED, USER, never)];
	caller.abort();
	assert.deepEqual([one.signal.aborted, two.signal.aborted], [true, false]);
	one.park();
	two.park();
});

test('another server takes a run over only when its lease has run out, and the first can then write no more', async () => {
	const {server, time} = setUp();
	const [first, second] = [server('a'), server('b')];
	const run = await first.open(STARTED, USER, never);
	const recovered: string[] = [];
	const take = async () =>
		second.recover(async (taken) => {
			recovered.push(taken.id);
			await taken.finish({...ENDING, status: 'unknown'});
		});
	assert.equal(await take(), 0);
	time.now = new Date('2026-01-01T00:01:00Z');
	assert.equal(await take(), 1);
	assert.deepEqual(recovered, [run.id]);
	await assert.rejects(run.finish(ENDING), {code: 'conflict'});
});

test('a finished run and an unknown one are not taken up again', async () => {
	const runs = setUp().server('a');
	const run = await runs.open(STARTED, USER, never);
	await run.finish(ENDING);
	await assert.rejects(runs.take(run.id, never), {code: 'conflict'});
	await assert.rejects(runs.take('run_unknown', never), {code: 'not_found'});
});

test('closing cancels what runs and waits until each has recorded its end', async () => {
	const {store, server} = setUp();
	const runs = server('a');
	const run = await runs.open(STARTED, USER, never);
	run.signal.addEventListener('abort', () => void run.finish({...ENDING, status: 'cancelled'}));
	await runs.close();
	assert.equal((await store.run(run.id))?.status, 'cancelled');
});
