/** The same program or statement has the same result, whether it runs in Wasm or as a process, and whoever reads the snapshot. */
import assert from 'node:assert/strict';
import {chmodSync, existsSync} from 'node:fs';
import {join} from 'node:path';
import {after, describe, test} from 'node:test';
import type {Frame, RunnerRequest} from '#contract/sandbox.ts';
import {limits, MIB, permit} from '../fixtures/attack.ts';
import {createProcessProvider} from '../process/process.ts';
import {runInChild, snapshots} from '../runners/run-in-child.ts';
import {createRuntime} from '../runtime.ts';
import type {SandboxProvider} from '../sandbox.ts';
import {createWasmProvider} from './wasm.ts';

const root = join(import.meta.dirname, '../../..');
const nodePath = process.execPath;
const pythonPath = join(root, '.writ/python/bin/python');
const signal = new AbortController().signal;
const wasm = createWasmProvider({root, nodePath});
const native = createProcessProvider({runtime: createRuntime({root, nodePath, pythonPath})});
after(() => Promise.all([wasm.close(), native.close()]));

// Fractions of a second have all six digits: Python writes no fewer, SQL no more than there are.
const {data, views} = await snapshots({
	t: "SELECT range AS a, CASE WHEN range = 1 THEN 7 END AS gap, 'x' || range AS b, DATE '2024-01-01' AS d FROM range(3)",
	kinds: `SELECT * FROM (VALUES
		(true, 1::TINYINT, -2::SMALLINT, 3, 9007199254740993, 255::UTINYINT, 65535::USMALLINT, 4294967295::UINTEGER, 18446744073709551615::UBIGINT,
		 1.5::FLOAT, 0.1::DOUBLE, 1.50::DECIMAL(4,2), -12345678.901::DECIMAL(18,3), '12345678901234567890.12345678'::DECIMAL(38,8), 'é"x', 'ab'::BLOB,
		 DATE '2024-02-29', TIME '01:02:03.500001', TIMESTAMP '2024-01-01 00:00:00.000001', TIMESTAMPTZ '2024-01-01 00:00:00+02',
		 UUID '00000000-0000-0000-0000-00000000000a'),
		(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
		(false, -128, 7, -3, -1, 0, 0, 0, 0, 'NaN', '-inf', -0.01, 0, -1, '', '', DATE '1900-01-01', TIME '00:00:00',
		 TIMESTAMP '1969-12-31 23:59:59.500001', TIMESTAMPTZ '1969-12-31 23:59:59+00', UUID 'ffffffff-ffff-ffff-ffff-ffffffffffff')
		) AS v(yes, i8, i16, i32, i64, u8, u16, u32, u64, f, d, dec4, dec18, dec38, s, bin, day, clock, ts, tz, u)`,
	many: "SELECT range AS n, 'text ' || (range % 17) AS s FROM range(2500)",
	nested: 'SELECT [1, 2] AS l, {a: 1, b: [3]} AS st',
	nothing: 'SELECT 1 AS a, 2 AS b WHERE false',
});

chmodSync(data, 0o755); // the process runs as another user

function python(code: string, maxRows = 100): RunnerRequest {
	return {kind: 'python', views, code, maxRows, maxBytes: 4 * MIB};
}

async function framesOf(provider: SandboxProvider, request: RunnerRequest): Promise<readonly Frame[]> {
	const of = {runner: request.kind as 'python' | 'sql', mounts: [{source: data, target: '/data'}], network: 'none' as const};
	const roomy = {...limits, wallMs: 30_000, memoryBytes: 1_024 * MIB, scratchBytes: 64 * MIB, outputBytes: 16 * MIB};
	const inside = views.map(({table}) => ({table, path: `/data/${table}.parquet`}));
	const sandbox = await provider.open({...of, limits: roomy}, {warm: false, signal});
	const {frames} = await sandbox.run(permit(), {...request, views: inside} as RunnerRequest, signal);
	await sandbox.dispose();
	return frames;
}

function sql(text: string, maxRows = 30_000): RunnerRequest {
	return {kind: 'sql', views, dataset: 'sample', sql: text, maxRows, maxBytes: 4 * MIB};
}

const STATEMENTS = [
	...[
		'FROM t',
		'FROM sample.kinds',
		'FROM many',
		'FROM nested',
		'FROM nothing',
		'DESCRIBE kinds',
		'DESCRIBE nested',
		'SHOW TABLES',
	],
	'SELECT min(COLUMNS(*)), max(COLUMNS(*)) FROM kinds',
	'SELECT s, count(*) AS c, sum(n), avg(n), median(n) FROM many GROUP BY s ORDER BY c DESC, s',
	'SELECT yes, sum(i64), sum(u64), sum(dec4), avg(dec18), sum(d), list(day ORDER BY day) FROM kinds GROUP BY yes ORDER BY yes',
	"SELECT date_trunc('month', day), day + INTERVAL 1 MONTH, ts - TIMESTAMP '2000-01-01', extract(dow FROM ts), strftime(ts, '%Y-%m') FROM kinds",
	'SELECT t.b, m.s, row_number() OVER (ORDER BY m.n DESC) FROM t LEFT JOIN many m ON m.n = t.a ORDER BY ALL',
	'SELECT st.a, st.b[1], l[2], len(l) FROM nested',
	"SELECT 0.1 + 0.2, 1 / 3, 7 // 2, 1e308 * 10, 'nan'::DOUBLE, 2::HUGEINT ** 100, 12345678901234567890.5, uuid() IS NULL, b'101'::BIT FROM t",
	"SELECT 'é' || s, length(s), bin::VARCHAR, u::VARCHAR, clock FROM kinds",
	'SELECT * FROM t WHERE a > (SELECT avg(a) FROM t) UNION ALL SELECT * FROM t ORDER BY ALL',
	"PIVOT many ON s IN ('text 1', 'text 2') USING sum(n)",
	'SUMMARIZE t',
	'WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r WHERE i < 50) SELECT sum(i), max(i) FROM r',
	'SELECT lag(n, 3) OVER (ORDER BY n), ntile(4) OVER (ORDER BY n), sum(n) OVER (ORDER BY n ROWS 2 PRECEDING) FROM many LIMIT 20',
	// What is refused, or wrong, is so in the same words.
	...[
		'SELECT nope FROM t',
		'FROM nope',
		'SELEC 1',
		'SELECT 1; SELECT 2',
		"FROM read_csv('/etc/passwd')",
		"FROM '/etc/passwd'",
		'',
	],
	...[
		'DROP TABLE t',
		'FROM duckdb_settings()',
		'FROM information_schema.tables',
		"SELECT getvariable('x')",
		'PRAGMA show_tables',
	],
	...[
		"SELECT 'x'::INTEGER",
		'SELECT lower(a, b) FROM t',
		'FROM "writ snapshots"."/data/t.parquet"',
		'EXPLAIN FROM t',
		'SELECT error($$no$$)',
	],
];

describe('SQL in Wasm', () => {
	for (const text of STATEMENTS)
		test(`answers like a process: ${text.slice(0, 100)}`, async () => {
			const [expected, actual] = [await framesOf(native, sql(text)), await framesOf(wasm, sql(text))];
			assert.deepEqual(actual, expected);
		});

	test('says how much was left out', async () => {
		const [expected, actual] = [await framesOf(native, sql('FROM many', 7)), await framesOf(wasm, sql('FROM many', 7))];
		assert.deepEqual(actual, expected);
	});
});

const PROGRAMS = [
	'6 * 7',
	'result = {"k": 1, "l": [1, None]}',
	'result_rows = [(1, "x"), (2, "y")]\nresult_columns = ["n", "s"]',
	'result_rows = [(1, "x")]',
	'[[1, 2], [3, 4]]',
	'result = None',
	'[2**70, float("inf"), 1e-7]',
	'import datetime, decimal\n[datetime.date(2024, 2, 29), datetime.datetime(2024, 1, 1, 1, 2, 3, 4)]',
	'import datetime\ndatetime.datetime(2024, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))',
	'import decimal\n[decimal.Decimal("1.50"), decimal.Decimal("0.12345678901234567890")]',
	'[b"ab", "é", True]',
	'import statistics, itertools, collections\n[statistics.mean([1, 2, 4]), len(list(itertools.permutations(range(4)))), collections.Counter("hello")["l"]]',
	'import re, json, hashlib\n[re.sub("a+", "b", "caat"), json.dumps({"a": 1}), hashlib.sha256(b"x").hexdigest()]',
	'print("said")\nlen(t)',
	'sorted(dfs)',
	'(n for n in range(3))',
	'x = 1',
	'1 / 0',
	'def f(:',
	'import sys\nsys.exit(3)',
	'result_rows = [(1, 2), (3,)]',
	'["y" * 10] * 500',
];

describe('Python in Wasm', {skip: !existsSync(pythonPath) && 'there is no .writ/python: run `sh scripts/python.sh`'}, () => {
	for (const code of PROGRAMS)
		test(`answers like a process: ${JSON.stringify(code)}`, async () => {
			const [expected, actual] = [await framesOf(native, python(code)), await framesOf(wasm, python(code))];
			assert.deepEqual(actual, expected.map(withoutEmptyOutput));
		});
});

/** The process runner says that nothing was printed; the supervisor leaves it out. */
function withoutEmptyOutput(frame: Frame): Frame {
	if (frame.type !== 'done') return frame;
	const {stdout, stderr, ...rest} = frame;
	return {...rest, ...(stdout ? {stdout} : {}), ...(stderr ? {stderr} : {})};
}

async function sqlRows(table: string): Promise<unknown> {
	const request: RunnerRequest = {kind: 'sql', views, sql: `FROM ${table}`, maxRows: 30_000, maxBytes: 4 * MIB};
	const {frames} = await runInChild({
		command: [nodePath, join(import.meta.dirname, '../runners/sql.ts')],
		request,
		roots: {data},
	});
	return tableOf(frames);
}

function tableOf(frames: readonly Frame[]): unknown {
	const names = frames.flatMap((frame) => (frame.type === 'columns' ? frame.columns.map(({name}) => name) : []));
	return {names, rows: frames.flatMap((frame) => (frame.type === 'rows' ? frame.rows : []))};
}

describe('a table in Wasm', () => {
	for (const table of ['t', 'kinds', 'many', 'nested'])
		test(`has the cells that SQL gives: ${table}`, async () => {
			assert.deepEqual(tableOf(await framesOf(wasm, python(table, 30_000))), await sqlRows(table));
		});

	test('without rows is an empty list', async () => {
		const frames = await framesOf(wasm, python('[len(nothing), isinstance(nothing, list)]'));
		assert.deepEqual(
			frames.find(({type}) => type === 'rows'),
			{type: 'rows', rows: [[0], [true]]},
		);
	});

	test('is a list of dicts, and so is a result that wants to be a table', async () => {
		const code = 'result_df = [{"b": row["b"], "twice": row["a"] * 2} for row in t if row["gap"] is None]';
		assert.deepEqual(tableOf(await framesOf(wasm, python(code))), {
			names: ['b', 'twice'],
			rows: [
				['x0', 0],
				['x2', 4],
			],
		});
	});

	test('for a program that wants pandas the error says what there is', async () => {
		const [error] = await framesOf(wasm, python('t.groupby("b")'));
		assert.deepEqual(error, {
			type: 'error',
			code: 'python_execution_error',
			message: "AttributeError: 'list' object has no attribute 'groupby' (line 1)",
			hint: "this sandbox has Python's standard library, without pandas and numpy; a table is a list of dicts, one per row",
			details: {line: 1},
		});
	});
});

test('two sandboxes do not draw the same random numbers, though they start from the same memory', async () => {
	const draw = async () => tableOf(await framesOf(wasm, python('import random, uuid\n[random.random(), str(uuid.uuid4())]')));
	assert.notDeepEqual(await draw(), await draw());
});
