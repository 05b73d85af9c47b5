import assert from 'node:assert/strict';
import {test} from 'node:test';
import {isDeepStrictEqual} from 'node:util';
import fc from 'fast-check';
import {z} from 'zod';
import {type ScopeInput, scopeSchema} from '#contract/scope.ts';
import type {Action, Facts, Taken} from '#kernel/ports.ts';
import {createTool, testKernel} from '#kernel/test-kernel.ts';
import {sampleAction, sampleFacts, samplePolicy} from './sample-action.ts';

const AGENT = {kind: 'agent', id: 'helper'} as const;

const MAIL = {
	name: 'mail.send',
	effect: 'write',
	input: z.strictObject({to: z.string(), body: z.string(), cc: z.array(z.string()).default([])}),
} as const satisfies Partial<Action['tool']>;

function decide(action: Action, scope: ScopeInput, taken: readonly Taken[] = [], options: Partial<Facts['run']> = {}) {
	const {gates} = samplePolicy({policies: '@id("all") permit (principal, action, resource);'});
	const facts = sampleFacts({within: {scope: scopeSchema.parse(scope), byPerson: true, taken}, ...options}, AGENT);
	return gates.flatMap((gate) => {
		const {effect, rules} = gate.decide(action, facts);
		return effect === 'allow' && gate.name !== 'policy' ? [] : [[gate.name, effect, ...rules]];
	});
}

const mail = (input: Readonly<Record<string, unknown>>) => sampleAction({id: 'act_9', input: {cc: [], ...input}}, MAIL);
const past = (step: string, more: Partial<Taken>): Taken => ({
	...{actionId: `act_${step}`, rules: [`scope:${step}`], state: 'succeeded', output: null, labels: ['untrusted'], vouches: []},
	...more,
});

const TO_BOB: ScopeInput = {steps: [{id: 'tell', tool: 'mail.send', input: {to: {is: 'bob@example.com'}, body: {is: 'Hi'}}}]};
const SPELLED_OUT = mail({to: 'bob@example.com', body: 'Hi'});

test('what the scope spells out is allowed, also after untrusted data', () => {
	const read = {labels: new Set(['untrusted'] as const)};
	assert.deepEqual(decide(SPELLED_OUT, TO_BOB, [], read), [['policy', 'allow', 'feature:mail.send', 'scope:tell']]);
});

test('after untrusted data it is asked about when no person started the run', () => {
	const within = {scope: scopeSchema.parse(TO_BOB), byPerson: false, taken: []};
	const read = {labels: new Set(['untrusted'] as const), within};
	assert.deepEqual(decide(SPELLED_OUT, TO_BOB, [], read), [
		['policy', 'allow', 'feature:mail.send', 'scope:tell'],
		['flow', 'ask', 'untrusted-run'],
	]);
});

test('a value of any shape is the agent’s choice, and no longer than said', () => {
	const scope: ScopeInput = {steps: [{id: 'tell', tool: 'mail.send', input: {to: {is: 'bob@example.com'}, body: {json: 4}}}]};
	assert.deepEqual(decide(mail({to: 'bob@example.com', body: 'Hi'}), scope)[0]?.slice(0, 2), ['policy', 'ask']);
	assert.deepEqual(decide(mail({to: 'bob@example.com', body: 'Hi!'}), scope), [['policy', 'deny', 'out-of-scope']]);
});

for (const [name, action, rule] of [
	['a tool it does not name', sampleAction({}, {name: 'mail.delete'}), 'out-of-scope'],
	['another recipient', mail({to: 'eve@example.com', body: 'Hi'}), 'out-of-scope'],
	['a recipient that only looks the same', mail({to: 'bоb@example.com', body: 'Hi'}), 'out-of-scope'],
	['a number where a text is', mail({to: 7, body: 'Hi'}), 'out-of-scope'],
	['an argument it does not name', mail({to: 'bob@example.com', body: 'Hi', cc: ['eve@example.com']}), 'out-of-scope'],
] as const) {
	test(`a scope denies ${name}`, () => {
		assert.deepEqual(decide(action, TO_BOB), [['policy', 'deny', rule]]);
	});
}

test('an input without arguments is in no scope', () => {
	const scope: ScopeInput = {steps: [{id: 'any', tool: 'mail.send'}]};
	const action = sampleAction({input: ['bob@example.com']}, {...MAIL, input: z.unknown()});
	assert.deepEqual(decide(action, scope), [['policy', 'deny', 'out-of-scope']]);
});

test('whatever the scope spells out, no other input gets through without a person, and that one does', () => {
	const members = {to: fc.string(), body: fc.string(), cc: fc.array(fc.string(), {maxLength: 3})};
	const inputs = fc.record(members, {noNullPrototype: true});
	const seen = {same: 0, other: 0};
	fc.assert(
		fc.property(inputs, inputs, fc.boolean(), (wanted, other, isSame) => {
			const rules = Object.fromEntries(Object.entries(wanted).map(([name, value]) => [name, {is: value}]));
			const input = isSame ? structuredClone(wanted) : other;
			const [first] = decide(mail(input), {steps: [{id: 'tell', tool: 'mail.send', input: rules}]});
			const equal = isDeepStrictEqual(input, wanted);
			seen[equal ? 'same' : 'other'] += 1;
			return first?.[1] === (equal ? 'allow' : 'deny');
		}),
		{numRuns: 500, seed: 7},
	);
	assert.ok(seen.same > 100 && seen.other > 100, JSON.stringify(seen));
});

test('a step is started as often as it says, whatever came of it', () => {
	assert.deepEqual(decide(SPELLED_OUT, TO_BOB, [past('tell', {state: 'started'})]), [['policy', 'deny', 'scope-used-up']]);
	assert.deepEqual(decide(SPELLED_OUT, TO_BOB, [past('tell', {actionId: 'act_9', state: 'asked'})]), [
		['policy', 'allow', 'feature:mail.send', 'scope:tell'],
	]);
});

const FREE: ScopeInput = {
	steps: [{id: 'tell', tool: 'mail.send', input: {to: {is: 'bob@example.com'}, body: {text: 20}}}],
};

test('what is left to an agent a person reads, and not over and over', () => {
	const action = mail({to: 'bob@example.com', body: 'whatever it says'});
	assert.deepEqual(decide(action, FREE), [['policy', 'ask', 'feature:mail.send', 'scope:tell', 'scope-chosen']]);
	const asked = [1, 2, 3].map((id) => past('tell', {actionId: `act_${id}`, state: 'asked'}));
	assert.deepEqual(decide(action, FREE, asked), [['policy', 'deny', 'scope-asked-often']]);
	assert.deepEqual(decide(mail({to: 'bob@example.com', body: 'x'.repeat(21)}), FREE), [['policy', 'deny', 'out-of-scope']]);
});

const REPLY: ScopeInput = {
	steps: [
		{id: 'list', tool: 'mail.list'},
		{
			id: 'reply',
			tool: 'mail.send',
			after: ['list'],
			input: {to: {from: 'list', path: 'mails.*.from', where: {id: 7}}, body: {is: 'Hi'}},
		},
	],
};
const LISTED = {
	mails: [
		{id: 7, from: 'bob@example.com'},
		{id: 8, from: 'eve@example.com'},
	],
};

test('a value comes from the result of the step that it names', () => {
	const vouched = past('list', {output: LISTED, vouches: ['mails.*.id', 'mails.*.from']});
	const allowed = [['policy', 'allow', 'feature:mail.send', 'scope:reply']];
	assert.deepEqual(decide(SPELLED_OUT, REPLY, [vouched]), allowed);
	assert.deepEqual(decide(mail({to: 'eve@example.com', body: 'Hi'}), REPLY, [vouched]), [['policy', 'deny', 'out-of-scope']]);
	assert.deepEqual(decide(SPELLED_OUT, REPLY), [['policy', 'deny', 'out-of-scope']]);
});

test('what a stranger may have written, or the agent chose, is read by a person', () => {
	const chosen = [['policy', 'ask', 'feature:mail.send', 'scope:reply', 'scope-chosen']];
	assert.deepEqual(decide(SPELLED_OUT, REPLY, [past('list', {output: LISTED})]), chosen);
	const vouches = ['mails.*.id', 'mails.*.from'];
	const byChoice = past('list', {output: LISTED, vouches, rules: ['scope:list', 'scope-chosen']});
	assert.deepEqual(decide(SPELLED_OUT, REPLY, [byChoice]), chosen);
});

test('a step waits for those it comes after', () => {
	const scope: ScopeInput = {
		steps: [
			{id: 'list', tool: 'mail.list'},
			{...TO_BOB.steps[0]!, after: ['list']},
		],
	};
	assert.deepEqual(decide(SPELLED_OUT, scope), [['policy', 'deny', 'scope-too-early']]);
});

test('a part of a text is a whole word of it', () => {
	const scope: ScopeInput = {
		steps: [
			{id: 'read', tool: 'files.read'},
			{id: 'tell', tool: 'mail.send', input: {to: {from: 'read', path: 'text', part: true}, body: {is: 'Hi'}}},
		],
	};
	const read = past('read', {output: {text: 'Write to bob@example.com, please.'}});
	assert.deepEqual(decide(SPELLED_OUT, scope, [read]), [['policy', 'ask', 'feature:mail.send', 'scope:tell', 'scope-chosen']]);
	for (const to of ['ob@example.com', 'example.com', 'bob'])
		assert.deepEqual(decide(mail({to, body: 'Hi'}), scope, [read]), [['policy', 'deny', 'out-of-scope']], to);
	for (const text of ['x.bob@example.com', 'bob@example.com.evil.example', 'bob@example.com\u0301', '\u{1D41A}bob@example.com'])
		assert.deepEqual(decide(SPELLED_OUT, scope, [past('read', {output: {text}})]), [['policy', 'deny', 'out-of-scope']], text);
});

const PART: ScopeInput = {
	steps: [
		{id: 'read', tool: 'files.read'},
		{id: 'tell', tool: 'mail.send', input: {to: {from: 'read', path: 'text', part: true}, body: {is: 'Hi'}}},
	],
};

for (const [title, text, to] of [
	['a letter that it repeats', 'a'.repeat(200_000), 'a'],
	['a dot that it repeats', '.'.repeat(200_000), '.'],
	['a word longer than any', `b${'a'.repeat(200_000)}`, 'a'.repeat(100_000)],
] as const) {
	test(`a long text is searched for ${title} at once`, () => {
		const before = performance.now();
		assert.deepEqual(decide(mail({to, body: 'Hi'}), PART, [past('read', {output: {text}})]), [
			['policy', 'deny', 'out-of-scope'],
		]);
		const ms = performance.now() - before;
		assert.ok(ms < 2_000, `it took ${ms} ms`);
	});
}

test('a word behind many dots is not taken for one by itself', () => {
	for (const dots of [1, 61, 62, 63, 64, 65, 500])
		for (const text of [`x${'.'.repeat(dots)}bob@example.com`, `bob@example.com${'.'.repeat(dots)}\u{1D41A}`])
			assert.deepEqual(decide(SPELLED_OUT, PART, [past('read', {output: {text}})]), [['policy', 'deny', 'out-of-scope']], text);
});

test('a value that is nested too deep is no value of a scope', () => {
	const nested = (depth: number) => JSON.parse(`${'['.repeat(depth)}${']'.repeat(depth)}`);
	const parse = (depth: number) =>
		scopeSchema.safeParse({steps: [{id: 'a', tool: 'x', input: {of: {is: nested(depth)}}}]}).success;
	assert.deepEqual([parse(60), parse(100_000)], [true, false]);
});

test('a step may only build on steps before it', () => {
	const {error} = scopeSchema.safeParse({
		steps: [
			{id: 'a', tool: 'x', after: ['b']},
			{id: 'a', tool: 'x'},
		],
	});
	assert.deepEqual(
		error?.issues.map(({message}) => message),
		['there is no step `b` before it', 'there are two steps with the id `a`'],
	);
});

test('the scope of a run is on record and holds on the whole path, and without one nothing changes', async () => {
	const tool = createTool();
	const scope = scopeSchema.parse({steps: [{id: 'say', tool: tool.name, input: {text: {is: 'hello'}}}]});
	const confined = await testKernel({tools: [tool], scope});
	assert.equal((await confined.propose(tool.name, {text: 'other'}, {id: 'act_1'})).kind, 'denied');
	assert.equal((await confined.propose(tool.name, {text: 'hello'}, {id: 'act_2'})).kind, 'succeeded');
	assert.equal((await confined.propose(tool.name, {text: 'hello'}, {id: 'act_3'})).kind, 'denied');
	const resumed = await confined.resume();
	assert.equal((await confined.propose(tool.name, {text: 'hello'}, {id: 'act_4', journal: resumed})).kind, 'denied');
	const [first] = await confined.durable();
	assert.deepEqual(first?.type === 'run.started' && first.data.scope, scope);
	const free = await testKernel({tools: [tool]});
	assert.equal((await free.propose(tool.name, {text: 'other'})).kind, 'succeeded');
});
