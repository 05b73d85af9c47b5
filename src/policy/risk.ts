/**
 * Risk: how bad it could be if this action were wrong. The greatest of what the tool says, what the input holds, how much it
 * touches, and what the session did lately; never less than any one of them.
 */
import {type GateResult, type Risk, riskSchema} from '#contract/event.ts';
import type {PolicyDocument} from '#contract/policy.ts';
import type {Action, Gate} from '#kernel/ports.ts';
import {carriesOut} from '#kernel/steps.ts';
import {createInputRules} from './risk-input.ts';
import {sessionFactors} from './risk-session.ts';

export type Factor = NonNullable<GateResult['factors']>[number];

type RiskPolicy = PolicyDocument['risk'];

/** Asks or denies by level, and shows each factor. */
export function createRiskGate(policy: RiskPolicy): Gate {
	const inInput = createInputRules(policy.rules);
	return {
		name: 'risk',
		decide(action, facts) {
			if (!(rank(action.risk) >= 0))
				return {gate: 'risk', effect: 'deny', rules: ['risk:unknown'], reason: `\`${action.risk}\` is no risk`};
			const factors: Factor[] = [
				{name: 'tool', detail: `\`${action.tool.name}\` says so of this input`, level: action.risk},
				...inInput(action),
				...blastRadius(action, policy.blast),
				...sessionFactors(action, facts, policy.session),
			];
			return judge(factors, policy.decisions);
		},
	};
}

function judge(factors: readonly Factor[], decisions: RiskPolicy['decisions']): GateResult {
	const level = greatest(factors.flatMap((factor) => factor.level ?? []));
	const because = factors.filter((factor) => factor.level === level).map(({detail}) => detail);
	const shared = {gate: 'risk' as const, rules: [`risk:${level}`], level, factors: [...factors]};
	const why = `the risk is ${level}: ${because.join('; ')}`;
	switch (decisions[level]) {
		case 'allow':
			return {...shared, effect: 'allow', reason: why};
		case 'ask':
			return {...shared, effect: 'ask', reason: `${why}; a person decides on it`};
		case 'ask-two':
			return {...shared, effect: 'ask', quorum: 2, reason: `${why}; two people decide on it`};
		case 'deny':
			return {...shared, effect: 'deny', reason: `${why}; to allow it, change \`risk.decisions.${level}\` in policy.yaml`};
	}
}

/** How much one change touches: its whole kind of target, hosts, or the things that the longest list of its input names. */
function blastRadius({tool, input, resource}: Action, {high, critical}: RiskPolicy['blast']): Factor[] {
	if (!carriesOut(tool, input)) return [];
	const factors: Factor[] = [];
	if (tool.effect !== 'read' && resource.id === '*')
		factors.push({name: 'blast-radius', detail: `it touches every ${resource.type}`, level: 'high'});
	const count = longestList(input);
	if (count >= high)
		factors.push({
			name: 'blast-radius',
			detail: `it names ${count} things at once`,
			level: count >= critical ? 'critical' : 'high',
		});
	return factors;
}

function longestList(value: unknown): number {
	if (typeof value !== 'object' || value === null) return 0;
	const inside = Object.values(value).reduce<number>((most, child) => Math.max(most, longestList(child)), 0);
	return Array.isArray(value) ? Math.max(value.length, inside) : inside;
}

function greatest(levels: readonly Risk[]): Risk {
	return levels.reduce((most, level) => (rank(level) > rank(most) ? level : most), 'low');
}

function rank(risk: Risk): number {
	return riskSchema.options.indexOf(risk);
}
