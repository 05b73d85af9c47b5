import assert from 'node:assert/strict';
import {test} from 'node:test';
import {budgetGate} from './budget.ts';
import {createFlowGate} from './flow.ts';
import {BUILT_IN} from './policy.ts';
import {createRiskGate} from './risk.ts';
import {NOW, sampleAction, sampleFacts} from './sample-action.ts';
import {createToolGate} from './tools.ts';

const AGENT = {kind: 'agent', id: 'analyst'} as const;

test('a run that has used nothing is within its budget', () => {
	assert.deepEqual(budgetGate.decide(sampleAction(), sampleFacts()), {
		gate: 'budget',
		effect: 'allow',
		rules: ['budget'],
		reason: 'the run is within its budget',
	});
});

for (const [name, run, reason] of [
	['actions', {actions: 12}, 'this run has used 12 of 12 actions; to allow more, raise `budgets.run.actions` in policy.yaml'],
	['tokens', {tokens: 1_001}, 'this run has used 1001 of 1000 tokens; to allow more, raise `budgets.run.tokens` in policy.yaml'],
	['costUsd', {costUsd: 1}, 'this run has used 1 of 1 US dollars; to allow more, raise `budgets.run.money` in policy.yaml'],
	[
		'wallMs',
		{startedAt: new Date(NOW.getTime() - 60_000)},
		'this run has used 60000 of 60000 ms; to allow more, raise `budgets.run.seconds` in policy.yaml',
	],
] as const) {
	test(`a run that has used up its ${name} is denied, and told what raises it`, () => {
		assert.deepEqual(budgetGate.decide(sampleAction(), sampleFacts(run)), {
			gate: 'budget',
			effect: 'deny',
			rules: [`budget:${name}`],
			reason,
		});
	});
}

test('one action less than the budget is allowed', () => {
	assert.equal(budgetGate.decide(sampleAction(), sampleFacts({actions: 11})).effect, 'allow');
});

test('the time a run waited for a person is not counted', () => {
	const run = {startedAt: new Date(NOW.getTime() - 3_600_000), waitedMs: 3_590_000};
	assert.equal(budgetGate.decide(sampleAction(), sampleFacts(run)).effect, 'allow');
});

test('a cost that is not a number denies', () => {
	assert.deepEqual(budgetGate.decide(sampleAction(), sampleFacts({costUsd: Number.NaN})).rules, ['budget:costUsd']);
});

test('two budgets that are used up are both named', () => {
	const {rules} = budgetGate.decide(sampleAction(), sampleFacts({actions: 12, tokens: 2_000}));
	assert.deepEqual(rules, ['budget:actions', 'budget:tokens']);
});

test('what is counted besides actions is limited too', () => {
	const budget = {...sampleFacts().run.budget, calls: 2, retries: 2, bytes: 10};
	const effects = [{calls: 1, retries: 1, bytes: 9}, {calls: 2}, {retries: 2}, {bytes: 10}].map(
		(used) => budgetGate.decide(sampleAction(), sampleFacts({...used, budget})).rules,
	);
	assert.deepEqual(effects, [['budget'], ['budget:calls'], ['budget:retries'], ['budget:bytes']]);
});

const {risk: RISK} = BUILT_IN;
const DECISIONS = {low: 'allow', medium: 'ask', high: 'ask-two', critical: 'deny'} as const;

for (const [risk, effect, rules, quorum] of [
	['low', 'allow', ['risk:low'], undefined],
	['medium', 'ask', ['risk:medium'], undefined],
	['high', 'ask', ['risk:high'], 2],
	['critical', 'deny', ['risk:critical'], undefined],
	['enormous' as 'low', 'deny', ['risk:unknown'], undefined],
] as const) {
	test(`the risk ${risk} leads to ${effect}${quorum ? ` of ${quorum} people` : ''} where the policy says so`, () => {
		const result = createRiskGate({...RISK, decisions: DECISIONS}).decide(sampleAction({risk}), sampleFacts());
		assert.deepEqual([result.effect, result.rules, result.quorum], [effect, rules, quorum]);
	});
}

test('by default only what is critical asks', () => {
	const effects = (['low', 'medium', 'high', 'critical'] as const).map(
		(risk) => createRiskGate(RISK).decide(sampleAction({risk}), sampleFacts()).effect,
	);
	assert.deepEqual(effects, ['allow', 'allow', 'allow', 'ask']);
});

for (const [title, tool, labels, principal, effect, rule] of [
	['an agent may write before it has read anything', {effect: 'write'}, [], AGENT, 'allow', 'flow'],
	['an agent asks before it writes after untrusted input', {effect: 'write'}, ['untrusted'], AGENT, 'ask', 'untrusted-run'],
	[
		'an agent asks before it destroys after untrusted input',
		{effect: 'destructive'},
		['untrusted'],
		AGENT,
		'ask',
		'untrusted-run',
	],
	[
		'a schedule asks before it writes after untrusted input',
		{effect: 'write'},
		['untrusted'],
		{kind: 'schedule'},
		'ask',
		'untrusted-run',
	],
	['a person may write after untrusted input', {effect: 'write'}, ['untrusted'], {}, 'allow', 'flow'],
	['an agent may read after untrusted input', {effect: 'read'}, ['untrusted'], AGENT, 'allow', 'flow'],
	['nobody may write after a secret', {effect: 'write'}, ['secret'], {}, 'deny', 'secret-stays'],
	[
		'a secret denies even where untrusted input would ask',
		{effect: 'write'},
		['untrusted', 'secret'],
		AGENT,
		'deny',
		'secret-stays',
	],
	['a read that carries data out is denied after a secret', {egress: true}, ['secret'], {}, 'deny', 'secret-stays'],
	['code with a network is denied after a secret', {destinations: () => ['a.test']}, ['secret'], {}, 'deny', 'secret-stays'],
	['code whose network is empty is allowed after a secret', {destinations: () => []}, ['secret'], {}, 'allow', 'flow'],
	['a read that stays inside is allowed after a secret', {}, ['secret'], AGENT, 'allow', 'flow'],
] as const) {
	test(title, () => {
		const result = createFlowGate(BUILT_IN.flow).decide(
			sampleAction({}, tool),
			sampleFacts({labels: new Set(labels)}, principal),
		);
		assert.deepEqual([result.effect, result.rules], [effect, [rule]]);
	});
}

test('a tool that is switched off is denied, and the reason says how to switch it on', () => {
	const gate = createToolGate({
		disabled: new Map([['analyst.python', 'set ENABLE_PYTHON_EXECUTION=true to switch it on']]),
		listed: undefined,
	});
	assert.deepEqual(gate.decide(sampleAction({}, {name: 'analyst.python'}), sampleFacts()), {
		gate: 'policy',
		effect: 'deny',
		rules: ['feature:analyst.python'],
		reason: '`analyst.python` is switched off on this server; set ENABLE_PYTHON_EXECUTION=true to switch it on',
	});
	assert.deepEqual(gate.decide(sampleAction(), sampleFacts()), {
		gate: 'policy',
		effect: 'allow',
		rules: ['feature:analyst.sql'],
		reason: 'the tool is switched on',
	});
});
