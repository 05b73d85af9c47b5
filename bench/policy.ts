/**
 * How long one permission decision takes at 3,000 policies, beside the same question put to Cedar with the whole set.
 */
import {preparsePolicySet, statefulIsAuthorized} from '@cedar-policy/cedar-wasm/nodejs';
import type {Action, Facts} from '#kernel/ports.ts';
import {loadDefaultPolicy} from '#policy/policy.ts';
import {sampleAction, sampleFacts, samplePolicy} from '#policy/sample-action.ts';
import {figure, report} from './harness.ts';

const POLICIES = 3_000;
const WARM_UP = 500;
const RUNS = 5_000;
const BASELINE_RUNS = 60;
const TARGET_US = 60;

/** The default set, and three rules for each of a thousand tools. */
function manyPolicies(): {policies: string; schema: string} {
	const {policies, schema} = loadDefaultPolicy();
	const names = Array.from({length: Math.floor((POLICIES - 5) / 3)}, (_, index) => `job${index % 50}.tool${index}`);
	const rules = names.map(
		(name, index) => `
@id("p${index}") permit (principal is User, action == Action::"${name}", resource) when { context.risk == "low" && context.inScope };
@id("q${index}") @decision("ask") permit (principal is Agent, action == Action::"${name}", resource) when { context.risk == "high" };
@id("f${index}") forbid (principal, action == Action::"${name}", resource) when { context.untrusted && context.risk == "critical" };`,
	);
	const declared = `action ${names.map((name) => `"${name}"`).join(', ')} appliesTo
	{ principal: [User, Agent, Schedule, Service], resource: [Dataset, Run, Thread], context: Request };`;
	return {policies: `${policies}${rules.join('\n')}`, schema: `${schema}${declared}`};
}

function question(index: number): [Action, Facts] {
	const name = index % 2 === 0 ? 'analyst.sql' : `job7.tool${7 + 50 * (index % 15)}`;
	const id = `d${index}`; // no question twice: what is measured is a decision, not the memory of one
	return [
		sampleAction({resource: {type: 'Dataset', id}}, {name}),
		sampleFacts({scope: id, labels: new Set(['untrusted'])}, {id: `u${index % 100}`}),
	];
}

/** Microseconds per call. */
function time(runs: number, ask: (index: number) => string): number[] {
	const times: number[] = [];
	for (let index = 0; index < runs; index += 1) {
		const start = performance.now();
		const effect = ask(index);
		times.push((performance.now() - start) * 1_000);
		if (effect !== 'allow') throw new Error(`question ${index} was answered with ${effect}`);
	}
	return times;
}

const texts = manyPolicies();
const policy = samplePolicy(texts);
if (policy.problems.length > 0) throw new Error(policy.problems.join('\n'));
const gate = policy.gates.find(({name}) => name === 'permission');
if (!gate) throw new Error('the policy has no permission gate');

preparsePolicySet('whole', {staticPolicies: texts.policies});
const questions = Array.from({length: WARM_UP + RUNS}, (_, index) => question(index));
const pick = (index: number): [Action, Facts] => questions[index] ?? question(index);
const sliced = (index: number) => gate.decide(...pick(index)).effect;
const whole = (index: number) => {
	const [{tool, resource}, {principal}] = pick(index);
	const uid = {type: 'Action', id: tool.name};
	const user = {type: 'User', id: principal.id};
	const answer = statefulIsAuthorized({
		principal: user,
		action: uid,
		resource,
		context: {effect: tool.effect, risk: 'low', tenant: 'local', scope: resource.id, inScope: true, untrusted: true},
		preparsedPolicySetId: 'whole',
		validateRequest: false,
		entities: [
			{uid: user, attrs: {tenant: 'local'}, parents: []},
			{uid, attrs: {}, parents: ['read', 'analyst:read'].map((id) => ({type: 'Action', id}))},
		],
	});
	return answer.type === 'success' ? answer.response.decision : answer.type;
};

await report(async () => {
	time(WARM_UP, sliced);
	const samples = time(RUNS, sliced);
	time(5, whole);
	const baseline = time(BASELINE_RUNS, whole);
	const name = `permission decision at ${POLICIES} policies`;
	return [figure({name, unit: 'µs', samples, baseline, target: {of: 'p50', atMost: TARGET_US}})];
});
