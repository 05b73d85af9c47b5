/** Programs that wait for people do not keep other tenants from their work. */
import assert from 'node:assert/strict';
import {writeFileSync} from 'node:fs';
import path from 'node:path';
import {test} from 'node:test';
import type {ChatResponse, WorkReply} from '#contract/api.ts';
import type {ApprovalsReply} from '#contract/approval-api.ts';
import {eventually, freshData, startWrit} from './server.ts';

const POLICY = `version: 1
cedar:
  rules: |
    @id("ask-python")
    @description("a person reads Python")
    @decision("ask")
    permit (principal, action == Action::"analyst.python", resource);
`;
const ANA = 'ana-0123456789abcdef';
const EVE = 'eve-0123456789abcdef';
const BOSS = 'boss-0123456789abcdef';

test('another tenant is served while programs wait for a person, and no more of them wait than may', async (t) => {
	const dataDir = freshData(t);
	const policyFile = path.join(dataDir, 'policy.yaml');
	writeFileSync(policyFile, POLICY);
	const env = {
		...{SANDBOX_PROVIDER: 'process', WRIT_POOL_SIZE: '0', WRIT_POLICY_FILE: policyFile, WRIT_MAX_SANDBOXES: '2'},
		...{WRIT_AUTH_TOKENS: `${ANA}=ana@acme:analyst,${EVE}=eve@other:analyst,${BOSS}=boss@other:approver`},
	};
	const writ = await startWrit(t, {dataDir, until: 'listening', env});
	const ask = async <Body>(token: string, route: string, body?: unknown) => {
		const headers = {authorization: `Bearer ${token}`, 'content-type': 'application/json'};
		const init = body === undefined ? {} : {method: 'POST', body: JSON.stringify(body)};
		const response = await writ.request(route, {...init, headers, signal: AbortSignal.timeout(60_000)});
		return (await response.json()) as Body;
	};
	for (const [token, id] of [
		[ANA, 'theirs'],
		[EVE, 'mine'],
	] as const) {
		const form = new FormData();
		form.set('id', id);
		form.append('file', new Blob(['a\n1\n']), 'a.csv');
		const init = {method: 'POST', headers: {authorization: `Bearer ${token}`}, body: form};
		assert.equal((await writ.request('/datasets', init)).status, 201);
	}
	const program = (n: number) => {
		const call = `writ.call('analyst.python', {dataset_id: 'mine', python_code: 'result = ${n}'})`;
		const code = `let told = 'done'; try { await ${call} } catch (error) { told = error.message } export default told`;
		return ask<WorkReply>(EVE, '/api/v1/code', {language: 'javascript', code});
	};
	const programs = [program(1), program(2)];
	const told = (await Promise.race(programs)).output;
	assert.match(JSON.stringify(told), /as many programs of this tenant as may, 1, wait for a person already/);
	const query = {dataset_id: 'theirs', query_type: 'sql', sql: 'SELECT 42'};
	for (const _query of [1, 2]) assert.deepEqual((await ask<ChatResponse>(ANA, '/runs', query)).result.rows, [[42]]);

	const pending = async () => (await ask<ApprovalsReply>(BOSS, '/api/v1/approvals?state=pending')).approvals;
	const [approval, ...others] = await eventually('the question', async () => {
		const all = await pending();
		return all.length > 0 ? all : undefined;
	});
	assert.deepEqual(others, [], 'what was refused asks nobody');
	const {approvalId, previewDigest} = approval as NonNullable<typeof approval>;
	await ask(BOSS, `/api/v1/approvals/${approvalId}/grant`, {comment: 'read', previewDigest});
	const results = (await Promise.all(programs)).map(({output, error}) => JSON.stringify(output ?? error)).toSorted();
	assert.match(results.join(), /done/);
});
