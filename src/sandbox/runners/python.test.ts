import assert from 'node:assert/strict';
import {existsSync} from 'node:fs';
import {join} from 'node:path';
import {test} from 'node:test';
import {ending, type Finished, rowsOf, runInChild, snapshots} from './run-in-child.ts';

const PYTHON = join(import.meta.dirname, '../../../.writ/python/bin/python');
const skip = existsSync(PYTHON) ? false : 'there is no .writ/python: run `sh scripts/python.sh`';

const {data, views} = await snapshots({
	t: "SELECT range AS a, CASE WHEN range = 1 THEN 7 END AS gap, 'x' || range AS b, DATE '2024-01-01' AS d, 1.5::DECIMAL(38,2) AS money FROM range(3)",
});

function run(code: string, caps: {maxRows?: number; maxBytes?: number} = {}): Promise<Finished> {
	const request = {kind: 'python' as const, views, code, maxRows: 100, maxBytes: 50_000, ...caps};
	return runInChild({command: [PYTHON, '-I', '-B', join(import.meta.dirname, 'python.py')], request, roots: {data}});
}

/** Names of columns, then the rows. */
function table(done: Finished): unknown[] {
	assert.equal(ending(done).type, 'done', JSON.stringify(ending(done)));
	return [done.frames.flatMap((frame) => (frame.type === 'columns' ? frame.columns.map(({name}) => name) : [])), ...rowsOf(done)];
}

const RESULTS: readonly (readonly [title: string, code: string, expected: unknown[]])[] = [
	[
		'a frame keeps integers with gaps, dates and decimals',
		't.head(1)',
		[
			['a', 'gap', 'b', 'd', 'money'],
			[0, null, 'x0', '2024-01-01', 1.5],
		],
	],
	['result_df wins over result', 'result = 1\nresult_df = t[["a"]].tail(1)', [['a'], [2]]],
	[
		'result_rows take their names from result_columns',
		'result_rows = [(1, "x")]\nresult_columns = ["n", "s"]',
		[
			['n', 's'],
			[1, 'x'],
		],
	],
	[
		'rows without names are numbered',
		'result_rows = [(1, "x")]',
		[
			['col_1', 'col_2'],
			[1, 'x'],
		],
	],
	[
		'a dict is keys and values',
		'result = {"k": 1}',
		[
			['key', 'value'],
			['k', 1],
		],
	],
	[
		'a list of lists is a table',
		'result = [[1, 2], [3, 4]]',
		[
			['col_1', 'col_2'],
			[1, 2],
			[3, 4],
		],
	],
	['a list is one column', 'result = [1, "a"]', [['value'], [1], ['a']]],
	['None is a cell', 'result = None', [['value'], [null]]],
	['the last expression is the result', 'x = 2\nx * 21', [['value'], [42]]],
	[
		'a Series comes with its index',
		't.groupby("b")["a"].sum().head(1)',
		[
			['b', 'a'],
			['x0', 0],
		],
	],
	[
		'an array is a table',
		'np.arange(4).reshape(2, 2)',
		[
			['col_1', 'col_2'],
			[0, 1],
			[2, 3],
		],
	],
	[
		'functions and comprehensions see what was assigned',
		'import math\nk = 2\ndef f(x): return x * k + math.floor(0.5)\n[f(i) for i in range(2)]',
		[['value'], [0], [2]],
	],
	[
		'big integers and infinities arrive as the contract says',
		'[2**70, float("inf")]',
		[['value'], ['1180591620717411303424'], [null]],
	],
];

for (const [title, code, expected] of RESULTS)
	test(title, {skip}, async () => {
		assert.deepEqual(table(await run(code)), expected);
	});

const FAILURES: readonly (readonly [title: string, code: string, message: string])[] = [
	['an exception is named with its line', 'x = 1\n1 / 0', 'ZeroDivisionError: division by zero (line 2)'],
	['a syntax error is named with its line', 'x = 1\ndef f(:', 'Invalid Python syntax: invalid syntax (line 2)'],
	['leaving is not a result', 'import sys\nsys.exit(3)', 'the code called exit (3) (line 2)'],
	['code without a result says so', 'x = 1', 'no tabular or scalar result was produced'],
	['result_df must be a frame', 'result_df = 5', 'result_df must be a DataFrame, not int'],
];

for (const [title, code, message] of FAILURES)
	test(title, {skip}, async () => {
		const end = ending(await run(code));
		assert.deepEqual(end.type === 'error' && [end.code, end.message], ['python_execution_error', message]);
	});

test('caps cut whole rows and say what was left out', {skip}, async () => {
	const ends = [ending(await run('t', {maxRows: 1})), ending(await run('"x" * 1000', {maxBytes: 100}))];
	assert.deepEqual(
		ends.map((end) => end.type === 'done' && end.truncated),
		[
			{by: 'rows', limit: 1, total: 3},
			{by: 'bytes', limit: 100, total: 1},
		],
	);
});

test('what is printed is captured, capped and made harmless, also from other processes', {skip}, async () => {
	const end = ending(await run('import os\nprint("\\x1b[31m" + "red" * 99999)\nos.system("echo no >&2")\n1'));
	assert.ok(end.type === 'done');
	assert.deepEqual([end.stdout?.slice(0, 6), (end.stdout ?? '').length <= 65_536, end.stderr], ['redred', true, 'no\n']);
});

test('the descriptor of the frames is not where code would look for it', {skip}, async () => {
	const done = await run('import os\ntry:\n  os.write(3, b"x")\n  result = "written"\nexcept OSError:\n  result = "closed"');
	assert.equal(ending(done).type, 'done');
});
