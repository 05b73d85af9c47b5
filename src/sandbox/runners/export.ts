/** Writes the result of a statement to `result.<format>`: streamed, up to the row cap, with formulas made harmless when asked. */
import {closeSync, openSync, statSync, writeSync} from 'node:fs';
import {join} from 'node:path';
import {type DuckDBConnection, type DuckDBResult, DuckDBTypeId} from '@duckdb/node-api';
import type {Json} from '#contract/json.ts';
import type {RunnerRequest} from '#contract/sandbox.ts';
import type {Column} from '#contract/table.ts';
import {RunnerError, sendFrame} from './frames.ts';
import type {GatedStatement} from './gate.ts';
import {columnsOf, toRow} from './result-rows.ts';
import {literal, quoted} from './views.ts';
import {SHEET_ROWS, writeWorkbook} from './xlsx-writer.ts';

type ExportRequest = Extract<RunnerRequest, {kind: 'export'}>;
type Place = {readonly connection: DuckDBConnection; readonly directory: string | null};
type Written = {
	readonly bytes: number;
	readonly rows: number;
	readonly total: number;
	readonly nonFinite: number;
	readonly notice?: string;
};

/** Runs the statement and sends `columns`, `file` and `done`. */
export async function exportResult(request: ExportRequest, statement: GatedStatement, place: Place): Promise<void> {
	if (place.directory === null) throw new RunnerError('runner_internal_error', 'there is no directory to export to');
	const name = `result.${request.format}`;
	const path = join(place.directory, name);
	const limit = request.format === 'xlsx' ? Math.min(request.maxRows, SHEET_ROWS - 1) : request.maxRows;
	const written =
		request.format === 'parquet'
			? await writeParquet(path, request.sql, limit, place.connection)
			: await writeStream(path, request, statement, limit);
	const {bytes, rows, total, nonFinite, notice} = written;
	const used = {tables: [...statement.used.tables], functions: [...statement.used.functions]};
	sendFrame({type: 'file', name, bytes, rows});
	sendFrame({
		type: 'done',
		totalRows: total,
		truncated: total > rows ? {by: 'rows', limit, total} : null,
		nonFinite,
		statement: used,
		...(notice === undefined ? {} : {stderr: notice}),
	});
}

async function writeStream(path: string, request: ExportRequest, statement: GatedStatement, limit: number): Promise<Written> {
	const result = await statement.prepared.stream();
	const columns = columnsOf(result);
	sendFrame({type: 'columns', columns});
	const counts = {rows: 0, total: 0, nonFinite: 0};
	const safe = request.neutralise && request.format !== 'json' ? neutraliser(columns) : null;
	const rows = limited(result, limit, counts, safe);
	const headers = safe ? columns.map((column) => ({...column, name: harmless(column.name)})) : columns;
	if (request.format === 'xlsx') {
		const {bytes, cut} = await writeWorkbook(path, headers, rows);
		const notice = cut > 0 ? {notice: `${cut} cells were cut to the 32,767 characters that a spreadsheet cell holds`} : {};
		return {bytes, ...counts, ...notice};
	}
	return {bytes: await writeText(path, request.format === 'csv' ? toCsv(headers, rows) : toJson(columns, rows)), ...counts};
}

type Counts = {rows: number; total: number; nonFinite: number};
type Neutraliser = (row: readonly Json[]) => readonly Json[];

/** The first `limit` rows; what follows is counted and dropped. */
async function* limited(
	result: DuckDBResult,
	limit: number,
	counts: Counts,
	safe: Neutraliser | null,
): AsyncGenerator<readonly Json[]> {
	const types = result.columnTypes();
	const nonFinite = {count: 0};
	for (let chunk = await result.fetchChunk(); chunk && chunk.rowCount > 0; chunk = await result.fetchChunk()) {
		counts.total += chunk.rowCount;
		if (counts.rows >= limit) continue;
		for (const values of chunk.getRows().slice(0, limit - counts.rows)) {
			counts.rows += 1;
			const row = toRow(values, types, nonFinite);
			yield safe ? safe(row) : row;
		}
		counts.nonFinite = nonFinite.count;
	}
}

/** Types whose cells are the engine's own notation: a minus sign there is a number's. */
const NOTATION: ReadonlySet<string> = new Set([
	'integer',
	'decimal',
	'double',
	'boolean',
	'date',
	'time',
	'timestamp',
	'timestamptz',
]);

function neutraliser(columns: readonly Column[]): Neutraliser {
	const exposed = columns.map(({type}) => !NOTATION.has(type));
	return (row) => row.map((cell, index) => (exposed[index] && typeof cell === 'string' ? harmless(cell) : cell));
}

/** What a spreadsheet would take for a formula becomes text by a leading apostrophe; for some of them `;` begins a cell. */
function harmless(text: string): string {
	const cells = text.replaceAll(/;(?=\s*[=+\-@＝＋－＠])/g, ";'");
	return /^\s*[=+\-@＝＋－＠]|^[\t\r]/.test(cells) ? `'${cells}` : cells;
}

/** RFC 4180. Null is an empty field, an empty text a quoted one. */
async function* toCsv(columns: readonly Column[], rows: AsyncIterable<readonly Json[]>): AsyncGenerator<string> {
	yield `${columns.map(({name}) => field(name)).join(',')}\r\n`;
	for await (const row of rows) yield `${row.map(field).join(',')}\r\n`;
}

function field(cell: Json): string {
	if (cell === null) return '';
	const text = typeof cell === 'object' ? JSON.stringify(cell) : String(cell);
	return text === '' || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

async function* toJson(columns: readonly Column[], rows: AsyncIterable<readonly Json[]>): AsyncGenerator<string> {
	const keys = columns.map(({name}) => `${JSON.stringify(name)}:`);
	let separator = '[\n';
	for await (const row of rows) {
		yield `${separator}{${row.map((cell, index) => keys[index] + JSON.stringify(cell)).join(',')}}`;
		separator = ',\n';
	}
	yield separator === ',\n' ? '\n]\n' : '[]\n';
}

const BUFFERED = 1 << 18;

async function writeText(path: string, parts: AsyncIterable<string>): Promise<number> {
	const descriptor = openSync(path, 'w');
	let [bytes, buffered] = [0, ''];
	const flush = () => {
		const data = Buffer.from(buffered, 'utf8');
		for (let written = 0; written < data.length; ) written += writeSync(descriptor, data, written);
		bytes += data.length;
		buffered = '';
	};
	for await (const part of parts) {
		buffered += part;
		if (buffered.length >= BUFFERED) flush();
	}
	flush();
	closeSync(descriptor);
	return bytes;
}

/**
 * The engine writes Parquet itself. `query` takes the statement as a literal, so that nothing in its text can end our COPY; the gate
 * has admitted that very text, and refuses `query` to everybody else.
 */
async function writeParquet(path: string, sql: string, limit: number, connection: DuckDBConnection): Promise<Written> {
	const source = `query(${literal(sql)})`;
	const probe = await connection.stream(`SELECT * FROM ${source} LIMIT 0`);
	sendFrame({type: 'columns', columns: columnsOf(probe)});
	const casts = exactCasts(probe);
	const star = casts.length > 0 ? `* REPLACE (${casts.join(', ')})` : '*';
	const copied = await connection.run(
		`COPY (SELECT ${star} FROM ${source} LIMIT ${limit}) TO ${literal(path)} (FORMAT parquet, COMPRESSION zstd)`,
	);
	const rows = copied.rowsChanged;
	const total = rows < limit ? rows : await countRows(source, connection);
	return {bytes: statSync(path).size, rows, total, nonFinite: 0};
}

/** Parquet has no integers beyond 64 bits, and the engine would write doubles. */
function exactCasts(result: DuckDBResult): string[] {
	const types = result.columnTypes();
	return result.columnNames().flatMap((name, index) => {
		const id = types[index]?.typeId;
		if (id === DuckDBTypeId.HUGEINT) return [`CAST(${quoted(name)} AS DECIMAL(38, 0)) AS ${quoted(name)}`];
		if (id === DuckDBTypeId.UHUGEINT || id === DuckDBTypeId.BIGNUM)
			return [`CAST(${quoted(name)} AS VARCHAR) AS ${quoted(name)}`];
		return [];
	});
}

async function countRows(source: string, connection: DuckDBConnection): Promise<number> {
	const reader = await connection.runAndReadAll(`SELECT count(*) FROM ${source}`);
	return Number(reader.getRows()[0]?.[0]);
}
