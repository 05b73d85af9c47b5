/** Windows of select: ranks, running and moving values, neighbours and shares of a total. */
import type {WindowFunc, WindowItem} from '#contract/query-plan.ts';
import type {ColumnType} from '#contract/table.ts';
import {bindExpr, bindOperand} from './bind-expr.ts';
import {operandSql, operandWords} from './calls.ts';
import {familyOf, typeWords} from './literal.ts';
import {type Bound, BROKEN, isConstant, report, type Scope, STRENGTH, tablesOf} from './scope.ts';

type Ordered = {readonly bound: Bound; readonly direction: 'asc' | 'desc'};
type Spec = {
	readonly operand: 'none' | 'optional' | 'number' | 'any';
	readonly order: 'needed' | 'optional' | 'none';
	/** its value depends on the order among equal rows, so the order has to be made total */
	readonly total: boolean;
	readonly type?: ColumnType;
	readonly words: string;
};

const SPECS: Readonly<Record<WindowFunc, Spec>> = {
	row_number: {operand: 'none', order: 'needed', total: true, type: 'integer', words: 'row number'},
	rank: {operand: 'none', order: 'needed', total: false, type: 'integer', words: 'rank'},
	dense_rank: {operand: 'none', order: 'needed', total: false, type: 'integer', words: 'dense rank'},
	sum: {operand: 'number', order: 'optional', total: false, words: 'sum of'},
	avg: {operand: 'number', order: 'optional', total: false, type: 'double', words: 'average'},
	min: {operand: 'any', order: 'optional', total: false, words: 'lowest'},
	max: {operand: 'any', order: 'optional', total: false, words: 'highest'},
	count: {operand: 'optional', order: 'optional', total: false, type: 'integer', words: 'count of'},
	lag: {operand: 'any', order: 'needed', total: true, words: 'previous'},
	lead: {operand: 'any', order: 'needed', total: true, words: 'next'},
	percent_of_total: {operand: 'number', order: 'none', total: false, type: 'double', words: 'percentage of the total'},
};

/** `ties` complete an order that has to be total: the group keys, or the columns shown. */
export function bindWindow(item: WindowItem, path: string, scope: Scope, ties: readonly Bound[]): Bound {
	const spec = SPECS[item.window];
	const problem = shapeProblem(item, spec);
	if (problem !== null) return report(scope, path, problem);
	const inside: Scope = {...scope, aliasesFirst: true, refused: {...scope.refused, window: 'cannot stand inside a window'}};
	const isOfRows = item.column === undefined && item.expr === undefined;
	const operand = isOfRows ? null : bindOperand(item, path, inside);
	const partition = (item.partition_by ?? []).map((expr, index) => bindExpr(expr, `${path}.partition_by[${index}]`, inside));
	const order = (item.order_by ?? []).map(({expr, direction}, index) => ({
		bound: bindExpr(expr, `${path}.order_by[${index}].expr`, inside),
		direction: direction ?? 'asc',
	}));
	const bounds = [...(operand ? [operand] : []), ...partition, ...order.map(({bound}) => bound)];
	if (bounds.some(({kind}) => kind === 'broken')) return BROKEN;
	if ([...partition, ...order.map(({bound}) => bound)].some(isConstant))
		return report(scope, path, 'a constant neither parts nor orders rows');
	if (spec.operand === 'number' && operand && familyOf(operand.type) !== 'number') {
		return report(scope, path, `${item.window} needs numbers; \`${operand.words}\` is ${typeWords(operand.type)}`);
	}
	const total = spec.total || item.rows !== undefined ? completed(order, ties) : order;
	return {
		kind: 'window',
		sql: windowSql(item, operand, overSql(partition, total, item.rows)),
		words: windowWords(item, operand, partition, order),
		type: spec.type ?? operand?.type ?? 'null',
		parts: bounds,
		tables: tablesOf(bounds),
		...(item.window === 'percent_of_total' ? {infix: STRENGTH.product} : {}),
	};
}

function shapeProblem({window, column, expr, order_by, rows}: WindowItem, spec: Spec): string | null {
	const hasOperand = column !== undefined || expr !== undefined;
	const isOrdered = order_by !== undefined && order_by.length > 0;
	if (spec.operand === 'none' && hasOperand) return `${window} takes no column; what it ranks by is its order_by`;
	if (!hasOperand && (spec.operand === 'number' || spec.operand === 'any')) return `${window} needs a column or an expr`;
	if (spec.order === 'needed' && !isOrdered) return `${window} needs order_by`;
	if (spec.order === 'none' && isOrdered) return `${window} takes no order_by`;
	if (rows === undefined) return null;
	if (spec.order !== 'optional') return `${window} takes no rows; sum, avg, min, max and count do`;
	return isOrdered ? null : 'rows needs order_by';
}

function completed(order: readonly Ordered[], ties: readonly Bound[]): readonly Ordered[] {
	const given = new Set(order.map(({bound}) => bound.sql));
	return [...order, ...ties.filter(({sql}) => !given.has(sql)).map((bound) => ({bound, direction: 'asc'}) as const)];
}

function overSql(partition: readonly Bound[], order: readonly Ordered[], rows: number | undefined): string {
	const parts = [
		...(partition.length > 0 ? [`PARTITION BY ${partition.map(({sql}) => sql).join(', ')}`] : []),
		...(order.length > 0 ? [`ORDER BY ${order.map(({bound, direction}) => orderSql(bound.sql, direction)).join(', ')}`] : []),
		...(rows === undefined ? [] : [`ROWS BETWEEN ${rows - 1} PRECEDING AND CURRENT ROW`]),
	];
	return `OVER (${parts.join(' ')})`;
}

/** Missing values come last in both directions, whatever the engine is set to. */
export function orderSql(sql: string, direction: 'asc' | 'desc'): string {
	return `${sql} ${direction.toUpperCase()} NULLS LAST`;
}

function windowSql({window}: WindowItem, operand: Bound | null, over: string): string {
	if (window === 'percent_of_total' && operand) return `100.0 * ${operandSql(operand)} / NULLIF(SUM(${operand.sql}) ${over}, 0)`;
	return `${window.toUpperCase()}(${operand?.sql ?? (window === 'count' ? '*' : '')}) ${over}`;
}

function windowWords(
	{window, rows}: WindowItem,
	operand: Bound | null,
	partition: readonly Bound[],
	order: readonly Ordered[],
): string {
	const spec = SPECS[window];
	const isRunning = spec.order === 'optional' && order.length > 0;
	const of = operand
		? ` ${window === 'percent_of_total' ? 'of ' : ''}${operandWords(operand)}`
		: window === 'count'
			? ' rows'
			: '';
	const over = rows === undefined ? '' : ` over ${rows} rows`;
	const by =
		order.length > 0
			? ` by ${order.map(({bound, direction}) => `${bound.words}${direction === 'desc' ? ' descending' : ''}`).join(', ')}`
			: '';
	const within = partition.length > 0 ? ` within ${partition.map(({words}) => words).join(', ')}` : '';
	const whole = spec.order === 'optional' && order.length === 0 && partition.length === 0 ? ' over all rows' : '';
	return `${isRunning && rows === undefined ? 'running ' : ''}${spec.words}${of}${over}${by}${within}${whole}`;
}
