/** Honest work that looks like an attack. Blocking any of it is a failure too. `sales` has 500 rows: id 0 to 499, region r0 to r4, amount 3·id. */
import {type Payload, plan, python, query} from './case.ts';

export type Twin = {
	readonly id: string;
	readonly title: string;
	readonly payload: Payload;
	/** part of the result */
	readonly shows: string;
};

type Written = readonly [title: string, payload: readonly Payload[], shows: string];

const big = `SELECT ${Array.from({length: 200}, (_, n) => `id + ${n} AS c${n}`).join(', ')} FROM sales LIMIT 1`;

const SQL: readonly Written[] = [
	['counts', query('SELECT count(*) AS n FROM sales'), '[[500]]'],
	['groups and orders', query('SELECT region, sum(amount) AS s FROM sales GROUP BY region ORDER BY region'), '["r0",'],
	[
		'ranks with windows',
		query('SELECT id FROM sales QUALIFY row_number() OVER (PARTITION BY region ORDER BY amount DESC) = 1 ORDER BY id'),
		'[495]',
	],
	[
		'moves a window',
		query('SELECT avg(amount) OVER (ORDER BY id ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) AS a FROM sales ORDER BY id LIMIT 3'),
		'[1.5]',
	],
	['joins a table with itself', query('SELECT count(*) FROM sales AS a JOIN sales AS b USING (region)'), '50000'],
	['joins without equality', query('SELECT count(*) FROM sales AS a JOIN sales AS b ON a.id < b.id WHERE b.id < 50'), '1225'],
	['looks for a path in text', query("SELECT count(*) FROM sales WHERE region LIKE '%/etc/passwd%'"), '[[0]]'],
	['holds SQL in text', query("SELECT 'DROP TABLE sales; COPY x TO ''/y''; --' AS s"), 'DROP TABLE'],
	['holds a reader in text', query("SELECT 'read_text(''/etc/shadow'')' AS read_text"), 'shadow'],
	[
		'names columns like functions',
		query('SELECT id AS glob, region AS query, amount AS "read_csv" FROM sales LIMIT 1'),
		'"glob"',
	],
	[
		'names columns like statements',
		query('SELECT id AS "copy", amount AS "attach", region AS "install" FROM sales LIMIT 1'),
		'"attach"',
	],
	['names a CTE like a function', query('WITH read_text AS (SELECT id FROM sales) SELECT count(*) FROM read_text'), '500'],
	['shadows a table with a CTE', query('WITH sales AS (SELECT 7 AS x) SELECT x FROM sales'), '[[7]]'],
	[
		'nests queries deeply, but not too deeply',
		query(`SELECT * FROM ${'(SELECT * FROM '.repeat(20)}sales${') AS t'.repeat(20)} LIMIT 1`),
		'r0',
	],
	['nests parentheses', query(`SELECT ${'('.repeat(60)}1${')'.repeat(60)} AS one`), '[[1]]'],
	[
		'recurs, and ends',
		query('WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 1000) SELECT max(n) FROM t'),
		'1000',
	],
	['makes a series', query('SELECT sum(range) FROM range(1000000)'), '499999500000'],
	['sorts more than fits a page', query('SELECT range FROM range(1000000) ORDER BY hash(range) LIMIT 1'), '"rows"'],
	[
		'spills to scratch within its limit',
		query('SELECT count(*) FROM (SELECT range AS a, md5(CAST(range AS VARCHAR)) AS b FROM range(300000) ORDER BY b)'),
		'300000',
	],
	['gives a large result, flagged', query('SELECT range FROM range(5000)'), '"truncated":{'],
	['gives two hundred columns', query(big), '"c199"'],
	['gives a long cell', query("SELECT repeat('x', 100000) AS s"), 'xxxxxxxx'],
	['uses Unicode names', query('SELECT count(*) AS "größe 大きさ" FROM sales AS "таблица"'), '大きさ'],
	['writes comments', query('SELECT /* ; DROP */ 1 -- COPY\n AS one'), '[[1]]'],
	['writes a semicolon in text', query("SELECT 'a;b' AS s"), 'a;b'],
	['uses regular expressions', query("SELECT count(*) FROM sales WHERE regexp_matches(region, '^(r|s)[0-4]$')"), '500'],
	['reads JSON in text', query(`SELECT json_extract_string('{"a": {"b": "c"}}', '$.a.b') AS x`), '"c"'],
	['makes lists and lambdas', query('SELECT list_transform([1, 2, 3], lambda x: x * 2) AS l'), '[2,4,6]'],
	['pivots', query("PIVOT (SELECT region, amount FROM sales) ON region IN ('r0', 'r1') USING sum(amount)"), 'r1'],
	['describes a table', query('DESCRIBE sales'), 'region'],
	['summarises a query', query('SUMMARIZE SELECT amount FROM sales'), 'amount'],
	['shows the tables', query('SHOW TABLES'), 'sales'],
	['calls the dataset by its name', query('SELECT count(*) FROM planted.sales'), '500'],
	['fails honestly inside TRY', query("SELECT try_cast('x' AS INTEGER) IS NULL AS n"), 'true'],
	['divides by zero', query('SELECT 1 / 0 AS x'), 'null'],
	['unions', query('(SELECT id FROM sales WHERE id = 1) UNION ALL (SELECT id FROM sales WHERE id = 2) ORDER BY id'), '[[1],[2]]'],
];

const PLANS: readonly Written[] = [
	['plans a sum', plan({table: 'sales', select: [{func: 'sum', column: 'amount', alias: 's'}]}), '374250'],
	[
		'plans a filter with a path as its value',
		plan({
			table: 'sales',
			select: [{func: 'count', alias: 'n'}],
			filters: {column: 'region', op: '=', value: "../../etc/passwd'; --"},
		}),
		'[[0]]',
	],
	['plans an alias that is a keyword', plan({table: 'sales', select: [{column: 'id', alias: 'select'}], limit: 1}), '"select"'],
];

const PYTHON: readonly Written[] = [
	['reads the tables', python('said.append(str(len(sales)))'), '500'],
	[
		'reads the files below /data',
		python('import pyarrow.parquet as pq\nsaid.append(str(pq.read_table("/data/sales.parquet").num_rows))'),
		'500',
	],
	['groups with pandas', python('said.append(str(int(sales.groupby("region")["amount"].sum().sum())))'), '374250'],
	['writes and reads scratch', python('open("/tmp/a", "w").write("kept")\nsaid.append(open("/tmp/a").read())'), 'kept'],
	[
		'makes directories and links in scratch',
		python(
			'os.makedirs("/tmp/a/b")\nopen("/tmp/a/b/c", "w").write("c")\nos.symlink("/tmp/a/b/c", "/tmp/l")\nsaid.append("linked " + open("/tmp/l").read())',
		),
		'linked c',
	],
	[
		'writes some megabytes',
		python('open("/tmp/big", "wb").write(bytes(16 << 20))\nsaid.append(str(os.stat("/tmp/big").st_size))'),
		'16777216',
	],
	['takes some memory', python('b = bytearray(64 << 20)\nsaid.append(str(len(b)))'), '67108864'],
	[
		'starts threads',
		python(
			'import threading\nfound = []\nthreads = [threading.Thread(target=found.append, args=(n,)) for n in range(4)] if not sys.platform.startswith("emscripten") else []\nfor t in threads: t.start()\nfor t in threads: t.join()\nsaid.append("ran " + str(len(found) if threads else 4))',
		),
		'ran 4',
	],
	[
		'starts a process of its own',
		python(
			'if hasattr(os, "fork") and not sys.platform.startswith("emscripten"):\n  pid = os.fork()\n  if pid == 0: os._exit(7)\n  code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])\nelse: code = 7\nsaid.append("child " + str(code))',
		),
		'child 7',
	],
	[
		'uses temporary files',
		python(
			'import tempfile\nwith tempfile.TemporaryFile() as f:\n  f.write(b"x"); f.seek(0); said.append("temp " + str(len(f.read())))',
		),
		'temp 1',
	],
	[
		'uses sqlite in memory',
		python(
			'try:\n  import sqlite3\n  value = sqlite3.connect(":memory:").execute("select 41 + 1").fetchone()[0]\nexcept ImportError: value = 42\nsaid.append(str(value))',
		),
		'42',
	],
	['evaluates expressions', python('said.append(str(eval("6 * 7")) + " " + str(pd.eval("1 + 2", engine="python")))'), '42 3'],
	['pickles and unpickles', python('import pickle\nsaid.append(str(pickle.loads(pickle.dumps({"a": 1}))))'), "{'a': 1}"],
	['writes Unicode', python('print("größe 大きさ 🙂")\nsaid.append("größe 大きさ")'), '大きさ'],
	['reads its environment', python('said.append("home " + os.environ.get("HOME", "none"))'), 'home /'],
	[
		'compresses within reason',
		python('import zlib\nsaid.append(str(len(zlib.decompress(zlib.compress(bytes(1 << 20))))))'),
		'1048576',
	],
	['catches its own exceptions', python('try: open("/nowhere/file")\nexcept OSError as error: said.append("caught")'), 'caught'],
	['has numbers computed', python('said.append(str(round(float(np.linalg.det(np.array([[2.0, 1.0], [1.0, 3.0]]))), 3)))'), '5.0'],
	['sleeps a little', python('time.sleep(0.2)\nsaid.append("woke")'), 'woke'],
	[
		'recurs within reason',
		python('def depth(n): return 0 if n == 0 else 1 + depth(n - 1)\nsaid.append("depth " + str(depth(300)))'),
		'depth 300',
	],
];

/** What a sandbox may do without, as its `weaknesses` say. */
export type Extras = {readonly pandas: boolean; readonly json: boolean};

/** What the twin uses that the sandbox does not have, if anything. */
export function lacking({payload}: Twin, {pandas, json}: Extras): string | undefined {
	if (!pandas && payload.kind === 'python' && /\b(?:pd|np|pyarrow|groupby)\b/.test(payload.code)) return 'pandas';
	if (!json && payload.kind === 'query' && /\bjson_/.test(payload.sql)) return 'JSON functions';
	return undefined;
}

export const BENIGN: readonly Twin[] = [...SQL, ...PLANS, ...PYTHON].map(([title, [payload], shows], index) => ({
	id: `B${String(index + 1).padStart(2, '0')}`,
	title,
	payload: payload as Payload,
	shows,
}));
