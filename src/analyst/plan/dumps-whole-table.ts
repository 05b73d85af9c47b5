import type {Dataset} from '#contract/dataset.ts';
import type {QueryPlan} from '#contract/query-plan.ts';

const MANY_COLUMNS = 20;
const MANY_ROWS = 200;

/** Whether the plan looks like taking the data away rather than asking about it. A hint for risk, not a defence. */
export function dumpsWholeTable(plan: QueryPlan, dataset: Dataset): boolean {
	if (plan.filters.length > 0 || holdsAggregate(plan.select) || plan.group_by.length > 0) return false;
	const rows = dataset.tables.find(({name}) => name === plan.table)?.rows ?? 0;
	return (plan.limit ?? rows) > MANY_ROWS || columnCount(plan, dataset) > MANY_COLUMNS;
}

function columnCount(plan: QueryPlan, dataset: Dataset): number {
	if (plan.select !== null) return plan.select.length;
	const names = new Set([plan.table, ...plan.joins.map(({table}) => table)]);
	return dataset.tables.filter(({name}) => names.has(name)).reduce((sum, {columns}) => sum + columns.length, 0);
}

function holdsAggregate(value: unknown): boolean {
	if (typeof value !== 'object' || value === null) return false;
	return 'func' in value || Object.values(value).some(holdsAggregate);
}
