/** Streams the result of a statement into frames, up to the caps, and counts what is left over. */
import {Buffer} from 'node:buffer';
import type {DuckDBDataChunk, DuckDBResult, DuckDBType, DuckDBValue} from '@duckdb/node-api';
import type {Json} from '#contract/json.ts';
import type {Column, Truncation} from '#contract/table.ts';
import {type NonFinite, toCell, toColumnType} from './cells.ts';
import {sendEncodedRows, sendFrame} from './frames.ts';
import type {GatedStatement} from './gate.ts';

type Caps = {readonly maxRows: number; readonly maxBytes: number; readonly countMs: number};

/** Rows counted beyond the cap. A result that is longer has a `total` of null. */
const COUNTED_ROWS = 50_000_000;

/** Runs the statement and sends `columns`, `rows` and `done`. Memory stays that of the rows sent, however long the result is. */
export async function sendResult(statement: GatedStatement, caps: Caps): Promise<void> {
	const result = await statement.prepared.stream();
	sendFrame({type: 'columns', columns: columnsOf(result)});
	const {kept, cut, seen, nonFinite} = await sendRows(result, caps);
	const totalRows = cut ? await countRest(result, seen, caps) : kept;
	const truncated: Truncation | null = cut
		? {by: cut, limit: cut === 'rows' ? caps.maxRows : caps.maxBytes, total: totalRows}
		: null;
	const {tables, functions} = statement.used;
	const used = {tables: [...tables], functions: [...functions]};
	sendFrame({type: 'done', totalRows, truncated, nonFinite, statement: used});
}

/** Names as the statement gave them, made unique by a suffix. */
export function columnsOf(result: DuckDBResult): Column[] {
	const types = result.columnTypes();
	const taken = new Set<string>();
	return result.columnNames().map((name, index) => {
		const unique = uniqueName(name, taken);
		taken.add(unique);
		return {name: unique, type: types[index] ? toColumnType(types[index]) : 'text'};
	});
}

function uniqueName(name: string, taken: ReadonlySet<string>): string {
	if (!taken.has(name)) return name;
	for (let suffix = 1; ; suffix++) if (!taken.has(`${name}_${suffix}`)) return `${name}_${suffix}`;
}

type Sent = {kept: number; seen: number; cut: Truncation['by'] | null; nonFinite: number};

/** INVARIANT: rows leave in order and whole; the first that does not fit ends the sending, even if it is the only one. */
async function sendRows(result: DuckDBResult, {maxRows, maxBytes}: Caps): Promise<Sent> {
	const types = result.columnTypes();
	const nonFinite: NonFinite = {count: 0};
	const sent: Sent = {kept: 0, seen: 0, cut: null, nonFinite: 0};
	let bytes = 0;
	for (let chunk = await result.fetchChunk(); chunk && chunk.rowCount > 0; chunk = await result.fetchChunk()) {
		sent.seen += chunk.rowCount;
		const rows: string[] = [];
		const rowAt = rowsOf(chunk, types);
		const wanted = Math.min(chunk.rowCount, maxRows - sent.kept);
		for (let index = 0; index < wanted; index++) {
			const before = nonFinite.count;
			const row = JSON.stringify(rowAt(index, nonFinite));
			bytes += Buffer.byteLength(row) + 1;
			if (bytes > maxBytes) {
				nonFinite.count = before;
				sent.cut = 'bytes';
				break;
			}
			rows.push(row);
		}
		sendEncodedRows(rows);
		sent.kept += rows.length;
		if (!sent.cut && sent.kept < sent.seen) sent.cut = 'rows';
		if (sent.cut) break;
	}
	return {...sent, nonFinite: nonFinite.count};
}

/** Reads the rows of a chunk. Its columns are looked up once: a lookup per cell costs as much as the cell. */
export function rowsOf(chunk: DuckDBDataChunk, types: readonly DuckDBType[]): (index: number, nonFinite: NonFinite) => Json[] {
	const columns = types.map((_, column) => chunk.getColumnVector(column));
	return (index, nonFinite) =>
		toRow(
			columns.map((column) => column.getItem(index)),
			types,
			nonFinite,
		);
}

/** The types are those of the result: a chunk's own have lost the names that set JSON apart from text. */
export function toRow(values: readonly DuckDBValue[], types: readonly DuckDBType[], nonFinite: NonFinite): Json[] {
	return types.map((type, column) => toCell(values[column] ?? null, type, nonFinite));
}

async function countRest(result: DuckDBResult, seen: number, {countMs}: Caps): Promise<number | null> {
	const deadline = performance.now() + countMs;
	let total = seen;
	for (let chunk = await result.fetchChunk(); chunk && chunk.rowCount > 0; chunk = await result.fetchChunk()) {
		total += chunk.rowCount;
		if (total > COUNTED_ROWS || performance.now() > deadline) return null;
	}
	return total;
}
