/** Turns DuckDB values into the JSON cells of the contract: nothing is rounded, and what JSON cannot hold is said, not guessed. */
import {Buffer} from 'node:buffer';
import {
	DuckDBArrayValue,
	DuckDBBlobValue,
	DuckDBDateValue,
	DuckDBDecimalValue,
	DuckDBGeometryValue,
	DuckDBListValue,
	DuckDBMapValue,
	DuckDBStructValue,
	DuckDBTimestampMillisecondsValue,
	DuckDBTimestampNanosecondsValue,
	DuckDBTimestampSecondsValue,
	DuckDBTimestampTZValue,
	DuckDBTimestampValue,
	type DuckDBType,
	DuckDBTypeId,
	DuckDBUnionValue,
	type DuckDBValue,
	DuckDBVariantValue,
} from '@duckdb/node-api';
import type {Json} from '#contract/json.ts';
import type {ColumnType} from '#contract/table.ts';

/** Counts NaN and infinities, which become null. */
export type NonFinite = {count: number};

const WIRE_TYPES: ReadonlyMap<DuckDBTypeId, ColumnType> = new Map<DuckDBTypeId, ColumnType>([
	[DuckDBTypeId.BOOLEAN, 'boolean'],
	[DuckDBTypeId.TINYINT, 'integer'],
	[DuckDBTypeId.SMALLINT, 'integer'],
	[DuckDBTypeId.INTEGER, 'integer'],
	[DuckDBTypeId.BIGINT, 'integer'],
	[DuckDBTypeId.UTINYINT, 'integer'],
	[DuckDBTypeId.USMALLINT, 'integer'],
	[DuckDBTypeId.UINTEGER, 'integer'],
	[DuckDBTypeId.UBIGINT, 'integer'],
	[DuckDBTypeId.HUGEINT, 'integer'],
	[DuckDBTypeId.UHUGEINT, 'integer'],
	[DuckDBTypeId.BIGNUM, 'integer'],
	[DuckDBTypeId.FLOAT, 'double'],
	[DuckDBTypeId.DOUBLE, 'double'],
	[DuckDBTypeId.DECIMAL, 'decimal'],
	[DuckDBTypeId.DATE, 'date'],
	[DuckDBTypeId.TIME, 'time'],
	[DuckDBTypeId.TIME_NS, 'time'],
	[DuckDBTypeId.TIMESTAMP, 'timestamp'],
	[DuckDBTypeId.TIMESTAMP_S, 'timestamp'],
	[DuckDBTypeId.TIMESTAMP_MS, 'timestamp'],
	[DuckDBTypeId.TIMESTAMP_NS, 'timestamp'],
	[DuckDBTypeId.TIMESTAMP_TZ, 'timestamptz'],
	[DuckDBTypeId.INTERVAL, 'interval'],
	[DuckDBTypeId.BLOB, 'blob'],
	[DuckDBTypeId.GEOMETRY, 'blob'],
	[DuckDBTypeId.LIST, 'json'],
	[DuckDBTypeId.ARRAY, 'json'],
	[DuckDBTypeId.STRUCT, 'json'],
	[DuckDBTypeId.MAP, 'json'],
	[DuckDBTypeId.UNION, 'json'],
	[DuckDBTypeId.VARIANT, 'json'],
	[DuckDBTypeId.SQLNULL, 'null'],
]);

export function toColumnType(type: DuckDBType): ColumnType {
	if (type.alias === 'JSON') return 'json';
	return WIRE_TYPES.get(type.typeId) ?? 'text';
}

/** JSON text in a column of the engine's JSON type arrives as the value it spells. */
export function toCell(value: DuckDBValue, type: DuckDBType, nonFinite: NonFinite): Json {
	if (value === null) return null;
	if (type.alias === 'JSON' && typeof value === 'string') return parsedJson(value);
	return toJson(value, nonFinite);
}

function parsedJson(text: string): Json {
	// Numbers beyond 2^53 inside JSON text would be rounded by parsing it.
	if (/[0-9]{16}/.test(text)) return text;
	try {
		return JSON.parse(text) as Json;
	} catch {
		// A crafted file can label any text as JSON.
		return text;
	}
}

function toJson(value: DuckDBValue, nonFinite: NonFinite): Json {
	switch (typeof value) {
		case 'boolean':
		case 'string':
			return value;
		case 'number':
			return Number.isFinite(value) ? value : notFinite(nonFinite);
		case 'bigint':
			return Number.isSafeInteger(Number(value)) ? Number(value) : value.toString();
		default:
			return value === null || value === undefined ? null : toJsonObject(value, nonFinite);
	}
}

function toJsonObject(value: object, nonFinite: NonFinite): Json {
	if (value instanceof DuckDBDecimalValue) return decimal(value);
	if (value instanceof DuckDBBlobValue || value instanceof DuckDBGeometryValue)
		return Buffer.from(value.bytes).toString('base64');
	if (value instanceof DuckDBListValue || value instanceof DuckDBArrayValue)
		return value.items.map((item) => toJson(item, nonFinite));
	if (value instanceof DuckDBStructValue) return entries(Object.entries(value.entries), nonFinite);
	if (value instanceof DuckDBMapValue) return mapped(value, nonFinite);
	if (value instanceof DuckDBUnionValue || value instanceof DuckDBVariantValue) return toJson(value.value, nonFinite);
	return moment(value) ?? String(value);
}

function moment(value: object): string | null {
	if (value instanceof DuckDBDateValue) return date(value);
	if (value instanceof DuckDBTimestampTZValue) return micros(value.micros, 'Z');
	if (value instanceof DuckDBTimestampValue) return micros(value.micros, '');
	if (value instanceof DuckDBTimestampMillisecondsValue && value.isFinite) return micros(value.millis * 1000n, '');
	if (value instanceof DuckDBTimestampSecondsValue && value.isFinite) return micros(value.seconds * 1_000_000n, '');
	if (value instanceof DuckDBTimestampNanosecondsValue) return value.toString().replace(' ', 'T');
	return null;
}

function notFinite(nonFinite: NonFinite): null {
	nonFinite.count += 1;
	return null;
}

/** Up to 15 significant digits a double is exact enough to print the same digits again. */
function decimal(value: DuckDBDecimalValue): Json {
	const digits = value.value < 0n ? -value.value : value.value;
	return digits < 1_000_000_000_000_000n ? Number(value.toString()) : value.toString();
}

const INFINITE_DAYS = 2_147_483_647;

function date(value: DuckDBDateValue): string {
	if (Math.abs(value.days) === INFINITE_DAYS) return value.days > 0 ? 'infinity' : '-infinity';
	return value.toString();
}

/** What `Date` can print, in microseconds. */
const DATE_LIMIT = 8_640_000_000_000_000_000n;
/** How the engine stores an infinite timestamp. */
const INFINITY = 9_223_372_036_854_775_807n;

/** ISO 8601 with as many fractional digits as the value has. */
function micros(value: bigint, zone: string): string {
	if (value === INFINITY || value === -INFINITY) return value > 0n ? 'infinity' : '-infinity';
	if (value > DATE_LIMIT || value < -DATE_LIMIT) return `${new DuckDBTimestampValue(value).toString().replace(' ', 'T')}${zone}`;
	const fraction = ((value % 1_000_000n) + 1_000_000n) % 1_000_000n;
	const seconds = new Date(Number((value - fraction) / 1000n)).toISOString().slice(0, -5);
	const digits = fraction === 0n ? '' : `.${fraction.toString().padStart(6, '0').replace(/0+$/, '')}`;
	return `${seconds}${digits}${zone}`;
}

function entries(pairs: readonly (readonly [string, DuckDBValue])[], nonFinite: NonFinite): Json {
	// `Object.fromEntries` defines properties, so a field named `__proto__` stays a field.
	return Object.fromEntries(pairs.map(([key, value]) => [key, toJson(value, nonFinite)]));
}

/** Keys that are text make an object; any others make a list of `{key, value}`. */
function mapped({entries: pairs}: DuckDBMapValue, nonFinite: NonFinite): Json {
	if (pairs.every(({key}) => typeof key === 'string'))
		return entries(
			pairs.map(({key, value}) => [String(key), value]),
			nonFinite,
		);
	return pairs.map(({key, value}) => ({key: toJson(key, nonFinite), value: toJson(value, nonFinite)}));
}
