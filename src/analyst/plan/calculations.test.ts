import assert from 'node:assert/strict';
import {after, before, test} from 'node:test';
import type {Json} from '#contract/json.ts';
import type {QueryPlanInput} from '#contract/query-plan.ts';
import {compilePlan} from './compile-plan.ts';
import {requirePlan} from './parse-plan.ts';
import {type Engine, openShop, shop} from './test-datasets.ts';

let engine: Engine;
before(async () => {
	engine = await openShop();
});
after(() => engine.close());

async function run(plan: QueryPlanInput): Promise<readonly (readonly Json[])[]> {
	return engine.rows(compilePlan(requirePlan(plan, shop), shop).sql);
}

async function ids(filters: QueryPlanInput['filters']): Promise<string> {
	const rows = await run({table: 'orders', select: ['id'], filters, order_by: [{expr: 'id'}]});
	return rows.flat().join(' ');
}

const FILTERS: readonly (readonly [QueryPlanInput['filters'], string])[] = [
	[[{column: 'id', op: '!=', value: 1}], '2 3 4 5'],
	[[{column: 'total', op: '>=', value: 20}], '2 3 4'],
	[[{column: 'total', op: '>', value: -5}], '1 2 3 4 5'],
	[[{column: 'city', op: 'in', value: ['Bern', 'Rome']}], '1 2 3'],
	[[{column: 'city', op: 'not_in', value: ['Bern']}], '3 4'],
	[[{column: 'city', op: 'in', value: []}], ''],
	[[{column: 'total', op: 'between', value: [10, 20]}], '1 3'],
	[[{column: 'city', op: 'is_null'}], '5'],
	[[{column: 'city', op: 'is_not_null'}], '1 2 3 4'],
	[[{column: 'day', op: '>=', value: '2026-03-01'}], '1 2'],
	[[{column: 'note', op: 'contains', value: '%'}], '1'],
	[[{column: 'note', op: 'contains', value: '_'}], '2'],
	[[{column: 'note', op: 'contains', value: '\\'}], '3'],
	[[{column: 'note', op: 'contains', value: "'"}], '4'],
	[[{column: 'note', op: 'startswith', value: 'back\\s'}], '3'],
	[[{column: 'note', op: 'endswith', value: '% cotton'}], '1'],
	[[{column: 'city', op: 'startswith', value: 'r'}], '4'],
	[[{column: 'city', op: 'istartswith', value: 'r'}], '3 4'],
	[[{column: 'city', op: 'iendswith', value: 'ME'}], '3 4'],
	[[{column: 'note', op: 'icontains', value: 'A_B'}], '2'],
	[[{column: 'city', op: 'iequals', value: 'ROME'}], '3 4'],
	[
		{
			or: [
				{column: 'id', op: '=', value: 1},
				{and: [{column: 'id', op: '>', value: 2}, {not: {column: 'id', op: '=', value: 4}}]},
			],
		},
		'1 3 5',
	],
	[[{expr: {op: '%', args: ['id', 2]}, op: '=', value: 1}], '1 3 5'],
	[[{column: 'at', op: '>', value: {expr: {op: 'date_add', args: ['day', 12, {value: 'hour'}]}}}], '2 4'],
	[[{column: 'at', op: 'in_last', value: {amount: 7, unit: 'day'}}], '1 2'],
	[[{column: 'day', op: 'in_last', value: {amount: 7, unit: 'day'}}], '1'],
	[[{column: 'at', op: 'in_last', value: {amount: 1, unit: 'month'}}], '1 2 3'],
	[[{column: 'at', op: 'older_than', value: {amount: 30, unit: 'day'}}], '4 5'],
	[[{column: 'day', op: 'in_period', value: 'today'}], '1'],
	[[{column: 'day', op: 'in_period', value: 'yesterday'}], ''],
	[[{column: 'at', op: 'in_period', value: 'previous_week'}], '2'],
	[[{column: 'at', op: 'in_period', value: 'this_month'}], '1 2'],
	[[{column: 'at', op: 'in_period', value: 'previous_month'}], '3'],
	[[{column: 'at', op: 'in_period', value: 'this_quarter'}], '1 2 3 4'],
	[[{column: 'at', op: 'in_period', value: 'previous_year'}], '5'],
];

for (const [filters, expected] of FILTERS) {
	test(`the filter ${JSON.stringify(filters)} keeps rows ${expected || '(none)'}`, async () => {
		assert.equal(await ids(filters), expected);
	});
}

test('without its escape clause the engine would take a percent sign for a wildcard', async () => {
	assert.deepEqual(await engine.rows(`SELECT COUNT(*)::INTEGER FROM orders WHERE note LIKE '%\\%%'`), [[1]]);
	assert.equal(await ids([{column: 'note', op: 'contains', value: '\\%'}]), '');
});

const EXPRESSIONS: readonly (readonly [QueryPlanInput['select'], readonly Json[]])[] = [
	[
		[{expr: 'total / id'}, {expr: 'id / 4'}, {expr: 'total / (id - 2)'}, {expr: 'id % 0'}],
		[15, 0.5, null, null],
	],
	[
		[{expr: '-total - -id'}, {expr: 'total - (id - 1)'}, {expr: '(total + id) * 2'}, {expr: '2 - 1 - 1'}],
		[-28, 29, 64, 0],
	],
	[
		[
			{expr: {op: '-', args: ['total']}},
			{expr: {op: '+', args: [1, 2, 3]}},
			{expr: {op: '/', args: [1, {op: '/', args: [1, 2]}]}},
		],
		[-30, 6, 2],
	],
	[
		[{expr: 'round(total / 7, 2)'}, {expr: 'abs(-id)'}, {expr: 'floor(2.7)'}, {expr: 'ceil(total / 7)'}, {expr: 'sign(-total)'}],
		[4.29, '2', '2', 5, -1],
	],
	[
		[{expr: 'sqrt(total - 14)'}, {expr: 'sqrt(-1)'}, {expr: 'ln(0)'}, {expr: 'power(id, 3)'}],
		[4, null, null, 8],
	],
	[
		[{expr: 'greatest(total, id)'}, {expr: 'least(total, id)'}, {expr: 'coalesce(note, city)'}, {expr: 'nullif(id, 2)'}],
		[30, 2, 'a_b', null],
	],
	[
		[{expr: "concat(upper(city), '-', lower(note), '!')"}, {expr: 'length(trim(city))'}, {expr: "replace(note, '_', '/')"}],
		['BERN-a_b!', '4', 'a/b'],
	],
	[
		[
			{expr: 'substring(city, 2, 2)'},
			{expr: 'left(city, 1)'},
			{expr: 'right(city, 1)'},
			{expr: 'to_number(note)'},
			{expr: 'to_text(id)'},
		],
		['er', 'B', 'n', null, '2'],
	],
	[
		[
			{expr: "date_diff('day', day, '2026-03-10')"},
			{expr: "date_diff('hour', at, now())"},
			{expr: "date_diff('month', day, now())"},
		],
		[7, 167, '0'],
	],
	[
		[{expr: "date_add(day, 1, 'month')"}, {expr: "date_add(at, -1, 'hour')"}, {expr: "date_add(day, id, 'quarter')"}],
		['2026-04-03', '2026-03-03 12:00:00', '2026-09-03'],
	],
	[
		[
			{
				// biome-ignore lint/suspicious/noThenProperty: the word of the plan's contract
				expr: {case: [{when: {column: 'total', op: '>', value: 25}, then: {value: 'big'}}], else: {value: 'small'}},
				alias: 'size',
			},
		],
		['big'],
	],
	[
		[
			{expr: true, alias: 'yes'},
			{expr: {value: "'; DROP TABLE orders; --"}, alias: 'text'},
			{expr: {value: null}, alias: 'nothing'},
		],
		[true, "'; DROP TABLE orders; --", null],
	],
];

for (const [select, expected] of EXPRESSIONS) {
	test(`calculations give their values: ${JSON.stringify(select)}`, async () => {
		const plan: QueryPlanInput = {table: 'orders', select, filters: [{column: 'id', op: '=', value: 2}]};
		assert.deepEqual(await run(plan), [expected]);
	});
}
