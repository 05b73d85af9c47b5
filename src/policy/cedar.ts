/**
 * The permission gate: Cedar decides who may use which tool on what. It denies whenever Cedar could not look at every rule that
 * matters: an error in one policy, rules that did not load, or no rule at all.
 */
import {statefulIsAuthorized} from '@cedar-policy/cedar-wasm/nodejs';
import type {GateResult, Principal} from '#contract/event.ts';
import {chainOf} from '#kernel/delegate.ts';
import type {Action, Facts, Gate} from '#kernel/ports.ts';
import {isReservedName, type Request, toPrincipalEntity, toRequest} from './request.ts';
import type {RuleSet} from './rules.ts';
import {createSlices, type Slice, type SliceOf} from './slice.ts';

/** Builds the gate from loaded rules; rules with problems give a gate that denies everything and says why. */
export function createPermissionGate(ruleSet: RuleSet, sliceOf: SliceOf = createSlices(ruleSet)): Gate {
	const judged = new Map<string, GateResult>();
	const [problem] = ruleSet.problems;
	return {
		name: 'permission',
		decide(action, facts) {
			if (problem !== undefined) return deny(['policy-problem'], `no action is allowed until this is mended: ${problem}`);
			const {name} = action.tool;
			if (isReservedName(name)) return deny(['reserved-name'], `\`${name}\` is the name of a group, so no tool may have it`);
			const slice = sliceOf(action.tool);
			const as = (principal: Principal) => ask({slice, rules: ruleSet.rules, judged}, action, {...facts, principal});
			return chainOf(facts.principal).map(as).reduce(stricter);
		},
	};
}

/** Of an agent and of the one for whom it acts: both have to be permitted, and both questions to people are asked. */
function stricter(one: GateResult, other: GateResult): GateResult {
	if (one.effect === 'deny' || other.effect === 'allow') return one;
	if (other.effect === 'deny' || one.effect === 'allow') return other;
	const quorum = Math.max(one.quorum ?? 1, other.quorum ?? 1);
	const rules = [...new Set([...one.rules, ...other.rules])].sort();
	const reason = one.reason === other.reason ? one.reason : `${one.reason}; ${other.reason}`;
	return {...one, rules, reason, ...(quorum > 1 && {quorum})};
}

type Answer =
	| {readonly kind: 'answered'; readonly permitted: boolean; readonly rules: readonly string[]}
	| {readonly kind: 'failed'; readonly rules: readonly string[]; readonly reason: string};

/** Results that are remembered; a run asks few different questions many times. */
const MAX_JUDGED = 10_000;

type Known = {readonly slice: Slice; readonly rules: RuleSet['rules']; readonly judged: Map<string, GateResult>};

/**
 * INVARIANT: a result depends on nothing but the rules and the question, and the question on nothing but the key, so remembering it
 * changes no decision.
 */
function ask({slice, rules, judged}: Known, action: Action, facts: Facts): GateResult {
	if (slice.policySetId === null) return judge(NO_RULES, rules, describe(action, facts));
	const request = toRequest(action, facts);
	const context = slice.attributes === null ? request.context : pick(request.context, slice.attributes);
	const {kind, id, tenant, roles} = facts.principal;
	const {name, effect} = action.tool;
	const key = JSON.stringify([slice.policySetId, kind, id, tenant, roles, name, effect, request.resource, context]);
	const known = judged.get(key);
	if (known) return known;
	if (judged.size >= MAX_JUDGED) judged.clear();
	const answer = evaluate({
		...request,
		context,
		preparsedPolicySetId: slice.policySetId,
		validateRequest: false,
		entities: slice.entities ? [toPrincipalEntity(facts.principal), toActionEntity(request, slice)] : [],
	});
	const result = judge(answer, rules, describe(action, facts));
	judged.set(key, result);
	return result;
}

const NO_RULES: Answer = {kind: 'answered', permitted: false, rules: []};

function evaluate(question: Parameters<typeof statefulIsAuthorized>[0]): Answer {
	const answer = statefulIsAuthorized(question);
	if (answer.type === 'failure') return {kind: 'failed', rules: ['cedar-error'], reason: messages(answer.errors)};
	const {decision, diagnostics} = answer.response;
	// Cedar skips a policy that fails. A skipped `forbid` would be a hole, so one failure denies.
	if (diagnostics.errors.length > 0) {
		const rules = diagnostics.errors.map((error) => error.policyId).sort();
		return {kind: 'failed', rules, reason: messages(diagnostics.errors.map(({error}) => error))};
	}
	return {kind: 'answered', permitted: decision === 'allow', rules: [...diagnostics.reason].sort()};
}

function judge(answer: Answer, rules: RuleSet['rules'], wish: string): GateResult {
	if (answer.kind === 'failed') return deny(answer.rules, `a policy could not be evaluated: ${answer.reason}`);
	if (answer.rules.length === 0) return deny(['no-permit'], `no rule permits ${wish}`);
	if (!answer.permitted) return deny(answer.rules, reasons(answer.rules, rules));
	const asking = answer.rules.filter((id) => rules.get(id)?.asks);
	if (asking.length === 0)
		return {gate: 'permission', effect: 'allow', rules: [...answer.rules], reason: reasons(answer.rules, rules)};
	const quorum = Math.max(...asking.map((id) => rules.get(id)?.quorum ?? 1));
	const asked = {gate: 'permission', effect: 'ask', rules: asking, reason: reasons(asking, rules)} as const;
	return quorum > 1 ? {...asked, quorum} : asked;
}

function deny(rules: readonly string[], reason: string): GateResult {
	return {gate: 'permission', effect: 'deny', rules: [...rules], reason};
}

function reasons(ids: readonly string[], rules: RuleSet['rules']): string {
	return ids.map((id) => rules.get(id)?.reason ?? id).join('; ');
}

function messages(errors: readonly {readonly message: string}[]): string {
	return errors.map((error) => error.message).join('; ');
}

function describe({tool, resource}: Action, {principal}: Facts): string {
	return `${principal.kind} \`${principal.id}\` to use \`${tool.name}\` (${tool.effect}) on ${resource.type} \`${resource.id}\``;
}

function toActionEntity({action}: Request, {groups}: Slice) {
	return {uid: action, attrs: {}, parents: groups.map((id) => ({type: 'Action', id}))};
}

function pick(context: Request['context'], attributes: ReadonlySet<string>): Request['context'] {
	const picked: Record<string, Request['context'][string]> = {};
	for (const name in context) if (attributes.has(name)) picked[name] = context[name] as Request['context'][string];
	return picked;
}
