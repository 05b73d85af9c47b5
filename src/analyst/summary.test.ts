import assert from 'node:assert/strict';
import {test} from 'node:test';
import type {Table} from '#contract/table.ts';
import {summarise, truncationNotice} from './summary.ts';

function table(names: readonly string[], rows: Table['rows'], more: Partial<Table> = {}): Table {
	const columns = names.map((name) => ({name, type: 'text' as const}));
	return {columns, rows, totalRows: rows.length, truncated: null, nonFinite: 0, ...more};
}

for (const [sentence, given] of Object.entries({
	'No rows matched.': table(['a'], []),
	'The answer is 6,417.': table(['count'], [[6417]]),
	'There are 4,018 total orders.': table(['total_orders'], [[4018]]),
	'Avg price: 12.5.': table(['avg_price'], [[12.5]]),
	'Latest: empty.': table(['latest'], [[null]]),
	'priority = High, n = 3. The result table has it too.': table(['priority', 'n'], [['High', 3]]),
	'2 rows, the first: priority = High, n = 3. All are in the result table.': table(
		['priority', 'n'],
		[
			['High', 3],
			['Low', 1],
		],
	),
	'Average temperature (°C) by zone: West 23.34, East 0.1235. The result table has them too.': table(
		['zone', 'average_temperature_c'],
		[
			['West', 23.344534123],
			['East', 0.123456],
		],
		{
			columns: [
				{name: 'zone', type: 'text'},
				{name: 'average_temperature_c', type: 'double'},
			],
		},
	),
	'6 rows of 2 columns are in the result table. The first: customer id = 2441, spend = 10,303.55.': table(
		['customer_id', 'spend'],
		[2441, 1, 2, 3, 4, 5].map((id) => [id, 10303.55]),
	),
	'1 row of 5 columns is in the result table.': table(['a', 'b', 'c', 'd', 'e'], [[1, 2, 3, 4, 5]]),
	'Total: 10,288.11.': table(['total_total'], [[10288.11]]),
	'10 rows, the first: i = 0. The result table shows the first 1.': table(['i'], [[0]], {
		totalRows: 10,
		truncated: {by: 'bytes', limit: 9, total: 10},
	}),
	'6 rows of 1 column are in the result table.': table(['n'], [[1], [2], [3], [4], [5], [6]]),
	'900 rows of 5 columns are in the result table, which shows the first 2.': table(
		['a', 'b', 'c', 'd', 'e'],
		[
			[1, 2, 3, 4, 5],
			[1, 2, 3, 4, 5],
		],
		{
			totalRows: 900,
			truncated: {by: 'rows', limit: 2, total: 900},
		},
	),
})) {
	test(`a result is summarised: ${sentence}`, () => assert.equal(summarise(given), sentence));
}

test('a row too large to show is not called an empty result', () => {
	const cut = table(['a'], [], {totalRows: 1, truncated: {by: 'bytes', limit: 10, total: 1}});
	assert.equal(summarise(cut), 'The first row is larger than the output limit, so no row could be shown.');
});

test('a sentence holds no more of a cell than fits in it', () => {
	const cut = table(['i', 's'], [[0, 'x'.repeat(400_000)]], {totalRows: 10, truncated: {by: 'bytes', limit: 9, total: 10}});
	assert.equal(summarise(cut), `10 rows, the first: i = 0, s = ${'x'.repeat(79)}…. The result table shows the first 1.`);
});

test('a truncation is announced with its limit, its total and the way to the rest', () => {
	assert.equal(
		truncationNotice({by: 'rows', limit: 1000, total: 6417}, 1000),
		'Showing 1,000 of 6,417 rows: the row limit is 1,000 (MAX_ROWS). Export the run for all of them.',
	);
	assert.equal(
		truncationNotice({by: 'bytes', limit: 2048, total: null}, 12),
		'Showing 12 of more rows: the size limit is 2,048 bytes (MAX_OUTPUT_BYTES). Export the run for all of them.',
	);
});
