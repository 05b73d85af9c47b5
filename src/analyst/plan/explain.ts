/**
 * Says in words why an input does not fit the plan's schema. The schema decides; this walks schema and input side by side to
 * find the place, the nearest valid spelling and, among alternatives, the one the writer most likely meant.
 */
import {z} from 'zod';
import {isRecord} from '#contract/json.ts';
import {nearest} from '#contract/nearest.ts';
import type {PlanProblem} from '#contract/query-plan.ts';

/** Keys and values that other query languages, and models, use for ours; where a key has two meanings, the one that fits counts. */
const FOREIGN_KEYS: Readonly<Record<string, string>> = {
	...{agg: 'func', aggregate: 'func', aggregation: 'func', fn: 'func', function: 'func', as: 'alias', dir: 'direction'},
	...{operator: 'op', operation: 'op', field: 'column', col: 'column', val: 'value', values: 'value', expression: 'expr'},
	...{from: 'table', columns: 'select', fields: 'select', sort: 'order_by', sort_by: 'order_by', order: 'order_by'},
	...{orderBy: 'order_by', groupBy: 'group_by', group: 'group_by', join: 'joins', dataset: 'dataset_id', top: 'limit'},
	...{partitionBy: 'partition_by', arguments: 'args', quantile: 'p', percentile: 'p', granularity: 'bucket', as_name: 'alias'},
	...{
		params: 'args',
		condition: 'if where',
		filter: 'filters where',
		where: 'filters if',
		over: 'partition_by',
		unique: 'distinct',
	},
};
const FOREIGN_VALUES: Readonly<Record<string, string>> = {
	...{
		average: 'avg',
		mean: 'avg',
		total: 'sum',
		std: 'stddev',
		stdev: 'stddev',
		percentile: 'quantile',
		distinct: 'count_distinct',
	},
	...{countif: 'count_if', percentage: 'rate', share: 'rate', countdistinct: 'count_distinct', nunique: 'count_distinct'},
	...{
		'==': '=',
		eq: '=',
		equals: '=',
		is: '=',
		'<>': '!=',
		ne: '!=',
		neq: '!=',
		gt: '>',
		gte: '>=',
		ge: '>=',
		lt: '<',
		lte: '<=',
	},
	...{like: 'contains', ilike: 'icontains', 'not in': 'not_in', starts_with: 'startswith', ends_with: 'endswith'},
	...{'is null': 'is_null', isnull: 'is_null', 'is not null': 'is_not_null', notnull: 'is_not_null', last: 'in_last'},
	...{ascending: 'asc', descending: 'desc', days: 'day', hours: 'hour', weeks: 'week', months: 'month', years: 'year'},
	...{weekday: 'day_of_week', dayofweek: 'day_of_week', add: '+', subtract: '-', multiply: '*', divide: '/', mod: '%'},
	...{pow: 'power', ceiling: 'ceil', datediff: 'date_diff', if_null: 'coalesce', ifnull: 'coalesce', log: 'ln'},
	...{ntile: 'rank', share_of_total: 'percent_of_total', running_total: 'sum', moving_average: 'avg'},
};

/** Nobody mends more mistakes than this at once, and looking for the nearest spelling of each takes time. */
export const MAX_PROBLEMS = 50;

export function explain(schema: z.core.$ZodType, value: unknown, path: string): readonly PlanProblem[] {
	const type = unwrap(schema);
	if (type instanceof z.ZodUnion) return explainUnion(type, value, path);
	if (type instanceof z.ZodObject) return explainObject(type, value, path);
	if (type instanceof z.ZodArray && Array.isArray(value)) {
		const inside: PlanProblem[] = [];
		for (const [index, element] of value.entries()) {
			if (inside.length >= MAX_PROBLEMS) break;
			inside.push(...explain(type.element, element, `${path}[${index}]`));
		}
		return inside.length > 0 ? inside : explainLeaf(type, value, path);
	}
	return explainLeaf(type, value, path);
}

function unwrap(schema: z.core.$ZodType): z.core.$ZodType {
	if (schema instanceof z.ZodLazy || schema instanceof z.ZodOptional || schema instanceof z.ZodNullable)
		return unwrap(schema.unwrap());
	return schema;
}

function alternatives(schema: z.core.$ZodType): readonly z.core.$ZodType[] {
	const type = unwrap(schema);
	return type instanceof z.ZodUnion ? type.options.flatMap(alternatives) : [type];
}

function explainUnion(type: z.ZodUnion, value: unknown, path: string): readonly PlanProblem[] {
	if (type.safeParse(value).success) return [];
	const options = alternatives(type);
	const lists = options.filter((option) => option instanceof z.ZodArray);
	if (Array.isArray(value) && lists[0]) return explain(lists[0], value, path);
	const objects = options.filter((option) => option instanceof z.ZodObject);
	if (isRecord(value) && objects.length > 0) {
		const best = objects.reduce((a, b) => (fit(b, value) > fit(a, value) ? b : a));
		if (fit(best, value) > 0) return explainObject(best, value, path);
	}
	const forms = [...new Set(options.map(describe))].join(', or ');
	return [{path, message: `expected ${forms}; got ${show(value)}`}];
}

/** How many keys of `value` the object knows, foreign spellings counting slightly less; a key that is needed and missing counts against it. */
function fit(option: z.ZodObject, value: Readonly<Record<string, unknown>>): number {
	const keys = Object.keys(option.shape);
	const meant = new Set<string>();
	let score = 0;
	for (const key of Object.keys(value)) {
		const foreign = keys.includes(key) ? key : translated(key, keys);
		const near = foreign ?? nearest(key, keys);
		if (near === undefined) continue;
		meant.add(near);
		score += near === key ? 1 : foreign === undefined ? 0.5 : 0.9;
	}
	return (
		score - Object.entries(option.shape).filter(([key, inner]) => !(inner instanceof z.ZodOptional) && !meant.has(key)).length
	);
}

function translated(key: string, keys: readonly string[]): string | undefined {
	const ours = Object.hasOwn(FOREIGN_KEYS, key) ? (FOREIGN_KEYS[key] ?? '') : '';
	return ours.split(' ').find((each) => keys.includes(each));
}

function explainObject(type: z.ZodObject, value: unknown, path: string): readonly PlanProblem[] {
	if (!isRecord(value)) return [{path, message: `expected ${describe(type)}; got ${show(value)}`}];
	const shape: Readonly<Record<string, z.core.$ZodType>> = type.shape;
	const problems: PlanProblem[] = [];
	const meant = new Set<string>();
	for (const [key, inner] of Object.entries(value)) {
		if (problems.length >= MAX_PROBLEMS) break;
		const known = Object.hasOwn(shape, key) ? shape[key] : undefined;
		if (known) problems.push(...explain(known, inner, join(path, key)));
		else problems.push(unknownKey(key, Object.keys(shape), path, meant));
	}
	for (const [key, inner] of Object.entries(shape)) {
		if (inner instanceof z.ZodOptional || Object.hasOwn(value, key) || meant.has(key)) continue;
		problems.push({path: join(path, key), message: `is missing; this needs ${describe(type)}`});
	}
	return problems;
}

function unknownKey(key: string, keys: readonly string[], path: string, meant: Set<string>): PlanProblem {
	const near = translated(key, keys) ?? nearest(key, keys);
	if (near !== undefined) meant.add(near);
	const advice = near === undefined ? `the keys here are ${keys.join(', ')}` : `did you mean \`${near}\`?`;
	return {path: join(path, key), message: `unknown key \`${clip(key)}\`; ${advice}`};
}

function explainLeaf(type: z.core.$ZodType, value: unknown, path: string): readonly PlanProblem[] {
	const result = z.safeParse(type, value);
	const issue = result.success ? undefined : result.error.issues[0];
	if (!issue) return [];
	if (type instanceof z.ZodEnum) return [{path, message: unknownValue(value, type.options.map(String))}];
	if (issue.code === 'too_big') return [{path, message: `must be at most ${issue.maximum}${many(value)}; got ${size(value)}`}];
	if (issue.code === 'too_small') return [{path, message: `must be at least ${issue.minimum}${many(value)}; got ${size(value)}`}];
	return [{path, message: `expected ${describe(type)}; got ${show(value)}`}];
}

function unknownValue(value: unknown, options: readonly string[]): string {
	const foreign = typeof value === 'string' ? value.toLowerCase() : '';
	const translated = Object.hasOwn(FOREIGN_VALUES, foreign) ? FOREIGN_VALUES[foreign] : undefined;
	const known = translated !== undefined && options.includes(translated) ? translated : undefined;
	const near = known ?? (typeof value === 'string' ? nearest(value, options) : undefined);
	return `${show(value)} is not known here; ${near === undefined ? `use one of ${options.join(', ')}` : `did you mean \`${near}\`?`}`;
}

function many(value: unknown): string {
	if (Array.isArray(value)) return ' entries';
	return typeof value === 'string' ? ' characters' : '';
}

function size(value: unknown): string {
	return Array.isArray(value) || typeof value === 'string' ? String(value.length) : show(value);
}

function describe(type: z.core.$ZodType): string {
	if (type instanceof z.ZodObject) {
		const keys = Object.entries(type.shape).map(([key, inner]) => (inner instanceof z.ZodOptional ? `${key}?` : key));
		return `{${keys.join(', ')}}`;
	}
	if (type instanceof z.ZodArray) return 'a list';
	if (type instanceof z.ZodString) return 'text';
	if (type instanceof z.ZodNumber) return type.isInt ? 'a whole number' : 'a number';
	if (type instanceof z.ZodBoolean) return 'true or false';
	return 'null';
}

export function show(value: unknown): string {
	if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
	if (typeof value === 'object' && value !== null)
		return `an object with keys ${Object.keys(value).slice(0, 8).map(clip).join(', ') || '(none)'}`;
	if (typeof value === 'string') return `\`${clip(value)}\``;
	return value === undefined ? 'nothing' : `${value}`;
}

/** Enough of what was written to recognise it by: the longest valid name, and a little more. */
export function clip(text: string): string {
	return text.length > 70 ? `${text.slice(0, 69).toWellFormed()}…` : text;
}

export function join(path: string, key: string): string {
	return path === '' ? clip(key) : `${path}.${clip(key)}`;
}
