/** How a column of a Parquet file is called in the engine, and how its values get into one of the engine's vectors. */
import type {SchemaTree} from 'hyparquet/src/types.js';
import {RunnerError} from '../../frames.ts';
import type {Engine} from './engine.ts';
import {memoryOf} from './memory.ts';

type Values = ArrayLike<unknown>;

/** `fill` writes the values from the vector's beginning on; a missing one is null or undefined. */
export type Column = {
	readonly sql: string;
	fill(vector: number, values: Values, engine: Engine): void;
};

type Write = (view: DataView, at: number, value: never) => void;

/** The type that the engine's own reader gives the column. */
export function columnOf({element, children}: SchemaTree): Column {
	const {converted_type: converted, logical_type: logical} = element;
	if (converted === 'MAP' || converted === 'MAP_KEY_VALUE' || logical?.type === 'MAP' || logical?.type === 'VARIANT')
		throw new RunnerError('sql_execution_error', `the column \`${element.name}\` cannot be read in this sandbox`, {
			hint: 'choose another sandbox provider, or turn the column into text',
		});
	if (converted === 'LIST' || logical?.type === 'LIST') return list(children);
	if (children.length > 0) return struct(children);
	return leaf(element);
}

function list([repeated]: readonly SchemaTree[]): Column {
	const [only, ...more] = repeated?.children ?? [];
	const item = only && more.length === 0 ? columnOf(only) : columnOf(repeated as SchemaTree);
	return {
		sql: `${item.sql}[]`,
		fill(vector, values, engine) {
			const items: unknown[] = [];
			fixed(vector, values, engine, {
				bytes: 16,
				write: (view, at, value: readonly unknown[]) => {
					view.setBigUint64(at, BigInt(items.length), true);
					view.setBigUint64(at + 8, BigInt(value.length), true);
					for (const each of value) items.push(each);
				},
			});
			engine.call('duckdb_list_vector_reserve', vector, BigInt(items.length));
			engine.call('duckdb_list_vector_set_size', vector, BigInt(items.length));
			item.fill(Number(engine.call('duckdb_list_vector_get_child', vector)), items, engine);
		},
	};
}

function struct(children: readonly SchemaTree[]): Column {
	const members = children.map((child) => ({name: child.element.name, column: columnOf(child)}));
	return {
		sql: `STRUCT(${members.map(({name, column}) => `"${name.replaceAll('"', '""')}" ${column.sql}`).join(', ')})`,
		fill(vector, values, engine) {
			fixed(vector, values, engine, {bytes: 0, write: () => {}});
			const rows = Array.from(values) as (Readonly<Record<string, unknown>> | null | undefined)[];
			members.forEach(({name, column}, index) => {
				const child = Number(engine.call('duckdb_struct_vector_get_child', vector, BigInt(index)));
				column.fill(
					child,
					rows.map((row) => row?.[name]),
					engine,
				);
			});
		},
	};
}

type Element = SchemaTree['element'];

function leaf(element: Element): Column {
	const {type, converted_type: converted, logical_type: logical, precision = 18, scale = 0} = element;
	if (converted === 'DECIMAL' || logical?.type === 'DECIMAL') return decimal(precision, scale);
	const known = momentOf(element);
	if (known) return known;
	switch (type) {
		case 'BOOLEAN':
		case 'FLOAT':
		case 'DOUBLE':
			return number(type);
		case 'INT96':
			return plain('TIMESTAMP', {bytes: 8, write: nanos96});
		case 'INT32':
		case 'INT64':
			return number(integerName(element));
		default:
			return {sql: textName(element), fill: texts};
	}
}

/** Dates, times and what else has a meaning beyond its bytes. */
function momentOf({converted_type: converted, logical_type: logical}: Element): Column | undefined {
	if (logical?.type === 'TIMESTAMP') return timestamp(logical.unit, logical.isAdjustedToUTC);
	if (logical?.type === 'TIME' && !logical.isAdjustedToUTC) return time(logical.unit);
	if (logical?.type === 'UUID') return plain('UUID', {bytes: 16, write: uuid});
	if (converted === 'DATE' || logical?.type === 'DATE') return plain('DATE', NUMBERS.INTEGER);
	if (converted === 'INTERVAL') return plain('INTERVAL', {bytes: 16, write: interval});
	if (converted === 'TIMESTAMP_MILLIS' || converted === 'TIMESTAMP_MICROS') return timestamp(converted.slice(10), true);
	if (converted === 'TIME_MILLIS' || converted === 'TIME_MICROS') return time(converted.slice(5));
	return undefined;
}

function textName({converted_type: converted, logical_type: logical}: Element): string {
	if (converted === 'JSON' || logical?.type === 'JSON') return 'JSON';
	const isText = converted === 'UTF8' || converted === 'ENUM' || logical?.type === 'STRING' || logical?.type === 'ENUM';
	return isText ? 'VARCHAR' : 'BLOB';
}

type Fixed = {
	readonly bytes: number;
	readonly write: Write;
	/** the array whose memory is that of the vector */
	readonly same?: new () => ArrayBufferView;
};

const NUMBERS = {
	BOOLEAN: {bytes: 1, write: (view, at, value: boolean) => view.setUint8(at, value ? 1 : 0)},
	TINYINT: {bytes: 1, write: (view, at, value: number) => view.setInt8(at, value)},
	SMALLINT: {bytes: 2, write: (view, at, value: number) => view.setInt16(at, value, true)},
	INTEGER: {bytes: 4, same: Int32Array, write: (view, at, value: number) => view.setInt32(at, value, true)},
	BIGINT: {bytes: 8, same: BigInt64Array, write: (view, at, value: bigint) => view.setBigInt64(at, BigInt(value), true)},
	UTINYINT: {bytes: 1, write: (view, at, value: number) => view.setUint8(at, value)},
	USMALLINT: {bytes: 2, write: (view, at, value: number) => view.setUint16(at, value, true)},
	UINTEGER: {bytes: 4, same: Int32Array, write: (view, at, value: number) => view.setInt32(at, value, true)},
	UBIGINT: {bytes: 8, same: BigInt64Array, write: (view, at, value: bigint) => view.setBigInt64(at, BigInt(value), true)},
	FLOAT: {bytes: 4, same: Float32Array, write: (view, at, value: number) => view.setFloat32(at, value, true)},
	DOUBLE: {bytes: 8, same: Float64Array, write: (view, at, value: number) => view.setFloat64(at, value, true)},
} as const satisfies Readonly<Record<string, Fixed>>;

type NumberName = keyof typeof NUMBERS;

function integerName({type, converted_type: converted, logical_type: logical}: SchemaTree['element']): NumberName {
	const bits =
		logical?.type === 'INTEGER'
			? logical.bitWidth
			: Number(/INT_(\d+)$/.exec(converted ?? '')?.[1] ?? (type === 'INT32' ? 32 : 64));
	const signed = logical?.type === 'INTEGER' ? logical.isSigned : !converted?.startsWith('UINT');
	const name =
		({8: 'TINYINT', 16: 'SMALLINT', 32: 'INTEGER', 64: 'BIGINT'} as const)[bits] ?? (type === 'INT32' ? 'INTEGER' : 'BIGINT');
	return signed ? name : `U${name}`;
}

function number(name: NumberName): Column {
	return plain(name, NUMBERS[name]);
}

function plain(sql: string, how: Fixed): Column {
	return {sql, fill: (vector, values, engine) => fixed(vector, values, engine, how)};
}

function timestamp(unit: string, utc: boolean): Column {
	if (unit === 'NANOS') return plain(utc ? 'TIMESTAMPTZ' : 'TIMESTAMP_NS', utc ? scaled(1n, 1_000n) : NUMBERS.BIGINT);
	return plain(utc ? 'TIMESTAMPTZ' : 'TIMESTAMP', unit === 'MILLIS' ? scaled(1_000n, 1n) : NUMBERS.BIGINT);
}

function time(unit: string): Column {
	if (unit === 'NANOS') return plain('TIME_NS', NUMBERS.BIGINT);
	return plain('TIME', unit === 'MILLIS' ? scaled(1_000n, 1n) : NUMBERS.BIGINT);
}

function scaled(times: bigint, over: bigint): Fixed {
	return {bytes: 8, write: (view, at, value: number | bigint) => view.setBigInt64(at, (BigInt(value) * times) / over, true)};
}

/** As the engine stores one: in the smallest integer that holds its digits. */
function decimal(precision: number, scale: number): Column {
	const bytes = precision <= 4 ? 2 : precision <= 9 ? 4 : precision <= 18 ? 8 : 16;
	const write: Write = (view, at, value: number | bigint | Uint8Array) => integer(view, at, {bytes, value: unscaled(value)});
	return plain(`DECIMAL(${precision}, ${scale})`, {bytes, write});
}

function integer(view: DataView, at: number, {bytes, value}: {bytes: number; value: bigint}): void {
	if (bytes === 2) view.setInt16(at, Number(value), true);
	else if (bytes === 4) view.setInt32(at, Number(value), true);
	else view.setBigInt64(at, BigInt.asIntN(64, value), true);
	if (bytes === 16) view.setBigInt64(at + 8, value >> 64n, true);
}

function unscaled(value: number | bigint | Uint8Array): bigint {
	return value instanceof Uint8Array ? BigInt.asIntN(value.length * 8, bigEndian(value)) : BigInt(value);
}

function bigEndian(bytes: Uint8Array): bigint {
	let value = 0n;
	for (const byte of bytes) value = (value << 8n) | BigInt(byte);
	return value;
}

/** Its highest bit is turned over, so that the order of numbers is the order of identifiers. */
function uuid(view: DataView, at: number, value: Uint8Array): void {
	integer(view, at, {bytes: 16, value: BigInt.asIntN(128, bigEndian(value) ^ (1n << 127n))});
}

function interval(view: DataView, at: number, value: Uint8Array): void {
	const from = new DataView(value.buffer, value.byteOffset, value.byteLength);
	view.setInt32(at, from.getInt32(0, true), true);
	view.setInt32(at + 4, from.getInt32(4, true), true);
	view.setBigInt64(at + 8, BigInt(from.getUint32(8, true)) * 1_000n, true);
}

function nanos96(view: DataView, at: number, value: bigint): void {
	const days = (value >> 64n) - 2_440_588n;
	view.setBigInt64(at, days * 86_400_000_000n + BigInt.asUintN(64, value) / 1_000n, true);
}

function fixed(vector: number, values: Values, engine: Engine, {bytes, write, same}: Fixed): void {
	const memory = memoryOf(engine);
	const data = Number(engine.call('duckdb_vector_get_data', vector));
	if (same && values instanceof same) {
		const {buffer, byteOffset, byteLength} = values as unknown as Int32Array;
		memory.bytes(data, byteLength).set(new Uint8Array(buffer, byteOffset, byteLength));
		return;
	}
	const missing: number[] = [];
	const view = memory.view();
	for (let index = 0; index < values.length; index++) {
		const value = values[index];
		if (value === null || value === undefined) missing.push(index);
		else write(view, data + index * bytes, value as never);
	}
	markMissing(vector, missing, engine);
}

function markMissing(vector: number, missing: readonly number[], engine: Engine): void {
	if (missing.length === 0) return;
	engine.call('duckdb_vector_ensure_validity_writable', vector);
	const mask = Number(engine.call('duckdb_vector_get_validity', vector));
	const view = memoryOf(engine).view();
	for (const index of missing) {
		const at = mask + (index >> 3);
		view.setUint8(at, view.getUint8(at) & ~(1 << (index & 7)));
	}
}

function texts(vector: number, values: Values, engine: Engine): void {
	const memory = memoryOf(engine);
	const missing: number[] = [];
	const all = Array.from(values) as (Uint8Array | null | undefined)[];
	const longest = all.reduce((most, value) => Math.max(most, value?.length ?? 0), 1);
	memory.withBytes(longest, (at) => {
		for (const [index, value] of all.entries()) {
			if (!value) {
				missing.push(index);
				continue;
			}
			memory.bytes(at, value.length).set(value);
			engine.call('duckdb_vector_assign_string_element_len', vector, BigInt(index), at, BigInt(value.length));
		}
	});
	markMissing(vector, missing, engine);
}
