import type {GateResult} from '#contract/event.ts';
import type {Facts, Gate} from '#kernel/ports.ts';

type Measure = {
	readonly name: keyof Facts['run']['budget'];
	readonly used: (facts: Facts) => number;
	readonly unit: string;
	/** its place in policy.yaml */
	readonly key: string;
};

/** Denies the next action of a run that has used up any of its budgets. */
export const budgetGate: Gate = {
	name: 'budget',
	decide(_action, facts) {
		const {budget} = facts.run;
		// INVARIANT: a comparison with NaN is false, so what is asked is whether there is room, never whether there is none.
		const spent = MEASURES.filter(({name, used}) => !(used(facts) < (budget[name] ?? Number.POSITIVE_INFINITY)));
		if (spent.length === 0) return WITHIN;
		const reason = spent.map(
			({name, used, unit, key}) =>
				`this run has used ${used(facts)} of ${budget[name]} ${unit}; to allow more, raise ${raises(key)}`,
		);
		return {gate: 'budget', effect: 'deny', rules: spent.map(({name}) => `budget:${name}`), reason: reason.join('; ')};
	},
};

/** What a person changes to allow a run more. */
export function raises(key: string): string {
	return `\`budgets.run.${key}\` in policy.yaml`;
}

const MEASURES: readonly Measure[] = [
	{name: 'actions', used: ({run}) => run.actions, unit: 'actions', key: 'actions'},
	{name: 'tokens', used: ({run}) => run.tokens, unit: 'tokens', key: 'tokens'},
	{name: 'costUsd', used: ({run}) => run.costUsd, unit: 'US dollars', key: 'money'},
	{name: 'wallMs', used: ({run, now}) => now.getTime() - run.startedAt.getTime() - run.waitedMs, unit: 'ms', key: 'seconds'},
	{name: 'calls', used: ({run}) => run.calls, unit: 'calls of the model', key: 'calls'},
	{name: 'retries', used: ({run}) => run.retries, unit: 'failed calls of the model', key: 'retries'},
	{name: 'bytes', used: ({run}) => run.bytes, unit: 'bytes', key: 'bytes'},
];

const WITHIN: GateResult = {gate: 'budget', effect: 'allow', rules: ['budget'], reason: 'the run is within its budget'};
