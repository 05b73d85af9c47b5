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
			approving: {
				rate: async () => ({granted: 3, limit: 10, windowSeconds: 600}),
				async answer(answer) {
					answers.push(answer);
					const body = answer.verb === 'grant' ? granted() : rejected();
					await server.store.append(batch({runId: 'run_w', expectedSeq: 2}, body));
					const row = await server.store.approval('apr_1');
					if (!row) throw new WritError('not_found', 'Approval not found');
					return row;
				},
			},
		},
	);
	await server.store.append(batch({runId: 'run_w', expectedSeq: 0}, started(), asked()));
	return {...server, answers};
}

const SHOWN = 'a'.repeat(64);

for (const [verb, state, given] of [
	['grant', 'granted', {comment: 'because', previewDigest: SHOWN}],
	['reject', 'rejected', {comment: 'because'}],
] as const) {
	test(`to ${verb} an approval records who answered and lets the run go on`, async () => {
		const {ask, post, answers, analyst} = await waiting();
		const {approvals} = (await (await ask('/api/v1/approvals?state=pending')).json()) as {approvals: Record<string, unknown>[]};
		assert.deepEqual(
			approvals.map(({approvalId, tool, risk, state, tenant}) => [approvalId, tool, risk, state, tenant]),
			[['apr_1', 'docker.restart', 'high', 'pending', undefined]],
		);
		const reply = await post(`/api/v1/approvals/apr_1/${verb}`, given);
		assert.deepEqual([reply.status, ((await reply.json()) as {state: string}).state], [200, state]);
		const approver = {kind: 'user', id: 'local', tenant: 'local'};
		assert.deepEqual(answers, [{approvalId: 'apr_1', verb, approver, ...given}]);
		assert.deepEqual(analyst.resumed, ['run_w']);
	});
}

test('a rejection needs no body; a grant has to say what was shown, and what does not fit is refused before it is recorded', async () => {
	const {ask, post, answers} = await waiting();
	assert.equal((await post('/api/v1/approvals/apr_1/grant', {comment: 7, previewDigest: SHOWN})).status, 422);
	assert.equal((await post('/api/v1/approvals/apr_1/grant', {comment: 'fine'})).status, 422);
	assert.equal((await ask('/api/v1/approvals/apr_1/grant', {method: 'POST'})).status, 422);
	assert.equal((await post('/api/v1/approvals/apr_1/comment', {comment: ''})).status, 422);
	assert.equal((await post('/api/v1/approvals/apr_2/reject', {})).status, 404);
	assert.deepEqual(answers, []);
	assert.equal((await ask('/api/v1/approvals/apr_1/reject', {method: 'POST'})).status, 200);
});

test('an approval is shown by itself, and the list says how much the caller has granted lately', async () => {
	const {ask} = await waiting();
	const shown = (await (await ask('/api/v1/approvals/apr_1')).json()) as Record<string, unknown>;
	assert.deepEqual([shown.tool, shown.required, shown.grantedBy, shown.history], ['docker.restart', 1, [], []]);
	const {rate} = (await (await ask('/api/v1/approvals')).json()) as {rate: unknown};
	assert.deepEqual(rate, {granted: 3, limit: 10, windowSeconds: 600});
	assert.equal((await ask('/api/v1/approvals/apr_2')).status, 404);
});

test('an approval of another tenant cannot be answered', async () => {
	const tokens = [{token: 'token-of-bob-0123', id: 'bob', tenant: 'globex'}];
	const {ask, store} = testServer({authTokens: tokens});
	await store.append(batch({runId: 'run_w', expectedSeq: 0}, started(), asked()));
	const headers = {authorization: 'Bearer token-of-bob-0123'};
	assert.equal((await ask('/api/v1/approvals/apr_1/reject', {method: 'POST', headers})).status, 404);
	assert.deepEqual(((await (await ask('/api/v1/approvals', {headers})).json()) as {approvals: unknown}).approvals, []);
});
