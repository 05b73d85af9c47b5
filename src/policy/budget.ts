import type {Facts, Gate} from '#kernel/ports.ts';

type Use = {
	readonly name: keyof Facts['run']['budget'];
	readonly used: number;
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
		const spent = usesOf(facts).filter(({name, used}) => !(used < (budget[name] ?? Number.POSITIVE_INFINITY)));
		if (spent.length === 0) return {gate: 'budget', effect: 'allow', rules: ['budget'], reason: 'the run is within its budget'};
		const reason = spent.map(
			({name, used, unit, key}) => `this run has used ${used} of ${budget[name]} ${unit}; to allow more, raise ${raises(key)}`,
		);
		return {gate: 'budget', effect: 'deny', rules: spent.map(({name}) => `budget:${name}`), reason: reason.join('; ')};
	},
};

/** What a person changes to allow a run more. */
export function raises(key: string): string {
	return `\`budgets.run.${key}\` in policy.yaml`;
}

function usesOf({run, now}: Facts): readonly Use[] {
	const {actions, tokens, costUsd, calls, retries, bytes} = run;
	const wallMs = now.getTime() - run.startedAt.getTime() - run.waitedMs;
	return [
		{name: 'actions', used: actions, unit: 'actions', key: 'actions'},
		{name: 'tokens', used: tokens, unit: 'tokens', key: 'tokens'},
		{name: 'costUsd', used: costUsd, unit: 'US dollars', key: 'money'},
		{name: 'wallMs', used: wallMs, unit: 'ms', key: 'seconds'},
		{name: 'calls', used: calls, unit: 'calls of the model', key: 'calls'},
		{name: 'retries', used: retries, unit: 'failed calls of the model', key: 'retries'},
		{name: 'bytes', used: bytes, unit: 'bytes', key: 'bytes'},
	];
}
