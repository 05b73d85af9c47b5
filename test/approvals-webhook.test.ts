/** What was erased is in no file of the data directory, also when a webhook was to tell it and could not, and is told to nobody. */
import assert from 'node:assert/strict';
import {once} from 'node:events';
import {globSync, readFileSync, statSync, writeFileSync} from 'node:fs';
import {createServer} from 'node:http';
import type {AddressInfo} from 'node:net';
import path from 'node:path';
import {text} from 'node:stream/consumers';
import {test} from 'node:test';
import {loadConfig} from '#config/config.ts';
import type {Approval} from '#contract/approval-api.ts';
import {createPlatform} from '../src/platform.ts';
import {OWNER} from './platform.ts';
import {eventually, freshData, ROOT, type Scope, startWrit, type Writ} from './server.ts';
import {pass} from './time.ts';

const NEEDLE = 'zebra-4711-needle';
const POLICY = `version: 1
retention: {days: 30}
cedar:
  rules: |
    @id("sql-asks") @description("a person looks at SQL before it runs") @decision("ask")
    permit (principal, action == Action::"analyst.sql", resource);
`;

/** Refuses until it is told to take what comes. */
async function receiver(scope: Scope) {
	const state = {status: 500, bodies: [] as string[]};
	const server = createServer(async (request, response) => {
		state.bodies.push(await text(request));
		response.writeHead(state.status).end();
	});
	server.listen(0, '127.0.0.1');
	await once(server, 'listening');
	scope.after(() => {
		server.closeAllConnections();
		server.close();
	});
	return {state, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`};
}

async function ask(writ: Writ, sql: string): Promise<Approval> {
	await writ.post('/runs', {dataset_id: 'cells', query_type: 'sql', sql});
	const {approvals} = (await writ.get<{approvals: Approval[]}>('/api/v1/approvals?state=pending')).body;
	return approvals[0] as Approval;
}

/** Erases as a server will in 31 days. */
async function eraseLater(dataDir: string, policyFile: string): Promise<number> {
	pass(31);
	const {config} = loadConfig({file: null, env: {WRIT_DATA_DIR: dataDir, WRIT_POLICY_FILE: policyFile}});
	const report = (bug: unknown) => {
		throw bug;
	};
	const answerer = () => () => assert.fail('nobody asks');
	const platform = await createPlatform({config, root: ROOT, software: 'writ test', report, answerer});
	const {erased} = await platform.retention.run(null, OWNER);
	await platform.close();
	return erased;
}

function filesWith(dataDir: string, words: string): readonly string[] {
	const files = globSync('**/*', {cwd: dataDir}).filter((name) => statSync(path.join(dataDir, name)).isFile());
	return files.filter((name) => readFileSync(path.join(dataDir, name)).includes(words));
}

test('an approval that could not be told leaves no content behind its erasure, in no file and for no receiver', async (t) => {
	const dataDir = freshData(t);
	const policyFile = path.join(dataDir, 'policy.yaml');
	writeFileSync(policyFile, POLICY);
	const {state, url} = await receiver(t);
	const hook = {WRIT_WEBHOOK_URL: url, WRIT_WEBHOOK_SECRET: 'a secret that both know'};
	const env = {SANDBOX_PROVIDER: 'process', WRIT_POOL_SIZE: '0', WRIT_POLICY_FILE: policyFile, ...hook};
	const first = await startWrit(t, {dataDir, until: 'listening', env});
	const form = new FormData();
	form.set('id', 'cells');
	form.append('file', new Blob(['letter,number\na,1\nb,2\n']), 'cells.csv');
	assert.equal((await first.request('/datasets', {method: 'POST', body: form})).status, 201);
	const asked = await ask(first, `SELECT '${NEEDLE}' AS x FROM cells`);
	await eventually('message with the content', () => state.bodies.find((body) => body.includes(NEEDLE)));
	assert.equal((await first.post(`/api/v1/approvals/${asked.approvalId}/reject`, {comment: 'no'})).status, 200);
	await eventually('end of the run', async () => (await first.capsule(asked.runId)).status === 'rejected' || undefined);
	assert.equal(await first.stop(), 0);
	assert.ok(filesWith(dataDir, NEEDLE).length > 0);
	assert.deepEqual(filesWith(dataDir, `${asked.runId}:`), ['webhook.jsonl'], 'it is still to be told');

	assert.ok((await eraseLater(dataDir, policyFile)) > 0);
	assert.deepEqual(filesWith(dataDir, NEEDLE), []);

	Object.assign(state, {status: 200, bodies: []});
	const second = await startWrit(t, {dataDir, until: 'listening', env});
	await ask(second, 'SELECT 1 AS later');
	await eventually('message of what came later', () => state.bodies.find((body) => body.includes('SELECT 1 AS later')));
	assert.deepEqual(
		state.bodies.map((body) => JSON.parse(body).metadata.event_type),
		['writ_approval_rejected', 'writ_approval_requested'],
	);
	assert.ok(!state.bodies.join('').includes(NEEDLE));
});
