import type {PolicyDocument} from '#contract/policy.ts';
import type {Gate} from '#kernel/ports.ts';
import {carriesOut} from '#kernel/steps.ts';
import {matches} from './match.ts';

/** Whatever a gate asks, it asks as many people as the rules for approvals say. */
export function withQuorum(gate: Gate, {quorum, rules}: PolicyDocument['approvals']): Gate {
	if (quorum === 1 && rules.length === 0) return gate;
	return {
		name: gate.name,
		decide(action, facts) {
			const result = gate.decide(action, facts);
			if (result.effect !== 'ask') return result;
			const {tool, input} = action;
			const subject = {tool: tool.name, effect: tool.effect, egress: carriesOut(tool, input)};
			const wanted = rules.filter((rule) => matches(rule, subject)).map((rule) => rule.quorum);
			return {...result, quorum: Math.max(quorum, result.quorum ?? 1, ...wanted)};
		},
	};
}
