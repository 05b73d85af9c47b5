import assert from 'node:assert/strict';
import {test} from 'node:test';
import type {Event} from '#contract/event.ts';
import {eventsOf} from './by-action.ts';
import {createFold} from './fold.ts';

const event = (seq: number, actionId = 'act_1') => ({seq, type: 'action.intent', data: {actionId}}) as unknown as Event;

test('each event of a growing run is looked at once, and each run has a fold of its own', () => {
	const seen: number[] = [];
	const sum = createFold(
		() => ({total: 0}),
		(state, {seq}) => {
			seen.push(seq);
			state.total += seq;
		},
	);
	const [run, other] = [[event(1)], [event(7)]];
	assert.equal(sum(run).total, 1);
	run.push(event(2), event(3));
	assert.deepEqual([sum(run).total, sum(other).total, sum(run).total], [6, 7, 6]);
	assert.deepEqual(seen, [1, 2, 3, 7]);
	assert.equal(sum([]).total, 0);
});

test('events that were taken back are forgotten, also where as many, or more, were linked in their place', () => {
	const run = [event(1), event(2, 'act_gone'), event(3, 'act_gone')];
	assert.equal(eventsOf('act_gone', run).length, 2);
	for (const instead of [[], [event(2, 'act_2')], [event(2, 'act_2'), event(3, 'act_2')], [2, 3, 4].map((seq) => event(seq))]) {
		run.length = 1;
		run.push(...instead);
		assert.deepEqual(eventsOf('act_gone', run), []);
		const all = ['act_1', 'act_2'].flatMap((actionId) => eventsOf(actionId, run));
		assert.deepEqual(
			all.map(({seq}) => seq),
			run.map(({seq}) => seq),
		);
		run.length = 1;
		run.push(event(2, 'act_gone'), event(3, 'act_gone'));
		eventsOf('act_gone', run);
	}
});
