/** The SQL gate against every function there is, every kind of statement, and the corpus torn to pieces: what it admits is one SELECT that changes nothing. */
import assert from 'node:assert/strict';
import {readdirSync, statSync, writeFileSync} from 'node:fs';
import path from 'node:path';
import {test} from 'node:test';
import {type DuckDBConnection, DuckDBInstance, StatementType} from '@duckdb/node-api';
import fc from 'fast-check';
import {openEngine} from '#sandbox/runners/engine.ts';
import {RunnerError} from '#sandbox/runners/frames.ts';
import {admit} from '#sandbox/runners/gate.ts';
import {SCALAR_FUNCTIONS, TABLE_FUNCTIONS} from '#sandbox/runners/pure-functions.ts';
import {directory, snapshots} from '#sandbox/runners/run-in-child.ts';
import {createViews} from '#sandbox/runners/views.ts';
import {corpus, runs, SEED} from './fuzz.ts';

const limits = {wallMs: 1e4, memoryBytes: 1e9, cpus: 2, processes: 9, openFiles: 99, scratchBytes: 1e8, outputBytes: 1e8};
const outside = directory();
const SECRET = path.join(outside, 'secret.csv');
writeFileSync(SECRET, 'word\nhunter2\n');
const {data, views} = await snapshots({
	tickets: "SELECT range AS id, 'open' AS status, range % 3 AS customer FROM range(10)",
	customers: "SELECT range AS id, 'c' || range AS name FROM range(3)",
});
const scratch = directory();
const locked = await openEngine({limits, roots: {data, scratch, in: '', out: null}, read: data, write: null});
const readable = await createViews(views, 'support', locked);
/** Knows no table, so that it names every one a statement would look up. */
const oracle = await (await DuckDBInstance.create(':memory:')).connect();

type Verdict = {readonly kind: 'admitted' | 'refused' | 'failed'; readonly message: string};

async function verdict(sql: string): Promise<Verdict> {
	try {
		await admit(sql, readable, locked);
		return {kind: 'admitted', message: ''};
	} catch (error) {
		if (error instanceof RangeError || error instanceof TypeError) throw error;
		const refused = error instanceof RunnerError && error.code === 'sql_policy_violation';
		return {kind: refused ? 'refused' : 'failed', message: (error as Error).message};
	}
}

const ALLOWED = new Set([
	'tickets',
	'customers',
	'support.tickets',
	'support.customers',
	'memory.support.tickets',
	'memory.support.customers',
]);

/** What would have changed if a statement had changed anything: files, settings, catalogue, variables, secrets. Views of the engine's own are bound when SHOW needs them. */
async function state(connection: DuckDBConnection): Promise<readonly string[]> {
	const rows = async (sql: string) => (await connection.runAndReadAll(sql)).getRowsJson().map((row) => JSON.stringify(row));
	const files = [data, scratch, outside].map((place) =>
		readdirSync(place, {recursive: true}).map((name) => `${name} ${statSync(path.join(place, String(name))).size}`),
	);
	const tables = [
		'settings',
		'tables',
		'views',
		'schemas',
		'databases',
		'variables',
		'secrets',
		'sequences',
		'types',
		'prepared_statements',
		'indexes',
	];
	const catalogue = await Promise.all(
		tables.map((name) => rows(name === 'views' ? 'FROM duckdb_views() WHERE NOT internal' : `FROM duckdb_${name}()`)),
	);
	return [files, ...catalogue, await rows('SELECT count(*) FROM duckdb_functions()')].flat(2);
}

/** Runs for a moment; what it says does not matter, only that afterwards all is as before. */
async function execute(sql: string): Promise<void> {
	const timer = setTimeout(() => locked.interrupt(), 200);
	try {
		await locked.runAndReadUntil(sql, 100);
	} catch {
		// a statement may fail: it may not change anything
	} finally {
		clearTimeout(timer);
	}
}

function changed(was: readonly string[], is: readonly string[]): readonly string[] {
	return [...was.filter((each) => !is.includes(each)), ...is.filter((each) => !was.includes(each))];
}

const before = await state(locked);

/** An admitted statement, in the eyes of the engine. */
async function assertHarmless(sql: string): Promise<void> {
	const statements = await locked.extractStatements(sql);
	const {statementType} = await statements.prepare(0);
	assert.deepEqual([statements.count, statementType], [1, StatementType.SELECT], sql);
	const named = oracle.getTableNames(sql, true).map((name) => name.replace(/^([\w.]+|"[^"]*") (?:AS|TABLESAMPLE) .*$/s, '$1'));
	const foreign = named.filter((name) => !ALLOWED.has(name.toLowerCase().replaceAll('"', '')));
	assert.deepEqual(foreign, [], sql);
	await execute(sql);
}

test('what was kept from earlier runs is judged as its name says', async () => {
	for (const {name, bytes} of corpus('sql/rejected')) assert.equal((await verdict(bytes.toString())).kind, 'refused', name);
	for (const {name, bytes} of corpus('sql/accepted')) {
		assert.equal((await verdict(bytes.toString())).kind, 'admitted', name);
		await assertHarmless(bytes.toString());
	}
});

/** Shapes whose name is looked up in FROM, and the one whose name is text, by which only aggregates are found. */
const [IN_FROM, NAMED_BY_TEXT] = [new Set([5, 6, 7]), new Set([10])];

test('no function of the engine is admitted that nobody has looked at, wherever it stands and however it is written', async () => {
	const listed = (
		await oracle.runAndReadAll(
			"SELECT DISTINCT function_name, function_type FROM duckdb_functions() WHERE function_name ~ '^[a-z_0-9]+$'",
		)
	).getRowsJson();
	const shapes: readonly ((name: string) => string)[] = [
		(name) => `SELECT ${name}('${SECRET}')`,
		(name) => `SELECT "${name.toUpperCase()}"(1, 2)`,
		(name) => `SELECT id.${name}() FROM tickets`,
		(name) => `SELECT 'x'.${name}()`,
		(name) => `SELECT main.${name}()`,
		(name) => `FROM ${name}('${SECRET}')`,
		(name) => `FROM system.main.${name}()`,
		(name) => `SELECT * FROM tickets, LATERAL ${name}(id)`,
		(name) => `SELECT ${name}(id) OVER () FROM tickets`,
		(name) => `SELECT list_transform([1], lambda x: ${name}(x))`,
		(name) => `SELECT list_aggregate([1], '${name}')`,
		(name) => `SELECT array_reduce([1, 2], lambda a, b: ${name}(a, b))`,
	];
	const wrong: string[] = [];
	const count = {tried: 0, admitted: 0};
	for (const [name] of listed as [string, string][]) {
		for (const [index, shape] of shapes.entries()) {
			const {kind} = await verdict(shape(name));
			count.tried += 1;
			if (kind !== 'admitted') continue;
			count.admitted += 1;
			const known = NAMED_BY_TEXT.has(index) || (IN_FROM.has(index) ? TABLE_FUNCTIONS : SCALAR_FUNCTIONS).has(name);
			if (!known) wrong.push(shape(name));
		}
	}
	assert.deepEqual(wrong, []);
	assert.ok(count.tried > 5_000 && count.admitted > 200, JSON.stringify(count));
});

// --- the corpus, torn to pieces ----------------------------------------------------------------------------------------

const texts = [...corpus('sql/accepted'), ...corpus('sql/rejected')].map(({bytes}) => bytes.toString());
const tokens = texts.flatMap((text) => text.match(/'(?:[^']|'')*'|"[^"]*"|\$\$.*?\$\$|[A-Za-z_][A-Za-z_0-9]*|\d+|\S/gs) ?? []);
const spice = [
	'COPY',
	'TO',
	'ATTACH',
	'SET',
	'PRAGMA',
	'CALL',
	';',
	'--',
	'/*',
	'*/',
	'\n',
	'\0',
	'\u00a0',
	'\u200b',
	'ſ',
	'K',
	"E'\\x27'",
	`'${SECRET}'`,
	`"${SECRET}"`,
	'read_text',
	'FROM',
	'(',
	')',
	'AS',
	'UNION ALL',
	'WITH',
	'RECURSIVE',
	'USING KEY',
	'TABLE',
	'SHOW',
	'DESCRIBE',
	'SUMMARIZE',
	'EXPLAIN',
	'PIVOT',
	'UNPIVOT',
	'MACRO',
	'INTO',
	'RETURNING',
	'INSERT',
	'VALUES',
	'AT',
	'VERSION',
	'SAMPLE',
	'::',
	'.',
	'[',
	']',
	':=',
	'=>',
	'?',
	'$1',
];

const torn = fc.oneof(
	// one statement with some of its tokens replaced, dropped or doubled
	fc
		.tuple(
			fc.constantFrom(...texts),
			fc.array(
				fc.tuple(fc.nat(), fc.constantFrom('replace', 'drop', 'insert', 'swap'), fc.constantFrom(...tokens, ...spice, ...spice)),
				{minLength: 1, maxLength: 4},
			),
		)
		.map(([text, changes]) => {
			const parts = text.match(/'(?:[^']|'')*'|"[^"]*"|\s+|[A-Za-z_][A-Za-z_0-9]*|\d+|[^\s]/g) ?? [];
			for (const [at, how, token] of changes) {
				const place = at % (parts.length + 1);
				if (how === 'drop') parts.splice(place, 1);
				else if (how === 'insert') parts.splice(place, 0, ` ${token} `);
				else if (how === 'replace') parts[place] = ` ${token} `;
				else
					[parts[place], parts[(place * 7) % (parts.length || 1)]] = [
						parts[(place * 7) % (parts.length || 1)] ?? '',
						parts[place] ?? '',
					];
			}
			return parts.join('');
		}),
	// two statements woven together
	fc
		.tuple(fc.constantFrom(...texts), fc.constantFrom(...texts), fc.nat(), fc.nat())
		.map(([a, b, i, j]) => a.slice(0, i % (a.length + 1)) + b.slice(j % (b.length + 1))),
	// one inside the other
	fc
		.tuple(
			fc.constantFrom(...texts),
			fc.constantFrom(...texts),
			fc.constantFrom(
				'SELECT * FROM (%) AS s',
				'WITH c AS (%) SELECT * FROM c, tickets',
				'SELECT (%)',
				'SELECT * FROM tickets WHERE EXISTS (%)',
				'(%) UNION ALL BY NAME (#)',
				'SELECT * FROM tickets WHERE id IN (%)',
				'DESCRIBE %',
				'SUMMARIZE %',
				'FROM (DESCRIBE %)',
				'PIVOT (%) ON id IN (1) USING count(*)',
				'SELECT * FROM (UNPIVOT (%) ON COLUMNS(*))',
				'SELECT ARRAY(%)',
				'EXPLAIN %',
				'CREATE TABLE x AS %',
				"COPY (%) TO 'x.csv'",
				'%; #',
				'SELECT * FROM (VALUES ((%)))',
				'SELECT COLUMNS(c -> c IN (%)) FROM tickets',
			),
		)
		.map(([a, b, frame]) => frame.replace('%', () => a.replace(/;\s*$/, '')).replace('#', () => b.replace(/;\s*$/, ''))),
);

test(`whatever of it is admitted, the engine takes for one SELECT over the tables, and it changes nothing (seed ${SEED})`, async () => {
	const seen = {admitted: 0, refused: 0, failed: 0};
	await fc.assert(
		fc.asyncProperty(torn, async (sql) => {
			const {kind} = await verdict(sql);
			seen[kind] += 1;
			if (kind === 'admitted') await assertHarmless(sql);
		}),
		runs(6_000),
	);
	assert.ok(seen.admitted > 100 && seen.refused > 500 && seen.failed > 500, JSON.stringify(seen));
	assert.deepEqual(changed(before, await state(locked)), []);
});

// --- honest questions --------------------------------------------------------------------------------------------------

const column = fc.constantFrom('id', 'customer', 'tickets.id', 't.id', '"id"');
const text = fc.constantFrom(
	"'open'",
	"'/etc/passwd'",
	"'DROP TABLE x; --'",
	"'read_text(''x'')'",
	"'größe'",
	"'COPY a TO b'",
	"'http://x'",
);
const {value} = fc.letrec<{value: string}>((tie) => ({
	value: fc.oneof(
		{maxDepth: 3, depthIdentifier: 'honest'},
		column,
		text,
		fc.nat(1_000).map(String),
		fc
			.tuple(fc.constantFrom('+', '-', '*'), tie('value'), tie('value'))
			.map(([op, a, b]) => `(try_cast(${a} AS BIGINT) ${op} try_cast(${b} AS BIGINT))`),
		fc.tuple(fc.constantFrom('abs', 'sign'), tie('value')).map(([name, a]) => `${name}(try_cast(${a} AS DOUBLE))`),
		fc
			.tuple(fc.constantFrom('lower', 'upper', 'trim', 'length', 'md5', 'reverse'), tie('value'))
			.map(([name, a]) => `${name}(CAST(${a} AS VARCHAR))`),
		fc
			.tuple(tie('value'), tie('value'))
			.map(([a, b]) => `CASE WHEN CAST(${a} AS VARCHAR) LIKE '%/etc/%' THEN CAST(${b} AS VARCHAR) ELSE 'x' END`),
		tie('value').map((a) => `list_transform([${a}], lambda x: x)[1]`),
	),
}));
const query = fc
	.record({
		value,
		alias: fc.constantFrom('glob_', 'query', 'read_csv', '"copy"', '"select"', 'größe', '"a b"', '"x;y"'),
		source: fc.constantFrom(
			'tickets',
			'tickets AS t',
			'support.tickets',
			'tickets JOIN customers AS c USING (id)',
			'(SELECT * FROM tickets) AS t',
			'tickets LEFT JOIN customers ON tickets.customer = customers.id',
		),
		where: fc.constantFrom(
			'',
			"WHERE status LIKE '%/etc/%'",
			"WHERE status = 'open'",
			'WHERE customer IN (SELECT customers.id FROM customers)',
		),
		tail: fc.constantFrom('', 'ORDER BY 1', 'LIMIT 3', 'ORDER BY 1 DESC LIMIT 2 OFFSET 1', '-- COPY', '/* ; */', ';'),
		wrap: fc.constantFrom(
			'%',
			'WITH c AS (%) SELECT * FROM c',
			'SELECT * FROM (%) AS s',
			'SELECT count(*) FROM (%) AS s',
			'(%) UNION ALL (%)',
			'DESCRIBE %',
			'SUMMARIZE %',
		),
	})
	.map(({value, alias, source, where, tail, wrap}) => {
		const inner = `SELECT ${value} AS ${alias} FROM ${source} ${where} ${wrap === '%' ? tail : tail.replace(/[;-].*/, '')}`;
		return wrap.replaceAll('%', () => (wrap === '%' ? inner : inner.replace(/;\s*$/, '')));
	});

test(`no honest question is refused (seed ${SEED})`, async () => {
	const seen = {admitted: 0, failed: 0};
	await fc.assert(
		fc.asyncProperty(query, async (sql) => {
			const {kind, message} = await verdict(sql);
			assert.notEqual(kind, 'refused', `${message}: ${sql}`);
			if (kind === 'admitted') seen.admitted += 1;
			else seen.failed += 1; // a column that this source has not
		}),
		runs(3_000),
	);
	assert.ok(seen.admitted > seen.failed, JSON.stringify(seen));
});
