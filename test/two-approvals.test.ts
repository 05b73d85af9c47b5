/** A model asks for two things at once, each of which takes a person: each is done when it is granted, and the run ends after both. */
import assert from 'node:assert/strict';
import {writeFileSync} from 'node:fs';
import path from 'node:path';
import {type TestContext, test} from 'node:test';
import type {ChatResponse} from '#contract/api.ts';
import type {Approval, ApprovalsReply} from '#contract/approval-api.ts';
import {startOpenAi} from '#models/doubles/openai.ts';
import {eventually, freshData, startWrit, type Writ} from './server.ts';

async function askTwice(t: TestContext) {
	const dataDir = freshData(t);
	const policyFile = path.join(dataDir, 'policy.yaml');
	writeFileSync(policyFile, "version: 1\ntools: {analyst.sql: {mode: propose}, '*': {}}\n");
	const call = (sql: string) => ({name: 'execute_sql', args: {dataset_id: 'cells', sql}});
	const model = await startOpenAi([{calls: [call('SELECT 1 AS first'), call('SELECT 2 AS second')]}, {say: 'There.'}]);
	t.after(() => model[Symbol.asyncDispose]());
	const env = {
		...{SANDBOX_PROVIDER: 'process', WRIT_POOL_SIZE: '0', WRIT_POLICY_FILE: policyFile},
		...{OPENAI_API_KEY: 'sk-test-0123456789abcdef', OPENAI_BASE_URL: model.url},
	};
	const writ = await startWrit(t, {dataDir, until: 'listening', env});
	const form = new FormData();
	form.set('id', 'cells');
	form.append('file', new Blob(['a\n1\n']), 'cells.csv');
	assert.equal((await writ.request('/datasets', {method: 'POST', body: form})).status, 201);
	const {run_id, status} = (await writ.post<ChatResponse>('/chat', {dataset_id: 'cells', message: 'both'})).body;
	assert.equal(status, 'awaiting_approval');
	const {approvals} = (await writ.get<ApprovalsReply>('/api/v1/approvals?state=pending')).body;
	const named = (sql: string) => approvals.find(({preview}) => preview === sql) as Approval;
	return {writ, runId: run_id, first: named('SELECT 1 AS first'), second: named('SELECT 2 AS second')};
}

async function answer(writ: Writ, verb: 'grant' | 'reject', {approvalId, previewDigest}: Approval): Promise<void> {
	const shown = verb === 'grant' ? {previewDigest} : {};
	assert.equal((await writ.post(`/api/v1/approvals/${approvalId}/${verb}`, {comment: 'read', ...shown})).status, 200);
}

async function states(writ: Writ, runId: string) {
	const {status, actions} = await writ.capsule(runId);
	const row = (await writ.get<{readonly status: string}>(`/runs/${runId}/status`)).body.status;
	const asked = actions.filter(({tool}) => tool === 'analyst.sql').map(({state}) => state);
	return [row, status, ...asked.toSorted()]; // the two are proposed side by side
}

/** Resolves when `wanted` is so; fails with what is so instead. */
async function become(writ: Writ, runId: string, wanted: readonly string[]): Promise<void> {
	const same = async () => JSON.stringify(await states(writ, runId)) === JSON.stringify(wanted) || undefined;
	await eventually(wanted.join(), same).catch(async () => assert.deepEqual(await states(writ, runId), wanted));
}

test('both are done, whichever was granted first', async (t) => {
	const {writ, runId, first, second} = await askTwice(t);
	await answer(writ, 'grant', first);
	await become(writ, runId, ['awaiting_approval', 'awaiting_approval', 'awaiting_approval', 'verified']);
	assert.equal((await writ.capsule(runId)).details.approval_id, second.approvalId);
	await answer(writ, 'grant', second);
	await become(writ, runId, ['succeeded', 'succeeded', 'verified', 'verified']);
	assert.equal((await writ.verify(runId)).verdict, 'valid');
});

test('what was granted is done and ends the run when the other is rejected', async (t) => {
	const {writ, runId, first, second} = await askTwice(t);
	await answer(writ, 'reject', second);
	await become(writ, runId, ['awaiting_approval', 'awaiting_approval', 'awaiting_approval', 'rejected']);
	await answer(writ, 'grant', first);
	await become(writ, runId, ['succeeded', 'succeeded', 'rejected', 'verified']);
	assert.deepEqual((await writ.capsule(runId)).result_json?.rows, [[1]]);
});
