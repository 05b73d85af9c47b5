import assert from 'node:assert/strict';
import {test} from 'node:test';
import {isAuthorized} from '@cedar-policy/cedar-wasm/nodejs';
import fc from 'fast-check';
import {labelSchema, riskSchema} from '#contract/event.ts';
import {principalSchema} from '#contract/principal.ts';
import type {Action, Facts} from '#kernel/ports.ts';
import {loadDefaultPolicy} from './policy.ts';
import {groupsOf, toPrincipalEntity, toRequest} from './request.ts';
import {sampleAction, sampleFacts, samplePolicy} from './sample-action.ts';

/** The default schema, with a tool in a group that only the schema knows. */
const schema = `${loadDefaultPolicy().schema.replace('"analyst.sql", ', '')}
action sensitive appliesTo {principal: [User, Agent, Schedule, Service], resource: [Dataset, Run, Thread], context: Request};
action "analyst.sql" in [sensitive]
	appliesTo {principal: [User, Agent, Schedule, Service], resource: [Dataset, Run, Thread], context: Request};`;

const soundness = new Map<string, boolean>();

/** Rules that can never apply make a set broken, which is not what is tested here. */
function isSound(text: string): boolean {
	const sound = soundness.get(text) ?? samplePolicy({policies: text, schema}).problems.length === 0;
	soundness.set(text, sound);
	return sound;
}

const principalScope = fc.constantFrom('principal', 'principal is User', 'principal is Agent', 'principal == User::"ada"');
const actionScope = fc.constantFrom(
	'action',
	'action == Action::"analyst.sql"',
	'action == Action::"dataset.add"',
	'action in Action::"read"',
	'action in Action::"sensitive"',
	'action in [Action::"write", Action::"analyst:read"]',
);
const condition = fc.constantFrom(
	'context.inScope',
	'context.untrusted',
	'context.risk == "high"',
	'context has scope && context.scope == "support"',
	'principal.tenant == context.tenant',
	'principal is Agent',
	'action in Action::"write"',
	'action == Action::"analyst.sql"',
	'resource == Dataset::"support"',
	'User::"ada".tenant == "local" && principal == User::"ada"',
	'(if context.inScope then context else context).untrusted',
	'if context.inScope then 9007199254740991 * 9007199254740991 > 0 else true',
);
const rule = fc
	.record({
		effect: fc.constantFrom('permit', 'permit', 'forbid'),
		asks: fc.boolean(),
		scope: fc.tuple(principalScope, actionScope),
		clauses: fc.array(fc.tuple(fc.constantFrom('when', 'unless'), condition), {maxLength: 2}),
	})
	.map(({effect, asks, scope, clauses}) => {
		const annotation = asks && effect === 'permit' ? '@decision("ask") ' : '';
		const text = clauses.map(([word, body]) => ` ${word} {${body}}`).join('');
		return {effect, text: `${annotation}${effect} (${scope.join(', ')}, resource)${text};`};
	})
	.filter(({text}) => isSound(text));
type Rule = {readonly effect: string; readonly text: string};
const ruleSet = fc.array(rule, {minLength: 1, maxLength: 6});

const question = fc
	.record({
		tool: fc.constantFrom(
			{name: 'analyst.sql', effect: 'read'} as const,
			{name: 'dataset.add', effect: 'write'} as const,
			{name: 'ops.delete', effect: 'destructive'} as const,
			{name: 'ops.logs', effect: 'read'} as const,
		),
		kind: fc.constantFrom(...principalSchema.shape.kind.options),
		id: fc.constantFrom('ada', 'bob'),
		tenant: fc.constantFrom('local', 'acme'),
		risk: fc.constantFrom(...riskSchema.options),
		resource: fc.constantFrom('support', 'sales'),
		scope: fc.constantFrom('support', 'sales', null),
		labels: fc.subarray(labelSchema.options),
	})
	.map(({tool, kind, id, tenant, risk, resource, scope, labels}): [Action, Facts] => [
		sampleAction({risk, resource: {type: 'Dataset', id: resource}}, tool),
		sampleFacts({scope, labels: new Set(labels)}, {kind, id, tenant}),
	]);
const questions = fc.array(question, {minLength: 4, maxLength: 8});

/** The texts as one set, each rule with an id of its own, so that equal rules are no duplicates. */
function toPolicies(rules: readonly Rule[]): string {
	return rules.map(({text}, index) => `@id("r${index}") ${text}`).join('\n');
}

function gateOf(rules: readonly Rule[]) {
	const policy = samplePolicy({policies: toPolicies(rules), schema});
	assert.deepEqual(policy.problems, rules.length === 0 ? ['the policy set is empty'] : []);
	const gate = policy.gates.find(({name}) => name === 'permission');
	assert.ok(gate);
	return gate;
}

const RUNS = {numRuns: 30};

test('a sliced question has the answer of the whole set', () => {
	fc.assert(
		fc.property(ruleSet, questions, (rules, asked) => {
			const gate = gateOf(rules);
			for (const [action, facts] of asked) {
				const whole = askCedar(rules, action, facts);
				const result = gate.decide(action, facts);
				assert.deepEqual([result.effect, result.rules], whole);
			}
		}),
		RUNS,
	);
});

/** One call with every policy and the whole request, and what the gate must make of its answer. */
function askCedar(rules: readonly Rule[], action: Action, facts: Facts): [string, string[]] {
	const request = toRequest(action, facts);
	const groups = [...groupsOf(action.tool), ...(action.tool.name === 'analyst.sql' ? ['sensitive'] : [])];
	const answer = isAuthorized({
		...request,
		policies: {staticPolicies: Object.fromEntries(rules.map(({text}, index) => [`r${index}`, text]))},
		entities: [
			toPrincipalEntity(facts.principal),
			{uid: request.action, attrs: {}, parents: groups.map((id) => ({type: 'Action', id}))},
		],
	});
	assert.equal(answer.type, 'success');
	const {decision, diagnostics} = answer.response;
	if (diagnostics.errors.length > 0) return ['deny', diagnostics.errors.map(({policyId}) => policyId).sort()];
	const reason = [...diagnostics.reason].sort();
	if (decision === 'deny') return ['deny', reason.length > 0 ? reason : ['no-permit']];
	const asking = reason.filter((id) => rules[Number(id.slice(1))]?.text.startsWith('@decision'));
	return asking.length > 0 ? ['ask', asking] : ['allow', reason];
}

test('adding a forbid never makes a denied action possible', () => {
	const forbid = rule.filter(({effect}) => effect === 'forbid');
	fc.assert(
		fc.property(ruleSet, forbid, questions, (rules, added, asked) => {
			const [before, after] = [gateOf(rules), gateOf([...rules, added])];
			for (const [action, facts] of asked) {
				if (before.decide(action, facts).effect === 'deny') assert.equal(after.decide(action, facts).effect, 'deny');
			}
		}),
		RUNS,
	);
});

test('a set without permits denies everything', () => {
	fc.assert(
		fc.property(ruleSet, questions, (rules, asked) => {
			const gate = gateOf(rules.filter(({effect}) => effect === 'forbid'));
			for (const [action, facts] of asked) assert.equal(gate.decide(action, facts).effect, 'deny');
		}),
		RUNS,
	);
});
