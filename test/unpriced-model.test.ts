/** A limit in money is kept or the model is asked nothing: it is never off without anybody knowing. */
import assert from 'node:assert/strict';
import {writeFileSync} from 'node:fs';
import path from 'node:path';
import {type TestContext, test} from 'node:test';
import type {ChatResponse} from '#contract/api.ts';
import {startOpenAi} from '#models/doubles/openai.ts';
import {type Env, freshData, startWrit} from './server.ts';

async function askSomeModel(t: TestContext, policy: string, env: Env = {}) {
	const dataDir = freshData(t);
	const policyFile = path.join(dataDir, 'policy.yaml');
	writeFileSync(policyFile, `version: 1\n${policy}`);
	const model = await startOpenAi(() => ({say: 'There.', usage: [20_000, 2_000]}));
	t.after(() => model[Symbol.asyncDispose]());
	const key = {OPENAI_API_KEY: 'sk-test-0123456789abcdef', OPENAI_BASE_URL: model.url, OPENAI_MODEL: 'some-model'};
	const shared = {SANDBOX_PROVIDER: 'process', WRIT_POOL_SIZE: '0', WRIT_POLICY_FILE: policyFile};
	const writ = await startWrit(t, {dataDir, until: 'listening', env: {...shared, ...key, ...env}});
	const form = new FormData();
	form.set('id', 'cells');
	form.append('file', new Blob(['a\n1\n']), 'cells.csv');
	assert.equal((await writ.request('/datasets', {method: 'POST', body: form})).status, 201);
	const {body} = await writ.post<ChatResponse>('/chat', {dataset_id: 'cells', message: 'hello'});
	return {body, asked: model.requests.length};
}

for (const [where, policy] of [
	['of a run', 'budgets: {run: {money: 0.5}}\n'],
	['of a tenant', 'budgets: {tenant: {money: 5}}\n'],
] as const)
	test(`a model without a known price is asked nothing under a limit in money ${where}, and the answer says how to give one`, async (t) => {
		const {body, asked} = await askSomeModel(t, policy);
		assert.deepEqual([asked, body.status, body.result.error?.type], [0, 'failed', 'INVALID_CONFIG']);
		assert.match(body.assistant_message, /price of the model `some-model` is not known.*WRIT_MODEL_PRICE/);
	});

test('a price that was given makes the limit hold, and without a limit no price is needed', async (t) => {
	const priced = await askSomeModel(t, 'budgets: {run: {money: 0.5}}\n', {WRIT_MODEL_PRICE: '1,2'});
	assert.deepEqual([priced.asked, priced.body.status], [1, 'succeeded']);
	const free = await askSomeModel(t, '');
	assert.deepEqual([free.asked, free.body.status], [1, 'succeeded']);
});
