import assert from 'node:assert/strict';
import {readFileSync} from 'node:fs';
import {test} from 'node:test';
import {isAuthorized} from '@cedar-policy/cedar-wasm/nodejs';
import {z} from 'zod';
import {effectSchema, type GateResult} from '#contract/event.ts';
import {type Principal, principalSchema} from '#contract/principal.ts';
import {digest} from '#evidence/canonical.ts';
import {decide} from '#kernel/decide.ts';
import type {Action, Facts} from '#kernel/ports.ts';
import {BUILT_IN, createPolicy, loadDefaultPolicy} from './policy.ts';
import {sampleAction, sampleFacts, samplePolicy} from './sample-action.ts';

const AGENT = {kind: 'agent', id: 'analyst'} as const;

/** What the permission gate of a policy set answers. */
function permission(policies: string, action: Action = sampleAction(), facts: Facts = sampleFacts()): GateResult {
	return gateOf(samplePolicy({policies}), action, facts);
}

function gateOf(policy: ReturnType<typeof samplePolicy>, action: Action, facts: Facts): GateResult {
	const gate = policy.gates.find(({name}) => name === 'permission');
	assert.ok(gate);
	return gate.decide(action, facts);
}

test('an empty policy set denies everything and is reported', () => {
	assert.deepEqual(samplePolicy({policies: ''}).problems, ['the policy set is empty']);
	assert.deepEqual(permission(''), {
		gate: 'permission',
		effect: 'deny',
		rules: ['policy-problem'],
		reason: 'no action is allowed until this is mended: the policy set is empty',
	});
});

test('the default policies load without problems', () => {
	assert.deepEqual(samplePolicy().problems, []);
});

const cases = z
	.array(
		z.strictObject({
			description: z.string(),
			principal: principalSchema.shape.kind,
			tool: z.string(),
			effect: effectSchema,
			resource: z.string(),
			type: z.string().default('Dataset'),
			scope: z.string().nullable().default('support'),
			untrusted: z.boolean().default(false),
			decision: z.enum(['allow', 'ask', 'deny']),
			rules: z.array(z.string()),
		}),
	)
	.min(1)
	.parse(JSON.parse(readFileSync(new URL('cases.json', import.meta.url), 'utf8')));

for (const {description, principal, tool, effect, resource, type, scope, untrusted, decision, rules} of cases) {
	test(`by default: ${description}: ${decision}`, () => {
		const action = sampleAction({resource: {type, id: resource}}, {name: tool, effect});
		const facts = sampleFacts({scope, labels: new Set(untrusted ? ['untrusted'] : [])}, {kind: principal});
		const result = gateOf(samplePolicy(), action, facts);
		assert.deepEqual({decision: result.effect, rules: result.rules}, {decision, rules});
	});
}

test('a denial for want of a rule says who wanted what', () => {
	const result = gateOf(samplePolicy(), sampleAction({}, {name: 'ops.logs'}), sampleFacts());
	assert.equal(result.reason, 'no rule permits user `ada` to use `ops.logs` (read) on Dataset `support`');
});

const PERMIT = '@id("open") permit (principal, action, resource);';

const FOR_BOB = {...AGENT, via: {kind: 'user', id: 'bob'}} as const;
const TOKEN_OF_BOB = {kind: 'agent', id: 'bob/x', via: {kind: 'user', id: 'bob'}} as const;

for (const [who, principal] of [
	['an agent of the platform', FOR_BOB],
	['an agent of their own', TOKEN_OF_BOB],
	['an agent that their own agent asked', {...AGENT, via: TOKEN_OF_BOB}],
	['somebody else who does what they did', {kind: 'user', id: 'ann', via: FOR_BOB}],
] as const) {
	test(`what is forbidden to a person is forbidden to ${who}`, () => {
		const policies = `${PERMIT} @id("not-bob") forbid (principal == User::"bob", action, resource);`;
		const result = permission(policies, sampleAction(), sampleFacts({}, principal));
		assert.deepEqual([result.effect, result.rules], ['deny', ['not-bob']]);
	});
}

test('what its owner may not do by role an agent does not, whatever roles it was given', () => {
	const policies = `${PERMIT} @id("no-viewers") forbid (principal in Role::"viewer", action, resource);`;
	const via = {kind: 'user', id: 'bob', roles: ['viewer', 'analyst']} satisfies Principal['via'];
	const judged = (owner: object) =>
		permission(policies, sampleAction(), sampleFacts({}, {...TOKEN_OF_BOB, roles: ['analyst'], via: {...via, ...owner}}));
	assert.deepEqual(judged({}).rules, ['no-viewers']);
	assert.deepEqual(judged({roles: ['analyst']}).effect, 'allow');
});

test('what an agent may not do it may not ask another agent for', () => {
	const policies = `${PERMIT} @id("not-bot") forbid (principal == Agent::"ann/bot", action, resource);`;
	const judged = (id: string) => permission(policies, sampleAction(), sampleFacts({}, {...AGENT, via: {kind: 'agent', id}}));
	assert.deepEqual([judged('ann/bot').effect, judged('ann/bot').rules], ['deny', ['not-bot']]);
	assert.deepEqual([judged('ann/other').effect, judged('ann/other').rules], ['allow', ['open']]);
	const only = '@id("analyst") permit (principal == Agent::"analyst", action, resource);';
	const asked = permission(only, sampleAction(), sampleFacts({}, {...AGENT, via: {kind: 'service', id: 'svc'}}));
	assert.deepEqual(asked.rules, ['no-permit']);
	const two = `${PERMIT} @id("ask") @decision("ask") @quorum("2") permit (principal == Agent::"ann/bot", action, resource);`;
	const both = permission(two, sampleAction(), sampleFacts({}, {...AGENT, via: {kind: 'agent', id: 'ann/bot'}}));
	assert.deepEqual([both.effect, both.rules, both.quorum], ['ask', ['ask'], 2]);
});

for (const [title, policies, problem] of [
	['does not parse', `${PERMIT}\npermit (principal`, /^the policies do not parse: unexpected end of input.* in line 2$/],
	[
		'names an unknown tool',
		'permit (principal, action == Action::"analyst.slq", resource);',
		/unrecognized action `Action::"analyst.slq"`/,
	],
	[
		'names an unknown attribute',
		`${PERMIT} forbid (principal, action, resource) when {context.tainted};`,
		/attribute `tainted`.*not found/,
	],
	['compares different types', `${PERMIT} forbid (principal, action, resource) when {context.risk == 3};`, /types/],
	[
		'has a rule that can never apply',
		`${PERMIT} forbid (principal, action, resource) when {principal is Dataset};`,
		/impossible/,
	],
	['uses an id twice', `${PERMIT} ${PERMIT}`, /^two policies have the id `open`$/],
	[
		'has a misspelt annotation',
		'@decison("ask") permit (principal, action, resource);',
		/has the annotation `@decison`; known: id, decision/,
	],
	[
		'has an unknown decision',
		'@id("x") @decision("aks") permit (principal, action, resource);',
		/`@decision\("aks"\)`; only "ask" is known/,
	],
	[
		'asks more people than there can be',
		'@id("x") @decision("ask") @quorum("11") permit (principal, action, resource);',
		/`@quorum\("11"\)`; write a number from 1 to 10/,
	],
	['asks nobody, but two of them', '@id("x") @quorum("2") permit (principal, action, resource);', /no meaning without/],
	['asks in a forbid', `${PERMIT} @id("x") @decision("ask") forbid (principal, action, resource);`, /policy `x` forbids/],
	['has a template', `${PERMIT} permit (principal == ?principal, action, resource);`, /^templates are not supported/],
	[
		'has an integer that JSON cannot keep exact',
		`${PERMIT} @id("x") forbid (principal, action, resource) when {9007199254740993 > 1};`,
		/policy `x` holds an integer beyond/,
	],
	['has an empty id', '@id("") permit (principal, action, resource);', /empty id/],
	['is nested without end', `permit (principal, action, resource) when {${'('.repeat(100_000)}`, /./],
] as const) {
	test(`a policy set that ${title} is reported and denies everything`, () => {
		const policy = samplePolicy({policies});
		assert.match(policy.problems[0] ?? 'no problem', problem);
		const result = gateOf(policy, sampleAction(), sampleFacts());
		assert.deepEqual([result.effect, result.rules], ['deny', ['policy-problem']]);
		assert.ok(result.reason.includes(policy.problems[0] ?? 'no problem'));
	});
}

test('the policies of one process survive broken ones loaded after them', () => {
	const good = samplePolicy();
	samplePolicy({policies: `permit (principal, action, resource) when {${'('.repeat(100_000)}`});
	assert.equal(gateOf(good, sampleAction({}, {name: 'analyst.later'}), sampleFacts()).effect, 'allow');
});

const {schema} = loadDefaultPolicy();
for (const [title, edited, problem] of [
	['does not parse', 'entity User', /^the schema does not parse: .* in line 1$/],
	['is empty', '', /^the schema does not fit the requests of this platform/],
	['asks for more than a request holds', schema.replace('risk: String,', 'risk: String, mood: String,'), /does not fit.*mood/],
	['gives an attribute another type', schema.replace('risk: String,', 'risk: Long,'), /does not fit.*risk/],
	['lacks a kind of principal', schema.replaceAll(/, Schedule\b/g, ''), /does not fit.*Schedule/],
	[
		'calls a tool a read tool',
		`${schema} action "ops.delete" in [read] appliesTo {principal: [User], resource: [Dataset], context: Request};`,
		/^the schema puts `ops.delete` into `read`; only the tool itself can say so$/,
	],
] as const) {
	test(`a schema that ${title} is reported and denies everything`, () => {
		const policy = samplePolicy({policies: PERMIT, schema: edited});
		assert.match(policy.problems[0] ?? 'no problem', problem);
		assert.equal(gateOf(policy, sampleAction(), sampleFacts()).effect, 'deny');
	});
}

test('a forbid that fails denies, although Cedar itself skips it and allows', () => {
	const attack = `${PERMIT} @id("guard") forbid (principal, action, resource) when {9007199254740991 * 9007199254740991 > 0 && context.inScope};`;
	const [user, resource] = [
		{type: 'User', id: 'ada'},
		{type: 'Dataset', id: 'support'},
	];
	const request = {
		principal: user,
		action: {type: 'Action', id: 'analyst.sql'},
		resource,
		context: {inScope: true},
		entities: [],
	};
	const alone = isAuthorized({...request, policies: {staticPolicies: attack}});
	assert.equal(alone.type === 'success' && alone.response.decision, 'allow');

	const result = permission(attack);
	assert.deepEqual([result.effect, result.rules], ['deny', ['guard']]);
	assert.match(result.reason, /^a policy could not be evaluated: .*overflow/);
});

test('a permit that asks beats one that allows, and a forbid beats both', () => {
	const asking = '@id("asking") @description("a person decides") @decision("ask") permit (principal, action, resource);';
	assert.deepEqual(permission(`${PERMIT} ${asking}`), {
		gate: 'permission',
		effect: 'ask',
		rules: ['asking'],
		reason: 'a person decides',
	});
	const result = permission(`${PERMIT} ${asking} @id("no") forbid (principal, action, resource);`);
	assert.deepEqual([result.effect, result.rules, result.reason], ['deny', ['no'], 'forbid policy `no`']);
});

test('a policy without an id has one that survives reordering', () => {
	const [first, second] = ['permit (principal, action, resource);', '@id("x") permit (principal is Agent, action, resource);'];
	const {rules} = permission(`${first} ${second}`);
	assert.match(rules[0] ?? '', /^unnamed-[0-9a-f]{12}$/);
	assert.deepEqual(permission(`${second}\n${first}`).rules, rules);
});

test('the principal of another tenant is told apart by its attribute', () => {
	const policies = '@id("ours") permit (principal is User, action, resource) when {principal.tenant == "acme"};';
	const decisions = ['acme', 'local'].map((tenant) => permission(policies, sampleAction(), sampleFacts({}, {tenant})).effect);
	assert.deepEqual(decisions, ['allow', 'deny']);
});

test('a policy can demand isolation, and what is weaker is denied', () => {
	const policies = `@id("reads") permit (principal, action in Action::"analyst:read", resource);
@id("python-in-a-vm") forbid (principal, action == Action::"analyst.python", resource) unless { context.isolation == "vm-isolated" };`;
	const python = sampleAction({}, {name: 'analyst.python'});
	const effectAt = (isolation: Facts['isolation']) => permission(policies, python, {...sampleFacts(), isolation}).effect;
	assert.deepEqual((['none', 'kernel-shared', 'kernel-isolated', 'vm-isolated'] as const).map(effectAt), [
		'deny',
		'deny',
		'deny',
		'allow',
	]);
	assert.equal(permission(policies).effect, 'allow');
});

test('a tool declared in a group of the schema is reached by rules for the group', () => {
	const grouped = `${schema.replace('"analyst.sql", ', '')} action sensitive; action "analyst.sql" in [sensitive] appliesTo
		{principal: [User, Agent, Schedule, Service], resource: [Dataset], context: Request};`;
	const policies = `${PERMIT} @id("sensitive") forbid (principal, action in Action::"sensitive", resource);`;
	const policy = samplePolicy({policies, schema: grouped});
	assert.deepEqual(policy.problems, []);
	assert.deepEqual(gateOf(policy, sampleAction(), sampleFacts()).rules, ['sensitive']);
	assert.deepEqual(gateOf(policy, sampleAction({}, {name: 'analyst.chart'}), sampleFacts()).rules, ['open']);
});

test('the version changes with everything that can change a decision, and with nothing else', () => {
	const versions = [
		samplePolicy(),
		samplePolicy({policies: PERMIT}),
		samplePolicy({schema: `${schema} entity Ticket;`}),
		samplePolicy({document: {...BUILT_IN, retention: {days: 30, rules: [], legalHold: []}}}),
		samplePolicy({disabledTools: new Map([['analyst.python', 'set it']])}),
	].map(({version}) => version);
	assert.equal(new Set(versions).size, versions.length);
	assert.equal(samplePolicy().version, versions[0]);
});

test('a whole decision carries the rules of every gate', () => {
	const policy = samplePolicy({disabledTools: new Map([['analyst.python', 'set ENABLE_PYTHON_EXECUTION=true']])});
	const python = sampleAction({}, {name: 'analyst.python'});
	const decision = decide(python, sampleFacts({actions: 12}, AGENT), policy);
	assert.equal(decision.effect, 'deny');
	assert.deepEqual(
		decision.gates.map(({gate, effect, rules}) => [gate, effect, ...rules]),
		[
			['permission', 'allow', 'analyst-reads'],
			['policy', 'deny', 'feature:analyst.python'],
			['budget', 'deny', 'budget:actions'],
			['risk', 'allow', 'risk:low'],
			['flow', 'allow', 'flow'],
		],
	);
});

test('rules read from the cache decide as the rules they were made from, and broken rules are not kept', () => {
	const kept = new Map<string, string>();
	const cache = {read: (key: string) => kept.get(key) ?? null, write: (key: string, text: string) => void kept.set(key, text)};
	const texts = loadDefaultPolicy();
	const options = {...texts, disabledTools: new Map(), digest, cache};
	const [fresh, again] = [createPolicy(options), createPolicy(options)];
	const [action, facts] = [sampleAction({}, {name: 'analyst.sql'}), sampleFacts({}, {})];
	assert.deepEqual(
		again.gates.map((gate) => gate.decide(action, facts)),
		fresh.gates.map((gate) => gate.decide(action, facts)),
	);
	assert.equal(again.version, fresh.version);
	assert.equal(kept.size, 1);
	createPolicy({...options, policies: 'permit (nonsense);'});
	assert.equal(kept.size, 1);
});

test('code reaches no network by default, and exactly the hosts that a policy file names', () => {
	const named = `@id("our-api") @description("people's programs may reach our API")
permit (principal is User, action in Action::"code:read", resource) when { ["api.example.com"].containsAll(context.hosts) };`;
	const {policies} = loadDefaultPolicy();
	const asked = (hosts: string[], text: string, principal: typeof AGENT | Record<string, never> = {}) =>
		permission(
			text,
			sampleAction({resource: {type: 'Run', id: '*'}}, {name: 'code.python', destinations: () => hosts}),
			sampleFacts({scope: null}, principal),
		).effect;
	const [ours, both] = [['api.example.com'], ['api.example.com', 'evil.test']];
	assert.deepEqual(
		[asked([], policies), asked(ours, policies), asked(ours, `${policies}\n${named}`), asked(both, `${policies}\n${named}`)],
		['allow', 'deny', 'allow', 'deny'],
	);
	assert.deepEqual([asked([], policies, AGENT), asked(ours, `${policies}\n${named}`, AGENT)], ['ask', 'deny']);
	assert.deepEqual(samplePolicy({policies: `${policies}\n${named}`}).problems, []);
});
