import type {Decision, GateResult} from '#contract/event.ts';
import {LEVELS, type Level} from '#contract/sandbox.ts';
import type {Action, Facts, Gate, Policy} from './ports.ts';

/** Runs every gate; the strictest answer counts. No gate, a gate that throws, or a gate without rules denies. */
export function decide(action: Action, facts: Facts, policy: Policy): Decision {
	const gates = policy.gates.length > 0 ? policy.gates.map((gate) => answer(gate, action, facts)) : [NO_GATES];
	const effect = gates.some((gate) => gate.effect === 'deny')
		? 'deny'
		: gates.some((gate) => gate.effect === 'ask')
			? 'ask'
			: 'allow';
	const risk = gates.find(({gate}) => gate === 'risk')?.level ?? action.risk;
	const quorum = Math.max(1, ...gates.map((gate) => (gate.effect === 'ask' ? (gate.quorum ?? 1) : 1)));
	return {effect, gates, risk, policyVersion: policy.version, ...(effect === 'ask' && quorum > 1 ? {quorum} : {})};
}

/**
 * The level that a decision relies on: the weakest down to which the gates would have answered the same. Whatever the sandbox is by
 * the time the action opens it, a decision that relied on nothing still holds, and one that relied on a level holds there only.
 */
export function levelOf(decision: Decision, action: Action, facts: Facts, policy: Policy): Level {
	const weaker = LEVELS.slice(0, LEVELS.indexOf(facts.isolation)).reverse();
	const differs = weaker.findIndex((isolation) => !isSame(decide(action, {...facts, isolation}, policy), decision));
	const holding = differs === -1 ? weaker : weaker.slice(0, differs);
	return holding.at(-1) ?? facts.isolation;
}

function isSame(one: Decision, other: Decision): boolean {
	return one.effect === other.effect && one.quorum === other.quorum && one.risk === other.risk;
}

const NO_GATES: GateResult = {gate: 'policy', effect: 'deny', rules: ['no-gates'], reason: 'the policy has no gates'};

const EFFECTS: ReadonlySet<unknown> = new Set(['allow', 'ask', 'deny']);

function answer(gate: Gate, action: Action, facts: Facts): GateResult {
	try {
		const result = gate.decide(action, facts);
		if (!EFFECTS.has(result.effect)) throw new TypeError(`the gate answered \`${result.effect}\``);
		if (result.rules.length > 0) return result;
		return {...result, effect: 'deny', rules: ['no-rule'], reason: 'the gate named no rule'};
	} catch (error) {
		// Fails closed: a gate that cannot decide has not allowed anything.
		const reason = error instanceof Error ? error.message : 'the gate failed';
		return {gate: gate.name, effect: 'deny', rules: ['gate-error'], reason};
	}
}
