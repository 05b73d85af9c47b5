import assert from 'node:assert/strict';
import {test} from 'node:test';
import {decide} from '#kernel/decide.ts';
import {withMode} from './mode.ts';
import {BUILT_IN} from './policy.ts';
import {sampleAction, sampleFacts, samplePolicy} from './sample-action.ts';

const PROPOSE = {number: 1, mode: 'execute', scoped: [{mode: 'propose', scope: {tool: 'analyst.*'}}]} as unknown as Parameters<
	typeof withMode
>[1];

for (const [what, approvals, wanted] of [
	['every question', {quorum: 2}, 2],
	['such a tool', {rules: [{id: 'two-read', tools: ['analyst.*'], quorum: 3}]}, 3],
	['nothing', {}, undefined],
] as const) {
	test(`a mode that people set asks as many people as the policy says of ${what}`, () => {
		const document = {...BUILT_IN, approvals: {...BUILT_IN.approvals, ...approvals}} as typeof BUILT_IN;
		const decision = decide(sampleAction(), sampleFacts(), withMode(samplePolicy({document}), PROPOSE));
		assert.deepEqual([decision.effect, decision.quorum], ['ask', wanted]);
	});
}
