import {createHash} from 'node:crypto';
import {type ActionConstraint, type PolicyJson, preparsePolicySet} from '@cedar-policy/cedar-wasm/nodejs';
import type {Action} from '#kernel/ports.ts';
import {groupsOf} from './request.ts';
import type {Rule, RuleSet} from './rules.ts';

/** The rules that can match one action, parsed once, and the parts of a request that they look at. */
export type Slice = {
	/** name of the parsed set inside Cedar; null when no rule can match */
	readonly policySetId: string | null;
	/** all groups of the action */
	readonly groups: readonly string[];
	/** attributes of the context that are read; null for all of them */
	readonly attributes: ReadonlySet<string> | null;
	/** whether principal and action are looked into, so that they have to be passed as entities */
	readonly entities: boolean;
};

export type SliceOf = (tool: Action['tool']) => Slice;

/**
 * Splits a rule set by the actions its rules can match. Cedar's WebAssembly build evaluates every policy of a set and pays for
 * every byte of a request, so a question carries only what can change its answer.
 */
export function createSlices({rules, groups}: RuleSet): SliceOf {
	const slices = new Map<string, Slice>();
	const {byAction, always} = indexRules(rules);
	const build = (tool: Action['tool']): Slice => {
		const own = [...groupsOf(tool), ...(groups.get(tool.name) ?? [])];
		const named = new Set([tool.name, ...own].flatMap((name) => byAction.get(name) ?? []));
		return parse([...named, ...always], own);
	};
	return (tool) => {
		const key = `${tool.effect} ${tool.name}`;
		const slice = slices.get(key) ?? build(tool);
		slices.set(key, slice);
		return slice;
	};
}

function indexRules(rules: RuleSet['rules']): {byAction: ReadonlyMap<string, readonly Rule[]>; always: readonly Rule[]} {
	const byAction = new Map<string, Rule[]>();
	const always: Rule[] = [];
	for (const rule of rules.values()) {
		const names = actionsOf(rule.json.action);
		if (names === null) always.push(rule);
		for (const name of new Set(names)) byAction.set(name, [...(byAction.get(name) ?? []), rule]);
	}
	return {byAction, always};
}

/** The actions and groups a constraint names; null when it names none, or something this file does not know. */
function actionsOf(constraint: ActionConstraint): readonly string[] | null {
	if (constraint.op === 'All' || 'slot' in constraint) return null;
	const references = 'entities' in constraint ? constraint.entities : [constraint.entity];
	const uids = references.map((reference) => ('__entity' in reference ? reference.__entity : reference));
	return uids.every((uid) => uid.type === 'Action') ? uids.map((uid) => uid.id) : null;
}

function parse(rules: readonly Rule[], groups: readonly string[]): Slice {
	if (rules.length === 0) return {policySetId: null, groups, attributes: new Set(), entities: false};
	const staticPolicies = Object.fromEntries(rules.map(({id, json}) => [id, withoutAction(json)]));
	// Named by content: Cedar keeps parsed sets for the life of the process, and equal slices share one.
	const policySetId = createHash('sha256').update(JSON.stringify(staticPolicies)).digest('hex');
	const answer = preparsePolicySet(policySetId, {staticPolicies});
	if (answer.type === 'failure') throw new Error(answer.errors.map((error) => error.message).join('; '));
	return {policySetId, groups, ...footprint(Object.values(staticPolicies))};
}

/** In its slice a rule's action is known to match; saying so spares Cedar the action's ancestors. */
function withoutAction(json: PolicyJson): PolicyJson {
	return actionsOf(json.action) === null ? json : {...json, action: {op: 'All'}};
}

/** Operators that look into an entity or at its ancestors. */
const DEREFERENCES: ReadonlySet<string> = new Set(['.', 'has', 'in', 'getTag', 'hasTag']);

/** INVARIANT: errs towards passing more. Leaving out anything a rule reads would change the answer. */
function footprint(policies: readonly PolicyJson[]): Pick<Slice, 'attributes' | 'entities'> {
	const attributes = new Set<string>();
	const operations = policies.flatMap(({conditions}) => [...operationsIn(conditions)]);
	let [wholeContext, entities] = [false, policies.some(hasAncestorScope)];
	for (const [operator, operand] of operations) {
		const attribute = contextAttribute(operator, operand);
		if (attribute !== null) attributes.add(attribute);
		else if (operator === 'Var') wholeContext ||= operand === 'context';
		else entities ||= DEREFERENCES.has(operator) || isInside(operator, operand);
	}
	return {attributes: wholeContext ? null : attributes, entities};
}

/** Every operator of an expression with its operand, except inside plain reads of the context. */
function* operationsIn(node: unknown): Generator<readonly [operator: string, operand: unknown]> {
	if (typeof node !== 'object' || node === null) return;
	for (const [operator, operand] of Object.entries(node)) {
		yield [operator, operand];
		if (contextAttribute(operator, operand) === null) yield* operationsIn(operand);
	}
}

/** `context.x`, `context has x` and `context has x.y` read the attribute `x`. */
function contextAttribute(operator: string, operand: unknown): string | null {
	if (operator !== '.' && operator !== 'has') return null;
	if (typeof operand !== 'object' || operand === null || !('left' in operand) || !('attr' in operand)) return null;
	const {left, attr} = operand;
	if (typeof left !== 'object' || left === null || !('Var' in left) || left.Var !== 'context') return null;
	const first = Array.isArray(attr) ? attr[0] : attr;
	return typeof first === 'string' ? first : null;
}

/** `x is T in y` */
function isInside(operator: string, operand: unknown): boolean {
	return operator === 'is' && typeof operand === 'object' && operand !== null && 'in' in operand;
}

function hasAncestorScope({principal, resource, action}: PolicyJson): boolean {
	return action.op !== 'All' || [principal, resource].some((scope) => scope.op === 'in' || 'in' in scope);
}
