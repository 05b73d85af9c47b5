/**
 * Stands in for `@duckdb/node-bindings`: the part of DuckDB's C interface that `@duckdb/node-api` calls for a query, over the engine in
 * Wasm. So the gate, the results and their types are the code that every other provider runs. What is not here cannot be called.
 */
import {createRequire} from 'node:module';
import type {Engine} from './engine.ts';
import {type Memory, memoryOf} from './memory.ts';

/** A handle of the C interface: an address. */
type Handle = number;

/** Larger than a `duckdb_result`. */
const RESULT_BYTES = 64;

type Link = {readonly engine: Engine; readonly memory: Memory};
type Bindings = Readonly<Record<string, unknown>>;

/** Puts the engine in the place of the native one. To be called before anything imports `@duckdb/node-api`. */
export function installBindings(engine: Engine): void {
	const require = createRequire(import.meta.url);
	const path = require.resolve('@duckdb/node-bindings', {paths: [require.resolve('@duckdb/node-api')]});
	const link = {engine, memory: memoryOf(engine)};
	const exports = {...ENUMS, ...databases(link), ...statements(link), ...results(link), ...types(link), ...vectors(link)};
	const module: Partial<NodeJS.Module> = {id: path, filename: path, loaded: true, exports};
	require.cache[path] = module as NodeJS.Module;
}

function databases(link: Link): Bindings {
	const {engine, memory} = link;
	return {
		create_instance_cache: () => null,
		create_config: () => null,
		set_config() {},
		open: (path: string) =>
			made(link, (out) =>
				memory.withText(path, (text) =>
					memory.withBytes(4, (error) => {
						if (engine.call('duckdb_open_ext', text, out, 0, error) !== 0) throw new Error(memory.text(memory.pointer(error)));
					}),
				),
			),
		connect: (database: Handle) => made(link, (out) => engine.call('duckdb_connect', database, out)),
		query: (connection: Handle, sql: string) =>
			memory.withText(sql, (text) => executed(link, (result) => engine.call('duckdb_query', connection, text, result))),
		extract_statements: (connection: Handle, sql: string) =>
			memory.withText(sql, (text) => {
				const box = {count: 0};
				const extracted = made(
					link,
					(out) => (box.count = Number(engine.call('duckdb_extract_statements', connection, text, out))),
				);
				return {extracted_statements: extracted, statement_count: box.count};
			}),
		extract_statements_error: (extracted: Handle) =>
			memory.text(Number(engine.call('duckdb_extract_statements_error', extracted))),
	};
}

function statements(link: Link): Bindings {
	const {engine, memory} = link;
	const prepare = (call: (out: number) => number | bigint) => {
		const box = {failed: false};
		const prepared = made(link, (out) => (box.failed = call(out) !== 0));
		if (box.failed) throw new Error(memory.text(Number(engine.call('duckdb_prepare_error', prepared))));
		return prepared;
	};
	return {
		prepare: (connection: Handle, sql: string) =>
			memory.withText(sql, (text) => prepare((out) => engine.call('duckdb_prepare', connection, text, out))),
		prepare_extracted_statement: (connection: Handle, extracted: Handle, index: number) =>
			prepare((out) => engine.call('duckdb_prepare_extracted_statement', connection, extracted, BigInt(index), out)),
		prepared_statement_type: (prepared: Handle) => engine.call('duckdb_prepared_statement_type', prepared),
		nparams: (prepared: Handle) => Number(engine.call('duckdb_nparams', prepared)),
		create_varchar: (value: string) => memory.withText(value, (text) => Number(engine.call('duckdb_create_varchar', text))),
		bind_value(prepared: Handle, index: number, value: Handle) {
			const failed = engine.call('duckdb_bind_value', prepared, BigInt(index), value) !== 0;
			destroy('duckdb_destroy_value', value, link);
			if (failed) throw new Error('the value cannot be bound');
		},
		execute_prepared: (prepared: Handle) => executed(link, (result) => engine.call('duckdb_execute_prepared', prepared, result)),
		execute_prepared_streaming: (prepared: Handle) =>
			executed(link, (result) => engine.call('duckdb_execute_prepared_streaming', prepared, result)),
		destroy_prepare_sync: (prepared: Handle) => destroy('duckdb_destroy_prepare', prepared, link),
	};
}

/** The address that a call of the C interface writes where it is told to. */
function made({memory}: Link, call: (out: number) => unknown): Handle {
	return memory.withBytes(4, (out) => {
		call(out);
		return memory.pointer(out);
	});
}

function destroy(name: string, handle: Handle, {engine, memory}: Link): void {
	memory.withBytes(4, (at) => {
		memory.view().setUint32(at, handle, true);
		engine.call(name, at);
	});
}

/** A result lives as long as the process: there is one per run, and a few small ones before it. */
function executed({engine, memory}: Link, call: (result: Handle) => number | bigint): Handle {
	const result = memory.allocate(RESULT_BYTES);
	if (call(result) !== 0) throw new Error(memory.text(Number(engine.call('duckdb_result_error', result))));
	return result;
}

function results(link: Link): Bindings {
	const {engine, memory} = link;
	const last = new Map<Handle, Handle>();
	/** A chunk of a stream is read before the next is asked for; chunks that were collected may be read at any time. */
	const release = (result: Handle) => {
		const chunk = last.get(result);
		if (chunk !== undefined) destroy('duckdb_destroy_data_chunk', chunk, link);
		last.delete(result);
	};
	return {
		result_return_type: (result: Handle) => engine.call('duckdb_result_return_type', result),
		result_statement_type: (result: Handle) => engine.call('duckdb_result_statement_type', result),
		result_is_streaming: (result: Handle) => engine.call('duckdb_result_is_streaming', result) !== 0,
		rows_changed: (result: Handle) => Number(engine.call('duckdb_rows_changed', result)),
		column_count: (result: Handle) => Number(engine.call('duckdb_column_count', result)),
		column_name: (result: Handle, index: number) => memory.text(Number(engine.call('duckdb_column_name', result, BigInt(index)))),
		column_type: (result: Handle, index: number) => engine.call('duckdb_column_type', result, BigInt(index)),
		column_logical_type: (result: Handle, index: number) => engine.call('duckdb_column_logical_type', result, BigInt(index)),
		fetch_chunk(result: Handle) {
			const streaming = engine.call('duckdb_result_is_streaming', result) !== 0;
			release(result);
			const chunk = Number(engine.call('duckdb_fetch_chunk', result));
			const error = chunk === 0 ? memory.text(Number(engine.call('duckdb_result_error', result))) : '';
			if (error !== '') throw new Error(error);
			if (chunk !== 0 && streaming) last.set(result, chunk);
			return chunk === 0 ? null : chunk;
		},
		data_chunk_get_column_count: (chunk: Handle) => Number(engine.call('duckdb_data_chunk_get_column_count', chunk)),
		data_chunk_get_size: (chunk: Handle) => Number(engine.call('duckdb_data_chunk_get_size', chunk)),
		data_chunk_get_vector: (chunk: Handle, index: number) => engine.call('duckdb_data_chunk_get_vector', chunk, BigInt(index)),
	};
}

function types({engine, memory}: Link): Bindings {
	const plain = (name: string) => (type: Handle) => Number(engine.call(`duckdb_${name}`, type));
	const member = (name: string) => (type: Handle, index: number) => Number(engine.call(`duckdb_${name}`, type, BigInt(index)));
	/** Text that the caller owns; null when there is none. */
	const owned = (at: number) => {
		const text = at === 0 ? null : memory.text(at);
		if (at !== 0) engine.call('duckdb_free', at);
		return text;
	};
	const named = (name: string) => (type: Handle, index: number) => owned(member(name)(type, index));
	const own = (names: readonly string[], make: (name: string) => unknown) =>
		Object.fromEntries(names.map((name) => [name, make(name)]));
	return {
		...own(TYPE_PARTS, plain),
		...own(TYPE_MEMBERS, member),
		...own(TYPE_NAMES, named),
		logical_type_get_alias: (type: Handle) => owned(plain('logical_type_get_alias')(type)),
		geometry_type_get_crs: () => null,
	};
}

const TYPE_PARTS = [
	...['get_type_id', 'decimal_width', 'decimal_scale', 'decimal_internal_type', 'enum_internal_type', 'enum_dictionary_size'],
	...['list_type_child_type', 'array_type_child_type', 'array_type_array_size', 'map_type_key_type', 'map_type_value_type'],
	...['struct_type_child_count', 'union_type_member_count'],
];
const TYPE_MEMBERS = ['struct_type_child_type', 'union_type_member_type'];
const TYPE_NAMES = ['enum_dictionary_value', 'struct_type_child_name', 'union_type_member_name'];

function vectors({engine, memory}: Link): Bindings {
	/** A copy: the memory moves when it grows. */
	const copy = (at: number, size: number) => memory.bytes(at, size).slice();
	const child = (name: string) => (vector: Handle) => engine.call(`duckdb_${name}`, vector);
	return {
		sizeof_bool: 1,
		vector_size: () => Number(engine.call('duckdb_vector_size')),
		vector_get_column_type: child('vector_get_column_type'),
		vector_get_data: (vector: Handle, size: number) => copy(Number(engine.call('duckdb_vector_get_data', vector)), size),
		vector_get_validity(vector: Handle, size: number) {
			const at = Number(engine.call('duckdb_vector_get_validity', vector));
			return at === 0 ? null : copy(at, size);
		},
		list_vector_get_child: child('list_vector_get_child'),
		array_vector_get_child: child('array_vector_get_child'),
		list_vector_get_size: (vector: Handle) => Number(engine.call('duckdb_list_vector_get_size', vector)),
		struct_vector_get_child: (vector: Handle, index: number) =>
			engine.call('duckdb_struct_vector_get_child', vector, BigInt(index)),
		get_data_from_pointer: (from: ArrayBuffer, offset: number, size: number) =>
			copy(new DataView(from).getUint32(offset, true), size),
		...finiteness,
	};
}

/** Without a way through the engine: an infinite moment is the largest or smallest number, and the smallest has no opposite. */
const finiteness: Bindings = {
	is_finite_date: ({days}: {days: number}) => Math.abs(days) !== 2_147_483_647,
	...Object.fromEntries(
		[
			['', 'micros'],
			['_s', 'seconds'],
			['_ms', 'millis'],
			['_ns', 'nanos'],
		].map(([suffix = '', field = '']) => [
			`is_finite_timestamp${suffix}`,
			(moment: Readonly<Record<string, bigint>>) => (moment[field] ?? 0n) < LARGEST && (moment[field] ?? 0n) > -LARGEST,
		]),
	),
};
const LARGEST = 9_223_372_036_854_775_807n;

/** Numbers of the C interface, as `@duckdb/node-bindings` names them. */
const ENUMS: Bindings = {
	PendingState: numbered(`RESULT_READY RESULT_NOT_READY ERROR NO_TASKS_AVAILABLE`),
	ResultType: numbered(`INVALID CHANGED_ROWS NOTHING QUERY_RESULT`),
	StatementType: numbered(
		`INVALID SELECT INSERT UPDATE EXPLAIN DELETE PREPARE CREATE EXECUTE ALTER TRANSACTION COPY ANALYZE VARIABLE_SET CREATE_FUNC DROP EXPORT PRAGMA VACUUM CALL SET LOAD RELATION EXTENSION LOGICAL_PLAN ATTACH DETACH MULTI COPY_DATABASE UPDATE_EXTENSIONS MERGE_INTO`,
	),
	Type: numbered(
		`INVALID BOOLEAN TINYINT SMALLINT INTEGER BIGINT UTINYINT USMALLINT UINTEGER UBIGINT FLOAT DOUBLE TIMESTAMP DATE TIME INTERVAL HUGEINT VARCHAR BLOB DECIMAL TIMESTAMP_S TIMESTAMP_MS TIMESTAMP_NS ENUM LIST STRUCT MAP UUID UNION BIT TIME_TZ TIMESTAMP_TZ UHUGEINT ARRAY ANY BIGNUM SQLNULL STRING_LITERAL INTEGER_LITERAL TIME_NS GEOMETRY VARIANT`,
	),
};

/** As TypeScript compiles an enum: names to numbers, and numbers to names. */
function numbered(names: string): Readonly<Record<string, unknown>> {
	return Object.fromEntries(
		names.split(/\s+/).flatMap((name, index) => [
			[name, index],
			[index, name],
		]),
	);
}
