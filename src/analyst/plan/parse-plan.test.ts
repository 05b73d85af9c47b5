import assert from 'node:assert/strict';
import {test} from 'node:test';
import {z} from 'zod';
import type {Dataset} from '#contract/dataset.ts';
import {WritError} from '#contract/errors.ts';
import {queryPlanSchema} from '#contract/query-plan.ts';
import {dumpsWholeTable} from './dumps-whole-table.ts';
import {parsePlan, requirePlan} from './parse-plan.ts';
import {datasetOf, ecommerce, support, tableOf} from './test-datasets.ts';

function problems(input: unknown, dataset: Dataset = support): readonly string[] {
	const result = parsePlan(input, dataset);
	return 'problems' in result ? result.problems.map(({path, message}) => `${path}: ${message}`) : [];
}

function tickets(plan: Readonly<Record<string, unknown>>): readonly string[] {
	return problems({dataset_id: 'support', table: 'tickets', ...plan});
}

const priority = {column: 'priority'};
const count = {func: 'count', column: 'ticket_id', alias: 'n'};

test('a plan comes back with every default written out', () => {
	assert.deepEqual(
		parsePlan({dataset_id: 'other', table: 'tickets', select: null, filters: null, limit: null, notes: null}, support),
		{
			plan: {
				...{
					dataset_id: 'support',
					table: 'tickets',
					joins: [],
					select: null,
					distinct: false,
					filters: [],
					group_by: [],
					having: [],
				},
				...{qualify: [], order_by: [], limit: null, notes: null},
			},
		},
	);
});

test('a plan that came back parses to itself', () => {
	const input = {
		table: 'order_items',
		joins: [{table: 'orders'}],
		select: ['category', {func: 'sum', expr: 'price * quantity', alias: 'revenue'}],
		filters: {column: 'returned', op: '=', value: false},
		group_by: ['category'],
		order_by: [{expr: 'revenue'}],
	};
	const plan = requirePlan(input, ecommerce);
	assert.deepEqual(requirePlan(plan, ecommerce), plan);
	assert.deepEqual(requirePlan(JSON.parse(JSON.stringify(plan)), ecommerce), plan);
	assert.deepEqual(plan.joins, [
		{table: 'orders', type: 'inner', on: [{left: 'order_items.order_id', right: 'orders.order_id'}]},
	]);
});

const ACCEPTED: readonly (readonly [name: string, plan: Readonly<Record<string, unknown>>])[] = [
	['aggregates alone without group_by', {select: [count, {func: 'avg', column: 'csat_score', alias: 'a'}]}],
	['the lowest limit', {limit: 1}],
	['the highest limit', {limit: 1000}],
	['notes', {notes: 'because'}],
	['a null test without a value', {filters: [{column: 'resolved_at', op: 'is_null'}]}],
	['a null test with a null value', {filters: [{column: 'resolved_at', op: 'is_null', value: null}]}],
	['names in double quotes and in another case', {select: [{column: '"priority"'}, {column: 'Category'}]}],
	['an expression over numbers', {select: [{expr: 'csat_score * 20', alias: 'percent'}]}],
	['a date compared as text', {filters: [{column: 'created_at', op: '>=', value: '2026-01-01T10:00:00Z'}]}],
	['a large id as text', {filters: [{column: 'ticket_id', op: '=', value: '9007199254740993'}]}],
];

for (const [name, plan] of ACCEPTED) {
	test(`a plan may have ${name}`, () => assert.deepEqual(tickets(plan), []));
}

const REFUSED: readonly (readonly [plan: Readonly<Record<string, unknown>>, problem: string])[] = [
	[
		{filters: [{column: 'agent_id', op: 'in', value: [7, Number('9007199254740995')]}]},
		'filters[0].value[1]: is a whole number beyond 2^53, which JSON does not hold to the last digit; write it as text',
	],
	[{limit: 0}, 'limit: must be at least 1; got 0'],
	[{limit: 1001}, 'limit: must be at most 1000; got 1001'],
	[{limit: '5'}, 'limit: expected a whole number; got `5`'],
	[{limit: true}, 'limit: expected a whole number; got true'],
	[{select: []}, 'select: must be at least 1 entries; got 0'],
	[
		{select: [{}]},
		'select[0]: expected text, or {column, alias?}, or {expr, alias?}, or {func, column?, expr?, if?, where?, p?, alias?}, or {bucket, column?, expr?, alias?}, or {window, column?, expr?, partition_by?, order_by?, rows?, alias?}; got an object with keys (none)',
	],
	[{selct: [priority]}, 'selct: unknown key `selct`; did you mean `select`?'],
	[
		{select: [{column: 'csat_score', expr: 'csat_score', alias: 'x'}]},
		'select[0].expr: unknown key `expr`; the keys here are column, alias',
	],
	[
		{select: ['*']},
		'select[0].column: `*` is no column; leave select out for all columns, and write {"func": "count"} to count rows',
	],
	[{select: [{func: 'count', filter: []}]}, 'select[0].filter: unknown key `filter`; did you mean `where`?'],
	[{order_by: [{expr: 'priority', dir: 'desc'}]}, 'order_by[0].dir: unknown key `dir`; did you mean `direction`?'],
	[{order_by: [{expr: 'priority', direction: 'down'}]}, 'order_by[0].direction: `down` is not known here; use one of asc, desc'],
	[
		{select: [{func: 'average', column: 'csat_score', alias: 'a'}]},
		'select[0].func: `average` is not known here; did you mean `avg`?',
	],
	[{filters: [{column: 'status', op: '==', value: 'Open'}]}, 'filters[0].op: `==` is not known here; did you mean `=`?'],
	[
		{filters: [{column: 'stauts', op: '=', value: 'Open'}]},
		'filters[0].column: there is no column `stauts` in `tickets`; did you mean `status`?',
	],
	[
		{filters: [{column: 'status', op: '='}]},
		'filters[0].value: is missing; `=` needs a value; `is_null` asks for missing values',
	],
	[
		{filters: [{column: 'status', op: '!=', value: null}]},
		'filters[0].value: is missing; `!=` needs a value; `is_not_null` asks for present values',
	],
	[{filters: [{column: 'status', op: 'is_null', value: 'x'}]}, 'filters[0].value: `is_null` takes no value; leave it out'],
	[{filters: [{column: 'status', op: 'in', value: 'Open'}]}, 'filters[0].value: `in` needs a list, not `Open`'],
	[
		{filters: [{column: 'csat_score', op: 'between', value: [1]}]},
		'filters[0].value: `between` needs a list of exactly two values, [low, high]; got a list of 1',
	],
	[
		{filters: [{column: 'csat_score', op: '=', value: '5'}]},
		'filters[0].value: `csat_score` is a whole number; write 5 without quotes, not "5"',
	],
	[{filters: [{column: 'status', op: '=', value: 5}]}, 'filters[0].value: `status` is text; write "5", not 5'],
	[
		{filters: [{column: 'sla_met', op: '=', value: 'true'}]},
		'filters[0].value: `sla_met` is a boolean; write true or false, not "true"',
	],
	[
		{filters: [{column: 'created_at', op: '>', value: '2026-02-30'}]},
		'filters[0].value: `created_at` is a timestamp; write "YYYY-MM-DD" or "YYYY-MM-DD HH:MM:SS", not `2026-02-30`',
	],
	[
		{filters: [{column: 'csat_score', op: 'contains', value: '1'}]},
		'filters[0].op: `contains` needs text; `csat_score` is a whole number; use a comparison, or {"op": "to_text", "args": [...]} as expr',
	],
	[
		{filters: [{column: 'status', op: 'in_last', value: {amount: 7, unit: 'day'}}]},
		'filters[0].op: `in_last` needs a date or timestamp; `status` is text',
	],
	[
		{filters: [{column: 'created_at', op: 'in_period', value: 'last_month'}]},
		'filters[0].value: `last_month` is no period; did you mean `previous_month`?',
	],
	[
		{filters: [{column: 'created_at', op: 'in_last', value: {amount: 7, unit: 'days'}}]},
		'filters[0].value.unit: `days` is not known here; did you mean `day`?',
	],
	[
		{filters: {or: [{column: 'x', op: '=', value: 1}]}},
		'filters.or[0].column: there is no column `x` in `tickets`; there is: ticket_id, created_at, resolved_at, category, priority, csat_score, sla_met, resolution_time_hours, status, agent_id, channel',
	],
	[
		{filters: [{column: 'n', op: '>', value: 1}], select: [count]},
		'filters[0].column: `n` is a name given in select, which filters come before; write the condition in having, or in qualify for a window',
	],
	[
		{filters: [{expr: {func: 'count'}, op: '>', value: 1}]},
		'filters[0].expr: `count` is computed after filters; write it in having',
	],
	[
		{select: [priority, count]},
		'select[0]: `priority` is neither in group_by nor inside an aggregate; add "priority" to group_by, or put it inside an aggregate',
	],
	[
		{select: [priority, {column: 'status'}, count], group_by: ['priority']},
		'select[1]: `status` is neither in group_by nor inside an aggregate; add "status" to group_by, or put it inside an aggregate',
	],
	[{group_by: ['priority']}, 'group_by: needs a select: say which group_by keys and which aggregates to show'],
	[{group_by: [1], select: [count]}, 'group_by[0]: `1` is a constant; group by a column, an alias or a calculation'],
	[{order_by: [{expr: 1}]}, 'order_by[0].expr: `1` is a constant; order by a column, an alias or a calculation'],
	[
		{select: [{func: 'sum', column: 'sla_met', alias: 'x'}]},
		'select[0]: sum needs numbers; `sla_met` is a boolean; write {"func": "count_if", "column": …} to count what is true',
	],
	[{select: [{func: 'sum', expr: {func: 'count'}, alias: 'x'}]}, 'select[0].expr: `count` cannot stand inside an aggregate'],
	[{select: [{func: 'sum', column: '*', alias: 'x'}]}, 'select[0]: `sum` needs a column; only count can take `*`'],
	[
		{select: [{expr: '(SELECT 1)', alias: 'x'}]},
		'select[0].expr: Invalid identifier or formula `(SELECT 1)`: expected `)`, got `1`; text itself is written {"value": "…"}, other calculations as a tree such as {"op": "*", "args": ["price", "quantity"]}',
	],
	[
		{select: [{expr: 'read_text(priority)', alias: 'x'}]},
		'select[0].expr: Invalid identifier or formula `read_text(priority)`: there is no function `read_text`; there is abs, round, floor, ceil, sqrt, power, ln, sign, greatest, least, coalesce, nullif, lower, upper, trim, length, concat, substring, replace, left, right, to_number, to_text, to_date, to_timestamp, date_diff, date_add, now, count, sum, avg, min, max, median, stddev, count_distinct; text itself is written {"value": "…"}, other calculations as a tree such as {"op": "*", "args": ["price", "quantity"]}',
	],
	[
		{select: [{expr: {op: '+', args: ['priority', 1]}, alias: 'x'}]},
		'select[0].expr.args[0]: + needs numbers; `priority` is text; write {"op": "to_number", "args": [...]} to read numbers out of it',
	],
	[
		{select: [{column: 'priority', alias: 'a b"; --'}]},
		'select[0].alias: Invalid identifier `a b"; --`; an alias has up to 63 letters, digits and underscores',
	],
	[
		{
			select: [
				{column: 'priority', alias: 'a'},
				{column: 'status', alias: 'A'},
			],
		},
		'select[1].alias: `A` is the name of select[0] already',
	],
	[{select: [{window: 'rank', alias: 'r'}]}, 'select[0]: rank needs order_by'],
	[
		{qualify: {column: 'priority', op: '=', value: 'x'}},
		'qualify: needs a window in select, such as {"window": "rank", "order_by": [...], "alias": "rank"}',
	],
	[
		{having: {column: 'priority', op: '=', value: 'x'}},
		'having: needs group_by or an aggregate; conditions on rows belong in filters',
	],
	[{joins: [{table: 'orders'}]}, 'joins[0].table: dataset `support` has no table `orders`; there is: tickets'],
	[
		{table: 'tickets"; DROP TABLE tickets; --'},
		'table: Invalid identifier `tickets"; DROP TABLE tickets; --`; a table is one of tickets',
	],
	[{table: 'tikets'}, 'table: dataset `support` has no table `tikets`; did you mean `tickets`?'],
	[{notes: 'a\0b'}, 'notes: text must not hold a NUL character or half of a surrogate pair'],
	[{notes: '\ud800'}, 'notes: text must not hold a NUL character or half of a surrogate pair'],
];

for (const [plan, problem] of REFUSED) {
	test(`refused: ${problem.slice(0, 110)}`, () => assert.deepEqual(tickets(plan), [problem]));
}

test('the spelling of other languages is named for every key it has', () => {
	const plan = {table: 'tickets', select: [{agg: 'count', column: 'ticket_id', as: 'n'}], orderBy: []};
	assert.deepEqual(problems(plan), [
		'select[0].agg: unknown key `agg`; did you mean `func`?',
		'select[0].as: unknown key `as`; did you mean `alias`?',
		'orderBy: unknown key `orderBy`; did you mean `order_by`?',
	]);
});

test('joins need keys that are declared or written, of one type', () => {
	const three = datasetOf(
		'three',
		[
			tableOf('a', 1, [
				['id', 'integer'],
				['b_id', 'integer'],
				['other_b_id', 'integer'],
			]),
			tableOf('b', 1, [
				['id', 'integer'],
				['name', 'text'],
			]),
			tableOf('c', 1, [['x', 'text']]),
		],
		[
			{from: 'a.b_id', to: 'b.id', type: 'many-to-one'},
			{from: 'a.other_b_id', to: 'b.id', type: 'many-to-one'},
		],
		null,
	);
	assert.deepEqual(problems({table: 'a', joins: [{table: 'b'}]}, three), [
		'joins[0]: `b` can be joined in more than one way; write one of on: [{"left": "a.b_id", "right": "b.id"}] or on: [{"left": "a.other_b_id", "right": "b.id"}]',
	]);
	assert.deepEqual(problems({table: 'a', joins: [{table: 'c'}]}, three), [
		'joins[0]: no relationship between `a` and `c` is declared; write the keys as on: [{"left": "a.…", "right": "c.…"}]',
	]);
	assert.deepEqual(problems({table: 'a', joins: [{table: 'c', on: [{left: 'id', right: 'x'}]}]}, three), [
		'joins[0].on[0]: `a.id` is a whole number and `c.x` is text; keys must be of one type',
	]);
	const on = [{left: 'b_id', right: 'id'}];
	assert.deepEqual(problems({table: 'a', joins: [{table: 'b', on}], select: ['id']}, three), [
		'select[0].column: `id` is in more than one table; write `a.id` or `b.id`',
	]);
	assert.deepEqual(problems({table: 'a', select: ['name']}, three), [
		'select[0].column: `name` belongs to table `b`; add joins: [{"table": "b"}]',
	]);
	assert.deepEqual(problems({table: 'a', filters: {expr: {op: 'now', args: []}, op: 'is_null'}}, three), [
		'filters.expr: dataset `three` has no now to count from; write the dates themselves',
	]);
});

test('keys that reach into the prototype are refused wherever they stand', () => {
	for (const key of ['__proto__', 'constructor', 'prototype']) {
		const input: unknown = JSON.parse(
			`{"table": "tickets", "filters": [{"column": "status", "op": "=", "value": "x", "${key}": {"polluted": true}}]}`,
		);
		assert.deepEqual(problems(input), [`filters[0].${key}: the key \`${key}\` is not allowed`]);
	}
	assert.equal('polluted' in {}, false);
});

test('plans that are too deep, too large or refer in circles are refused', () => {
	let deep: unknown = {column: 'status', op: '=', value: 'x'};
	for (let level = 0; level < 50; level++) deep = {not: deep};
	assert.match(problems({table: 'tickets', filters: deep})[0] ?? '', /nested too deeply; at most 40 levels$/);
	assert.deepEqual(problems({table: 'tickets', notes: Array.from({length: 20_001}, () => 1)}), [
		': the plan is too large; at most 20000 values',
	]);
	assert.match(
		problems({
			table: 'tickets',
			select: [
				{expr: 'b', alias: 'a'},
				{expr: 'a', alias: 'b'},
			],
		})[0] ?? '',
		/there is no column/,
	);
	const doubling = Array.from({length: 30}, (_, index) => ({
		expr: index === 0 ? 'ticket_id' : `a${index - 1} + a${index - 1}`,
		alias: `a${index}`,
	}));
	assert.match(problems({table: 'tickets', select: doubling})[0] ?? '', /the calculation is too long/);
});

test('anything that is not an object is refused with the form of a plan', () => {
	for (const input of [null, 3, 'x', []]) assert.equal(problems(input).length, 1);
});

test('requirePlan throws every problem at once', () => {
	assert.throws(
		() => requirePlan({table: 'tickets', limit: 0, selct: 1}, support),
		(error) =>
			error instanceof WritError &&
			error.code === 'invalid_plan' &&
			error.message === 'limit: must be at least 1; got 0\nselct: unknown key `selct`; did you mean `select`?',
	);
});

const wide = datasetOf(
	'wide',
	[
		tableOf(
			't',
			9,
			Array.from({length: 25}, (_, index) => [`c${index}`, 'integer'] as const),
		),
	],
	[],
	null,
);
const DUMPS: readonly (readonly [name: string, plan: Readonly<Record<string, unknown>>, dumps: boolean])[] = [
	['an aggregate', {select: [{func: 'count'}], limit: 1000}, false],
	['25 columns with a filter', {filters: [{column: 'c1', op: '=', value: 1}]}, false],
	['25 columns without a filter', {}, true],
	['few columns', {select: ['c1']}, false],
	['many rows without a filter', {select: ['c1'], limit: 500}, true],
];

for (const [name, plan, dumps] of DUMPS) {
	test(`a plan with ${name} ${dumps ? 'looks' : 'does not look'} like taking the table away`, () => {
		assert.equal(dumpsWholeTable(requirePlan({table: 't', ...plan}, wide), wide), dumps);
	});
}

test('the JSON Schema for models is strict and under 9 kB', () => {
	const text = JSON.stringify(z.toJSONSchema(queryPlanSchema));
	assert.ok(text.length < 9000, String(text.length));
	assert.ok(!text.includes('"not":{}'));
});

test('a plan full of mistakes is refused quickly and briefly', () => {
	const many = (count: number, item: (index: number) => unknown) => Array.from({length: count}, (_, index) => item(index));
	const hostile = [
		{select: many(9_000, (index) => ({column: `no_${index}`}))},
		{select: many(15_000, () => 'nope')},
		{select: many(1_000, (index) => ({column: `no_${index}`, alias: `name_${index}`}))},
		{select: many(1_000, () => 'priority'), order_by: many(100, (index) => ({expr: `no_${index}`}))},
		{filters: many(4_900, () => ({column: 'nope', op: '=', value: 1}))},
		Object.fromEntries(many(19_000, (index) => [`key_${index}`, 1]) as [string, number][]),
		{['k'.repeat(900_000)]: 1},
		{select: ['c'.repeat(900_000)]},
		{select: many(15_000, () => '\0')},
	];
	for (const plan of hostile) {
		const started = performance.now();
		const found = tickets(plan);
		const ms = performance.now() - started;
		assert.equal(found.length > 0 && found.length <= 50, true, `${found.length} problems`);
		assert.equal(found.join('\n').length < 20_000, true, `${found.join('\n').length} characters`);
		assert.equal(ms < 500, true, `${Math.round(ms)} ms`);
	}
});
