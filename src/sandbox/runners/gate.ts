/**
 * Decides whether a statement is a pure read over the dataset's tables. The decision is made on DuckDB's own parse: the statement
 * that was parsed is the one that runs, and its text is never searched or rewritten.
 */
import {type DuckDBConnection, type DuckDBPreparedStatement, StatementType} from '@duckdb/node-api';
import {RunnerError} from './frames.ts';
import {readStatement, type Used} from './syntax-tree.ts';

export type GatedStatement = {
	readonly prepared: DuckDBPreparedStatement;
	/** tables and functions the statement uses, sorted */
	readonly used: Used;
};

/** What a statement may name: the dataset's tables, plain or qualified with `schema`. */
export type Readable = {readonly tables: readonly string[]; readonly schema: string};

/**
 * Returns the statement, bound and ready to run. Throws `sql_policy_violation` when it is anything but one SELECT over the tables,
 * `sql_execution_error` when it does not parse or bind.
 */
export async function admit(
	sql: string,
	readable: Readable,
	connection: DuckDBConnection,
	serialise: Serialise = serialiseByExtension,
): Promise<GatedStatement> {
	// The engine's interface ends a text at NUL: what would be checked and what was written must be the same.
	if (sql.includes('\0')) throw violation('the text contains a NUL character', 'remove it');
	const tree = firstOf(await serialise(sql, connection));
	if (tree === null) throw notSelect(sql);
	const statements = await connection.extractStatements(sql);
	if (statements.count !== 1)
		throw violation('multiple statements are not allowed', 'send one SELECT; use WITH to name intermediate results');
	if (tree === NOT_SELECT) throw notSelect(sql);
	const used = readStatement(tree, readable);
	const prepared = await statements.prepare(0);
	if (prepared.statementType !== StatementType.SELECT) throw notSelect(sql);
	return {prepared, used};
}

const NOT_SELECT = Symbol('not a SELECT');

/** How a text is parsed: what comes back is the reply of `json_serialize_sql`. */
type Serialise = (sql: string, connection: DuckDBConnection) => Serialised | Promise<Serialised>;

async function serialiseByExtension(sql: string, connection: DuckDBConnection): Promise<Serialised> {
	const reader = await connection.runAndReadAll('SELECT json_serialize_sql($1::VARCHAR)', [sql]);
	return JSON.parse(String(reader.getRows()[0]?.[0])) as Serialised;
}

/** The syntax tree of the first statement, or null for a text without any. DuckDB serialises SELECT only, which tells the rest apart. */
function firstOf(reply: Serialised): unknown {
	if (!reply.error) return reply.statements[0] ?? null;
	if (reply.error_type === 'not implemented') return NOT_SELECT;
	throw new RunnerError('sql_execution_error', reply.error_message, {hint: 'check the syntax near the position named'});
}

export type Serialised =
	| {readonly error: true; readonly error_type: string; readonly error_message: string}
	| {readonly error: false; readonly statements: readonly unknown[]};

/** What to write instead of a statement that is not a SELECT, by its first word. Wording only: the refusal was decided by the parse. */
const INSTEAD: Readonly<Record<string, string>> = {
	EXPLAIN: 'send the query itself; its plan is not available',
	PIVOT: 'list the values: PIVOT t ON c IN (…) USING sum(x), or use sum(x) FILTER (WHERE c = …)',
	SET: 'settings are fixed; write the values into the query',
	COPY: 'send the SELECT alone and download its result',
	EXPORT: 'send the SELECT alone and download its result',
	CREATE: 'name intermediate results with WITH',
	CALL: 'use SELECT over the tables',
	PRAGMA: 'use DESCRIBE table to see its columns',
};

function notSelect(sql: string): RunnerError {
	const word = firstWord(sql);
	const subject = word === '' ? 'there is no statement' : `${word} is not allowed`;
	return violation(
		`only SELECT/WITH statements are allowed: ${subject}`,
		INSTEAD[word] ?? 'write a SELECT over the tables of the dataset; data cannot be changed',
	);
}

function firstWord(sql: string): string {
	const start = sql.replace(/^(\s|;|\(|--[^\n]*(\n|$)|\/\*[\s\S]*?\*\/)*/, '');
	return (/^[a-z]+/i.exec(start)?.[0] ?? '').toUpperCase();
}

function violation(message: string, hint: string): RunnerError {
	return new RunnerError('sql_policy_violation', message, {hint});
}
