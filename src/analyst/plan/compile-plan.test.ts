import assert from 'node:assert/strict';
import {after, before, test} from 'node:test';
import type {Dataset} from '#contract/dataset.ts';
import type {Json} from '#contract/json.ts';
import type {QueryPlanInput} from '#contract/query-plan.ts';
import {type CompiledPlan, compilePlan} from './compile-plan.ts';
import {requirePlan} from './parse-plan.ts';
import {datasetOf, type Engine, openEngine, openShop, shop, tableOf} from './test-datasets.ts';

let engine: Engine;
before(async () => {
	engine = await openShop();
});
after(() => engine.close());

function compile(plan: QueryPlanInput, dataset: Dataset = shop): CompiledPlan {
	return compilePlan(requirePlan(plan, dataset), dataset);
}

async function run(plan: QueryPlanInput): Promise<readonly (readonly Json[])[]> {
	return engine.rows(compile(plan).sql);
}

test('a plan without select reads all columns of the quoted table, with the default limit', () => {
	assert.equal(compile({table: 'orders'}).sql, 'SELECT *\nFROM "orders"');
});

test('columns and aliases are quoted, filters are and-ed, each clause has its line', () => {
	const plan: QueryPlanInput = {
		table: 'orders',
		select: [{column: 'id'}, {column: 'city', alias: 'town'}],
		filters: [
			{column: 'city', op: '=', value: "O'Hare"},
			{column: 'paid', op: '=', value: true},
		],
		order_by: [{expr: 'town', direction: 'desc'}],
		limit: 7,
	};
	assert.equal(
		compile(plan).sql,
		`SELECT
  "id",
  "city" AS "town"
FROM "orders"
WHERE "city" = 'O''Hare'
  AND "paid" = TRUE
ORDER BY "town" DESC NULLS LAST, "id" ASC NULLS LAST
LIMIT 7`,
	);
});

test('the same plan gives the same text', () => {
	const plan: QueryPlanInput = {table: 'orders', select: ['city', {func: 'count'}], group_by: ['city']};
	assert.deepEqual(compile(plan), compile(structuredClone(plan)));
});

test('every aggregate gives its value, with and without a condition of its own', async () => {
	const select: QueryPlanInput['select'] = [
		{func: 'count', alias: 'n'},
		{func: 'count', column: '*', alias: 'n2'},
		{func: 'count', column: 'city'},
		{func: 'count_distinct', column: 'city'},
		{func: 'sum', column: 'total'},
		{func: 'avg', column: 'total', where: {column: 'city', op: '=', value: 'Bern'}},
		{func: 'min', column: 'day'},
		{func: 'max', column: 'total'},
		{func: 'median', column: 'total'},
		{func: 'quantile', column: 'total', p: 0.25},
		{func: 'stddev', expr: {op: '*', args: ['id', 0]}, alias: 'sd'},
		{func: 'count_if', column: 'paid'},
		{func: 'count_if', if: {column: 'total', op: '>', value: 5}, where: {column: 'city', op: '=', value: 'Bern'}, alias: 'c'},
		{func: 'rate', column: 'paid'},
		{func: 'rate', if: {column: 'total', op: '>', value: 15}, where: {column: 'city', op: 'iequals', value: 'rome'}, alias: 'r'},
	];
	const {sql, columns} = compile({table: 'orders', select});
	assert.deepEqual(await engine.rows(sql), [['5', '5', '4', '3', 100, 20, '2025-12-31', 40, 20, 10, 0, '2', '2', 40, 100]]);
	assert.deepEqual(
		await engine.columns(sql),
		columns.map(({name}) => name),
	);
	assert.equal(columns[2]?.name, 'count_city');
});

test('an aggregate can be named by the name it got by itself', async () => {
	const plan: QueryPlanInput = {
		table: 'orders',
		select: ['city', {func: 'count'}],
		group_by: ['city'],
		order_by: [{expr: 'count', direction: 'desc'}],
		limit: 1,
	};
	assert.deepEqual(await run(plan), [['Bern', '2']]);
});

test('having keeps groups; groups without an order come by their keys', async () => {
	const plan: QueryPlanInput = {
		table: 'orders',
		select: ['city', {func: 'sum', column: 'total', alias: 'sum'}],
		group_by: ['city'],
		having: [{column: 'sum', op: '>=', value: 20}],
	};
	assert.deepEqual(await run(plan), [
		['Bern', 40],
		['Rome', 20],
		['rome', 40],
	]);
});

test('distinct leaves out repeated rows', async () => {
	const plan: QueryPlanInput = {table: 'orders', select: ['paid'], distinct: true};
	assert.deepEqual(await run(plan), [[false], [true], [null]]);
});

test('times are cut into buckets that can be grouped and ordered by', async () => {
	const plan: QueryPlanInput = {
		table: 'orders',
		select: [
			{bucket: 'month', column: 'at'},
			{func: 'count', alias: 'n'},
		],
		group_by: ['month'],
		order_by: [{expr: 'month', direction: 'desc'}],
		limit: 2,
	};
	assert.deepEqual(await run(plan), [
		['2026-03-01', '2'],
		['2026-02-01', '1'],
	]);
	const parts = [
		'hour',
		'day',
		'week',
		'quarter',
		'year',
		'hour_of_day',
		'day_of_week',
		'day_of_month',
		'week_of_year',
		'month_of_year',
	] as const;
	const select = [...parts, 'quarter_of_year' as const, 'year_number' as const].map((bucket) => ({bucket, column: 'at'}));
	assert.deepEqual(await run({table: 'orders', select, filters: {column: 'id', op: '=', value: 4}}), [
		['2026-01-31 23:00:00', '2026-01-31', '2026-01-26', '2026-01-01', '2026-01-01', '23', '6', '31', '5', '1', '1', '2026'],
	]);
});

test('an alias that hides a column means the alias after grouping and the column before', async () => {
	const plan: QueryPlanInput = {
		table: 'orders',
		select: [
			{bucket: 'year', column: 'day', alias: 'day'},
			{func: 'count', alias: 'id'},
		],
		filters: [{column: 'id', op: '<', value: 5}],
		group_by: ['day'],
		order_by: [{expr: 'id', direction: 'desc'}],
	};
	assert.deepEqual(await run(plan), [['2026-01-01', '4']]);
	const swapped: QueryPlanInput = {
		table: 'items',
		select: [
			{column: 'sku', alias: 'order_id'},
			{column: 'order_id', alias: 'sku'},
		],
		order_by: [{expr: 'sku'}, {expr: 'order_id'}],
	};
	assert.deepEqual(await run(swapped), [
		['x', '1'],
		['y', '1'],
		['x', '2'],
		['z', '9'],
	]);
});

test('names of select can be used by later calculations and windows', async () => {
	const plan: QueryPlanInput = {
		table: 'orders',
		select: [
			{bucket: 'month', column: 'day', alias: 'month'},
			{func: 'sum', column: 'total', alias: 'revenue'},
			{expr: 'revenue - before', alias: 'growth'},
			{window: 'lag', column: 'revenue', order_by: [{expr: 'month'}], alias: 'before'},
			{window: 'sum', column: 'revenue', order_by: [{expr: 'month'}], alias: 'running'},
			{window: 'avg', column: 'revenue', order_by: [{expr: 'month'}], rows: 2, alias: 'moving'},
			{window: 'percent_of_total', column: 'revenue', alias: 'percent'},
		],
		group_by: ['month'],
		order_by: [{expr: 'month'}],
	};
	assert.deepEqual(await run(plan), [
		['2025-12-01', 0, null, null, 0, 0, 0],
		['2026-01-01', 40, 40, 0, 40, 20, 40],
		['2026-02-01', 20, -20, 40, 60, 30, 20],
		['2026-03-01', 40, 20, 20, 100, 30, 40],
	]);
});

test('qualify keeps the top rows of each group', async () => {
	const plan: QueryPlanInput = {
		table: 'orders',
		select: [
			'city',
			'id',
			{window: 'row_number', partition_by: ['city'], order_by: [{expr: 'total', direction: 'desc'}], alias: 'place'},
		],
		filters: [{column: 'city', op: 'is_not_null'}],
		qualify: [{column: 'place', op: '<=', value: 1}],
		order_by: [{expr: 'city'}],
	};
	assert.deepEqual(await run(plan), [
		['Bern', '2', '1'],
		['Rome', '3', '1'],
		['rome', '4', '1'],
	]);
});

test('a declared relationship gives the keys of a join, and the check measures how it matches', async () => {
	const plan: QueryPlanInput = {
		table: 'items',
		joins: [{table: 'orders'}],
		select: ['city', {func: 'sum', column: 'quantity', alias: 'pieces'}],
		group_by: ['city'],
	};
	const {sql, joins, warnings} = compile(plan);
	assert.deepEqual(await engine.rows(sql), [['Bern', '8']]);
	assert.deepEqual(warnings, []);
	const [check] = joins;
	const {sql: checkSql = '', ...facts} = check ?? {};
	assert.deepEqual(facts, {
		...{left: 'items', right: 'orders', type: 'inner', cardinality: 'many-to-one'},
		on: [{left: 'items.order_id', right: 'orders.id'}],
	});
	assert.deepEqual(await engine.columns(checkSql), [
		'left_rows',
		'matched_rows',
		'matched_percent',
		'joined_rows',
		'duplication_factor',
	]);
	assert.deepEqual(await engine.rows(checkSql), [['4', '3', 75, '3', 1]]);
});

test('a join that repeats rows is measured, and summing what it repeats is warned about', async () => {
	const plan: QueryPlanInput = {
		table: 'orders',
		joins: [{table: 'items', type: 'left'}],
		select: [{func: 'sum', column: 'total', alias: 'revenue'}],
	};
	const {sql, joins, warnings} = compile(plan);
	assert.deepEqual(await engine.rows(sql), [[110]]);
	assert.deepEqual(warnings, ['`sum of total` takes each row of orders once for every row of items it joins with']);
	assert.deepEqual(await engine.rows(joins[0]?.sql ?? ''), [['5', '2', 40, '3', 1.5]]);
});

test('all columns of a join have different names', async () => {
	const twin = datasetOf(
		'twin',
		[
			tableOf('a', 1, [
				['id', 'integer'],
				['v', 'text'],
			]),
			tableOf('b', 1, [
				['id', 'integer'],
				['w', 'text'],
			]),
		],
		[],
		null,
	);
	const {sql, columns} = compile({table: 'a', joins: [{table: 'b', on: [{left: 'id', right: 'id'}]}]}, twin);
	const other = await openEngine(twin);
	assert.deepEqual(await other.columns(sql), ['id', 'v', 'b_id', 'w']);
	assert.deepEqual(
		columns.map(({name}) => name),
		['id', 'v', 'b_id', 'w'],
	);
	other.close();
});

test('columns with any name are read as they are', async () => {
	const odd = datasetOf(
		'odd',
		[
			tableOf('t', 1, [
				['a "b"; --', 'integer'],
				['select', 'text'],
				['x.y', 'integer'],
				["it's", 'text'],
			]),
		],
		[],
		null,
	);
	const {sql} = compile(
		{table: 't', select: ['a "b"; --', 'select', 'x.y', {func: 'count', alias: 'n'}], group_by: ['a "b"; --', 'select', 'x.y']},
		odd,
	);
	const other = await openEngine(odd);
	assert.deepEqual(await other.columns(sql), ['a "b"; --', 'select', 'x.y', 'n']);
	other.close();
});

const SENTENCES: readonly (readonly [QueryPlanInput, string])[] = [
	[
		{
			table: 'orders',
			select: ['city', {func: 'count', alias: 'n'}],
			filters: [{column: 'paid', op: '=', value: true}],
			group_by: ['city'],
			order_by: [{expr: 'n', direction: 'desc'}],
			limit: 10,
		},
		'Count orders by city where paid is true, most first, top 10',
	],
	[{table: 'orders', select: ['city'], distinct: true}, 'Show distinct city of orders'],
	[{table: 'orders', select: [{func: 'avg', column: 'total'}]}, 'Average total in orders'],
	[
		{
			table: 'items',
			joins: [{table: 'orders', type: 'left'}],
			select: ['sku', 'city'],
			filters: {not: {column: 'city', op: 'icontains', value: 'be'}},
		},
		'Show sku and city of items, with orders where there is one where not (city contains be in any case)',
	],
];

for (const [plan, sentence] of SENTENCES) {
	test(`a plan reads: ${sentence}`, () => {
		assert.equal(compile(plan).sentence, sentence);
	});
}
