import type {Facts, Gate} from '#kernel/ports.ts';

type Use = {
	readonly name: keyof Facts['run']['budget'];
	readonly used: number;
	readonly unit: string;
	/** what raises it */
	readonly setting: string;
};

/** Denies the next action of a run that has used up any of its budgets. */
export const budgetGate: Gate = {
	name: 'budget',
	decide(_action, facts) {
		const {budget} = facts.run;
		// INVARIANT: a comparison with NaN is false, so what is asked is whether there is room, never whether there is none.
		const spent = usesOf(facts).filter(({name, used}) => !(used < budget[name]));
		if (spent.length === 0) return {gate: 'budget', effect: 'allow', rules: ['budget'], reason: 'the run is within its budget'};
		const reason = spent.map(
			({name, used, unit, setting}) => `this run has used ${used} of ${budget[name]} ${unit}; to allow more, raise ${setting}`,
		);
		return {gate: 'budget', effect: 'deny', rules: spent.map(({name}) => `budget:${name}`), reason: reason.join('; ')};
	},
};

function usesOf({run, now}: Facts): readonly Use[] {
	return [
		{name: 'actions', used: run.actions, unit: 'actions', setting: 'WRIT_BUDGET_ACTIONS'},
		{name: 'tokens', used: run.tokens, unit: 'tokens', setting: 'WRIT_BUDGET_TOKENS'},
		{name: 'costUsd', used: run.costUsd, unit: 'US dollars', setting: 'WRIT_BUDGET_COST_USD'},
		{
			name: 'wallMs',
			used: now.getTime() - run.startedAt.getTime() - run.waitedMs,
			unit: 'ms',
			setting: 'WRIT_BUDGET_WALL_SECONDS',
		},
	];
}
