/** What a replay may do again: nothing that was refused, nothing that one of both may not do, and nothing for free. */
import assert from 'node:assert/strict';
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {after, test} from 'node:test';
import type {Decision, EventBody, Principal} from '#contract/event.ts';
import {replayRun} from '../src/replay.ts';
import {OWNER, wholePlatform} from './platform.ts';

const directory = mkdtempSync(path.join(tmpdir(), 'writ-replay-'));
after(() => rmSync(directory, {recursive: true, force: true}));
const policyFile = path.join(directory, 'policy.yaml');
writeFileSync(policyFile, 'version: 1\n');
const {platform, add} = await wholePlatform({after}, {WRIT_POLICY_FILE: policyFile, POLICY_FILE: policyFile});
const csv = path.join(directory, 'people.csv');
writeFileSync(csv, 'name,salary\nCarla,4000\n');
await add('people', [{name: 'people.csv', path: csv}]);
const {store, runs, kernel, analyst} = platform;
const signal = new AbortController().signal;
const BOT: Principal = {kind: 'agent', id: 'owner/bot', tenant: 'local', via: {kind: 'user', id: 'owner'}};
const latest = async (mode: string) => (await store.runs({tenant: 'local', mode, limit: 1})).rows[0]?.runId ?? '';
const replay = (runId: string) => replayRun(platform, runId, {principal: OWNER, signal});
const query = (sql: string) =>
	({dataset_id: 'people', query_type: 'sql', sql, thread_id: null}) as Parameters<typeof analyst.run>[0];

for (const status of ['rejected', 'expired', 'cancelled'] as const) {
	test(`what was ${status} before it was started is not done again`, async () => {
		const started = {job: 'analyst', mode: 'sql', threadId: null, question: null, dataset: null} as const;
		const run = await runs.open({...started, principal: OWNER, software: 'writ', policyVersion: 'p'}, BOT, signal);
		const input = {dataset_id: 'people', sql: 'SELECT 1 AS ran'};
		const gates: Decision['gates'] = [{gate: 'permission', effect: 'ask', rules: ['r'], reason: ''}];
		const proposal = {
			actionId: 'act_1',
			tool: 'analyst.sql',
			toolVersion: '1',
			input,
			inputDigest: kernel.digest(input),
			redactions: 0,
		};
		const decision = {effect: 'ask', gates, risk: 'low', policyVersion: 'p'} as const;
		const error = {code: 'policy_denied', message: 'never run this', retry: 'never', details: {}} as const;
		const none = {output: null, outputDigest: kernel.digest(null), labels: [], usage: null, isolation: null, durationMs: 0};
		const bodies = [
			{type: 'action.proposed', actor: BOT, data: proposal},
			{type: 'action.decided', actor: BOT, data: {actionId: 'act_1', decision}},
			{type: 'action.outcome', actor: BOT, data: {actionId: 'act_1', status, error, ...none}},
		] as unknown as EventBody[];
		await run.journal.append(...bodies);
		await run.finish({status: 'failed', resultActionId: null, error: null});
		const {verdict, reason, actions} = await replay(run.id);
		assert.deepEqual([verdict, reason, actions], ['could_not', 'it did nothing that could be done again', []]);
	});
}

test('a replay is judged as whoever did it first and as the one who replays it', async () => {
	await analyst.run(query('SELECT count(*) AS n FROM people'), {principal: BOT, requestId: '', signal});
	const runId = await latest('sql');
	assert.equal((await replay(runId)).verdict, 'same');
	writeFileSync(
		policyFile,
		`version: 1\ncedar:\n  rules: '@id("no-bot") forbid (principal == Agent::"owner/bot", action, resource);'\n`,
	);
	assert.equal(platform.policy.reload().kind, 'changed');
	const {verdict, actions} = await replay(runId);
	assert.deepEqual([verdict, actions.map(({is}) => is.status)], ['different', ['denied']]);
	await analyst.run(query('SELECT 1 AS n'), {principal: OWNER, requestId: '', signal});
	assert.equal((await replay(await latest('sql'))).verdict, 'same', 'of a person the agent is nobody');
});

test('what the platform did for itself is done again at the cost of who asks for it', async () => {
	await analyst.sample('people', 'people', 5, {principal: OWNER, requestId: '', signal});
	const [{runId} = {runId: ''}] = (await store.runs({tenant: 'local', job: 'system', mode: 'sql', limit: 1})).rows;
	const again = await replay(runId);
	assert.deepEqual([(await store.run(again.runId))?.job, again.verdict], ['analyst', 'same']);
});
