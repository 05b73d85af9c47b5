/** Reads delimited text into a raw Parquet file in which every column is text, keeping every row and every field. */
import {closeSync, openSync, writeSync} from 'node:fs';
import {join} from 'node:path';
import type {DuckDBConnection} from '@duckdb/node-api';
import {RunnerError} from '../frames.ts';
import {literal} from '../views.ts';
import {type Dialect, sniffDialect} from './csv-dialect.ts';
import {listed, plural} from './names.ts';
import {type Recognised, textOf, unreadable} from './recognise.ts';

export type Workplace = {readonly connection: DuckDBConnection; readonly directory: string};
export type Source = {readonly name: string; readonly path: string};
/** `table` is an expression for FROM with columns `c0`, `c1`, …; `headers` are as the file has them. */
export type Raw = {readonly table: string; readonly headers: readonly string[]};

export const MAX_COLUMNS = 5_000;

export async function readDelimited(source: Source, recognised: Recognised, place: Workplace, notices: string[]): Promise<Raw> {
	const {head, encoding, gzip} = recognised;
	const dialect = sniffDialect(head, head.length < 1 << 20);
	if (dialect.header === null) notices.push('the first line holds values, not names: the columns were numbered');
	if (encoding === 'windows-1252') notices.push('the text is not UTF-8 and was read as Windows-1252 (Latin-1)');
	if (encoding.startsWith('utf-16')) notices.push('the text was converted from UTF-16');
	const loneReturns = /\r(?!\n|$)/.test(head);
	const path =
		encoding === 'utf-8' && !loneReturns ? source.path : await convert(source, recognised, join(place.directory, '.text'));
	return loadDelimited({...source, path, gzip: gzip && path === source.path}, dialect, place, notices);
}

/** Writes the file as UTF-8 with line feeds, without its byte order mark. */
export async function convert(source: Source, recognised: Recognised, path: string): Promise<string> {
	const descriptor = openSync(path, 'w');
	let pending = '';
	for await (const text of textOf(source.path, source.name, recognised)) {
		const whole = pending + text;
		// A return at the end may belong to a line feed that is still to come.
		const cut = whole.endsWith('\r') ? whole.length - 1 : whole.length;
		writeText(descriptor, whole.slice(0, cut).replace(/\r\n?/g, '\n'));
		pending = whole.slice(cut);
	}
	writeText(descriptor, pending.replace('\r', '\n'));
	closeSync(descriptor);
	return path;
}

export function writeText(descriptor: number, text: string): void {
	const bytes = Buffer.from(text, 'utf8');
	for (let written = 0; written < bytes.length; ) written += writeSync(descriptor, bytes, written);
}

type Attempt = {readonly columns: number; readonly padded: boolean; readonly strict: boolean};

/** Attempts before a file is called irregular: each answers one thing the engine objected to. */
const ATTEMPTS = 12;

export async function loadDelimited(
	source: Source & {readonly gzip: boolean},
	dialect: Dialect,
	{connection, directory}: Workplace,
	notices: string[],
): Promise<Raw> {
	const raw = join(directory, '.raw');
	let attempt: Attempt = {columns: dialect.columns, padded: dialect.short.length > 0 || dialect.long.length > 0, strict: true};
	for (let left = ATTEMPTS; ; left--) {
		assertColumns(attempt.columns, source.name);
		try {
			await connection.run(
				`COPY (${scan(source, dialect, attempt)}) TO ${literal(raw)} (FORMAT parquet, COMPRESSION snappy, ROW_GROUP_SIZE ${rowGroup(attempt.columns)})`,
			);
			break;
		} catch (error) {
			attempt = nextAttempt(attempt, error, left, source.name);
		}
	}
	noteShape(dialect, attempt, notices);
	const names = dialect.header;
	const headers = Array.from({length: attempt.columns}, (_, index) => (names ? (names[index] ?? '') : `column_${index + 1}`));
	return {table: `read_parquet(${literal(raw)})`, headers};
}

/** Rows of a row group: the engine holds a group of all columns in memory, so wide tables get short ones. */
export function rowGroup(columns: number): number {
	return Math.max(2_048, Math.min(122_880, Math.floor(4_000_000 / columns / 2_048) * 2_048));
}

export function assertColumns(columns: number, name: string): void {
	if (columns > MAX_COLUMNS)
		throw unreadable(name, `it has more than ${MAX_COLUMNS} columns`, 'turn columns into rows, or leave some out');
}

function scan(source: Source & {readonly gzip: boolean}, dialect: Dialect, {columns, padded, strict}: Attempt): string {
	const types = Array.from({length: columns}, (_, index) => `'c${index}': 'VARCHAR'`);
	return `SELECT * FROM read_csv(${literal(source.path)}, auto_detect = false, delim = ${literal(dialect.delimiter)}, quote = '"',
		escape = ${literal(dialect.escape)}, header = ${dialect.header !== null}, columns = {${types.join(', ')}}, nullstr = '',
		allow_quoted_nulls = false, strict_mode = ${strict}, null_padding = ${padded}, parallel = ${!padded},
		compression = '${source.gzip ? 'gzip' : 'none'}')`;
}

function nextAttempt(attempt: Attempt, error: unknown, left: number, name: string): Attempt {
	if (error instanceof RunnerError) throw error;
	const message = error instanceof Error ? error.message : String(error);
	const line = /Line: (\d+)/.exec(message)?.[1];
	const found = /Found: (\d+)/.exec(message)?.[1];
	if (left > 0 && found && Number(found) > attempt.columns) return {...attempt, columns: Number(found), padded: true};
	if (left > 0 && found && !attempt.padded) return {...attempt, padded: true};
	if (left > 0 && /null_padding|parallel/i.test(message) && !attempt.padded) return {...attempt, padded: true};
	if (left > 0 && attempt.strict && /quote|escape|unterminated|utf-8/i.test(message)) return {...attempt, strict: false};
	if (/out of memory|max_temp_directory_size/i.test(message))
		throw new RunnerError('runner_resource_exceeded', `\`${name}\` needs more memory than the sandbox has`, {
			details: {limit: 'memoryBytes'},
		});
	if (/No space left|write file/i.test(message))
		throw new RunnerError('runner_resource_exceeded', `there is no room for \`${name}\``, {details: {limit: 'scratchBytes'}});
	const reason = message.split('\n')[0]?.replace(/(["'])\/[^"']*\1/g, '$1(file)$1') ?? message;
	throw unreadable(
		name,
		line ? `line ${line} does not fit the others (${reason})` : reason,
		'correct the line, or save the table anew',
	);
}

function noteShape(dialect: Dialect, {columns, padded, strict}: Attempt, notices: string[]): void {
	const named = dialect.header?.length ?? columns;
	const where = (lines: readonly number[]) => (lines.length > 0 ? ` (line ${listed(lines.map(String))})` : '');
	if (columns > named)
		notices.push(
			`rows have up to ${columns} fields for ${plural(named, 'column name')}${where(dialect.long)}: the others were kept in numbered columns`,
		);
	if (padded && dialect.short.length > 0)
		notices.push(`rows with fewer fields than columns${where(dialect.short)} were filled up with missing values`);
	if (!strict) notices.push('some quotes are irregular: check the text around them');
}
