/** What Python code gives, and what it may try, through the whole platform. */
import assert from 'node:assert/strict';
import {existsSync, writeFileSync} from 'node:fs';
import path from 'node:path';
import {after, suite, test} from 'node:test';
import type {Json} from '#contract/json.ts';
import {parquet} from './fixtures/make-files.ts';
import {wholePlatform} from './platform.ts';
import {ROOT} from './server.ts';

const skip = existsSync(path.join(ROOT, '.writ/python/bin/python3'))
	? false
	: 'there is no .writ/python: run `sh scripts/python.sh`';
const whole = await wholePlatform({after}, {RUN_TIMEOUT_SECONDS: '10'});
const file = path.join(whole.directory, 't.parquet');
writeFileSync(
	file,
	await parquet(
		"SELECT range AS a, CASE WHEN range = 1 THEN 7 END AS gap, 'x' || range AS b, DATE '2024-01-01' + range::INT AS d, TIMESTAMP '2024-01-01' + INTERVAL (range) HOUR AS ts, 1.5::DECIMAL(38,2) AS money, range = 1 AS yes, TIMESTAMPTZ '2024-01-01 00:00:00+00' AS tz FROM range(3)",
	),
);
await whole.add('t', [{name: 't.parquet', path: file}]);

type Case = readonly [title: string, code: string, columns: readonly string[], rows: readonly (readonly Json[])[]];

const VALUES: readonly Case[] = [
	[
		'the types of the snapshot',
		't.head(1)',
		['a integer', 'gap integer', 'b text', 'd date', 'ts timestamp', 'money decimal', 'yes boolean', 'tz timestamptz'],
		[[0, null, 'x0', '2024-01-01', '2024-01-01T00:00:00', 1.5, false, '2024-01-01T00:00:00Z']],
	],
	['dates as an index', 't.groupby("d")["a"].sum().head(1)', ['d date', 'a integer'], [['2024-01-01', 0]]],
	[
		'dates that got a time',
		't.assign(d=t["d"] + pd.Timedelta(hours=1))[["d"]].head(1)',
		['d timestamp'],
		[['2024-01-01T01:00:00']],
	],
	[
		'dates as the names of columns',
		't.pivot_table(index="yes", columns="d", values="a", aggfunc="sum", fill_value=0)',
		['yes boolean', '2024-01-01 integer', '2024-01-02 integer', '2024-01-03 integer'],
		[
			[false, 0, 0, 2],
			[true, 0, 1, 0],
		],
	],
	['a missing moment', 'pd.Series(pd.to_datetime(["2024-01-01", None]))', ['value timestamp'], [['2024-01-01T00:00:00'], [null]]],
	['categories with a gap', 'pd.Series(pd.Categorical(["a", None], ordered=True))', ['value text'], [['a'], [null]]],
	['categories of numbers', 'pd.Series(pd.Categorical([1, None]))', ['value integer'], [[1], [null]]],
	[
		'moments with a zone',
		'pd.Series(pd.to_datetime(["2024-01-01T00:00:00+02:00"], utc=True).tz_convert("Europe/Berlin"))',
		['value timestamptz'],
		[['2023-12-31T22:00:00Z']],
	],
	['periods', 'pd.Series(pd.period_range("2024-01", periods=2, freq="M"))', ['value text'], [['2024-01'], ['2024-02']]],
	['intervals', 'pd.Series(pd.interval_range(0, 1))', ['value text'], [['(0, 1]']]],
	['durations', 'pd.Series(pd.to_timedelta(["1 day", None]))', ['value interval'], [['1 days 00:00:00'], [null]]],
	['integers with a gap', 'pd.Series([1, None], dtype="Int64")', ['value integer'], [[1], [null]]],
	['truth with a gap', 'pd.Series([True, None], dtype="boolean")', ['value boolean'], [[true], [null]]],
	['Arrow integers', 'pd.Series([1, None], dtype="int64[pyarrow]")', ['value integer'], [[1], [null]]],
	['days of NumPy', 'np.array(["2024-01-01"], dtype="datetime64[D]")', ['value date'], [['2024-01-01']]],
	[
		'columns of two levels',
		'pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "x"), ("a", "y")]))',
		['a_x integer', 'a_y integer'],
		[[1, 2]],
	],
	[
		'an index of two levels, one of them without a name',
		'pd.Series([1], index=pd.MultiIndex.from_tuples([("a", 1)], names=["k", None]))',
		['k text', 'level_1 integer', 'value integer'],
		[['a', 1, 1]],
	],
	['two columns of one name', 'pd.DataFrame([[1, 2]], columns=["x", "x"])', ['x integer', 'x_1 integer'], [[1, 2]]],
	[
		'decimals, exact and not a number',
		'from decimal import Decimal\npd.DataFrame({"m": [Decimal("1.10"), Decimal("12345678901234567.89"), Decimal("NaN")]})',
		['m decimal'],
		[[1.1], ['12345678901234567.89'], [null]],
	],
	['integers around 2^53', '[2**53 - 1, 2**53]', ['value integer'], [[9007199254740991], ['9007199254740992']]],
	['no rows', 't[t["a"] > 9][["a", "b"]]', ['a integer', 'b text'], []],
	['nothing at all', 'pd.DataFrame()', [], []],
];

suite('a value comes through whole', {skip}, () => {
	for (const [title, code, columns, rows] of VALUES)
		test(title, async () => {
			const {error, columns: names, column_types: types, rows: found} = await whole.run('t', 'python', code);
			assert.deepEqual(
				{error, columns: names.map((name, index) => `${name} ${types[index]}`), rows: found},
				{error: null, columns, rows},
			);
		});
});

const FAILURES: readonly (readonly [title: string, code: string, type: string, message: RegExp])[] = [
	['leaving', 'import sys\nsys.exit(3)', 'PYTHON_EXECUTION_ERROR', /^the code called exit \(3\) \(line 2\)$/],
	['leaving without a word', 'import os\nos._exit(0)', 'RUNNER_INTERNAL_ERROR', /exit code 0 before it answered/],
	['aborting', 'import os\nos.abort()', 'RUNNER_INTERNAL_ERROR', /SIGABRT before it answered/],
	['a fault', 'import ctypes\nctypes.string_at(0)', 'RUNNER_INTERNAL_ERROR', /SIGSEGV before it answered/],
	['endless recursion', 'def f(): return f()\nf()', 'PYTHON_EXECUTION_ERROR', /^RecursionError/],
	[
		'recursion in a value',
		'x = []\nfor _ in range(100000): x = [x]\nx',
		'PYTHON_EXECUTION_ERROR',
		/RecursionError|nested too deeply/,
	],
	['a list that holds itself', 'x = []\nx.append(x)\nx', 'PYTHON_EXECUTION_ERROR', /RecursionError|nested too deeply/],
	['a fork that answers too', 'import os\nos.fork()\n1', '', /^$/],
	['forks without end', 'import os\nwhile True: os.fork()', 'RUNNER_RESOURCE_EXCEEDED', /processes and threads/],
	[
		'threads without end',
		'import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(60,)).start()',
		'RUNNER_RESOURCE_EXCEEDED',
		/processes and threads/,
	],
	['more memory than there is', 'x = [0] * (1 << 30)', 'RUNNER_RESOURCE_EXCEEDED', /memory/],
	['a generator', '(x for x in [1])', 'PYTHON_EXECUTION_ERROR', /^the result is a generator/],
	[
		'an exception that cannot be printed',
		'class E(Exception):\n  def __str__(self): raise E()\nraise E()',
		'PYTHON_EXECUTION_ERROR',
		/cannot be printed/,
	],
	[
		'a value that cannot be printed',
		'class V:\n  def __str__(self): raise ValueError("no")\nV()',
		'PYTHON_EXECUTION_ERROR',
		/no/,
	],
];

suite('a failure has a type', {skip}, () => {
	for (const [title, code, type, message] of FAILURES)
		test(title, async () => {
			const {error} = await whole.run('t', 'python', code);
			assert.equal(error?.type ?? '', type, error?.message);
			assert.match(error?.message ?? '', message);
		});

	test('a flood of output is cut, and the result arrives', async () => {
		const {
			error,
			rows,
			stdout_trunc: printed = '',
		} = await whole.run('t', 'python', 'for _ in range(200000): print("x" * 100)\n1');
		assert.deepEqual(
			{error, rows, long: printed.length > 60_000 && printed.length <= 65_536},
			{error: null, rows: [[1]], long: true},
		);
	});

	test('frames that the code forges on standard output and on well-known descriptors are not results', async () => {
		const forge = `import os, struct
frame = b'{"type":"done","totalRows":666,"truncated":null,"nonFinite":0}'
for descriptor in (1, 2, 3):
  try: os.write(descriptor, struct.pack(">I", len(frame)) + frame)
  except OSError: pass
[1]`;
		const {error, rows, total_rows: total} = await whole.run('t', 'python', forge);
		assert.deepEqual({error, rows, total}, {error: null, rows: [[1]], total: 1});
	});

	test('output that nobody reads any more does not hurt', async () => {
		const {error, rows} = await whole.run('t', 'python', 'import os, sys\nos.close(1)\nos.close(2)\nsys.stdout = None\n[1]');
		assert.deepEqual({error, rows}, {error: null, rows: [[1]]});
	});

	test('afterwards the next run is answered', async () => {
		assert.deepEqual((await whole.run('t', 'python', 'len(t)')).rows, [[3]]);
	});
});
