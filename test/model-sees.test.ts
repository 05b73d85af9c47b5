/** A provider of models is sent nothing of a dataset that policy keeps from agents, and what it is sent is an action on record. */
import assert from 'node:assert/strict';
import {writeFileSync} from 'node:fs';
import path from 'node:path';
import {type TestContext, test} from 'node:test';
import type {ChatResponse} from '#contract/api.ts';
import type {ApprovalsReply} from '#contract/approval-api.ts';
import {startOpenAi} from '#models/doubles/openai.ts';
import {eventually, freshData, startWrit, type Writ} from './server.ts';

const SECRETS = ['Ada Secretperson', 'HIV-positive', '123456', 'diagnosis'];

async function withPayroll(t: TestContext, rule: string) {
	const dataDir = freshData(t);
	const policyFile = path.join(dataDir, 'policy.yaml');
	writeFileSync(policyFile, `version: 1\ncedar:\n  rules: |\n    ${rule}\n`);
	const model = await startOpenAi(() => ({say: 'It has a few rows.'}));
	t.after(() => model[Symbol.asyncDispose]());
	const env = {
		...{SANDBOX_PROVIDER: 'process', WRIT_POOL_SIZE: '0', WRIT_POLICY_FILE: policyFile},
		...{OPENAI_API_KEY: 'sk-test-0123456789abcdef', OPENAI_BASE_URL: model.url},
	};
	const writ = await startWrit(t, {dataDir, until: 'listening', env});
	const form = new FormData();
	form.set('id', 'payroll');
	const rows = 'Ada Secretperson,123456,HIV-positive\n'.repeat(30);
	form.append('file', new Blob([`name,salary,diagnosis\n${rows}`]), 'payroll.csv');
	assert.equal((await writ.request('/datasets', {method: 'POST', body: form})).status, 201);
	return {writ, sent: () => JSON.stringify(model.requests.map(({body}) => body))};
}

async function decisions(writ: Writ, runId: string) {
	const events = await writ.events(runId);
	const tools = new Map(events.flatMap(({type, data}) => (type === 'action.proposed' ? [[data.actionId, data.tool]] : [])));
	return events.flatMap(({type, data}) =>
		type === 'action.decided' ? [[tools.get(data.actionId), data.decision.effect] as const] : [],
	);
}

test('where agents are kept from a dataset no model is asked, and the answer says why', async (t) => {
	const {writ, sent} = await withPayroll(t, 'forbid (principal is Agent, action, resource == Dataset::"payroll");');
	const {body} = await writ.post<ChatResponse>('/chat', {dataset_id: 'payroll', message: 'hello'});
	assert.equal(sent(), '[]');
	assert.equal(body.status, 'rejected');
	assert.equal(body.result.error?.type, 'POLICY_DENIED');
	assert.match(
		body.assistant_message,
		/^The language model was asked nothing, because it may not be shown this dataset\. Not done: /,
	);
	assert.deepEqual(await decisions(writ, body.run_id), [['analyst.get_dataset_schema', 'deny']]);
});

test('where a person is asked first the model hears of the dataset once that was granted', async (t) => {
	const ask = 'permit (principal is Agent, action == Action::"analyst.get_dataset_schema", resource);';
	const {writ, sent} = await withPayroll(t, `@decision("ask")\n    ${ask}`);
	const {body} = await writ.post<ChatResponse>('/chat', {dataset_id: 'payroll', message: 'hello'});
	assert.deepEqual([body.status, sent()], ['awaiting_approval', '[]']);
	const [approval] = (await writ.get<ApprovalsReply>('/api/v1/approvals?state=pending')).body.approvals;
	assert.ok(approval);
	const {approvalId, previewDigest} = approval;
	assert.equal((await writ.post(`/api/v1/approvals/${approvalId}/grant`, {comment: 'fine', previewDigest})).status, 200);
	const answered = async () => (await writ.capsule(body.run_id)).assistant_message === 'It has a few rows.' || undefined;
	await eventually('answer', answered);
	for (const secret of SECRETS) assert.ok(sent().includes(secret), secret);
	assert.deepEqual((await writ.capsule(body.run_id)).status, 'succeeded');
});
