import {type Risk, riskSchema} from '#contract/event.ts';
import type {Gate} from '#kernel/ports.ts';

/** Denies what is riskier than `maxRisk`; what is critical asks even where it is allowed. */
export function createRiskGate(maxRisk: Risk): Gate {
	return {
		name: 'risk',
		decide({risk}) {
			if (!(rank(risk) <= rank(maxRisk))) {
				const reason = `the risk is ${risk}, the most this server allows is ${maxRisk}; to allow more, raise WRIT_MAX_RISK`;
				return {gate: 'risk', effect: 'deny', rules: ['max-risk'], reason};
			}
			if (risk === 'critical')
				return {gate: 'risk', effect: 'ask', rules: ['critical-asks'], reason: 'a critical risk is a person’s to take'};
			return {gate: 'risk', effect: 'allow', rules: ['max-risk'], reason: `the risk is ${risk}, within ${maxRisk}`};
		},
	};
}

/** NaN for anything that is not a risk, which no comparison lets pass. */
function rank(risk: Risk): number {
	const index = riskSchema.options.indexOf(risk);
	return index === -1 ? Number.NaN : index;
}
