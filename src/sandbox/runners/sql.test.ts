import assert from 'node:assert/strict';
import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import {test} from 'node:test';
import type {RunnerRequest} from '#contract/sandbox.ts';
import {directory, ending, type Finished, rowsOf, runInChild, snapshots} from './run-in-child.ts';

const RUNNER = join(import.meta.dirname, 'sql.ts');
const {data, views} = await snapshots({
	orders: "SELECT range AS id, '=x' || range AS note, 1.5::DECIMAL(9,2) AS price FROM range(5000)",
	long: "SELECT repeat('x', 100000) AS text",
});

function run(sql: string, caps: {maxRows?: number; maxBytes?: number} = {}): Promise<Finished> {
	const request: RunnerRequest = {kind: 'sql', views, dataset: 'shop', sql, maxRows: 100, maxBytes: 50_000, ...caps};
	return runInChild({command: [process.execPath, RUNNER], request, roots: {data}});
}

test('every type arrives exactly, in the frames of the contract', async () => {
	const done = await run(`SELECT 170141183460469231731687303715884105727::HUGEINT AS huge, 9007199254740993 AS big, 7 AS small,
		1.50::DECIMAL(9,2) AS money, 0.12345678901234567890::DECIMAL(38,20) AS fine, 'NaN'::DOUBLE AS nan, 'inf'::DOUBLE AS inf,
		DATE '2024-02-29' AS d, TIME '01:02:03.5' AS t, TIMESTAMP '2024-01-01 00:00:00.000001' AS ts,
		TIMESTAMPTZ '2024-01-01 00:00:00+02' AS tz, INTERVAL 3 DAY AS i, 'ab'::BLOB AS b, [1, NULL] AS l, {'k': 'v'} AS s, MAP {1: 2} AS m,
		'{"a": [1]}'::JSON AS j, UUID '00000000-0000-0000-0000-000000000001' AS u, true AS yes, NULL AS none, 1 AS x, 2 AS x`);
	assert.deepEqual(rowsOf(done), [
		[
			'170141183460469231731687303715884105727',
			'9007199254740993',
			7,
			1.5,
			'0.12345678901234567890',
			null,
			null,
			'2024-02-29',
			'01:02:03.5',
			'2024-01-01T00:00:00.000001',
			'2023-12-31T22:00:00Z',
			'3 days',
			'YWI=',
			[1, null],
			{k: 'v'},
			[{key: 1, value: 2}],
			{a: [1]},
			'00000000-0000-0000-0000-000000000001',
			true,
			null,
			1,
			2,
		],
	]);
	const names = done.frames.flatMap((frame) => (frame.type === 'columns' ? frame.columns.map(({name}) => name) : []));
	assert.deepEqual(names.slice(-2), ['x', 'x_1']);
	const end = ending(done);
	assert.deepEqual(end.type === 'done' && [end.totalRows, end.truncated, end.nonFinite], [1, null, 2]);
});

for (const [title, sql, caps, kept, truncated] of [
	['rows beyond the cap are counted', 'FROM orders', {maxRows: 10}, 10, {by: 'rows', limit: 10, total: 5000}],
	[
		'bytes beyond the cap are not sent',
		'SELECT id FROM orders',
		{maxRows: 5000, maxBytes: 10},
		2,
		{by: 'bytes', limit: 10, total: 5000},
	],
	['one row that is too large is said to be missing', 'FROM long', {}, 0, {by: 'bytes', limit: 50_000, total: 1}],
	['a result of exactly the cap is whole', 'FROM orders LIMIT 10', {maxRows: 10}, 10, null],
] as const)
	test(title, async () => {
		const done = await run(sql, caps);
		const end = ending(done);
		assert.deepEqual([rowsOf(done).length, end.type === 'done' && end.truncated], [kept, truncated]);
	});

test('a wrong name comes back with the names there are', async () => {
	for (const sql of ['SELECT prize FROM orders', 'FROM order_items']) {
		const end = ending(await run(sql));
		assert.ok(end.type === 'error');
		assert.equal(end.code, 'sql_execution_error');
		assert.deepEqual(end.details?.schema_hint, {long: ['text'], orders: ['id', 'note', 'price']});
	}
});

test('nothing a statement does reaches standard output', async () => {
	const {stdout, stderr, exit} = await run('SELECT * FROM orders LIMIT 1');
	assert.deepEqual({stdout, stderr, exit}, {stdout: '', stderr: '', exit: 0});
});

async function exported(
	format: 'csv' | 'json' | 'xlsx' | 'parquet',
	sql: string,
	neutralise = true,
	maxRows = 1000,
): Promise<{file: Buffer; done: Finished}> {
	const out = directory();
	const request: RunnerRequest = {kind: 'export', views, sql, format, neutralise, maxRows};
	const done = await runInChild({command: [process.execPath, RUNNER], request, roots: {data, out}});
	assert.equal(ending(done).type, 'done', JSON.stringify(ending(done)));
	return {file: readFileSync(join(out, `result.${format}`)), done};
}

const AWKWARD = `SELECT id, note, -1.5 AS "+n", 'a"b' || chr(10) || 'c' AS q, '' AS e, NULL::TEXT AS z FROM orders ORDER BY id LIMIT 1 -- end`;

test('a CSV export is RFC 4180, and formulas in it are text', async () => {
	assert.equal(String((await exported('csv', AWKWARD)).file), `id,note,'+n,q,e,z\r\n0,'=x0,-1.5,"a""b\nc","",\r\n`);
	assert.equal(String((await exported('csv', 'SELECT note FROM orders LIMIT 1', false)).file), 'note\r\n=x0\r\n');
});

test('what begins like a formula behind spaces, a `;` or in full width is text in a CSV export', async () => {
	const sql = `SELECT ' =1' AS a, 'x;=1+1' AS b, '＝1' AS c, chr(9) || '-1' AS d, 'a;b' AS e`;
	assert.equal(String((await exported('csv', sql)).file), `a,b,c,d,e\r\n' =1,x;'=1+1,'＝1,'\t-1,a;b\r\n`);
});

test('a JSON export is an array of objects', async () => {
	assert.deepEqual(JSON.parse(String((await exported('json', AWKWARD)).file)), [
		{id: 0, note: '=x0', '+n': -1.5, q: 'a"b\nc', e: '', z: null},
	]);
});

test('an export beyond its cap says how many rows there were', async () => {
	for (const format of ['csv', 'xlsx', 'parquet'] as const) {
		const end = ending((await exported(format, 'FROM orders', true, 10)).done);
		assert.deepEqual(end.type === 'done' && end.truncated, {by: 'rows', limit: 10, total: 5000});
	}
});

test('a workbook has no more rows than a sheet, and says how many there were', async () => {
	const {done} = await exported('xlsx', 'SELECT NULL AS a FROM range(1048580)', true, 2_000_000);
	const end = ending(done);
	assert.deepEqual(end.type === 'done' && end.truncated, {by: 'rows', limit: 1_048_575, total: 1_048_580});
});
