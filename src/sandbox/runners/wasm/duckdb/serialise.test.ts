/** The gate decides on the same tree in Wasm as natively, for every statement that is known to be right, wrong or torn to pieces. */
import assert from 'node:assert/strict';
import {execFileSync} from 'node:child_process';
import {createHash} from 'node:crypto';
import {readdirSync, readFileSync} from 'node:fs';
import {join} from 'node:path';
import {describe, test} from 'node:test';
import fc from 'fast-check';
import {openEngine} from './open.ts';
import {createSerialiser, PROBE} from './serialise.ts';
import {execute} from './tables.ts';

const root = join(import.meta.dirname, '../../../../..');
const CORPUS = join(root, 'test/corpus/sql');
const module = join(root, 'node_modules/@duckdb/duckdb-wasm/dist/duckdb-eh.wasm');
const {client, ...database} = await openEngine(module, {memoryBytes: 512 * 2 ** 20});
const parse = createSerialiser(database.engine, database.connection);
const {admit} = await import('../../gate.ts');
execute(
	"CREATE SCHEMA support; USE support; CREATE TABLE tickets AS SELECT range AS id, 'open' AS status, range % 3 AS customer FROM range(10); CREATE TABLE customers AS SELECT range AS id, 'c' || range AS name FROM range(3)",
	database,
);
const readable = {tables: ['tickets', 'customers'], schema: 'support'};

function corpus(kind: 'accepted' | 'rejected'): {name: string; sql: string}[] {
	const names = readdirSync(join(CORPUS, kind)).filter((name) => name.endsWith('.sql'));
	return names.map((name) => ({
		name: name.slice(0, -4).replaceAll('_', ' '),
		sql: readFileSync(join(CORPUS, kind, name), 'utf8'),
	}));
}

const [accepted, rejected] = [corpus('accepted'), corpus('rejected')];

function native(statements: readonly string[]): unknown[] {
	const script = join(root, 'src/sandbox/fixtures/native-trees.ts');
	const output = execFileSync(process.execPath, [script], {input: JSON.stringify(statements), maxBuffer: 2 ** 30});
	return JSON.parse(String(output)) as unknown[];
}

function assertSame(statements: readonly string[]): void {
	const replies = native(statements);
	assert.equal(replies.length, statements.length);
	for (const [index, sql] of statements.entries()) {
		// The engine's interface ends a text at NUL: the gate refuses it before anybody parses it.
		if (!sql.includes('\0')) assert.deepEqual(parse(sql), withoutPlace(replies[index]), sql);
	}
}

/** Of an error, what the gate reads: the native engine says where besides. */
function withoutPlace(reply: unknown): unknown {
	const {error, error_type, error_message} = reply as Readonly<Record<string, unknown>>;
	return error ? {error, error_type, error_message} : reply;
}

test('the probe of a start is what the native engine gives', () => {
	const [reply] = native([PROBE.sql]);
	assert.equal(createHash('sha256').update(JSON.stringify(reply)).digest('hex'), PROBE.sha256);
});

test('a statement of the corpus has the same tree', () => {
	assert.ok(accepted.length >= 40 && rejected.length >= 60);
	assertSame([...accepted, ...rejected].map(({sql}) => sql));
});

/** What the sandbox says it lacks: see WEAKNESSES. */
const LACKS = /it exists in the (json|icu) extension|required extension 'icu'/;

describe('the gate in Wasm', () => {
	for (const {name, sql} of accepted)
		test(`admits and runs what is accepted: ${name}`, async (context) => {
			try {
				const {prepared} = await admit(sql, readable, client, parse);
				await prepared.run();
			} catch (error) {
				if (!(error instanceof Error) || !LACKS.test(error.message)) throw error;
				context.skip(error.message.slice(0, 80));
			}
		});

	for (const {name, sql} of rejected)
		test(`refuses what is rejected: ${name}`, async () => {
			await assert.rejects(admit(sql, readable, client, parse), {code: 'sql_policy_violation'});
		});
});

test('a corpus that is torn to pieces has the same trees', () => {
	const tokens = [...accepted, ...rejected].flatMap(
		({sql}) => sql.match(/'(?:[^']|'')*'|"[^"]*"|\$\$.*?\$\$|[A-Za-z_][A-Za-z_0-9]*|\d+|\S/gs) ?? [],
	);
	const piece = fc.oneof(
		fc.constantFrom(...[...accepted, ...rejected].map(({sql}) => sql)),
		fc.constantFrom(...tokens, ';', '--', '/*', '*/', '\n', 'PRAGMA', 'SHOW', 'DESCRIBE', 'größe', "'\u{1f600}'", '"a b"'),
	);
	const soup = fc.array(piece, {minLength: 1, maxLength: 12}).map((pieces) => pieces.join(' '));
	const edited = fc
		.tuple(fc.constantFrom(...accepted.map(({sql}) => sql)), fc.nat(), fc.constantFrom(...tokens))
		.map(([sql, at, token]) => {
			const words = sql.split(/\b/);
			words[at % words.length] = ` ${token} `;
			return words.join('');
		});
	assertSame(fc.sample(fc.oneof(soup, edited), {numRuns: 3_000, seed: 20_261_121}));
});
