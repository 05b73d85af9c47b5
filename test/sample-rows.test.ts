/** What a dataset looks like is shown to each caller as far as the policy lets that caller read it, whoever looked before. */
import assert from 'node:assert/strict';
import {writeFileSync} from 'node:fs';
import path from 'node:path';
import {test} from 'node:test';
import type {DatasetSchemaReply} from '#contract/api.ts';
import type {ApprovalsReply} from '#contract/approval-api.ts';
import type {AuditReply} from '#contract/audit.ts';
import {freshData, startWrit, type Writ} from './server.ts';

const TOKENS = {
	ann: 'ann-0123456789abcdef',
	bob: 'bob-0123456789abcdef',
	cyd: 'cyd-0123456789abcdef',
	vic: 'vic-0123456789abcdef',
} as const;
type Who = keyof typeof TOKENS;

const POLICY = `version: 1
cedar:
  rules: |
    @id("bob-not-payroll")
    @description("bob never reads payroll")
    forbid (principal == User::"bob", action, resource == Dataset::"payroll");
    @id("cyd-asks-for-rows")
    @description("what cyd reads a person approves")
    @decision("ask")
    permit (principal == User::"cyd", action == Action::"analyst.sql", resource);
`;

function as(token: string, init: RequestInit = {}): RequestInit {
	return {...init, headers: {...init.headers, authorization: `Bearer ${token}`}};
}

async function look(writ: Writ, token: string) {
	const response = await writ.request('/datasets/payroll/schema', as(token));
	const text = await response.text();
	assert.equal(response.status, 200, text);
	const [file] = (JSON.parse(text) as DatasetSchemaReply).files;
	assert.deepEqual(Object.keys(file?.schema ?? {}), ['name', 'salary']);
	return {rows: file?.sample_rows.length, told: text.includes('Secretperson') || text.includes('123456'), notices: file?.notices};
}

test('first rows and learned values go to whoever may read them, decided and on record for each who looks', async (t) => {
	const dataDir = freshData(t);
	const policyFile = path.join(dataDir, 'policy.yaml');
	writeFileSync(policyFile, POLICY);
	const roles = {ann: 'analyst', bob: 'analyst', cyd: 'analyst', vic: 'viewer'};
	const env = {
		...{SANDBOX_PROVIDER: 'process', WRIT_POOL_SIZE: '0', WRIT_POLICY_FILE: policyFile},
		WRIT_AUTH_TOKENS: Object.entries(TOKENS)
			.map(([who, token]) => `${token}=${who}@acme:${roles[who as Who]}`)
			.concat('adm-0123456789abcdef=adm@acme')
			.join(','),
	};
	const writ = await startWrit(t, {dataDir, until: 'listening', env});
	const form = new FormData();
	form.set('id', 'payroll');
	form.append('file', new Blob(['name,salary\nAda Secretperson,123456\nBo,5\n']), 'payroll.csv');
	assert.equal((await writ.request('/datasets', as(TOKENS.ann, {method: 'POST', body: form}))).status, 201);
	const made = await writ.request(
		'/api/v1/tokens',
		as(TOKENS.ann, {
			method: 'POST',
			headers: {'content-type': 'application/json'},
			body: JSON.stringify({kind: 'agent', name: 'bot', roles: ['analyst'], tools: ['analyst.list_datasets'], expiresInDays: 1}),
		}),
	);
	const {token} = (await made.json()) as {readonly token: string};

	for (const _again of [1, 2]) assert.deepEqual(await look(writ, TOKENS.ann), {rows: 2, told: true, notices: []});
	for (const [who, told] of [
		[TOKENS.bob, /only names and types are shown: bob never reads payroll/],
		[TOKENS.vic, /only names and types are shown: tools that read are for the role `analyst`/],
		[token, /only names and types are shown: a token that names tools is good for no other/],
	] as const) {
		const {notices, ...seen} = await look(writ, who);
		assert.deepEqual(seen, {rows: 0, told: false});
		assert.match(notices?.join() ?? '', told);
	}
	const {notices, ...seen} = await look(writ, TOKENS.cyd);
	assert.deepEqual(seen, {rows: 0, told: true}, 'what was learned takes nobody’s approval here');
	assert.match(notices?.join() ?? '', /no sample of its rows: this takes a person's approval/);

	const json = async <Body>(route: string) => (await (await writ.request(route, as('adm-0123456789abcdef'))).json()) as Body;
	const {approvals} = await json<ApprovalsReply>('/api/v1/approvals?state=pending');
	assert.deepEqual(approvals, [], 'nobody is asked on behalf of who only looks');
	const {entries} = await json<AuditReply>('/api/v1/audit?decision=deny&limit=50');
	assert.equal(entries.length, 3, JSON.stringify(entries));
	const allowed = await json<AuditReply>('/api/v1/audit?principal=ann&decision=allow&limit=50');
	const looked = allowed.entries.filter(({tool}) => tool === 'analyst.sql' || tool === 'analyst.get_dataset_schema');
	assert.equal(looked.length, 4, 'also when the rows were read before');
});
