/**
 * How long one permission decision takes at 3,000 policies, beside the same question put to Cedar with the whole set.
 * `node bench/policy.ts` prints a table, `--json` one object.
 */
import {parseArgs} from 'node:util';
import {preparsePolicySet, statefulIsAuthorized} from '@cedar-policy/cedar-wasm/nodejs';
import type {Action, Facts} from '#kernel/ports.ts';
import {loadDefaultPolicy} from '#policy/policy.ts';
import {sampleAction, sampleFacts, samplePolicy} from '#policy/sample.ts';

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

/** Microseconds per call, sorted. */
function time(runs: number, ask: (index: number) => string): Float64Array {
	const times = new Float64Array(runs);
	for (let index = 0; index < runs; index += 1) {
		const start = performance.now();
		const effect = ask(index);
		times[index] = (performance.now() - start) * 1_000;
		if (effect !== 'allow') throw new Error(`question ${index} was answered with ${effect}`);
	}
	return times.sort();
}

const at = (sorted: Float64Array, part: number) => Math.round((sorted[Math.floor(sorted.length * part)] ?? Number.NaN) * 10) / 10;

const texts = manyPolicies();
const loading = performance.now();
const policy = samplePolicy(texts);
const loadMs = Math.round(performance.now() - loading);
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

time(WARM_UP, sliced);
const times = time(RUNS, (index) => sliced(WARM_UP + index));
time(5, whole);
const baseline = at(time(BASELINE_RUNS, whole), 0.5);
const p50 = at(times, 0.5);
const figure = {
	name: `permission decision at ${POLICIES} policies`,
	unit: 'µs',
	p50,
	p95: at(times, 0.95),
	p99: at(times, 0.99),
	runs: RUNS,
	baseline,
	ratio: Math.round((p50 / baseline) * 10_000) / 10_000,
	target: TARGET_US,
	ok: p50 <= TARGET_US,
};
if (parseArgs({options: {json: {type: 'boolean', default: false}}}).values.json) console.log(JSON.stringify(figure));
else {
	console.table([figure]);
	console.log(`loading and validating them took ${loadMs} ms; the baseline is one Cedar call with the whole set`);
}
process.exitCode = figure.ok ? 0 : 1;
