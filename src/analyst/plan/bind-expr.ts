/** Expressions and conditions of a plan with their names resolved and their types checked. */
import {isRecord} from '#contract/json.ts';
import type {
	AggregateExpr,
	Bucket,
	BucketExpr,
	CallExpr,
	CaseExpr,
	Condition,
	Conditions,
	Expr,
	FilterValue,
} from '#contract/query-plan.ts';
import type {ColumnType} from '#contract/table.ts';
import {aggregate, aggregateProblem} from './aggregate.ts';
import {asMoment, literal, nowOf} from './bound-literal.ts';
import {call, operandWords, wantsDate} from './calls.ts';
import {parseFormula} from './formula.ts';
import {familyOf, isComparable, typeWords} from './literal.ts';
import {combine, compare, predicate} from './predicate.ts';
import {type Bound, BROKEN, isIdentifier, matchColumns, report, resolveName, type Scope, tablesOf} from './scope.ts';
import {momentSql} from './time.ts';

/** No part of a query may be longer: names of select can be used many times, and each use repeats what they stand for. */
const MAX_EXPRESSION_SQL = 20_000;

export function bindExpr(expr: Expr, path: string, scope: Scope): Bound {
	const bound = bindAny(expr, path, scope);
	if (bound.sql.length <= MAX_EXPRESSION_SQL) return bound;
	return report(scope, path, `the calculation is too long; at most ${MAX_EXPRESSION_SQL} characters of SQL`);
}

function bindAny(expr: Expr, path: string, scope: Scope): Bound {
	if (typeof expr === 'string') return bindText(expr, path, scope);
	if (typeof expr !== 'object') return literal(expr);
	if ('func' in expr) return bindAggregate(expr, path, scope);
	if ('bucket' in expr) return bindBucket(expr, path, scope);
	if ('column' in expr) return resolveName(expr.column, `${path}.column`, scope);
	if ('value' in expr) return literal(expr.value);
	if ('case' in expr) return bindCase(expr, path, scope);
	return bindCall(expr, path, scope);
}

/** A string is the name of a column or alias when there is one, else a formula. */
function bindText(text: string, path: string, scope: Scope): Bound {
	const isName = scope.aliases.get(text.toLowerCase()) !== undefined || matchColumns(scope.tables, text).length > 0;
	if (isName || isIdentifier(text)) return resolveName(text, path, scope);
	const parsed = parseFormula(text);
	if ('expr' in parsed) return bindExpr(parsed.expr, path, scope);
	const tree = '{"op": "*", "args": ["price", "quantity"]}';
	return report(
		scope,
		path,
		`Invalid identifier or formula \`${text.slice(0, 80)}\`: ${parsed.error}; text itself is written {"value": "…"}, other calculations as a tree such as ${tree}`,
	);
}

/** The operand of an aggregate, a bucket or a window: exactly one of `column` and `expr`. */
export function bindOperand(
	{column, expr}: {readonly column?: string | undefined; readonly expr?: Expr | undefined},
	path: string,
	scope: Scope,
): Bound {
	if (column !== undefined && expr !== undefined) return report(scope, path, 'has both column and expr; write one of them');
	if (column !== undefined) return resolveName(column, `${path}.column`, scope);
	if (expr !== undefined) return bindExpr(expr, `${path}.expr`, scope);
	return report(scope, path, 'needs a column or an expr');
}

function bindCall({op, args}: CallExpr, path: string, scope: Scope): Bound {
	if (op === 'now') return args.length > 0 ? report(scope, `${path}.args`, 'now takes no values') : bindNow(path, scope);
	const bounds = args.map((arg, index) => {
		const bound = bindExpr(arg, `${path}.args[${index}]`, scope);
		return wantsDate(op, index) ? asMoment(bound, 'timestamp') : bound;
	});
	if (bounds.some(({kind}) => kind === 'broken')) return BROKEN;
	const result = call(op, bounds);
	if ('kind' in result) return result;
	return report(scope, result.index < 0 ? `${path}.args` : `${path}.args[${result.index}]`, result.message);
}

function bindNow(path: string, scope: Scope): Bound {
	const now = nowOf(path, scope);
	if (now === undefined) return BROKEN;
	return {kind: 'literal', sql: momentSql(now, 'timestamp'), words: 'now', type: 'timestamp', parts: [], tables: []};
}

function bindCase(expr: CaseExpr, path: string, scope: Scope): Bound {
	const whens = expr.case.map((arm, index) => bindConditions(arm.when, `${path}.case[${index}].when`, scope));
	const thens = expr.case.map((arm, index) => bindExpr(arm.then, `${path}.case[${index}].then`, scope));
	const otherwise = expr.else === undefined ? [] : [bindExpr(expr.else, `${path}.else`, scope)];
	const results = [...thens, ...otherwise];
	const parts = [...whens, ...results];
	if (parts.some(({kind}) => kind === 'broken')) return BROKEN;
	const known = results.filter(({type}) => type !== 'null');
	const [head] = known;
	const odd = known.find(({type}) => head && !isComparable(head.type, type));
	if (head && odd) {
		return report(
			scope,
			path,
			`the results differ in type: \`${head.words}\` is ${typeWords(head.type)}, \`${odd.words}\` is ${typeWords(odd.type)}`,
		);
	}
	const arms = whens.map((when, index) => `WHEN ${when.sql} THEN ${thens[index]?.sql}`).join(' ');
	const tail = otherwise[0] ? ` ELSE ${otherwise[0].sql}` : '';
	const words = whens.map((when, index) => `${thens[index]?.words} when ${when.words}`).join(', ');
	return {
		kind: 'call',
		sql: `CASE ${arms}${tail} END`,
		words: otherwise[0] ? `${words}, otherwise ${otherwise[0].words}` : words,
		type: widestType(known),
		parts,
		tables: tablesOf(parts),
	};
}

function widestType(results: readonly Bound[]): ColumnType {
	const types = results.map(({type}) => type);
	return (['double', 'decimal', 'timestamptz', 'timestamp'] as const).find((type) => types.includes(type)) ?? types[0] ?? 'null';
}

const PARTS_OF_TIME: Readonly<Partial<Record<Bucket, string>>> = {
	hour_of_day: 'hour',
	day_of_week: 'isodow',
	day_of_month: 'day',
	week_of_year: 'week',
	month_of_year: 'month',
	quarter_of_year: 'quarter',
	year_number: 'year',
};

function bindBucket({bucket, ...operand}: BucketExpr, path: string, scope: Scope): Bound {
	const inner = bindOperand(operand, path, scope);
	if (inner.kind === 'broken') return BROKEN;
	if (familyOf(inner.type) !== 'date') {
		return report(scope, path, `bucket needs a date or timestamp; \`${inner.words}\` is ${typeWords(inner.type)}`);
	}
	const base = {kind: 'call', parts: [inner], tables: inner.tables} as const;
	const part = PARTS_OF_TIME[bucket];
	const words = `${bucket === 'year_number' ? 'year' : bucket.replaceAll('_', ' ')} of ${operandWords(inner)}`;
	if (part !== undefined) return {...base, sql: `date_part('${part}', ${inner.sql})`, words, type: 'integer'};
	const cut = `date_trunc('${bucket}', ${inner.sql})`;
	if (bucket === 'hour') return {...base, sql: cut, words, type: inner.type === 'timestamptz' ? 'timestamptz' : 'timestamp'};
	return {...base, sql: `CAST(${cut} AS DATE)`, words, type: 'date'};
}

function bindAggregate(expr: AggregateExpr, path: string, scope: Scope): Bound {
	const reason = scope.refused.aggregate;
	if (reason !== undefined) return report(scope, path, `\`${expr.func}\` ${reason}`);
	const problem = aggregateProblem(expr);
	if (problem !== null) return report(scope, path, problem);
	const none = 'cannot stand inside an aggregate';
	const rows: Scope = {...scope, aliasesFirst: false, refused: {aggregate: none, window: none}};
	const isOfRows = (expr.column === undefined && expr.expr === undefined) || expr.column === '*';
	return aggregate(expr, {
		operand: isOfRows ? null : bindOperand(expr, path, rows),
		condition: expr.if === undefined ? null : bindConditions(expr.if, `${path}.if`, rows),
		where: expr.where === undefined ? null : bindConditions(expr.where, `${path}.where`, rows),
		path,
		scope: rows,
	});
}

/** All of `conditions` as one predicate. */
function bindConditions(conditions: Conditions, path: string, scope: Scope): Bound {
	return combine('AND', bindEach(conditions, path, scope));
}

function isList(conditions: Conditions): conditions is readonly Condition[] {
	return Array.isArray(conditions);
}

function bindCondition(condition: Condition, path: string, scope: Scope): Bound {
	if ('and' in condition) return combine('AND', bindEach(condition.and, `${path}.and`, scope));
	if ('or' in condition) return combine('OR', bindEach(condition.or, `${path}.or`, scope));
	if ('not' in condition) {
		const inner = bindCondition(condition.not, `${path}.not`, scope);
		return inner.kind === 'broken' ? BROKEN : predicate(`NOT (${inner.sql})`, `not (${inner.words})`, [inner]);
	}
	const left = bindOperand(condition, path, scope);
	const value = isExprValue(condition.value) ? bindExpr(condition.value.expr, `${path}.value.expr`, scope) : condition.value;
	return left.kind === 'broken' ? BROKEN : compare({left, op: condition.op, path, scope}, value);
}

function isExprValue(value: unknown): value is Extract<FilterValue, {readonly expr: unknown}> {
	return isRecord(value) && 'expr' in value;
}

/** One predicate for each; a condition outside a list has the path of the list. */
export function bindEach(conditions: Conditions, path: string, scope: Scope): readonly Bound[] {
	if (!isList(conditions)) return [bindCondition(conditions, path, scope)];
	return conditions.map((condition, index) => bindCondition(condition, `${path}[${index}]`, scope));
}
