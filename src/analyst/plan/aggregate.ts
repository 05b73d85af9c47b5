/** Aggregates: what they take, their SQL and their words. */
import type {AggregateExpr, AggregateFunc} from '#contract/query-plan.ts';
import type {ColumnType} from '#contract/table.ts';
import {operandSql, operandWords} from './calls.ts';
import {familyOf, scalarSql, typeWords} from './literal.ts';
import {type Bound, BROKEN, report, type Scope, STRENGTH, tablesOf} from './scope.ts';

type AggregateSpec = {
	readonly name: string;
	readonly words: string;
	readonly needs: 'number' | 'any';
	readonly type?: ColumnType;
};
const AGGREGATES: Readonly<Record<Exclude<AggregateFunc, 'count_if' | 'rate' | 'quantile'>, AggregateSpec>> = {
	count: {name: 'COUNT', words: 'count of', needs: 'any', type: 'integer'},
	count_distinct: {name: 'COUNT', words: 'count of distinct', needs: 'any', type: 'integer'},
	sum: {name: 'SUM', words: 'sum of', needs: 'number'},
	avg: {name: 'AVG', words: 'average', needs: 'number', type: 'double'},
	min: {name: 'MIN', words: 'lowest', needs: 'any'},
	max: {name: 'MAX', words: 'highest', needs: 'any'},
	median: {name: 'MEDIAN', words: 'median', needs: 'number', type: 'double'},
	stddev: {name: 'STDDEV_SAMP', words: 'standard deviation of', needs: 'number', type: 'double'},
};

const SET_LIKE: ReadonlySet<AggregateFunc> = new Set(['count_distinct', 'min', 'max']);

export type AggregateParts = {
	/** null where whole rows are counted */
	readonly operand: Bound | null;
	readonly condition: Bound | null;
	readonly where: Bound | null;
	readonly path: string;
	readonly scope: Scope;
};

/** An aggregate over operands that are bound already. */
export function aggregate(expr: AggregateExpr, parts: AggregateParts): Bound {
	const {operand, condition, where} = parts;
	const given = [operand, condition, where].filter((each) => each !== null);
	if (given.some(({kind}) => kind === 'broken')) return BROKEN;
	const measure = expr.func === 'count_if' || expr.func === 'rate' ? share(expr.func, parts) : measured(expr, parts);
	if (measure === null) return BROKEN;
	return {
		kind: 'aggregate',
		sql: measure.sql,
		words: where === null ? measure.words : `${measure.words} (only where ${where.words})`,
		type: measure.type,
		parts: [],
		tables: tablesOf(given),
		...(expr.func === 'rate' ? {infix: STRENGTH.product} : {}),
		...(SET_LIKE.has(expr.func) ? {isSetLike: true} : {}),
	};
}

/** What the keys of an aggregate lack or have too many of; null when they fit. */
export function aggregateProblem({func, column, expr, if: condition, p}: AggregateExpr): string | null {
	const isShare = func === 'count_if' || func === 'rate';
	if (condition !== undefined && !isShare) return `\`${func}\` has no \`if\`; write the condition as \`where\``;
	if (p !== undefined && func !== 'quantile') return `\`${func}\` has no \`p\`; only quantile has`;
	if (func === 'quantile' && p === undefined) return 'quantile needs p, from 0 to 1: 0.9 is the 90th percentile';
	if (column === '*' && func !== 'count') return `\`${func}\` needs a column; only count can take \`*\``;
	if (isShare && [condition, column, expr].filter((each) => each !== undefined).length !== 1) {
		return `\`${func}\` needs \`if\`: a condition, or the name of a boolean column as \`column\``;
	}
	return null;
}

type Measure = {readonly sql: string; readonly words: string; readonly type: ColumnType};

function measured({func, p = 0.5}: AggregateExpr, {operand, where, path, scope}: AggregateParts): Measure | null {
	const filter = where === null ? '' : ` FILTER (WHERE ${where.sql})`;
	if (operand === null) return {sql: `COUNT(*)${filter}`, words: `count of ${scope.tables[0]?.name ?? 'rows'}`, type: 'integer'};
	const spec = specOf(func, p);
	if (spec.needs === 'number' && familyOf(operand.type) !== 'number' && operand.type !== 'null') {
		report(scope, path, `${func} needs numbers; \`${operand.words}\` is ${typeWords(operand.type)}${instead(func, operand)}`);
		return null;
	}
	const distinct = func === 'count_distinct' ? 'DISTINCT ' : '';
	const extra = func === 'quantile' ? `, ${scalarSql(p)}` : '';
	return {
		sql: `${spec.name}(${distinct}${operand.sql}${extra})${filter}`,
		words: `${spec.words} ${operandWords(operand, STRENGTH.comparison)}`,
		type: spec.type ?? operand.type,
	};
}

function specOf(func: AggregateFunc, p: number): AggregateSpec {
	if (func !== 'quantile' && func !== 'count_if' && func !== 'rate') return AGGREGATES[func];
	return {name: 'QUANTILE_CONT', words: `${Number((p * 100).toFixed(4))}th percentile of`, needs: 'number', type: 'double'};
}

function instead(func: AggregateFunc, operand: Bound): string {
	if (operand.type === 'boolean') {
		return func === 'sum'
			? '; write {"func": "count_if", "column": …} to count what is true'
			: '; write {"func": "rate", "column": …} for the percentage that is true';
	}
	return operand.type === 'text' ? '; write {"op": "to_number", "args": [...]} as its expr to read numbers out of it' : '';
}

/** `count_if` counts rows for which the condition holds; `rate` is their percentage. Unknown counts as not holding. */
function share(func: 'count_if' | 'rate', {operand, condition, where, path, scope}: AggregateParts): Measure | null {
	if (operand !== null && operand.type !== 'boolean') {
		report(scope, path, `\`${operand.words}\` is ${typeWords(operand.type)}, not a boolean; write the condition as \`if\``);
		return null;
	}
	const held = operand ?? condition ?? BROKEN;
	const heldWords = operand === null ? held.words : `${operand.words} is true`;
	const table = scope.tables[0]?.name ?? 'rows';
	const counted = `COUNT(*) FILTER (WHERE ${where === null ? held.sql : `${operandSql(where, STRENGTH.comparison)} AND ${operandSql(held, STRENGTH.comparison)}`})`;
	if (func === 'count_if') return {sql: counted, words: `count of ${table} where ${heldWords}`, type: 'integer'};
	const all = where === null ? 'COUNT(*)' : `COUNT(*) FILTER (WHERE ${where.sql})`;
	return {sql: `100.0 * ${counted} / NULLIF(${all}, 0)`, words: `percentage of ${table} where ${heldWords}`, type: 'double'};
}
