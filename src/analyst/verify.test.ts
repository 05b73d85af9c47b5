import assert from 'node:assert/strict';
import {test} from 'node:test';
import type {Json} from '#contract/json.ts';
import type {ColumnType, Table} from '#contract/table.ts';
import {verifyComputed} from './verify.ts';

const LIMITS = {maxRows: 3, maxBytes: 1_000};

function computed(type: ColumnType, rows: Json[][], more: Partial<Table> = {}) {
	const table: Table = {columns: [{name: 'a', type}], rows, totalRows: rows.length, truncated: null, nonFinite: 0, ...more};
	return {dataset: {id: 'd', hash: 'h'}, table, statement: null, stdout: '', stderr: '', execTimeMs: 1};
}

function failed(given: ReturnType<typeof computed>): readonly string[] {
	const {kind, checks} = verifyComputed(given, LIMITS);
	const names = checks.filter((check) => !check.passed).map((check) => check.name);
	assert.equal(kind, names.length === 0 ? 'verified' : 'unverified');
	assert.equal(checks.length, 4);
	return names;
}

for (const [type, cells] of Object.entries({
	integer: [1, '9007199254740993', null],
	decimal: [1.25, '-12345678901234567.89'],
	double: [0.1],
	boolean: [true, false],
	text: ['x'],
	date: ['2026-02-02'],
	json: [{a: [1]}, [1], 'x'],
}) as [ColumnType, Json[]][]) {
	test(`cells of type ${type} are taken as they are encoded`, () =>
		assert.deepEqual(
			failed(
				computed(
					type,
					cells.map((cell) => [cell]),
				),
			),
			[],
		));
}

for (const [lie, given] of Object.entries({
	'a cell of another type': [computed('integer', [['12; DROP']]), ['types']],
	'a fraction among integers': [computed('integer', [[1.5]]), ['types']],
	'a row of another width': [computed('integer', [[1, 2]]), ['shape']],
	'two columns of one name': [
		{
			...computed('text', []),
			table: {
				...computed('text', []).table,
				columns: [
					{name: 'a', type: 'text' as const},
					{name: 'a', type: 'text' as const},
				],
			},
		},
		['shape'],
	],
	'more rows than asked for': [computed('integer', [[1], [2], [3], [4]]), ['limits']],
	'more bytes than asked for': [computed('text', [['x'.repeat(3_000)]]), ['limits']],
	'missing rows that are not flagged': [computed('integer', [[1]], {totalRows: 2}), ['truncation']],
	'a cut that cut nothing': [computed('integer', [[1]], {truncated: {by: 'rows', limit: 1, total: 1}}), ['truncation']],
}) as [string, [ReturnType<typeof computed>, string[]]][]) {
	test(`a runner cannot pass off ${lie}`, () => assert.deepEqual(failed(given[0]), given[1]));
}
