import assert from 'node:assert/strict';
import {test} from 'node:test';
import {WritError} from '#contract/errors.ts';
import {asked, batch, granted, rejected, started} from '#store/sample-run.ts';
import type {ApprovalAnswer} from './deps.ts';
import {type TestServer, testServer} from './doubles/test-server.ts';

/** A run that waits for a person, on a server that records the answers. */
async function waiting(): Promise<TestServer & {readonly answers: ApprovalAnswer[]}> {
	const answers: ApprovalAnswer[] = [];
	const server: TestServer = testServer(
		{},
		{
			async answer(answer) {
				answers.push(answer);
				const body = answer.granted ? granted() : rejected();
				await server.store.append(batch({runId: 'run_w', expectedSeq: 2}, body));
				const row = await server.store.approval('apr_1');
				if (!row) throw new WritError('not_found', 'Approval not found');
				return row;
			},
		},
	);
	await server.store.append(batch({runId: 'run_w', expectedSeq: 0}, started(), asked()));
	return {...server, answers};
}

for (const [verb, state] of [
	['grant', 'granted'],
	['reject', 'rejected'],
] as const) {
	test(`to ${verb} an approval records who answered and lets the run go on`, async () => {
		const {ask, post, answers, analyst} = await waiting();
		const {approvals} = (await (await ask('/api/v1/approvals?state=pending')).json()) as {approvals: Record<string, unknown>[]};
		assert.deepEqual(
			approvals.map(({approvalId, tool, risk, state, tenant}) => [approvalId, tool, risk, state, tenant]),
			[['apr_1', 'docker.restart', 'high', 'pending', undefined]],
		);
		const reply = await post(`/api/v1/approvals/apr_1/${verb}`, {comment: 'because'});
		assert.deepEqual([reply.status, ((await reply.json()) as {state: string}).state], [200, state]);
		const approver = {kind: 'user', id: 'local', tenant: 'local'};
		assert.deepEqual(answers, [{approvalId: 'apr_1', granted: verb === 'grant', approver, comment: 'because'}]);
		assert.deepEqual(analyst.resumed, ['run_w']);
	});
}

test('an answer needs no body, and one that does not fit is refused before anything is recorded', async () => {
	const {ask, post, answers} = await waiting();
	assert.equal((await post('/api/v1/approvals/apr_1/grant', {comment: 7})).status, 422);
	assert.equal((await post('/api/v1/approvals/apr_2/grant', {})).status, 404);
	assert.deepEqual(answers, []);
	assert.equal((await ask('/api/v1/approvals/apr_1/grant', {method: 'POST'})).status, 200);
});

test('an approval of another tenant cannot be answered', async () => {
	const tokens = [{token: 'token-of-bob-0123', id: 'bob', tenant: 'globex'}];
	const {ask, store} = testServer({authTokens: tokens});
	await store.append(batch({runId: 'run_w', expectedSeq: 0}, started(), asked()));
	const headers = {authorization: 'Bearer token-of-bob-0123'};
	assert.equal((await ask('/api/v1/approvals/apr_1/grant', {method: 'POST', headers})).status, 404);
	assert.deepEqual(await (await ask('/api/v1/approvals', {headers})).json(), {approvals: []});
});
