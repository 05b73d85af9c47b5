import assert from 'node:assert/strict';
import {writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {before, test} from 'node:test';
import {type DuckDBConnection, DuckDBInstance} from '@duckdb/node-api';
import fc from 'fast-check';
import {openEngine} from './engine.ts';
import {RunnerError} from './frames.ts';
import {admit} from './gate.ts';
import {SCALAR_FUNCTIONS, TABLE_FUNCTIONS} from './pure-functions.ts';
import {directory, snapshots} from './run-in-child.ts';
import {createViews} from './views.ts';

const readable = {tables: ['tickets', 'customers'], schema: 'support'};
const outside = directory();
writeFileSync(join(outside, 'secret.csv'), 'word\nhunter2\n');

/** One locked engine with the dataset in reach, and one with neither lock nor gate to show that an attack is real. */
async function openBoth(): Promise<{locked: DuckDBConnection; open: DuckDBConnection}> {
	const {data, views} = await snapshots({
		tickets: "SELECT range AS id, 'open' AS status, range % 3 AS customer FROM range(10)",
		customers: "SELECT range AS id, 'c' || range AS name FROM range(3)",
	});
	const limits = {wallMs: 1e4, memoryBytes: 1e9, cpus: 2, processes: 9, openFiles: 99, scratchBytes: 1e8, outputBytes: 1e8};
	const locked = await openEngine({limits, roots: {data, scratch: directory(), in: '', out: null}, read: data, write: null});
	const open = await (await DuckDBInstance.create(':memory:')).connect();
	for (const connection of [locked, open]) await createViews(views, 'support', connection);
	return {locked, open};
}

const engines: {locked?: DuckDBConnection; open?: DuckDBConnection} = {};
before(async () => {
	Object.assign(engines, await openBoth());
});

async function refusal(sql: string): Promise<RunnerError> {
	const error = await admit(sql, readable, engines.locked as DuckDBConnection).then(
		() => new Error(`admitted: ${sql}`),
		(thrown: unknown) => thrown,
	);
	if (error instanceof RunnerError) return error;
	throw error;
}

const SECRET = `${outside}/secret.csv`;

/** By number of the attack battery. `works` is what the statement gives when nothing is in its way. */
const ATTACKS: readonly (readonly [id: string, sql: string, works: boolean])[] = [
	['S01', `SELECT * FROM read_csv('${SECRET}')`, true],
	['S02', `SELECT * FROM read_text('${SECRET}')`, true],
	['S02', "SELECT * FROM read_blob('/proc/self/environ')", true],
	['S03', `SELECT * FROM sniff_csv('${SECRET}')`, true],
	['S04', `SELECT * FROM parquet_metadata('${SECRET}')`, false],
	['S05', `SELECT * FROM glob('${outside}/*')`, true],
	['S06', `SELECT * FROM '${SECRET}'`, true],
	['S06', `SELECT * FROM "${SECRET}"`, true],
	['S06', `SELECT 1 FROM "${SECRET}" WHERE EXISTS (WITH "${SECRET}" AS (SELECT 1) SELECT 1)`, true],
	['S06', `WITH RECURSIVE "${SECRET}" AS (SELECT * FROM "${SECRET}" UNION ALL SELECT 'x' WHERE false) SELECT 1`, true],
	['S07', `SELECT * FROM read_text('file://${SECRET}')`, true],
	['S09', `SELECT (SELECT content FROM read_text('${SECRET}'))`, true],
	['S09', `SELECT * FROM tickets WHERE EXISTS (SELECT 1 FROM read_text('${SECRET}'))`, true],
	['S09', `SELECT * FROM tickets, LATERAL (SELECT content FROM read_text('${SECRET}'))`, true],
	['S09', `WITH a AS (SELECT * FROM read_text('${SECRET}')) SELECT * FROM a`, true],
	['S10', `SELECT * FROM read_text('${outside}' || chr(47) || 'secret.csv')`, true],
	['S12', `SELECT * FROM query('SELECT * FROM read_' || 'text(''${SECRET}'')')`, true],
	['S12', "SELECT * FROM query_table('tickets')", true],
	['S12', "SELECT * FROM histogram('tickets', 'id')", false],
	['S13', `COPY (SELECT 1) TO '${outside}/a.csv'`, true],
	['S14', `EXPORT DATABASE '${outside}/dump'`, true],
	['S15', `ATTACH '${outside}/a.db'`, true],
	['S15', "ATTACH ':memory:' AS other", true],
	['S16', "INSTALL httpfs FROM '/nowhere'", false],
	['S16', "LOAD '/nowhere/x.duckdb_extension'", false],
	['S17', 'SET threads = 1', true],
	['S17', 'RESET memory_limit', true],
	['S17', "PRAGMA memory_limit = '9GB'", true],
	['S19', "CALL enable_logging(storage = 'stdout')", false],
	['S20', 'PRAGMA disable_profiling', true],
	['S21', 'CREATE SECRET s (TYPE s3)', false],
	['S22', 'SELECT * FROM duckdb_settings()', true],
	['S22', 'SELECT * FROM pragma_database_list', false],
	['S22', 'SELECT current_setting($$temp_directory$$)', true],
	['S22', 'SHOW DATABASES', true],
	['S23', 'SELECT 1; SELECT 2', true],
	['S23', 'SELECT 1 /* ; */ ; DROP VIEW support.nothing', false],
	['S24', 'EXPLAIN SELECT 1', true],
	['S25', 'CREATE TABLE main.a AS SELECT 1', true],
	['S25', 'INSERT INTO main.a SELECT 1', true],
	['S25', 'UPDATE main.a SET "1" = 2', true],
	['S25', 'DELETE FROM main.a', true],
	['S25', 'DROP TABLE main.a', true],
	['S27', "SELECT * FROM 'http://127.0.0.1:9/x.csv'", false],
	['S28', 'SELECT * FROM information_schema.columns', true],
	['S28', 'SELECT * FROM duckdb_columns', true],
	['S28', 'SELECT * FROM other_tenant.tickets', false],
	['S28', 'SELECT * FROM sqlite_master', true],
	['S28', "SELECT nextval('s')", false],
	['S28', "SELECT write_log('x')", true],
	['S28', "SELECT getvariable('x')", true],
];

for (const [id, sql, works] of ATTACKS)
	test(`${id} is refused before it is bound: ${sql.replace(outside, '…').slice(0, 70)}`, async () => {
		assert.equal((await refusal(sql)).code, 'sql_policy_violation');
		if (works) await assert.doesNotReject(engines.open?.run(sql) as Promise<unknown>);
	});

test('the lock alone keeps files, settings and extensions out of reach', async () => {
	for (const sql of [
		`SELECT * FROM read_text('${SECRET}')`,
		`SELECT * FROM '${SECRET}'`,
		`SELECT * FROM query('SELECT * FROM read_text(''${SECRET}'')')`,
		`COPY (SELECT 1) TO '${outside}/b.csv'`,
		`ATTACH '${outside}/b.db'`,
		'SET threads = 1',
		"SET home_directory = '/etc'",
		'RESET lock_configuration',
		'INSTALL httpfs',
	])
		await assert.rejects(engines.locked?.run(sql) as Promise<unknown>, /disabled|locked|lock|Cannot/i);
});

test('a refusal names the construct and says what to write instead', async () => {
	const messages = [];
	for (const sql of [
		'UPDATE tickets SET id = 1',
		'SELECT 1; SELECT 2',
		'SELECT * FROM read_csv($$x$$)',
		'FROM other.tickets',
		' ',
	])
		messages.push(await refusal(sql).then(({message, hint}) => [message, hint]));
	assert.deepEqual(messages, [
		[
			'only SELECT/WITH statements are allowed: UPDATE is not allowed',
			'write a SELECT over the tables of the dataset; data cannot be changed',
		],
		['multiple statements are not allowed', 'send one SELECT; use WITH to name intermediate results'],
		['the function `read_csv` is not allowed', 'use the tables: tickets, customers'],
		['the table `other.tickets` is not part of this dataset', 'use one of its tables: tickets, customers'],
		[
			'only SELECT/WITH statements are allowed: there is no statement',
			'write a SELECT over the tables of the dataset; data cannot be changed',
		],
	]);
});

const BENIGN = [
	'FROM tickets',
	'-- a comment\n/* another */ SELECT 1',
	'(SELECT count(*) FROM tickets)',
	'SELECT * FROM tickets;',
	'VALUES (1, 2)',
	'DESCRIBE tickets',
	'SUMMARIZE tickets',
	'SHOW TABLES',
	'SELECT * FROM support.tickets',
	'SELECT support.tickets.id FROM "support"."tickets"',
	'SELECT TICKETS.ID FROM Support.Tickets',
	"SELECT 'update; drop table x; read_csv(support.tickets)' AS text",
	'SELECT "id" AS "delete" FROM "tickets" ORDER BY "delete"',
	'WITH a AS (SELECT 1 AS x), b AS (SELECT x + 1 AS y FROM a) SELECT * FROM a, b',
	'WITH tickets AS (SELECT * FROM tickets WHERE id > 3) SELECT count(*) FROM tickets',
	'WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT sum(n) FROM r',
	'SELECT row_number() OVER (PARTITION BY customer ORDER BY id), lag(id) OVER w FROM tickets WINDOW w AS (ORDER BY id)',
	'SELECT c.name, count(*) FILTER (WHERE t.id > 2) FROM tickets t JOIN customers c ON c.id = t.customer GROUP BY ALL HAVING count(*) > 1',
	"SELECT list_transform([1, 2], lambda x: x + 1), {'a': 1}.a, map {'k': 2}, [x FOR x IN [1, 2] IF x > 1]",
	'SELECT * FROM tickets TABLESAMPLE 50 PERCENT (bernoulli)',
	'PIVOT tickets ON customer IN (0, 1) USING count(*)',
	'UNPIVOT customers ON id',
	"SELECT date_trunc('month', DATE '2024-01-31') + INTERVAL 1 MONTH, extract(year FROM now())",
	'SELECT * EXCLUDE (id) REPLACE (upper(status) AS status) FROM tickets QUALIFY row_number() OVER () < 3',
	'SELECT 1 AS a UNION ALL BY NAME SELECT 2 AS a EXCEPT SELECT 3 ORDER BY 1 LIMIT 5 OFFSET 0',
	'SELECT * FROM range(3) r(i), generate_series(1, 2), unnest([1, 2])',
	'SELECT CASE WHEN id > 1 THEN 1 ELSE 0 END, coalesce(NULL, 1), try_cast(status AS INT), id IN (1, 2), id BETWEEN 1 AND 2 FROM tickets',
	'SELECT customer, GROUPING(customer) FROM tickets GROUP BY ROLLUP (customer)',
	"SELECT status ~ 'o.*', status LIKE 'o!%' ESCAPE '!', status COLLATE NOCASE = 'OPEN' FROM tickets",
];

for (const sql of BENIGN)
	test(`a pure read is admitted and runs: ${sql.replace(/\s+/g, ' ').slice(0, 80)}`, async () => {
		const {prepared} = await admit(sql, readable, engines.locked as DuckDBConnection);
		await prepared.run();
	});

test('what was used is what the parse says', async () => {
	const {used} = await admit(
		"WITH a AS (SELECT lower(status) s FROM tickets) SELECT max(s), 'sum(x) from customers' FROM a",
		readable,
		engines.locked as DuckDBConnection,
	);
	assert.deepEqual(used, {tables: ['tickets'], functions: ['lower', 'max']});
});

test('a statement that is nested too deeply is refused, not followed', async () => {
	const sql = `SELECT ${'('.repeat(3000)}1${')'.repeat(3000)}`;
	await admit(sql, readable, engines.locked as DuckDBConnection).catch((error: unknown) => assert.ok(error instanceof Error));
	assert.equal((await engines.locked?.runAndReadAll('SELECT 1'))?.getRows().length, 1);
});

const REVIEWED_AND_REFUSED = `
__internal_compress_integral_ubigint combine create_sort_key current_connection_id current_query current_query_id current_schemas
current_setting current_transaction_id currval duckdb_settings finalize get_block_size get_type getvariable in_search_path
json_deserialize_sql json_serialize_plan json_serialize_sql make_type nextval parse_duckdb_log_message pg_sleep replace_type setseed
sleep_ms stats txid_current variant_bytes_to_variant variant_to_parquet_variant vector_type write_log`.split(/\s+/);
const REFUSED_FAMILIES =
	/^(__internal_|icu_collate_|st_|pg_|has_|inet_|col_description|obj_description|shobj_description|map_to_pg_oid|format_pg_type|format_type)/;

test('every scalar and aggregate function of the engine was reviewed', async () => {
	const reader = await engines.open?.runAndReadAll(
		"SELECT DISTINCT lower(function_name) FROM duckdb_functions() WHERE function_type IN ('scalar', 'aggregate', 'macro') ORDER BY 1",
	);
	const names = (reader?.getRows() ?? []).map(([name]) => String(name));
	const unknown = names.filter(
		(name) => !SCALAR_FUNCTIONS.has(name) && !REVIEWED_AND_REFUSED.includes(name) && !REFUSED_FAMILIES.test(name),
	);
	assert.ok(names.length > 700);
	assert.deepEqual(unknown, []);
});

test('every table function that is allowed exists, and none of them reads anything', async () => {
	const reader = await engines.open?.runAndReadAll('SELECT DISTINCT lower(function_name) FROM duckdb_functions()');
	const names = new Set(reader?.getRows().map(([name]) => name));
	assert.deepEqual(
		[...TABLE_FUNCTIONS].filter((name) => !names.has(name)),
		[],
	);
	assert.deepEqual(
		[...TABLE_FUNCTIONS].filter((name) => /read|scan|parquet|sniff|glob|query|duckdb|pragma/.test(name)),
		[],
	);
});

const expression: fc.Arbitrary<string> = fc.letrec<{e: string}>((tie) => ({
	e: fc.oneof(
		{depthSize: 'small', withCrossShrink: true},
		fc.constantFrom('1', "'a;--'", 'NULL', 'id', 'status', 'support.tickets.id'),
		fc
			.tuple(tie('e'), fc.constantFrom('+', '||', '=', 'AND', 'IS DISTINCT FROM'), tie('e'))
			.map(([a, o, b]) => `(${a} ${o} ${b})`),
		fc.tuple(fc.constantFrom('lower', 'abs', 'read_text', 'getvariable', 'count'), tie('e')).map(([f, a]) => `${f}(${a})`),
		tie('e').map((a) => `(SELECT ${a} FROM tickets LIMIT 1)`),
		tie('e').map((a) => `(SELECT 1 FROM read_text('x') WHERE ${a} IS NULL)`),
		tie('e').map((a) => `CASE WHEN ${a} IS NULL THEN 1 END`),
	),
})).e;

test('whatever the gate admits names nothing that was not allowed, and what it refuses does', async () => {
	await fc.assert(
		fc.asyncProperty(expression, async (generated) => {
			const sql = `SELECT ${generated} FROM tickets`;
			const hostile = /read_text|getvariable/.test(sql);
			const error = await admit(sql, readable, engines.locked as DuckDBConnection).then(
				() => null,
				(thrown: unknown) => thrown,
			);
			const refused = error instanceof RunnerError && error.code === 'sql_policy_violation';
			assert.equal(refused, hostile, sql);
		}),
		{numRuns: 300},
	);
});
