/** Turns delimited text into a typed Parquet file, keeping every row and every field. */
import {closeSync, openSync, writeSync} from 'node:fs';
import {join} from 'node:path';
import type {DuckDBConnection} from '@duckdb/node-api';
import {RunnerError} from '../frames.ts';
import {literal} from '../views.ts';
import {type Dialect, sniffDialect} from './csv-dialect.ts';
import {guessColumns} from './infer.ts';
import {type ColumnName, listed, plural, toColumnNames} from './names.ts';
import {noteNearlyTyped} from './nearly-typed.ts';
import {noteReadings} from './reading-notices.ts';
import {engineRefusal, isWholeUtf8, plainReason, type Recognised, textOf, unreadable} from './recognise.ts';
import {ambiguousDates, type Copy, copyTyped} from './typed-copy.ts';

export type Workplace = {readonly connection: DuckDBConnection; readonly directory: string};
export type Source = {readonly name: string; readonly path: string};
/** Where a table goes. */
export type Target = Workplace & {readonly path: string};

export const MAX_COLUMNS = 5_000;

/** Writes the table to `target` and returns its columns. */
export async function writeDelimited(
	source: Source,
	recognised: Recognised,
	target: Target,
	notices: string[],
): Promise<ColumnName[]> {
	const {head, encoding, gzip} = recognised;
	const dialect = sniffDialect(head, head.length < 1 << 20);
	const own: string[] = [];
	if (dialect.header === null) own.push('the first line holds values, not names: the columns were numbered');
	if (encoding === 'windows-1252') own.push('the text is not UTF-8 and was read as Windows-1252 (Latin-1)');
	if (encoding.startsWith('utf-16')) own.push('the text was converted from UTF-16');
	const loneReturns = /\r(?!\n|$)/.test(head);
	const path =
		encoding === 'utf-8' && !loneReturns ? source.path : await convert(source, recognised, join(target.directory, '.text'));
	try {
		const columns = await loadDelimited({...source, path, gzip: gzip && path === source.path}, dialect, target, own);
		notices.push(...own);
		return columns;
	} catch (error) {
		// Only the beginning was looked at: the engine reads on, and finds the first byte that is not UTF-8.
		if (path !== source.path || !isNotUtf8(error) || (await isWholeUtf8(source.path, source.name, gzip))) throw error;
		return writeDelimited(source, {...recognised, encoding: 'windows-1252'}, target, notices);
	}
}

function isNotUtf8(error: unknown): boolean {
	return error instanceof Error && /not utf-8|invalid unicode/i.test(error.message);
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

type Attempt = {readonly columns: number; readonly padded: boolean; readonly strict: boolean; readonly line: string | null};

/** Attempts before a file is called irregular: each answers one thing the engine objected to. */
const ATTEMPTS = 12;

export async function loadDelimited(
	source: Source & {readonly gzip: boolean},
	dialect: Dialect,
	target: Target,
	notices: string[],
): Promise<ColumnName[]> {
	let attempt: Attempt = {
		columns: dialect.columns,
		padded: dialect.short.length > 0 || dialect.long.length > 0,
		strict: true,
		line: null,
	};
	for (let left = ATTEMPTS; ; left--) {
		assertColumns(attempt.columns, source.name);
		const own: string[] = [];
		const columns = toColumnNames(headersOf(dialect, attempt), own);
		try {
			await load(scan(source, dialect, attempt), dialect, {target, columns}, own);
			noteShape(dialect, attempt, notices);
			notices.push(...own);
			return columns;
		} catch (error) {
			attempt = nextAttempt(attempt, error, left, source.name);
		}
	}
}

function headersOf({header}: Dialect, {columns}: Attempt): string[] {
	return Array.from({length: columns}, (_, index) => (header ? (header[index] ?? '') : `column_${index + 1}`));
}

type Goal = {readonly target: Target; readonly columns: readonly ColumnName[]};

async function load(scan: string, dialect: Dialect, {target, columns}: Goal, notices: string[]): Promise<void> {
	const {path, connection} = target;
	const options = `FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE ${rowGroup(columns.length)}`;
	const {delimiter, records} = dialect;
	const copy: Copy = {scan, delimiter, names: columns.map(({name}) => name), target: path, options, connection};
	const written = await copyTyped(copy, guessColumns(records, columns.length, delimiter));
	const ambiguous = await ambiguousDates(
		copy,
		written.map(({guess}) => guess),
	);
	noteReadings(copy.names, written, ambiguous, notices);
	await noteNearlyTyped(copy, written, dialect.header, notices);
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
	return `read_csv(${literal(source.path)}, auto_detect = false, delim = ${literal(dialect.delimiter)}, quote = '"',
		escape = ${literal(dialect.escape)}, header = ${dialect.header !== null}, columns = {${types.join(', ')}}, nullstr = '',
		allow_quoted_nulls = false, strict_mode = ${strict}, null_padding = ${padded}, parallel = ${!padded},
		compression = '${source.gzip ? 'gzip' : 'none'}')`;
}

function nextAttempt(attempt: Attempt, error: unknown, left: number, name: string): Attempt {
	if (error instanceof RunnerError || isNotUtf8(error)) throw error;
	const message = error instanceof Error ? error.message : String(error);
	const line = /Line: (\d+)/.exec(message)?.[1] ?? null;
	const found = /Found: (\d+)/.exec(message)?.[1];
	if (left > 0 && found && Number(found) > attempt.columns) return {...attempt, columns: Number(found), padded: true, line};
	if (left > 0 && found && !attempt.padded) return {...attempt, padded: true, line};
	if (left > 0 && /null_padding|parallel/i.test(message) && !attempt.padded) return {...attempt, padded: true, line};
	if (left > 0 && attempt.strict && /quote|escape|unterminated/i.test(message)) return {...attempt, strict: false};
	throw refusal(error, line, name);
}

function refusal(error: unknown, line: string | null, name: string): RunnerError {
	const refused = engineRefusal(error, name);
	if (refused.code !== 'unreadable_file' || line === null) return refused;
	const reason = plainReason(error instanceof Error ? error.message : String(error));
	return unreadable(name, `line ${line} does not fit the others (${reason})`, 'correct the line, or save the table anew');
}

function noteShape(dialect: Dialect, {columns, padded, strict, line}: Attempt, notices: string[]): void {
	const named = dialect.header?.length ?? columns;
	const where = (lines: readonly number[]) => {
		const known = lines.length > 0 ? lines.map(String) : line === null ? [] : [line];
		return known.length > 0 ? ` (line ${listed(known)})` : '';
	};
	if (columns > named)
		notices.push(
			`rows have up to ${columns} fields for ${plural(named, 'column name')}${where(dialect.long)}: the others were kept in numbered columns`,
		);
	if (padded && (dialect.short.length > 0 || columns === named))
		notices.push(`rows with fewer fields than columns${where(dialect.short)} were filled up with missing values`);
	if (!strict) notices.push('some quotes are irregular: check the text around them');
}
