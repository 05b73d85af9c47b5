import type {Decision, GateResult} from '#contract/event.ts';
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
