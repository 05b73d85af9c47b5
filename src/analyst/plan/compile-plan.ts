import type {Dataset} from '#contract/dataset.ts';
import type {QueryPlan} from '#contract/query-plan.ts';
import type {Column} from '#contract/table.ts';
import type {BoundPlan} from './bind-plan.ts';
import {operandSql} from './calls.ts';
import {dumpsWholeTable} from './dumps-whole-table.ts';
import {type JoinCheck, joinCheck, joinSql} from './joins.ts';
import {quoteIdentifier} from './literal.ts';
import {requireBound} from './parse-plan.ts';
import type {Bound} from './scope.ts';
import {sentenceOf} from './sentence.ts';
import {orderSql} from './window.ts';

export type CompiledPlan = {
	readonly sql: string;
	/** the plan in one sentence */
	readonly sentence: string;
	/** what the query yields, in order */
	readonly columns: readonly Column[];
	/** one per join, in order: queries that measure how well it matches */
	readonly joins: readonly JoinCheck[];
	readonly warnings: readonly string[];
};

/** More columns than this do not take part in breaking ties between rows. */
const MAX_TIE_COLUMNS = 32;

/** The plan as one SELECT. The same plan and dataset give the same text. Throws `invalid_plan` for a plan that does not parse. */
export function compilePlan(plan: QueryPlan, dataset: Dataset): CompiledPlan {
	const bound = requireBound(plan, dataset);
	const dump = dumpsWholeTable(bound.plan, dataset) ? ['the plan reads a whole table: no filter, and many columns or rows'] : [];
	return {
		sql: selectSql(bound),
		sentence: sentenceOf(bound),
		columns: bound.items.map(({name, bound: {type}}) => ({name, type})),
		joins: bound.joins.map(joinCheck),
		warnings: [...bound.warnings, ...dump],
	};
}

function selectSql(bound: BoundPlan): string {
	const {plan, base, joins, filters, groups, having, qualify} = bound;
	const order = orderClauses(bound);
	return [
		...selectList(bound),
		`FROM ${quoteIdentifier(base.name)}`,
		...joins.map(joinSql),
		...all('WHERE', filters),
		...(groups.length > 0 ? [`GROUP BY ${groups.map(({sql}) => sql).join(', ')}`] : []),
		...all('HAVING', having),
		...all('QUALIFY', qualify),
		...(order.length > 0 ? [`ORDER BY ${order.join(', ')}`] : []),
		...(plan.limit === null ? [] : [`LIMIT ${plan.limit}`]),
	].join('\n');
}

function selectList({plan, items, isStar, joins}: BoundPlan): readonly string[] {
	const head = plan.distinct ? 'SELECT DISTINCT' : 'SELECT';
	if (isStar && joins.length === 0) return [`${head} *`];
	const list = items.map(({name, bound, isRenamed}) => `  ${bound.sql}${isRenamed ? ` AS ${quoteIdentifier(name)}` : ''}`);
	return [head, list.join(',\n')];
}

function all(keyword: string, conditions: readonly Bound[]): readonly string[] {
	if (conditions.length === 0) return [];
	const [only] = conditions;
	return [
		`${keyword} ${conditions.length === 1 && only ? only.sql : conditions.map((each) => operandSql(each)).join('\n  AND ')}`,
	];
}

/**
 * The order asked for, then what makes it total, because the first rows of an order with ties are not one answer: group keys for
 * groups; for rows a column that differs in each, else the shown ones. Rows of one table without an order stay in the order of the file.
 */
function orderClauses(bound: BoundPlan): readonly string[] {
	const given = bound.order.map((each) => orderSql(nameOrSql(each.bound, bound), each.direction));
	const used = new Set(bound.order.map((each) => each.bound.sql));
	const ties = tieBreakers(bound).filter(({sql}) => !used.has(sql));
	const unique = [...new Map(ties.map((tie) => [tie.sql, tie])).values()];
	return [...given, ...unique.map((tie) => orderSql(nameOrSql(tie, bound), 'asc'))];
}

function tieBreakers({plan, joins, items, groups, order, isAggregated, rowKey}: BoundPlan): readonly Bound[] {
	if (isAggregated && !plan.distinct) return groups;
	const isFileOrder =
		order.length === 0 && joins.length === 0 && !plan.distinct && items.every(({bound}) => bound.kind !== 'window');
	if (isFileOrder) return [];
	if (rowKey && !plan.distinct && !isAggregated) return [rowKey];
	const orderable = items.map(({bound}) => bound).filter(({kind, type}) => kind !== 'literal' && type !== 'json');
	return orderable.slice(0, MAX_TIE_COLUMNS);
}

/** A shown expression is ordered by its name, unless the name also means a column or a table. */
function nameOrSql(bound: Bound, {items, base, joins}: BoundPlan): string {
	const item = items.find((each) => each.isRenamed && each.bound.sql === bound.sql);
	if (!item) return bound.sql;
	const name = item.name.toLowerCase();
	const hidden = [base, ...joins.map((join) => join.table)].some(
		(table) => table.name.toLowerCase() === name || table.columns.some((column) => column.name.toLowerCase() === name),
	);
	return hidden ? bound.sql : quoteIdentifier(item.name);
}
