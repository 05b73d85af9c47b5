import assert from 'node:assert/strict';
import {test} from 'node:test';
import type {PolicyCheckReply, PolicyReply} from '#contract/policy-api.ts';
import {testServer} from './doubles/test-server.ts';

const ACCOUNTS = [
	{token: 'token-of-the-viewer', id: 'vic', tenant: 'acme', roles: ['viewer' as const]},
	{token: 'token-of-the-platform', id: 'pat', tenant: 'acme', roles: ['platform' as const]},
];
const IN_FORCE: PolicyReply = {
	version: 'p1',
	gates: ['permission'],
	document: {
		version: 1,
		modes: [{tenant: 'other', mode: 'observe'}, {mode: 'propose'}],
		cedar: {builtin: true, rules: 'permit (principal, action, resource) when {principal.tenant == "other"};', files: []},
		retention: {
			rules: [
				{id: 'theirs', days: 1, tenants: ['other']},
				{id: 'both', days: 2, tenants: ['acme', 'other']},
				{id: 'all', days: 3},
			],
			legalHold: ['other', 'run_of_other', 'acme'],
		},
	},
	sources: [
		{name: 'policy.yaml', text: 'legalHold: [other]'},
		{name: 'more.cedar', text: 'when {resource.tenant == "other"}'},
		{name: 'plain.cedar', text: 'permit (principal, action, resource);'},
	],
	problems: [],
};

test('nobody of a tenant reads what the policy says of another, and the platform reads it as it is', async () => {
	const seenBy = async (server: ReturnType<typeof testServer>, role: string) => {
		const reply = await server.ask('/api/v1/policy', {headers: {authorization: `Bearer token-of-the-${role}`}});
		return (await reply.json()) as PolicyReply;
	};
	const server = testServer({authTokens: ACCOUNTS}, {policy: () => IN_FORCE});
	assert.deepEqual(await seenBy(server, 'platform'), IN_FORCE);
	assert.deepEqual(await seenBy(testServer({}, {policy: () => IN_FORCE}), 'nobody'), IN_FORCE);
	const withheld = '# not shown: it says something of other tenants; the role `platform` reads it\n';
	assert.deepEqual(await seenBy(server, 'viewer'), {
		...IN_FORCE,
		document: {
			version: 1,
			modes: [{mode: 'propose'}],
			cedar: {builtin: true, rules: withheld, files: []},
			retention: {
				rules: [
					{id: 'both', days: 2, tenants: ['acme']},
					{id: 'all', days: 3},
				],
				legalHold: ['acme'],
			},
		},
		sources: [
			{name: 'policy.yaml', text: withheld},
			{name: 'more.cedar', text: withheld},
			{name: 'plain.cedar', text: 'permit (principal, action, resource);'},
		],
	});
});

const notAsked = () => Promise.reject(new Error('nobody asks for this'));
const UNUSED = {reload: notAsked, explain: notAsked, backtest: notAsked};

test('what a policy changes for other tenants is kept from those of a tenant', async () => {
	const values = ['modes', 'retention.legalHold', 'cedar.rules', 'risk.decisions.high'].map((path) => ({
		path,
		before: 'other',
		after: 'acme',
	}));
	const comparison = {same: false, rules: true, values, asked: 1, stricter: 0, looser: 0, examples: []};
	const server = testServer(
		{authTokens: [...ACCOUNTS, {token: 'token-of-the-auditor', id: 'aud', tenant: 'acme', roles: ['auditor' as const]}]},
		{policies: {...UNUSED, check: async () => ({version: 'p2', problems: [], comparison, results: []})}},
	);
	const check = async (role: string) => {
		const headers = {authorization: `Bearer token-of-the-${role}`, 'content-type': 'application/json'};
		const body = JSON.stringify({policy: {text: 'version: 1\n'}});
		return server.ask('/api/v1/policy/check', {method: 'POST', headers, body});
	};
	assert.equal((await check('viewer')).status, 403);
	const reply = (await (await check('auditor')).json()) as PolicyCheckReply;
	assert.deepEqual(
		reply.comparison?.values.map(({path}) => path),
		['risk.decisions.high'],
	);
});
