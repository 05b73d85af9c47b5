import type {Result} from '#contract/api.ts';
import type {Chart} from '#contract/chart.ts';
import {isNumeric} from '../result/cells.ts';

export type ChartTheme = {
	readonly fg: string;
	readonly muted: string;
	readonly line: string;
	readonly accent: string;
	readonly dark: boolean;
};

/**
 * The chart joined with its rows. Columns travel under names made here, because a dot or bracket in a column's own name would be
 * read as a path; titles keep the names people know.
 */
export function toVegaLite(chart: Chart, result: Result, theme: ChartTheme) {
	const nameOf = new Map(result.columns.map((name, index) => [name, `c${index}`]));
	const channel = ({field, sort, ...rest}: NonNullable<Chart['encoding']['x']>) => ({
		...rest,
		...(field !== undefined && {field: nameOf.get(field) ?? 'none', title: rest.title ?? titleOf(field, rest.aggregate)}),
		...(sort !== undefined && {sort}),
	});
	const {tooltip, ...placed} = chart.encoding;
	const encoding: Record<string, unknown> = Object.fromEntries(
		Object.entries(placed).flatMap(([name, given]) => (given ? [[name, channel(given)]] : [])),
	);
	encoding.tooltip = (tooltip ?? Object.values(placed)).flatMap((given) => (given?.field === undefined ? [] : [channel(given)]));
	const bars = chart.mark === 'bar' || chart.mark === 'area' || chart.mark === 'line' || chart.mark === 'point';
	return {
		data: {
			values: result.rows.map((row) =>
				Object.fromEntries(row.map((value, index) => [`c${index}`, toDatum(value, result, index)])),
			),
		},
		...(chart.title !== undefined && {title: chart.title}),
		description: chart.description,
		mark: {type: chart.mark, ...(bars && encoding.color === undefined ? {color: theme.accent} : {})},
		encoding,
		width: 'container' as const,
		autosize: {type: 'fit-x', contains: 'padding'},
		config: configOf(theme),
	};
}

/** Large integers and decimals travel as text; a chart has only doubles to place them with. */
function toDatum(value: Result['rows'][number][number], {column_types}: Result, index: number): unknown {
	if (typeof value === 'string' && isNumeric(column_types[index] ?? 'text')) return Number(value);
	return typeof value === 'object' && value !== null ? JSON.stringify(value) : value;
}

function titleOf(field: string, aggregate: string | undefined): string {
	const words = field.replaceAll('_', ' ');
	return aggregate === undefined || aggregate === 'count' ? words : `${aggregate} of ${words}`;
}

/** Apart in hue and in lightness, on both grounds. */
const LIGHT = ['#3d5bd9', '#d9762b', '#1a8f63', '#a83fa0', '#b58900', '#c0392b', '#2b8aa8', '#6b6f7a'];
const DARK = ['#93a4ff', '#f0a05a', '#4cc38a', '#d78be0', '#e3c04d', '#ff8078', '#62c4dd', '#a0a3ad'];

function configOf({fg, muted, line, dark}: ChartTheme) {
	const label = {labelColor: muted, titleColor: fg, labelFontSize: 11, titleFontSize: 11, titleFontWeight: 500};
	return {
		background: 'transparent',
		font: 'Inter Variable, system-ui, sans-serif',
		title: {color: fg, fontSize: 13, fontWeight: 500, anchor: 'start'},
		axis: {
			...label,
			gridColor: line,
			domainColor: line,
			tickColor: line,
			labelLimit: 160,
			labelOverlap: 'greedy',
			labelSeparation: 8,
			labelPadding: 6,
			titlePadding: 8,
			tickSize: 4,
		},
		axisQuantitative: {tickCount: 5},
		legend: label,
		header: label,
		view: {stroke: 'transparent'},
		bar: {cornerRadiusEnd: 2},
		line: {strokeWidth: 2},
		range: {category: dark ? DARK : LIGHT},
	};
}
