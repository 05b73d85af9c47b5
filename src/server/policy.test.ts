import assert from 'node:assert/strict';
import {test} from 'node:test';
import type {PolicyReply} from '#contract/policy-api.ts';
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
