import assert from 'node:assert/strict';
import {test} from 'node:test';
import type {Risk} from '#contract/event.ts';
import type {Action, Step} from '#kernel/ports.ts';
import {BUILT_IN} from './policy.ts';
import {createRiskGate} from './risk.ts';
import {NOW, sampleAction, sampleFacts} from './sample-action.ts';

const gate = createRiskGate(BUILT_IN.risk);
const WRITE = {name: 'ops.restart', effect: 'write'} as const;

/** The level of an action, and the names of the factors that have points or a level of their own. */
function riskOf(action: Action, steps: readonly Step[] = []) {
	const {level, factors = []} = gate.decide(action, sampleFacts({steps}));
	return {level, factors: factors.map(({name, points, level: own}) => [name, points ?? own])};
}

function step(secondsAgo: number, tool: Partial<Action['tool']> = WRITE, risk: Risk = 'medium'): Step {
	const {tool: definition} = sampleAction({}, tool);
	return {
		runId: 'run_0',
		tool: definition.name,
		definition,
		input: {},
		risk,
		at: new Date(NOW.getTime() - secondsAgo * 1_000).toISOString(),
		labels: [],
	};
}

for (const [title, input, level] of [
	['a dangerous word', {text: 'restart PROD now'}, 'high'],
	['a dangerous word deep inside', {steps: [{args: {target: 'production'}}]}, 'high'],
	['a dangerous word as a key', {production: true}, 'high'],
	['a pattern', {sql: 'DROP   TABLE users'}, 'high'],
	['a word in other characters that look the same', {text: 'ｐｒｏｄ'}, 'high'],
	['a word with characters that cannot be seen', {text: 'pr\u200bod'}, 'high'],
	['a text too long to be searched', {text: 'x'.repeat(100_001)}, 'high'],
	['a word that only begins like one', {text: 'produce products'}, 'low'],
	['ten things at once', {ids: Array.from({length: 10}, (_, n) => n)}, 'high'],
	['a hundred things at once', {deep: {ids: Array.from({length: 100}, (_, n) => n)}}, 'critical'],
	['nothing of note', {text: 'hello', ids: [1, 2]}, 'low'],
] as const) {
	test(`a change whose input holds ${title} has the risk ${level}`, () => {
		assert.equal(riskOf(sampleAction({input}, WRITE)).level, level);
	});
}

test('a plain read is as risky as it says, whatever its words and whatever came before', () => {
	const input = {text: 'drop table prod', ids: Array.from({length: 200}, (_, n) => n)};
	assert.deepEqual(
		riskOf(
			sampleAction({input}),
			Array.from({length: 40}, (_, n) => step(n)),
		),
		{
			level: 'low',
			factors: [['tool', 'low']],
		},
	);
});

test('a change of everything of a kind is high', () => {
	assert.equal(riskOf(sampleAction({resource: {type: 'Container', id: '*'}}, WRITE)).level, 'high');
});

test('what a session did in the last five minutes adds up, older steps do not count', () => {
	const action = sampleAction({risk: 'medium'}, WRITE);
	assert.deepEqual(riskOf(action, [step(301), step(290), step(200), step(100)]), {
		level: 'medium',
		factors: [
			['tool', 'medium'],
			['session', 16],
			['session-total', 0],
		],
	});
});

test('quick succession multiplies the sum, and escalation adds to it', () => {
	const destroy = {name: 'ops.delete', effect: 'destructive'} as const;
	const action = sampleAction({risk: 'high'}, destroy);
	assert.deepEqual(riskOf(action, [step(40, destroy, 'high'), step(20, destroy, 'high')]), {
		level: 'critical',
		factors: [
			['tool', 'high'],
			['session', 21],
			['rapid', 10],
			['escalation:remove-twice', 30],
			['session-total', 0],
		],
	});
	const enter = sampleAction({risk: 'medium'}, {name: 'docker.exec', effect: 'write'});
	const restart = step(100, {name: 'docker.restart', effect: 'write'});
	assert.deepEqual(riskOf(enter, [restart]).factors[2], ['escalation:restart-then-enter', 20]);
});

test('the factors say what made the risk what it is', () => {
	const result = gate.decide(sampleAction({input: {text: 'sudo'}}, WRITE), sampleFacts());
	assert.equal(result.reason, 'the risk is high: its input holds the word `sudo`');
	assert.deepEqual(result.factors?.[1], {name: 'rule:destruction', detail: 'its input holds the word `sudo`', level: 'high'});
});
