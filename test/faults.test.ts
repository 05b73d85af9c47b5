/** A server that is killed at any durable write of a chat run, and what the next one finds. */
import assert from 'node:assert/strict';
import {writeFileSync} from 'node:fs';
import path from 'node:path';
import {DatabaseSync} from 'node:sqlite';
import {suite, test} from 'node:test';
import type {Event, EventType} from '#contract/event.ts';
import {eventually, freshData, ingestedSamples, ROOT, type Scope, startWrit, type Writ} from './server.ts';

const THREAD = 'a-thread';
const QUESTION = 'SQL: SELECT count(*) AS n FROM tickets';
/** A chat run of one action makes this many durable writes: its start, the question, the intent, the outcome, the answer. */
const WRITES = 5;
/** The lease of the process that died, a look for abandoned runs, and a slow machine. */
const RECOVERY_MS = 30_000;

type Point = {readonly when: 'before' | 'after'; readonly write: number};

const points: readonly Point[] = Array.from({length: WRITES}, (_, index) => index + 1).flatMap((write) => [
	{when: 'before', write},
	{when: 'after', write},
]);

suite('kill -9 at every durable write of a chat run', {concurrency: 2}, () => {
	for (const {when, write} of points) {
		test(`${when} write ${write}, nothing accepted is lost and nothing runs twice`, async (t) => {
			const dataDir = freshData(t, await ingestedSamples());
			const stored = await killAt(t, dataDir, {when, write});
			assert.equal(stored.length > 0, when === 'after' || write > 1, 'the run is durable from its first write on');

			const writ = await startWrit(t, {dataDir});
			if (stored.length === 0) return assert.deepEqual(await runsOf(writ), []);
			const run = await recovered(writ);
			const events = await writ.events(run.run_id);

			assert.deepEqual(events.slice(0, stored.length), stored, 'what was durable is unchanged');
			assert.equal(run.question, QUESTION);
			assert.equal(run.status, expectedEnd(stored));
			assert.deepEqual(countsOf(events), {
				'run.started': 1,
				'action.intent': 1,
				'action.outcome': 1,
				'run.finished': 1,
				'message.added': 2,
			});
			assert.deepEqual(await messagesOf(writ), ['user', 'assistant']);
			const {verdict, events: checked} = await writ.verify(run.run_id);
			assert.deepEqual({verdict, checked}, {verdict: 'valid', checked: events.length});
		});
	}
});

test('the points are all there are: a chat run makes no further durable write', async (t) => {
	const dataDir = freshData(t, await ingestedSamples());
	const writ = await startDoomed(t, dataDir, {when: 'before', write: WRITES + 1});
	const {status, result} = await writ.ask(QUESTION);
	assert.deepEqual([status, result.rows], ['succeeded', [[6417]]]);
});

test('what a run that died was doing is shown as unknown, to its reader too', async (t) => {
	const dataDir = freshData(t, await ingestedSamples());
	await killAt(t, dataDir, {when: 'after', write: 3});
	const writ = await startWrit(t, {dataDir});
	const {run_id} = await recovered(writ);
	const {status, error_json, assistant_message} = await writ.capsule(run_id);
	assert.deepEqual([status, error_json?.code], ['unknown', 'interrupted']);
	assert.match(assistant_message ?? '', /its result is not known/);
});

/** Asks a server that dies at `point`; returns what it had made durable. */
async function killAt(scope: Scope, dataDir: string, point: Point): Promise<readonly Event[]> {
	const writ = await startDoomed(scope, dataDir, point);
	const body = {dataset_id: 'support', thread_id: THREAD, message: QUESTION};
	await assert.rejects(writ.post('/chat', body), TypeError, 'nobody was told that it succeeded');
	assert.equal(await writ.stop(), 'SIGKILL');
	return storedEvents(dataDir);
}

async function startDoomed(scope: Scope, dataDir: string, {when, write}: Point): Promise<Writ> {
	const armed = path.join(dataDir, 'armed');
	const preload = path.join(ROOT, 'test/fixtures/kill-at-commit.ts');
	const command = [process.execPath, '--import', preload, path.join(ROOT, 'src/main.ts')] as const;
	const env = {KILL_AT: `${when}:${write}`, KILL_WHEN: armed};
	const writ = await startWrit(scope, {dataDir, env, command: [...command]});
	writeFileSync(armed, '');
	return writ;
}

/** The one chat run of the file, read without any part of the platform. */
function storedEvents(dataDir: string): readonly Event[] {
	const db = new DatabaseSync(path.join(dataDir, 'writ.db'), {readOnly: true});
	const rows = db
		.prepare("SELECT event FROM events WHERE run_id IN (SELECT run_id FROM runs WHERE mode = 'chat') ORDER BY seq")
		.all();
	db.close();
	return rows.map(({event}) => JSON.parse(String(event)) as Event);
}

function expectedEnd(stored: readonly Event[]): string {
	const has = (type: EventType) => stored.some((event) => event.type === type);
	return has('action.intent') && !has('action.outcome') ? 'unknown' : 'succeeded';
}

type Listed = {readonly run_id: string; readonly status: string; readonly question: string | null};

async function runsOf(writ: Writ): Promise<readonly Listed[]> {
	return (await writ.get<{runs: Listed[]}>('/runs?mode=chat')).body.runs;
}

async function recovered(writ: Writ): Promise<Listed> {
	return eventually(
		'end of the abandoned run',
		async () => (await runsOf(writ)).find(({status}) => status !== 'running'),
		RECOVERY_MS,
	);
}

async function messagesOf(writ: Writ): Promise<readonly string[]> {
	const {body} = await writ.get<{messages: {role: string}[]}>(`/threads/${THREAD}/messages`);
	return body.messages.map(({role}) => role);
}

function countsOf(events: readonly Event[]): Readonly<Record<string, number>> {
	const types = ['run.started', 'action.intent', 'action.outcome', 'run.finished', 'message.added'] as const;
	return Object.fromEntries(types.map((type) => [type, events.filter((event) => event.type === type).length]));
}
