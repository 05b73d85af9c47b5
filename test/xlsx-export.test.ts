/** An exported workbook, read back by our own reader and by a strict one of another make. */
import assert from 'node:assert/strict';
import {execFileSync} from 'node:child_process';
import {copyFileSync, writeFileSync} from 'node:fs';
import path from 'node:path';
import {after, test} from 'node:test';
import {parquet} from './fixtures/make-files.ts';
import {OWNER, wholePlatform} from './platform.ts';

const whole = await wholePlatform({after});
const ROWS = 40_000;
const file = path.join(whole.directory, 't.parquet');
writeFileSync(
	file,
	await parquet(
		`SELECT range AS id, '=1+' || range AS formula, ['a & b', '<c>', 'd"''e', '_x000A_', 'ü 名 😀', ' spaced ', 'line
break'][range % 7 + 1] AS text, DATE '2020-01-01' + (range % 2000)::INT AS day, TIMESTAMP '2020-01-01' + INTERVAL (range) MINUTE AS moment, (range / 7)::DECIMAL(18,3) AS amount, range / 3 AS share, range % 2 = 0 AS even, 9007199254740993 + range AS big, CASE WHEN range % 5 = 0 THEN NULL ELSE range END AS gap FROM range(${ROWS})`,
	),
);
await whole.add('t', [{name: 't.parquet', path: file}]);
const caller = {principal: OWNER, requestId: '', signal: new AbortController().signal};
const {analyst} = whole.platform;

async function exported(sql: string) {
	const {run_id} = await analyst.run(
		{dataset_id: 't', query_type: 'sql', sql, thread_id: null} as Parameters<typeof analyst.run>[0],
		caller,
	);
	return analyst.export(run_id, 'xlsx', caller);
}

test('every cell of a large workbook is what it was, formulas as text', async () => {
	const workbook = await exported('SELECT * FROM t ORDER BY id');
	const own = path.join(whole.directory, 'back.xlsx');
	copyFileSync(workbook.path, own);
	const back = await whole.add('back', [{name: 'back.xlsx', path: own}]);
	assert.deepEqual(
		back.tables[0]?.columns.map(({name, engineType}) => `${name} ${engineType}`),
		[
			'id BIGINT',
			'formula VARCHAR',
			'text VARCHAR',
			'day DATE',
			'moment TIMESTAMP',
			'amount DECIMAL(18,3)',
			'share DOUBLE',
			'even BOOLEAN',
			'big BIGINT',
			'gap BIGINT',
		],
	);
	const both = await whole.add('both', [
		{name: 'before.parquet', path: file},
		{name: 'after.xlsx', path: own},
	]);
	const columns = 'id, chr(39) || formula AS formula, text, day, moment, amount, share, even, big, gap';
	const sql = `SELECT (SELECT count(*) FROM (SELECT ${columns} FROM before EXCEPT FROM after_)), (SELECT count(*) FROM (FROM after_ EXCEPT SELECT ${columns} FROM before)), (SELECT count(*) FROM after_)`;
	const named = sql.replaceAll('after_', both.tables[1]?.name ?? '');
	assert.deepEqual((await whole.run('both', 'sql', named)).rows, [[0, 0, ROWS]]);
});

/** Checks sums and sizes of the archive, and that every part is well-formed XML; then reads the first rows. */
const STRICT = `
import sys, zipfile, json
from xml.etree import ElementTree as E
archive = zipfile.ZipFile(sys.argv[1])
assert archive.testzip() is None
trees = {name: E.fromstring(archive.read(name)) for name in archive.namelist()}
main = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
sheet = trees["xl/worksheets/sheet1.xml"]
rows = list(sheet.iter(main + "row"))
cells = lambda row: ["".join(cell.itertext()) for cell in row]
formulas = len(list(sheet.iter(main + "f")))
print(json.dumps([sorted(trees), len(rows), cells(rows[0]), cells(rows[3]), formulas]))`;

test('another reader finds a sound archive, well-formed parts and no formula', async () => {
	const workbook = await exported('SELECT * FROM t ORDER BY id');
	const [parts, rows, header, third, formulas] = JSON.parse(
		execFileSync('python3', ['-c', STRICT, workbook.path], {encoding: 'utf8'}),
	);
	assert.deepEqual(
		{parts, rows, header, third, formulas},
		{
			parts: [
				'[Content_Types].xml',
				'_rels/.rels',
				'xl/_rels/workbook.xml.rels',
				'xl/styles.xml',
				'xl/workbook.xml',
				'xl/worksheets/sheet1.xml',
			],
			rows: ROWS + 1,
			header: ['id', 'formula', 'text', 'day', 'moment', 'amount', 'share', 'even', 'big', 'gap'],
			third: ['2', "'=1+2", 'd"\'e', '43833', '43831.001388888886', '0.286', '0.6666666666666666', '1', '9007199254740995', '2'],
			formulas: 0,
		},
	);
});

test('rows beyond the limit of an export are left out, and the record says so', async () => {
	const {runId} = await exported('SELECT NULL AS a, 1 AS b FROM range(1000005)');
	const outcome = (await whole.platform.store.read(runId)).find((event) => event.type === 'action.outcome');
	assert.ok(outcome);
	const {rows, truncated} = outcome.data.output as {rows: number; truncated: boolean};
	assert.deepEqual({rows, truncated}, {rows: 1_000_000, truncated: true});
});
