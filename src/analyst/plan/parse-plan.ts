import type {Dataset} from '#contract/dataset.ts';
import {WritError} from '#contract/errors.ts';
import type {PlanProblem, QueryPlan} from '#contract/query-plan.ts';
import {type BoundPlan, bindPlan} from './bind-plan.ts';
import {readPlan} from './read-plan.ts';

type Parsed = {readonly plan: QueryPlan} | {readonly problems: readonly PlanProblem[]};

/**
 * Checks an untrusted plan against its dataset, by shape and by meaning. The dataset given here is the one that counts, whatever
 * `dataset_id` says. A plan that comes back compiles.
 */
export function parsePlan(input: unknown, dataset: Dataset): Parsed {
	const result = readAndBind(input, dataset);
	return 'bound' in result ? {plan: result.bound.plan} : result;
}

function readAndBind(input: unknown, dataset: Dataset): ReturnType<typeof bindPlan> {
	const read = readPlan(input);
	return 'input' in read ? bindPlan(read.input, dataset) : read;
}

/** The plan, or `invalid_plan` with every problem. */
export function requirePlan(input: unknown, dataset: Dataset): QueryPlan {
	return requireBound(input, dataset).plan;
}

export function requireBound(input: unknown, dataset: Dataset): BoundPlan {
	const result = readAndBind(input, dataset);
	if ('bound' in result) return result.bound;
	throw new WritError('invalid_plan', result.problems.map(problemText).join('\n'), {
		hint: 'every line names the place in the plan and what to write there',
		details: {problems: result.problems},
	});
}

function problemText({path, message}: PlanProblem): string {
	return path === '' ? message : `${path}: ${message}`;
}
