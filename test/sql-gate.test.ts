/** The SQL gate against a corpus, against generated statements, and beside the engine's own verdict on each of them. */
import assert from 'node:assert/strict';
import {spawn} from 'node:child_process';
import {readdirSync, readFileSync, writeFileSync} from 'node:fs';
import path from 'node:path';
import {after, suite, test} from 'node:test';
import {type DuckDBConnection, DuckDBInstance, StatementType} from '@duckdb/node-api';
import fc from 'fast-check';
import {openEngine} from '#sandbox/runners/engine.ts';
import {RunnerError} from '#sandbox/runners/frames.ts';
import {admit} from '#sandbox/runners/gate.ts';
import {directory, snapshots} from '#sandbox/runners/run-in-child.ts';
import {createViews} from '#sandbox/runners/views.ts';
import {wholePlatform} from './platform.ts';

const CORPUS = path.join(import.meta.dirname, 'corpus/sql');
const limits = {wallMs: 1e4, memoryBytes: 1e9, cpus: 2, processes: 9, openFiles: 99, scratchBytes: 1e8, outputBytes: 1e8};
const outside = directory();
const SECRET = path.join(outside, 'secret.csv');
writeFileSync(SECRET, 'word\nhunter2\n');

const {data, views} = await snapshots({
	tickets: "SELECT range AS id, 'open' AS status, range % 3 AS customer FROM range(10)",
	customers: "SELECT range AS id, 'c' || range AS name FROM range(3)",
});
const roots = {data, scratch: directory(), in: '', out: null};
const locked = await openEngine({limits, roots, read: data, write: null});
const readable = await createViews(views, 'support', locked);
const open = await (await DuckDBInstance.create(':memory:')).connect();
await createViews(views, 'support', open);
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

function corpus(kind: 'accepted' | 'rejected'): {name: string; sql: string}[] {
	const files = readdirSync(path.join(CORPUS, kind)).filter((name) => name.endsWith('.sql'));
	return files.map((name) => ({
		name: name.slice(0, -4).replaceAll('_', ' '),
		sql: readFileSync(path.join(CORPUS, kind, name), 'utf8'),
	}));
}

suite('the corpus', () => {
	for (const {name, sql} of corpus('accepted'))
		test(`${name} is accepted, and runs`, async () => {
			const {prepared} = await admit(sql, readable, locked);
			await prepared.run();
		});

	for (const {name, sql} of corpus('rejected'))
		test(`${name} is rejected`, async () => {
			assert.equal((await verdict(sql)).kind, 'refused', (await verdict(sql)).message);
		});

	test('the corpus is there', () => {
		assert.ok(corpus('accepted').length >= 40 && corpus('rejected').length >= 60);
	});
});

// --- generated ---------------------------------------------------------------------------------------------------------

const OWN = ['tickets', 'customers', 'support.tickets', '"tickets"', 'TICKETS', 'memory.support.customers'];
const FOREIGN = [`"${SECRET}"`, `'${SECRET}'`, 'main.tickets', 'other.tickets', '"tickets.csv"'];
const CTES = ['a', '"a b"', 'tickets', `"${SECRET}"`, 'größe'];
const HARMLESS = ['lower', 'abs', 'coalesce', 'json_extract', 'list_value'];
const HOSTILE = ['getvariable', 'current_setting', 'nextval', 'write_log', 'read_text'];
const TABLE_FUNCTIONS = [
	'range(3)',
	'unnest([1, 2])',
	`read_text('${SECRET}')`,
	"query('SELECT 1')",
	"glob('*')",
	'duckdb_settings()',
];

const {query} = fc.letrec<{query: string; source: string; value: string}>((tie) => ({
	value: fc.oneof(
		{maxDepth: 3, depthIdentifier: 'sql'},
		fc.constantFrom('1', "'x''; DROP --'", 'NULL', '$$a$b$$', '"größe"', 'id', "DATE '2024-01-01'", '/* a */ 2', '-- b\n3'),
		fc.tuple(fc.constantFrom(...HARMLESS, ...HARMLESS, ...HOSTILE), tie('value')).map(([name, value]) => `${name}(${value})`),
		tie('query').map((inner) => `(SELECT 1 WHERE EXISTS (${inner}))`),
		tie('value').map((value) => `list_transform([${value}], lambda x: x)`),
		tie('value').map((value) => `[y FOR y IN [${value}]]`),
		fc.tuple(tie('value'), tie('value')).map(([a, b]) => `CASE WHEN ${a} IS NULL THEN ${b} END`),
	),
	source: fc.oneof(
		{maxDepth: 3, depthIdentifier: 'sql'},
		fc.constantFrom(...OWN, ...OWN, ...CTES, ...FOREIGN),
		fc.constantFrom(...TABLE_FUNCTIONS),
		tie('query').map((inner) => `(${inner}) AS s`),
		fc.tuple(tie('source'), tie('query')).map(([left, right]) => `${left}, LATERAL (${right}) AS l`),
		tie('source').map((inner) => `(PIVOT (SELECT 1 AS p, 2 AS q FROM ${inner}) ON p IN (1) USING count(*)) AS v`),
	),
	query: fc.oneof(
		{maxDepth: 3, depthIdentifier: 'sql'},
		fc.tuple(tie('value'), tie('source')).map(([value, source]) => `SELECT ${value} AS c FROM ${source}`),
		fc
			.tuple(fc.constantFrom(...CTES), tie('query'), tie('query'), fc.constantFrom('WITH', 'WITH RECURSIVE'))
			.map(([name, inner, outer, keyword]) => `${keyword} ${name} AS (${inner}) ${outer}`),
		fc
			.tuple(fc.constantFrom(...CTES), tie('query'), tie('query'))
			.map(([name, start, step]) => `WITH RECURSIVE ${name} AS (${start} UNION ALL ${step}) SELECT 1 AS c FROM ${name}`),
		fc.tuple(tie('query'), tie('query')).map(([a, b]) => `(${a}) UNION ALL (${b})`),
	),
}));

const ALLOWED = new Set(['tickets', 'customers', 'support.tickets', 'support.customers', 'memory.support.customers']);

/** Tables outside the dataset that the engine says a statement reads; it folds names as we do, and leaves out what WITH names. */
function foreignTables(sql: string): string[] {
	return oracle.getTableNames(sql, true).filter((name) => !ALLOWED.has(name.toLowerCase().replaceAll('"', '')));
}

const FORBIDDEN_CALL = /(?:getvariable|current_setting|nextval|write_log|read_text|query|glob|duckdb_settings)\(/;

test('the gate and the engine agree on what a generated statement reads', async () => {
	const seen = {admitted: 0, refused: 0, failed: 0};
	await fc.assert(
		fc.asyncProperty(query, async (sql) => {
			const {kind, message} = await verdict(sql);
			seen[kind] += 1;
			const calls = FORBIDDEN_CALL.test(sql);
			if (kind === 'admitted') {
				assert.deepEqual(
					{calls, foreign: foreignTables(sql), readers: await readersIn(sql)},
					{calls: false, foreign: [], readers: []},
					sql,
				);
				const statements = await locked.extractStatements(sql);
				const prepared = await statements.prepare(0);
				assert.deepEqual([statements.count, prepared.statementType], [1, StatementType.SELECT], sql);
			}
			const named = [...FOREIGN, ...CTES].some((name) => sql.includes(name));
			if (kind === 'refused') assert.ok(calls || named, `${message}: ${sql}`);
		}),
		{numRuns: 1_500},
	);
	for (const [kind, count] of Object.entries(seen)) assert.ok(count > 50, `${kind}: ${count}`);
});

/** What the plan of an engine without any lock would read beside the snapshots. */
async function readersIn(sql: string): Promise<string[]> {
	const plan = await open.runAndReadAll(`EXPLAIN ${sql}`);
	return JSON.stringify(plan.getRows()).match(/READ_(?!PARQUET)[A-Z]+|GLOB|SNIFF_[A-Z]+|DUCKDB_[A-Z]+|PRAGMA_[A-Z]+/g) ?? [];
}

test('a literal comes back as it was written, byte for byte', async () => {
	const text = fc.oneof(
		fc.string({unit: 'binary'}),
		fc.string({unit: fc.constantFrom(...`';-/*"$\\\n\r\t\u00a0\ufeff\u200b\u2028$$ß名`.split(''))}),
	);
	await fc.assert(
		fc.asyncProperty(
			text.filter((each) => !each.includes('\0') && each.isWellFormed()),
			async (written) => {
				const {prepared} = await admit(`SELECT hex('${written.replaceAll("'", "''")}') AS v`, readable, locked);
				const reader = await prepared.runAndReadAll();
				assert.deepEqual(reader.getRows(), [[Buffer.from(written).toString('hex').toUpperCase()]]);
			},
		),
		{numRuns: 500},
	);
});

// --- what the lock holds when the gate is off --------------------------------------------------------------------------

async function lockedAgain(): Promise<{connection: DuckDBConnection; open: DuckDBConnection; read: string}> {
	const read = directory();
	const connection = await openEngine({limits, roots: {...roots, data: read, scratch: directory()}, read, write: null});
	return {connection, open: await (await DuckDBInstance.create(':memory:')).connect(), read};
}

test("S08: a directory whose name begins like the dataset's is out of reach", async () => {
	const {connection, open, read} = await lockedAgain();
	const sibling = `${read}-evil.csv`;
	writeFileSync(sibling, 'word\nhunter2\n');
	const sql = `SELECT word FROM read_csv('${sibling}')`;
	assert.deepEqual((await open.runAndReadAll(sql)).getRows(), [['hunter2']]);
	await assert.rejects(connection.run(sql), /disabled by configuration/);
});

test('S11: a macro and a view over a reader read nothing', async () => {
	const {connection, open} = await lockedAgain();
	const leaks = {
		'FROM leak()': `CREATE MACRO leak() AS TABLE SELECT content FROM read_text('${SECRET}')`,
		'FROM leak_of($$x$$)': `CREATE MACRO leak_of(x) AS TABLE SELECT content FROM read_text('${outside}/' || 'secret.csv')`,
		'FROM leaking': `CREATE VIEW leaking AS SELECT content FROM read_text('${SECRET}')`,
	};
	for (const [use, make] of Object.entries(leaks)) {
		await open.run(make);
		assert.deepEqual((await open.runAndReadAll(use)).getRows(), [['word\nhunter2\n']]);
		await assert.rejects(
			connection.run(make).then(() => connection.run(use)),
			/disabled by configuration/,
		);
	}
});

test('S18: the home directory cannot be moved, and a tilde leads nowhere, whatever type it comes in', async () => {
	const {connection, open} = await lockedAgain();
	await open.run(`SET home_directory = '${outside}'`);
	assert.deepEqual((await open.runAndReadAll("SELECT content FROM read_text('~/secret.csv')")).getRows(), [['word\nhunter2\n']]);
	await assert.rejects(connection.run(`SET home_directory = '${outside}'`), /locked/);
	for (const path of ["'~/secret.csv'", "['~/secret.csv']", "'~/secret.csv'::VARIANT::VARCHAR"])
		await assert.rejects(connection.run(`SELECT content FROM read_text(${path})`), /disabled by configuration/);
});

test('S19: logging to a file, if it were reached, ends its own process and no other', async () => {
	const engine = path.join(import.meta.dirname, '../src/sandbox/runners/engine.ts');
	const program = `
		import {openEngine} from ${JSON.stringify(engine)};
		const connection = await openEngine(${JSON.stringify({limits, roots: {...roots, scratch: directory()}, read: data, write: null})});
		await connection.run("CALL enable_logging(storage = 'file', storage_path = '${directory()}/log')").catch(() => {});
		await connection.run('SELECT 1').then(() => process.exit(0), () => process.exit(9));`;
	const child = spawn(process.execPath, ['--no-warnings', '--input-type=module-typescript', '-e', program], {stdio: 'ignore'});
	const [code, signal] = await new Promise<[number | null, string | null]>((resolve) =>
		child.once('exit', (...end) => resolve(end)),
	);
	assert.notEqual(`${code} ${signal}`, '0 null', 'the attack does not work any more: it may be taken off the list');
	assert.deepEqual((await locked.runAndReadAll('SELECT 1')).getRows(), [[1]]);
});

test('S19: through the platform it is refused, and the next query is answered', async () => {
	const whole = await wholePlatform({after});
	const file = path.join(whole.directory, 't.csv');
	writeFileSync(file, 'a\n1\n');
	await whole.add('t', [{name: 't.csv', path: file}]);
	const refused = await whole.run('t', 'sql', "CALL enable_logging(storage = 'file', storage_path = '/tmp/x')");
	assert.equal(refused.error?.type, 'SQL_POLICY_VIOLATION');
	assert.deepEqual((await whole.run('t', 'sql', 'FROM t')).rows, [[1]]);
});
