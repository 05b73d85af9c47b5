/** Reads snapshots into tables of the engine, which has no reader of Parquet of its own here. */
import {parquetMetadata, parquetRead, parquetSchema} from 'hyparquet';
import {RunnerError} from '../../frames.ts';
import {quoted} from '../../views.ts';
import {decompress, fileOf, stored} from '../parquet.ts';
import {type Column, columnOf} from './columns.ts';
import type {Engine} from './engine.ts';
import {type Memory, memoryOf} from './memory.ts';

/** Where the tables lie. No statement may name it, and no dataset can be called that. */
const SNAPSHOTS = 'writ snapshots';

/** Makes room for tables. */
export function createRoom(database: Database): void {
	execute(`CREATE SCHEMA ${quoted(SNAPSHOTS)}`, database);
}

/** The table of the snapshot at `path`, as a statement names it. */
export function tableOf(path: string): string {
	return `${quoted(SNAPSHOTS)}.${quoted(path)}`;
}

export type Database = {
	readonly engine: Engine;
	/** a `duckdb_connection` */
	readonly connection: number;
};

/** Runs statements that nobody but Writ wrote. */
export function execute(sql: string, {engine, connection}: Database): void {
	const memory = memoryOf(engine);
	const error = memory.withText(sql, (text) =>
		memory.withBytes(64, (result) => {
			const failed = engine.call('duckdb_query', connection, text, result) !== 0;
			const message = failed ? memory.text(Number(engine.call('duckdb_result_error', result))) : undefined;
			engine.call('duckdb_destroy_result', result);
			return message;
		}),
	);
	if (error !== undefined) throw new Error(error);
}

type Named = Column & {readonly name: string};

/** Makes the table `name` of the snapshot at `path`. Its columns have the types that the engine's own reader would give them. */
export async function loadTable(name: string, path: string, database: Database): Promise<void> {
	const file = fileOf(path);
	const metadata = parquetMetadata(file);
	const columns = parquetSchema(metadata).children.map((child): Named => ({name: child.element.name, ...columnOf(child)}));
	const table = tableOf(name);
	execute(`CREATE TABLE ${table} (${columns.map((column) => `${quoted(column.name)} ${column.sql}`).join(', ')})`, database);
	// The reader would round what it converts: values are read as they are stored.
	const raw = {...metadata, schema: metadata.schema.map(stored)};
	let rowStart = 0;
	for (const {num_rows: rows} of metadata.row_groups) {
		const rowEnd = rowStart + Number(rows);
		const chunks = new Map<string, ArrayLike<unknown>[]>();
		await parquetRead({
			...{file, metadata: raw, rowStart, rowEnd, utf8: false},
			compressors: {ZSTD: (input, length) => decompress(input, length)},
			onChunk({columnName, columnData}) {
				chunks.set(columnName, [...(chunks.get(columnName) ?? []), columnData]);
			},
		});
		const values = columns.map((column) => joined(chunks.get(column.name) ?? [], rowEnd - rowStart));
		append(name, values, {...database, columns});
		rowStart = rowEnd;
	}
}

function joined([first, ...more]: readonly ArrayLike<unknown>[], rows: number): ArrayLike<unknown> {
	const values = more.length === 0 ? first : [first, ...more].flatMap((part) => Array.from(part ?? []));
	if (values?.length !== rows) throw new RunnerError('runner_internal_error', 'a snapshot has fewer values than rows');
	return values;
}

type Target = Database & {readonly columns: readonly Named[]};

function append(name: string, values: readonly ArrayLike<unknown>[], {engine, connection, columns}: Target): void {
	const memory = memoryOf(engine);
	const size = Number(engine.call('duckdb_vector_size'));
	const rows = values[0]?.length ?? 0;
	withAppender(name, {engine, connection, memory}, (appender) =>
		memory.withBytes(4 * columns.length, (types) => {
			columns.forEach((_, index) => {
				const type = Number(engine.call('duckdb_appender_column_type', appender, BigInt(index)));
				memory.view().setUint32(types + 4 * index, type, true);
			});
			const chunk = Number(engine.call('duckdb_create_data_chunk', types, BigInt(columns.length)));
			for (let from = 0; from < rows; from += size) {
				const count = Math.min(size, rows - from);
				engine.call('duckdb_data_chunk_reset', chunk);
				columns.forEach((column, index) => {
					const vector = Number(engine.call('duckdb_data_chunk_get_vector', chunk, BigInt(index)));
					column.fill(vector, slice(values[index] ?? [], from, from + count), engine);
				});
				engine.call('duckdb_data_chunk_set_size', chunk, BigInt(count));
				assertDone(engine.call('duckdb_append_data_chunk', appender, chunk), appender, {engine, memory});
			}
			assertDone(engine.call('duckdb_appender_close', appender), appender, {engine, memory});
		}),
	);
}

function slice(values: ArrayLike<unknown>, from: number, to: number): ArrayLike<unknown> {
	return ArrayBuffer.isView(values) ? (values as Int32Array).subarray(from, to) : (values as unknown[]).slice(from, to);
}

type Link = {readonly engine: Engine; readonly memory: Memory};

function withAppender(
	name: string,
	{engine, connection, memory}: Link & {connection: number},
	use: (appender: number) => void,
): void {
	memory.withText(SNAPSHOTS, (schema) =>
		memory.withText(name, (table) =>
			memory.withBytes(4, (out) => {
				const failed = engine.call('duckdb_appender_create', connection, schema, table, out);
				assertDone(failed, memory.pointer(out), {engine, memory});
				use(memory.pointer(out));
				engine.call('duckdb_appender_destroy', out);
			}),
		),
	);
}

function assertDone(state: number | bigint, appender: number, {engine, memory}: Link): void {
	if (state !== 0) throw new Error(memory.text(Number(engine.call('duckdb_appender_error', appender))));
}
