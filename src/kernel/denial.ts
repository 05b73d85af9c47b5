import type {ErrorBody} from '#contract/errors.ts';
import type {Decision} from '#contract/event.ts';

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
