import assert from 'node:assert/strict';
import {test} from 'node:test';
import {DuckDBInstance} from '@duckdb/node-api';
import type {Column, Table} from '#contract/table.ts';
import {toLiteralSql} from './export.ts';

async function roundTrip(columns: Column[], rows: Table['rows']): Promise<unknown[][]> {
	const connection = await (await DuckDBInstance.create()).connect();
	const reader = await connection.runAndReadAll(toLiteralSql({columns, rows}));
	assert.deepEqual(
		reader.columnNames(),
		columns.map(({name}) => name),
	);
	return reader.getRowsJson() as unknown[][];
}

test('a table said again as SQL is the same table, to the last digit', async () => {
	const columns: Column[] = [
		{name: 'n', type: 'integer'},
		{name: 'price', type: 'decimal'},
		{name: 'it\'s "quoted"', type: 'text'},
		{name: 'day', type: 'date'},
		{name: 'ok', type: 'boolean'},
	];
	const rows: Table['rows'] = [
		['170141183460469231731687303715884105727', '12345678901234567890.25', "Robert'); DROP TABLE x;--", '2026-02-02', true],
		[1, 2.5, null, null, null],
	];
	assert.deepEqual(await roundTrip(columns, rows), [
		['170141183460469231731687303715884105727', '12345678901234567890.25', "Robert'); DROP TABLE x;--", '2026-02-02', true],
		['1', '2.50', null, null, null],
	]);
});

test('an empty table keeps its columns and their types', async () => {
	assert.deepEqual(
		await roundTrip(
			[
				{name: 'a', type: 'double'},
				{name: 'b', type: 'text'},
			],
			[],
		),
		[],
	);
});
