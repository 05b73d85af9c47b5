import type {ErrorBody} from '#contract/errors.ts';
import type {Decision} from '#contract/event.ts';

/** The rule of a denial that is one only because the code that asked cannot wait for a person. */
const NOBODY_TO_ASK = 'nobody-to-ask';

/** Code in a sandbox cannot wait for a person, so what a person would be asked is denied there, and nobody is asked. */
export function denyAsking(decision: Decision): Decision {
	if (decision.effect !== 'ask') return decision;
	const reason = 'a person has to approve this first, and code that runs in a sandbox cannot wait for one';
	return {
		...decision,
		effect: 'deny',
		gates: [...decision.gates, {gate: 'policy', effect: 'deny', rules: [NOBODY_TO_ASK], reason}],
	};
}

/** True for a denial that a person's approval would have made an action. */
export function isUnasked({gates}: Decision): boolean {
	return gates.some(({rules}) => rules.includes(NOBODY_TO_ASK));
}

/** A denial as the error its caller sees: which gate, which rules, and what would change the answer. */
export function denialError({gates}: Decision): ErrorBody {
	const denying = gates.filter((gate) => gate.effect === 'deny');
	const rules = denying.flatMap((gate) => gate.rules);
	const feature = rules.some((rule) => rule.startsWith('feature:'));
	const code = feature
		? 'feature_disabled'
		: denying.some((gate) => gate.gate === 'budget')
			? 'budget_exceeded'
			: denying.some((gate) => gate.gate === 'schema')
				? 'validation_error'
				: 'policy_denied';
	return {code, message: denying.map((gate) => gate.reason).join('; '), retry: 'never', details: {rules}};
}
