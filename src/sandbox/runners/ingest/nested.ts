/** Reads JSON and Parquet, whose values have types already: structs are spread over columns one level deep, all else is kept. */
import {join} from 'node:path';
import {type DuckDBResult, DuckDBStructType, type DuckDBType, DuckDBTypeId} from '@duckdb/node-api';
import {literal, quoted} from '../views.ts';
import {assertColumns, convert, type Source, type Workplace} from './delimited.ts';
import {listed, rawColumn} from './names.ts';
import {engineRefusal, type Recognised} from './recognise.ts';

/** `select` are expressions over `table`, one per header. */
export type Nested = {readonly table: string; readonly headers: readonly string[]; readonly select: readonly string[]};

/** A record longer than this is refused by the engine. */
const MAX_RECORD = 64 << 20;

/** Values nested deeper than this are kept as the text that spells them. */
const MAX_DEPTH = 12;

export async function readJson(source: Source, recognised: Recognised, place: Workplace, notices: string[]): Promise<Nested> {
	const converted = recognised.encoding !== 'utf-8' || recognised.head.startsWith('\ufeff');
	const path = converted ? await convert(source, recognised, join(place.directory, '.text')) : source.path;
	const compression = recognised.gzip && !converted ? 'gzip' : 'uncompressed';
	const scan = `read_json(${literal(path)}, compression = '${compression}', sample_size = -1, maximum_object_size = ${MAX_RECORD}, maximum_depth = ${MAX_DEPTH}, map_inference_threshold = -1, convert_strings_to_integers = false)`;
	return spread(scan, source, place, notices);
}

export async function readParquet(source: Source, place: Workplace, notices: string[]): Promise<Nested> {
	return spread(`read_parquet(${literal(source.path)})`, source, place, notices);
}

async function spread(scan: string, source: Source, {connection}: Workplace, notices: string[]): Promise<Nested> {
	const probe = await connection.stream(`SELECT * FROM ${scan} LIMIT 0`).catch((error: unknown) => {
		throw engineRefusal(error, source.name);
	});
	const columns = columnsOf(probe);
	const parts = columns.flatMap(({name, type}, index) => partsOf(name, type, rawColumn(index)));
	assertColumns(parts.length, source.name);
	const structs = columns.filter(({type}) => type instanceof DuckDBStructType).map(({name}) => name);
	if (structs.length > 0) notices.push(`nested columns were spread over columns of their own: ${listed(structs)}`);
	const aliases = columns.map((_, index) => rawColumn(index)).join(', ');
	return {table: `${scan} AS source(${aliases})`, headers: parts.map(({name}) => name), select: parts.map(({sql}) => sql)};
}

function columnsOf(result: DuckDBResult): {name: string; type: DuckDBType}[] {
	const names = result.columnNames();
	return result.columnTypes().map((type, index) => ({name: names[index] ?? '', type}));
}

function partsOf(name: string, type: DuckDBType, sql: string): {name: string; sql: string}[] {
	// Values of several types: a text among them is itself, and not the JSON that spells it.
	if (type.alias === 'JSON') return [{name, sql: `(${sql} ->> '$')`}];
	if (!(type instanceof DuckDBStructType)) return [{name, sql: storable(sql, type)}];
	return type.entryNames.map((field, index) => ({
		name: `${name}_${field}`,
		sql: storable(`struct_extract(${sql}, ${literal(field)})`, type.entryTypes[index] as DuckDBType),
	}));
}

/** Parquet has no integers beyond 64 bits, and the engine would write doubles; enumerations lose their order for nothing. */
function storable(sql: string, type: DuckDBType): string {
	if (type.typeId === DuckDBTypeId.HUGEINT) return `CAST(${sql} AS DECIMAL(38, 0))`;
	if (type.typeId === DuckDBTypeId.UHUGEINT || type.typeId === DuckDBTypeId.ENUM) return `CAST(${sql} AS VARCHAR)`;
	return sql;
}

export function named(nested: Nested, names: readonly string[]): string[] {
	return nested.select.map((sql, index) => `${sql} AS ${quoted(names[index] ?? '')}`);
}
