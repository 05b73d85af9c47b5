/** A person who may not see a dataset, and the agents that would look for them, against a real server. */
import assert from 'node:assert/strict';
import {randomBytes} from 'node:crypto';
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {after, test} from 'node:test';
import type {ChatResponse} from '#contract/api.ts';
import {jsonPost, startWrit} from './server.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'writ-deputy-'));
after(() => rmSync(folder, {recursive: true}));
const file = path.join(folder, 'policy.yaml');
writeFileSync(
	file,
	`version: 1
cedar:
  rules: |
    @id("bob-not-support")
    @description("bob never touches support")
    forbid (principal == User::"bob", action, resource == Dataset::"support");
`,
);
const keys = {ann: randomBytes(20).toString('hex'), bob: randomBytes(20).toString('hex')};
const env = {WRIT_POLICY_FILE: file, WRIT_AUTH_TOKENS: `${keys.ann}=ann@local,${keys.bob}=bob@local:analyst+operator`};
const writ = await startWrit({after}, {env});

async function post<Body>(key: string, route: string, body: object): Promise<Body> {
	const {headers, ...rest} = jsonPost(body);
	const reply = await writ.request(route, {...rest, headers: {...headers, authorization: `Bearer ${key}`}});
	return (await reply.json()) as Body;
}

/** The dataset's `SELECT` and a question about it: each is its status, and the rows that came out. */
async function looks(key: string) {
	const sql = await post<ChatResponse>(key, '/runs', {dataset_id: 'support', query_type: 'sql', sql: 'SELECT 1 AS n'});
	const chat = await post<ChatResponse>(key, '/chat', {dataset_id: 'support', message: 'SLA compliance by priority'});
	return [sql, chat].map(({status, result}) => [status, (result?.rows?.length ?? 0) > 0]);
}

const SEEN = [
	['succeeded', true],
	['succeeded', true],
];

test('an agent has no more than its owner: what is forbidden to a person their agents are refused as well', async () => {
	const agentOf = (key: string) =>
		post<{token: string}>(key, '/api/v1/tokens', {kind: 'agent', name: 'x', roles: ['analyst'], expiresInDays: 1});
	assert.deepEqual(await looks(keys.ann), SEEN);
	assert.deepEqual(await looks((await agentOf(keys.ann)).token), SEEN);
	for (const key of [keys.bob, (await agentOf(keys.bob)).token])
		for (const [status, rows] of await looks(key)) assert.deepEqual([status === 'succeeded', rows], [false, false]);
});
