/** Reads a snapshot without DuckDB: columns as text and numbers that JSON carries exactly, for Python to make its own values of. */
import {Buffer} from 'node:buffer';
import {readFileSync} from 'node:fs';
import {zstdDecompressSync} from 'node:zlib';
import {parquetMetadata, parquetRead} from 'hyparquet';
import type {Json} from '#contract/json.ts';
import {RunnerError} from '../frames.ts';

/** `kind` says how to read the cells: see READERS in bridge.py. */
export type ParquetColumn = {
	readonly name: string;
	readonly kind: string;
	/** of a decimal: digits after the point */
	readonly scale?: number;
	/** of a time or timestamp: how many make a second */
	readonly unit?: number;
	readonly values: readonly Json[];
};

type Metadata = ReturnType<typeof parquetMetadata>;
type Element = Metadata['schema'][number];
type Shape = Pick<ParquetColumn, 'kind' | 'scale' | 'unit'> & {readonly cell: (value: never) => Json};

/** The columns in their order. What the reader objects to is a bug: snapshots are written by ingest. */
export async function readParquet(path: string): Promise<ParquetColumn[]> {
	const file = fileOf(path);
	const metadata = parquetMetadata(file);
	const columns = topLevel(metadata).map((element) => ({element, shape: shapeOf(element)}));
	// The reader would round what it converts: a column that we understand is read as it is stored.
	const raw = {
		...metadata,
		schema: metadata.schema.map((each) => (columns.some(({element}) => element === each) ? stored(each) : each)),
	};
	const values = new Map<string, Json[]>(columns.map(({element}) => [element.name, []]));
	const shapes = new Map(columns.map(({element, shape}) => [element.name, shape]));
	await parquetRead({
		file,
		metadata: raw,
		utf8: false,
		compressors: {ZSTD: (input, length) => decompress(input, length)},
		onComplete(rows) {
			for (const row of rows)
				columns.forEach(({element: {name}}, index) => {
					const value: unknown = row[index];
					values.get(name)?.push(value === null || value === undefined ? null : (shapes.get(name)?.cell(value as never) ?? null));
				});
		},
	});
	return columns.map(({element: {name}, shape: {cell: _, ...shape}}) => ({name, ...shape, values: values.get(name) ?? []}));
}

export function fileOf(path: string): ArrayBuffer {
	const bytes = readFileSync(path);
	return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
}

export function decompress(input: Uint8Array, length: number): Uint8Array {
	const output = zstdDecompressSync(input, {maxOutputLength: Math.max(1, length)});
	return new Uint8Array(output.buffer, output.byteOffset, output.byteLength);
}

/** The columns of the table, without what is nested in them. */
function topLevel({schema: [root, ...rest]}: Metadata): Element[] {
	const columns: Element[] = [];
	for (let at = 0; columns.length < (root?.num_children ?? 0); at = after(rest, at)) {
		const element = rest[at];
		if (!element) throw new RunnerError('runner_internal_error', 'the schema of a snapshot is cut short');
		columns.push(element);
	}
	return columns;
}

function after(schema: readonly Element[], at: number): number {
	const children = schema[at]?.num_children ?? 0;
	let next = at + 1;
	for (let child = 0; child < children; child++) next = after(schema, next);
	return next;
}

/** The element without what says how its values are to be converted. */
export function stored(element: Element): Element {
	if (element.type === undefined) return element;
	const {converted_type: _converted, logical_type: _logical, ...plain} = element;
	return plain;
}

const UNITS = {MILLIS: 1_000, MICROS: 1_000_000, NANOS: 1_000_000_000} as const;

function shapeOf(element: Element): Shape {
	const {type, converted_type: converted, logical_type: logical, scale = 0} = element;
	if (type === undefined) return {kind: 'json', cell: plain};
	if (converted === 'DECIMAL' || logical?.type === 'DECIMAL') return {kind: 'decimal', scale, cell: unscaled};
	if (converted === 'DATE' || logical?.type === 'DATE') return {kind: 'date', cell: String};
	if (logical?.type === 'TIMESTAMP')
		return {kind: logical.isAdjustedToUTC ? 'timestamptz' : 'timestamp', unit: UNITS[logical.unit], cell: String};
	if (logical?.type === 'TIME') return {kind: 'time', unit: UNITS[logical.unit], cell: String};
	if (converted?.startsWith('TIMESTAMP_') || converted?.startsWith('TIME_'))
		return {
			kind: converted.startsWith('TIMESTAMP_') ? 'timestamptz' : 'time',
			unit: converted.endsWith('MILLIS') ? UNITS.MILLIS : UNITS.MICROS,
			cell: String,
		};
	return physical(type, element);
}

function physical(type: NonNullable<Element['type']>, {converted_type: converted, logical_type: logical}: Element): Shape {
	if (type === 'BOOLEAN') return {kind: 'boolean', cell: Boolean};
	if (type === 'INT96') return {kind: 'timestamp', unit: UNITS.NANOS, cell: nanos96};
	if (type === 'INT32' || type === 'INT64') {
		const unsigned = converted?.startsWith('UINT_') || (logical?.type === 'INTEGER' && !logical.isSigned);
		const bits = type === 'INT32' ? 32 : 64;
		return {kind: 'integer', cell: (value: number | bigint) => integer(unsigned ? BigInt.asUintN(bits, BigInt(value)) : value)};
	}
	if (type === 'FLOAT' || type === 'DOUBLE')
		return {kind: 'double', cell: (value: number) => (Number.isFinite(value) ? value : String(value))};
	if (logical?.type === 'UUID') return {kind: 'text', cell: uuid};
	const isText = converted === 'UTF8' || converted === 'JSON' || converted === 'ENUM' || logical?.type === 'STRING';
	return isText ? {kind: 'text', cell: utf8} : {kind: 'blob', cell: base64};
}

const decoder = new TextDecoder();

function utf8(bytes: Uint8Array): string {
	return decoder.decode(bytes);
}

function base64(bytes: Uint8Array): string {
	return Buffer.from(bytes).toString('base64');
}

function hex(bytes: Uint8Array): string {
	return Buffer.from(bytes).toString('hex');
}

function uuid(bytes: Uint8Array): string {
	return hex(bytes).replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

function integer(value: number | bigint): Json {
	const number = Number(value);
	return Number.isSafeInteger(number) ? number : String(value);
}

/** The digits of a decimal, without its point. */
function unscaled(value: number | bigint | Uint8Array): string {
	if (!(value instanceof Uint8Array)) return String(value);
	return String(BigInt.asIntN(value.length * 8, BigInt(`0x${hex(value) || '0'}`)));
}

function nanos96(value: bigint): string {
	const days = (value >> 64n) - 2_440_588n;
	return String(days * 86_400_000_000_000n + BigInt.asUintN(64, value));
}

/** Nested values as the reader gives them. */
function plain(value: unknown): Json {
	if (typeof value === 'bigint') return integer(value);
	if (value instanceof Uint8Array) return utf8(value);
	if (value instanceof Date) return value.toISOString();
	if (Array.isArray(value)) return value.map(plain);
	if (typeof value === 'object' && value !== null)
		return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, plain(each)]));
	return typeof value === 'number' && !Number.isFinite(value) ? null : ((value ?? null) as Json);
}
