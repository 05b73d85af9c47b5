/**
 * What `json_serialize_sql` gives, without the extension that brings it: the engine's own parser parses, its own serialiser walks the
 * tree, and only the target it writes into is ours. It stands in for a C++ class, so that a start first shows that it does.
 */
import {Buffer} from 'node:buffer';
import {createHash} from 'node:crypto';
import type {Serialised} from '../../gate.ts';
import {addCallbacks, type Callback} from './callbacks.ts';
import type {Engine} from './engine.ts';
import {type Memory, memoryOf} from './memory.ts';

/** Larger than the objects they hold room for: `duckdb::Parser` and a `duckdb::Serializer`. */
const PARSER_BYTES = 256;
const SERIALISER_BYTES = 1_024;

/** In a serialiser: what is to be written, enums as words and defaults too, and for which version of the engine. */
const ENUMS_AS_TEXT = 8;
const WITH_DEFAULTS = 9;
const COMPATIBILITY = 16;
/** In a table of virtual functions: before the first of them. */
const HEADER_BYTES = 8;

type Parse = (sql: string) => Serialised;

/** `connection` is the engine's `duckdb_connection`. Throws when the engine's parse does not come out as it should. */
export function createSerialiser(engine: Engine, connection: number): Parse {
	const memory = memoryOf(engine);
	const target = createTarget(engine, memory);
	const parse: Parse = (sql) => {
		return parseError(sql, {engine, memory, connection}) ?? serialised(sql, {engine, memory, target});
	};
	assertFaithful(parse);
	return parse;
}

/** What the engine objects to in the text, if anything. The one way in that reports it without throwing. */
function parseError(
	sql: string,
	{engine, memory, connection}: {engine: Engine; memory: Memory; connection: number},
): Serialised | undefined {
	return memory.withText(sql, (text) =>
		memory.withBytes(4, (out) => {
			const count = engine.call('duckdb_extract_statements', connection, text, out);
			const message = memory.text(Number(engine.call('duckdb_extract_statements_error', memory.pointer(out))));
			engine.call('duckdb_destroy_extracted', out);
			return count === 0n && message !== '' ? toReply(message) : undefined;
		}),
	);
}

/** The engine puts its kind before a message, and the line it means after it. */
function toReply(said: string): Serialised {
	const [, kind = '', message = said] = /^([A-Za-z ]+) Error: ([\s\S]*?)(\n\nLINE [\s\S]*)?$/.exec(said) ?? [];
	return {error: true, error_type: kind.toLowerCase(), error_message: message};
}

type Walk = {readonly engine: Engine; readonly memory: Memory; readonly target: Target};

function serialised(sql: string, {engine, memory, target}: Walk): Serialised {
	return withString(sql, memory, (text) =>
		memory.withBytes(PARSER_BYTES, (parser) =>
			memory.withBytes(PARSER_BYTES, (options) => {
				engine.call('_ZN6duckdb6ParserC1ENS_13ParserOptionsE', parser, defaults(options, memory));
				engine.call(PARSE_QUERY, parser, text);
				try {
					const statements = pointersBetween(memory.pointer(parser), memory.pointer(parser + 4), memory);
					const select = engine.address('_ZTVN6duckdb15SelectStatementE') + HEADER_BYTES;
					if (statements.some((statement) => memory.pointer(statement) !== select)) return NOT_SELECT;
					return {error: false, statements: statements.map((statement) => target.write(statement))};
				} finally {
					engine.call('_ZN6duckdb6ParserD2Ev', parser);
				}
			}),
		),
	);
}

const PARSE_QUERY = '_ZN6duckdb6Parser10ParseQueryERKNSt3__212basic_stringIcNS1_11char_traitsIcEENS1_9allocatorIcEEEE';

const NOT_SELECT: Serialised = {
	error: true,
	error_type: 'not implemented',
	error_message: 'Only SELECT statements can be serialized to json!',
};

/** `duckdb::ParserOptions`: names keep their case, and expressions may be nested as deeply as the engine allows by itself. */
function defaults(at: number, memory: Memory): number {
	memory.view().setUint8(at, 1);
	memory.view().setBigUint64(at + 8, 1_000n, true);
	return at;
}

function pointersBetween(from: number, to: number, memory: Memory): number[] {
	return Array.from({length: (to - from) / 4}, (_, index) => memory.pointer(from + 4 * index));
}

/** Runs `use` with a C++ string of the library's long form, whose text is not its own. */
function withString<T>(value: string, memory: Memory, use: (at: number) => T): T {
	return memory.withText(value, (text) =>
		memory.withBytes(12, (at) => {
			const size = Buffer.byteLength(value);
			memory.view().setUint32(at, text, true);
			memory.view().setUint32(at + 4, size, true);
			memory.view().setUint32(at + 8, (0x8000_0000 | (size + 1)) >>> 0, true);
			return use(at);
		}),
	);
}

type Target = {
	/** the tree of a `duckdb::SelectStatement` */
	write(statement: number): unknown;
};

type Container = unknown[] | Record<string, unknown>;

/** Where the walk stands: the containers that are open, and the name under which the next value goes into the last of them. */
type Place = {open: Container[]; tag: string; broken: boolean};

function createTarget(engine: Engine, memory: Memory): Target {
	const place: Place = {open: [], tag: '', broken: false};
	const callbacks = callbacksOf(place, memory).map((callback) => watched(callback, place));
	const entries = addCallbacks(callbacks, engine);
	// No destructor: nobody but us has the object.
	const table = memory.allocate(HEADER_BYTES + 4 * (entries.length + 2));
	for (const [index, entry] of entries.entries()) memory.view().setUint32(table + HEADER_BYTES + 4 * (index + 2), entry, true);
	const object = memory.allocate(SERIALISER_BYTES);
	memory.view().setUint32(object, table + HEADER_BYTES, true);
	memory.view().setUint8(object + ENUMS_AS_TEXT, 1);
	memory.view().setUint8(object + WITH_DEFAULTS, 1);
	engine.call('_ZN6duckdb26SerializationCompatibility7DefaultEv', object + COMPATIBILITY);
	return {
		write(statement) {
			const root: Container = {};
			place.open = [root];
			engine.call('_ZNK6duckdb15SelectStatement9SerializeERNS_10SerializerE', statement, object);
			// A handler in the engine may have kept what a callback threw.
			if (place.open.length !== 1 || place.broken) throw new Error('the tree of the statement has no end');
			return root;
		},
	};
}

function watched({parameters, run}: Callback, place: Place): Callback {
	return {
		parameters,
		run(...given) {
			try {
				run(...given);
			} catch (error) {
				place.broken = true;
				throw error;
			}
		},
	};
}

/** In the order of the virtual functions of `duckdb::Serializer`, after its destructors. Each is given the object first. */
function callbacksOf(place: Place, memory: Memory): Callback[] {
	const put = (value: unknown) => {
		const last = place.open.at(-1);
		if (Array.isArray(last)) last.push(value);
		// A property, even if it is called `__proto__`.
		else if (last) Object.defineProperty(last, place.tag, {value, enumerable: true, writable: true, configurable: true});
		else throw new Error('the tree of the statement goes on after its end');
	};
	const open = (container: Container) => {
		put(container);
		place.open.push(container);
	};
	const close = () => void place.open.pop();
	const name = (_: number, _field: number, tag: number) => {
		place.tag = memory.text(tag);
	};
	const nothing = () => {};
	const value = (parameters: string, read: (given: never) => unknown): Callback => ({
		parameters: `i${parameters}`,
		run: (_: never, given: never) => put(read(given)),
	});
	const same = (given: unknown) => given;
	return [
		{parameters: 'iii', run: name},
		{parameters: 'i', run: nothing},
		{parameters: 'iiii', run: name},
		{parameters: 'ii', run: nothing},
		{parameters: 'i', run: () => open({})},
		{parameters: 'i', run: close},
		{parameters: 'ij', run: () => open([])},
		{parameters: 'i', run: close},
		{parameters: 'ii', run: (_: number, present: number) => present === 0 && put(null)},
		{parameters: 'i', run: nothing},
		{parameters: 'i', run: () => put(null)},
		value('i', (character: number) => String.fromCharCode(character)),
		value('i', (flag: number) => flag !== 0),
		...['i', 'i', 'i', 'i'].map((letter) => value(letter, same)),
		value('i', (unsigned: number) => unsigned >>> 0),
		value('i', same),
		value('j', (unsigned: bigint) => Number(BigInt.asUintN(64, unsigned))),
		value('j', Number),
		value('i', (at: number) => wide(at, memory, true)),
		value('i', (at: number) => wide(at, memory, false)),
		value('f', same),
		value('d', same),
		value('i', (at: number) => engineText(at, memory)),
		value('i', (at: number) => libraryText(at, memory)),
		value('i', (at: number) => memory.text(at)),
		{
			parameters: 'iij',
			run: (_: number, at: number, size: bigint) => put(Buffer.from(memory.bytes(at, Number(size))).toString('hex')),
		},
	];
}

function wide(at: number, memory: Memory, signed: boolean): object {
	const view = memory.view();
	const upper = signed ? view.getBigInt64(at + 8, true) : view.getBigUint64(at + 8, true);
	return {upper: Number(upper), lower: Number(view.getBigUint64(at, true))};
}

/** `duckdb::string_t`: up to twelve bytes lie in it, more of them elsewhere. */
function engineText(at: number, memory: Memory): string {
	const size = memory.pointer(at);
	return memory.utf8(size <= 12 ? at + 4 : memory.pointer(at + 8), size);
}

/** `std::string`: up to eleven bytes lie in it, more of them elsewhere. */
function libraryText(at: number, memory: Memory): string {
	const size = memory.view().getUint8(at + 11);
	return size < 0x80 ? memory.utf8(at, size) : memory.utf8(memory.pointer(at), memory.pointer(at + 4));
}

/** Every kind of node and value that decides about a statement, in one that is known. */
function assertFaithful(parse: Parse): void {
	const tree = createHash('sha256')
		.update(JSON.stringify(parse(PROBE.sql)))
		.digest('hex');
	if (tree !== PROBE.sha256) throw new Error('the engine does not give the parse tree that its version is known for');
}

/** The hash is that of what the native engine gives, as JSON. */
export const PROBE = {
	sql: `WITH RECURSIVE "größer als elf Byte" AS (SELECT a.b, lower('x') AS c FROM s.t AS a(b) WHERE EXISTS (FROM range(3)) AND NOT b IN (1, 2.5, 1e9, NULL, TRUE)
		UNION ALL SELECT * FROM read_text('/a' || $$b$$)) SELECT DISTINCT * EXCLUDE (z) REPLACE (1 AS y), system.main.sum(x) FILTER (WHERE x > 1) OVER (ORDER BY y DESC), list_transform([1], lambda v: v + ?),
		170141183460469231731687303715884105727, CASE WHEN a.b THEN DATE '2024-01-01' ELSE CAST(c AS DECIMAL(4, 2)) END FROM "größer als elf Byte", 'f.csv' TABLESAMPLE 10%,
		LATERAL (PIVOT t ON k IN ('a') USING count(*)), (SUMMARIZE t), query('SELECT 1') GROUP BY CUBE (a, b) HAVING count(*) > 1 QUALIFY TRUE ORDER BY ALL LIMIT 1.5%`,
	sha256: '5d2214a4f0ace6b14476281615c0cd31fdb95e831e42e7de5ed409aa156c34c2',
};
