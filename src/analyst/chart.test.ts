import assert from 'node:assert/strict';
import {test} from 'node:test';
import {chartSchema} from '#contract/chart.ts';
import type {Column} from '#contract/table.ts';
import {chartFor, createChartTool} from './chart.ts';

const text = (name: string): Column => ({name, type: 'text'});
const count = (name: string): Column => ({name, type: 'integer'});

test('a measure by a category is a bar chart in the order of the result', () => {
	const chart = chartFor({
		columns: [text('priority'), count('n')],
		rows: [
			['Low', 9],
			['High', 3],
		],
	});
	assert.deepEqual(chart, {
		mark: 'bar',
		description: 'Bar chart of n by priority; 2 rows.',
		encoding: {y: {field: 'priority', type: 'nominal', sort: null}, x: {field: 'n', type: 'quantitative'}},
	});
	assert.deepEqual(chartSchema.parse(chart), chart);
});

test('a measure over time is a line, one for each value of a further category', () => {
	const columns: Column[] = [{name: 'month', type: 'date'}, text('zone'), count('n')];
	const chart = chartFor({
		columns,
		rows: [
			['2026-01-01', 'North', 1],
			['2026-01-01', 'South', 2],
			['2026-02-01', 'North', 3],
		],
	});
	assert.deepEqual(chart?.encoding, {
		x: {field: 'month', type: 'temporal'},
		y: {field: 'n', type: 'quantitative'},
		color: {field: 'zone', type: 'nominal'},
	});
});

for (const [reason, columns, rows] of [
	['one row is said better in words', [text('a'), count('n')], [['x', 1]]],
	[
		'ids are names, not measures',
		[text('name'), count('order_id')],
		[
			['x', 1],
			['y', 2],
		],
	],
	[
		'a category that repeats would be summed silently',
		[text('a'), count('n')],
		[
			['x', 1],
			['x', 2],
		],
	],
	[
		'there is nothing to measure',
		[text('a'), text('b')],
		[
			['x', 'y'],
			['z', 'w'],
		],
	],
] as const) {
	test(`a table stays a table: ${reason}`, () =>
		assert.equal(chartFor({columns: [...columns], rows: rows.map((row) => [...row])}), null));
}

test('a chart can only name columns of its result', async () => {
	const tool = createChartTool();
	const chart = {mark: 'bar' as const, description: 'd', encoding: {x: {field: 'secret'}}};
	await assert.rejects(tool.run({columns: ['n'], chart}, {} as never), {
		code: 'invalid_request',
		message: 'the chart names `secret`; the result has `n`',
	});
});

for (const way of [
	{data: {url: 'http://x/'}},
	{transform: []},
	{params: []},
	{mark: {type: 'bar', href: 'javascript:0'}},
	{encoding: {x: {field: 'a', condition: {test: '1'}}}},
]) {
	test(`a chart is data: ${JSON.stringify(way)} is refused`, () => {
		assert.equal(chartSchema.safeParse({mark: 'bar', description: '', encoding: {}, ...way}).success, false);
	});
}
