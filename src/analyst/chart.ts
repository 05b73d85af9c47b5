import {z} from 'zod';
import {type Chart, chartSchema} from '#contract/chart.ts';
import {WritError} from '#contract/errors.ts';
import type {Column, ColumnType, Table} from '#contract/table.ts';
import type {Tool} from '#kernel/tool.ts';

const inputSchema = z.strictObject({
	columns: z.array(z.string()).min(1).describe('the columns of the result that the chart is drawn over'),
	chart: chartSchema.describe('the chart; every field it names is one of `columns`'),
});

/** Lets an agent choose how a result is drawn. It computes nothing: the page draws the chart over rows it already has. */
export function createChartTool(): Tool<z.infer<typeof inputSchema>, {chart: Chart}> {
	return {
		name: 'analyst.chart',
		version: '1',
		title: 'Draw a chart',
		description: 'Chooses how the last result is drawn: a mark and encodings over its columns.',
		input: inputSchema,
		output: z.object({chart: chartSchema}),
		effect: 'read',
		risk: 'low',
		idempotent: true,
		labels: [],
		limits: {wallMs: 1_000, maxRows: 1, maxBytes: 100_000},
		resource: () => ({type: 'Catalogue', id: 'charts'}),
		async run({columns, chart}) {
			const unknown = fieldsOf(chart).filter((field) => !columns.includes(field));
			if (unknown.length > 0) {
				throw new WritError(
					'invalid_request',
					`the chart names \`${unknown.join('`, `')}\`; the result has \`${columns.join('`, `')}\``,
				);
			}
			return {chart};
		},
		verify: async ({columns}, {chart}) => {
			const fields = fieldsOf(chart);
			return {
				kind: 'verified',
				checks: [
					{name: 'fields', passed: fields.every((field) => columns.includes(field)), detail: fields.join(', ') || 'counts rows'},
				],
			};
		},
	};
}

function fieldsOf({encoding}: Chart): readonly string[] {
	return Object.values(encoding).flatMap((channel) => [channel ?? []].flat().flatMap(({field}) => field ?? []));
}

/** A fitting chart for a result nobody chose one for; null when a table says it better. */
export function chartFor({columns, rows}: Pick<Table, 'columns' | 'rows'>): Chart | null {
	if (rows.length < 2 || columns.length < 2) return null;
	const measures = columns.filter((column) => kindOf(column.type) === 'quantitative' && !isId(column));
	const dimension =
		columns.find((column) => !measures.includes(column) && kindOf(column.type) !== null && !isId(column)) ?? columns.find(isId);
	const [measure] = measures;
	if (!(measure && dimension)) return null;

	const others = columns.filter((column) => column !== dimension && !measures.includes(column) && column.type === 'text');
	const [series] = others.filter((column) => distinct(rows, columns.indexOf(column)) <= 8);
	const temporal = kindOf(dimension.type) === 'temporal';
	const positions = distinct(rows, columns.indexOf(dimension));
	// Rows with an id of their own are things, not a course of time.
	const misleads = temporal ? columns.some(isId) : positions > MOST_BARS || (positions < rows.length && !series);
	if (misleads) return null;

	const along = {field: dimension.name, type: temporal ? ('temporal' as const) : ('nominal' as const)};
	const amount = {field: measure.name, type: 'quantitative' as const};
	const color = series ? {color: {field: series.name, type: 'nominal' as const}} : {};
	const description = `${temporal ? 'Line' : 'Bar'} chart of ${measure.name} by ${dimension.name}${series ? `, one colour per ${series.name}` : ''}; ${rows.length} rows.`;
	if (temporal) return {mark: 'line', description, encoding: {x: along, y: amount, ...color}};
	return {mark: 'bar', description, encoding: {y: {...along, sort: null}, x: amount, ...color}};
}

const MOST_BARS = 40;

function isId({name}: Column): boolean {
	return /(^|_)id$/i.test(name);
}

function kindOf(type: ColumnType): 'quantitative' | 'temporal' | 'nominal' | null {
	if (type === 'integer' || type === 'decimal' || type === 'double') return 'quantitative';
	if (type === 'date' || type === 'timestamp' || type === 'timestamptz') return 'temporal';
	return type === 'text' || type === 'boolean' ? 'nominal' : null;
}

function distinct(rows: Table['rows'], column: number): number {
	return new Set(rows.map((row) => row[column])).size;
}
