/**
 * The subset of Vega-Lite a chart may use, checked here again because the page imports only types. What passes is marks and encodings
 * over columns of the result: no data addresses, no expressions, no transforms.
 */
import type {Chart} from '#contract/chart.ts';

type Channel = NonNullable<Chart['encoding']['x']>;
/** Lists every value of a union; the compiler objects to one too many and one too few. */
const every =
	<U extends string>() =>
	<const T extends readonly U[]>(values: T & ([U] extends [T[number]] ? unknown : 'a value is missing')): readonly U[] =>
		values;

export const MARKS = every<Chart['mark']>()(['bar', 'line', 'area', 'point', 'arc', 'rect', 'tick', 'boxplot']);
export const TYPES = every<NonNullable<Channel['type']>>()(['quantitative', 'temporal', 'ordinal', 'nominal']);
export const AGGREGATES = every<NonNullable<Channel['aggregate']>>()(['count', 'sum', 'mean', 'median', 'min', 'max']);
const TIME_UNITS = every<NonNullable<Channel['timeUnit']>>()([
	'year',
	'yearquarter',
	'yearmonth',
	'yearmonthdate',
	'month',
	'day',
	'hours',
	'yearmonthdatehours',
]);
const SORTS = ['ascending', 'descending', 'x', 'y', '-x', '-y', null];
const STACKS = ['zero', 'normalize', null];
const CHANNELS = every<keyof Chart['encoding']>()(['x', 'y', 'color', 'size', 'theta', 'column', 'tooltip']);

type Report = (path: string, message: string) => void;
type Rule = (value: unknown, path: string, report: Report) => void;

const text =
	(most: number): Rule =>
	(value, path, report) => {
		if (typeof value !== 'string') report(path, 'must be text');
		else if (value.length > most) report(path, `is longer than ${most} characters`);
	};
const one =
	(values: readonly unknown[]): Rule =>
	(value, path, report) => {
		if (!values.includes(value)) report(path, `must be one of ${values.map((each) => each ?? 'null').join(', ')}`);
	};
const flag: Rule = (value, path, report) => {
	if (typeof value !== 'boolean') report(path, 'must be true or false');
};

function shape(rules: Readonly<Record<string, Rule>>, required: readonly string[] = []): Rule {
	const known = Object.keys(rules).join(', ');
	const unknown: Rule = (_, path, report) => report(path, `is not part of a chart here; known are ${known}`);
	return (value, path, report) => {
		if (typeof value !== 'object' || value === null || Array.isArray(value)) return report(path, 'must be an object');
		for (const key of required.filter((each) => !Object.hasOwn(value, each))) report(join(path, key), 'is missing');
		for (const [key, child] of Object.entries(value)) {
			const rule = (Object.hasOwn(rules, key) && rules[key]) || unknown;
			rule(child, join(path, key), report);
		}
	};
}

function channelRule(columns: readonly string[]): Rule {
	return shape({
		field: (value, path, report) => {
			if (!columns.includes(value as string)) report(path, `must be a column of the result: ${columns.slice(0, 12).join(', ')}`);
		},
		type: one(TYPES),
		aggregate: one(AGGREGATES),
		bin: flag,
		timeUnit: one(TIME_UNITS),
		title: text(200),
		sort: one(SORTS),
		stack: one(STACKS),
		scale: shape({zero: flag, type: one(['linear', 'log', 'sqrt'])}),
	});
}

export type Problem = {readonly path: string; readonly message: string};

/** The chart, or what is wrong with it. */
export function parseChart(value: unknown, columns: readonly string[]): {chart: Chart} | {problems: readonly Problem[]} {
	const problems: Problem[] = [];
	const channel = channelRule(columns);
	const list: Rule = (tips, path, report) => {
		if (!Array.isArray(tips) || tips.length > 12) report(path, 'must be a list of at most 12 channels');
		else for (const [index, tip] of tips.entries()) channel(tip, `${path}[${index}]`, report);
	};
	const channels = Object.fromEntries(CHANNELS.map((name) => [name, name === 'tooltip' ? list : channel]));
	const rules = {mark: one(MARKS), title: text(200), description: text(1_000), encoding: shape(channels)};
	shape(rules, ['mark', 'description', 'encoding'])(value, '', (path, message) => problems.push({path, message}));
	return problems.length > 0 ? {problems} : {chart: value as Chart};
}

function join(path: string, key: string): string {
	return path === '' ? key : `${path}.${key}`;
}
