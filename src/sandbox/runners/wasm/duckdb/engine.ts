/**
 * Starts DuckDB-Wasm without the JavaScript that its package brings. The module gets memory, a clock and random numbers; every other
 * import fails, so it has no file, no socket and no JavaScript to call, whatever a statement asks of it.
 */
import {randomFillSync} from 'node:crypto';
import {readFileSync} from 'node:fs';
import {keepExports, readNumber} from './keep-exports.ts';

const PAGE = 65_536;
const MIB = 2 ** 20;
/** The stack grows down to address 0: a stack that overflows leaves the memory, which is a trap, rather than run into data. */
const STACK_BYTES = 8 * MIB;
/** What the module's own table needs, with its first entry left empty. */
const TABLE_BASE = 1;
/** Of WASI: the function is not there. */
const NO_SUCH_CALL = 52;

type Call = (...given: readonly (number | bigint)[]) => number | bigint;

export type Engine = {
	readonly memory: WebAssembly.Memory;
	readonly table: WebAssembly.Table;
	/** an export by its linker name; 64-bit numbers are bigint, both ways */
	call(name: string, ...given: readonly (number | bigint)[]): number | bigint;
	/** where a global of the module lies */
	address(name: string): number;
};

type Globals = Readonly<Record<'__stack_pointer' | '__memory_base' | '__table_base', WebAssembly.Global>>;

/** `path` is that of `duckdb-eh.wasm`. `maxPages` caps its memory. Throws what WebAssembly does when the file is another one. */
export function startEngine(path: string, maxPages: number): Engine {
	const module = new WebAssembly.Module(keepExports(readFileSync(path), isNeeded));
	const {memoryBytes, tableEntries} = sizesOf(module);
	const heap = STACK_BYTES + align(memoryBytes);
	const memory = new WebAssembly.Memory({initial: Math.ceil(heap / PAGE) + 256, maximum: maxPages});
	const table = new WebAssembly.Table({initial: TABLE_BASE + tableEntries, element: 'anyfunc'});
	const global = (value: number, mutable = false) => new WebAssembly.Global({value: 'i32', mutable}, value);
	const globals: Globals = {
		__stack_pointer: global(STACK_BYTES, true),
		__memory_base: global(STACK_BYTES),
		__table_base: global(TABLE_BASE),
	};
	const {imports, got} = importsOf(module, {memory, table, globals, maxPages});
	const {exports} = new WebAssembly.Instance(module, imports);
	const engine = engineOf(exports, memory, table);
	const places: Readonly<Record<string, number>> = {__heap_base: heap, __stack_high: STACK_BYTES, __stack_low: 0};
	for (const [name, slot] of got) slot.value = places[name] ?? engine.address(name);
	engine.call('__wasm_apply_data_relocs');
	engine.call('__wasm_call_ctors');
	return engine;
}

/** What is called by name. */
function isNeeded(name: string): boolean {
	return /^(orig\$)?duckdb_(?!web)/.test(name) || NEEDED.has(name);
}

const NEEDED: ReadonlySet<string> = new Set([
	...['__wasm_apply_data_relocs', '__wasm_call_ctors', 'malloc', 'free'],
	...['_ZN6duckdb6ParserC1ENS_13ParserOptionsE', '_ZN6duckdb6ParserD2Ev'],
	'_ZN6duckdb6Parser10ParseQueryERKNSt3__212basic_stringIcNS1_11char_traitsIcEENS1_9allocatorIcEEEE',
	...['_ZTVN6duckdb15SelectStatementE', '_ZNK6duckdb15SelectStatement9SerializeERNS_10SerializerE'],
	'_ZN6duckdb26SerializationCompatibility7DefaultEv',
]);

function align(bytes: number): number {
	return Math.ceil(bytes / 16) * 16;
}

/** The linker's note of what the module takes of memory and table: its first two numbers, then alignments. */
function sizesOf(module: WebAssembly.Module): {memoryBytes: number; tableEntries: number} {
	const [section] = WebAssembly.Module.customSections(module, 'dylink.0');
	if (!section) throw new Error('the Wasm module is not relocatable');
	const bytes = new Uint8Array(section);
	// Before them are the kind of the subsection and its length, which is below 128.
	const memory = readNumber(bytes, 2);
	const table = readNumber(bytes, readNumber(bytes, memory.next).next);
	return {memoryBytes: memory.value, tableEntries: table.value};
}

type Given = {
	readonly memory: WebAssembly.Memory;
	readonly table: WebAssembly.Table;
	readonly globals: Globals;
	readonly maxPages: number;
};
type Slots = Map<string, WebAssembly.Global>;

function importsOf(module: WebAssembly.Module, {memory, table, globals, maxPages}: Given) {
	/** Of data by its linker name. The functions that are asked for are not there, in no build for Node: a call of one is a trap. */
	const got: Slots = new Map();
	const tag = () => new WebAssembly.Tag({parameters: ['i32']});
	const own: Readonly<Record<string, WebAssembly.ImportValue>> = {
		...{memory, __indirect_function_table: table, __cpp_exception: tag(), __c_longjmp: tag()},
		...globals,
		...callsOf(memory, maxPages),
	};
	const imports: Record<string, Record<string, WebAssembly.ImportValue>> = {};
	for (const {module: from, name, kind} of WebAssembly.Module.imports(module)) {
		imports[from] ??= {};
		if (from === 'GOT.func' || from === 'GOT.mem') {
			const slot = new WebAssembly.Global({value: 'i32', mutable: true}, 0);
			if (from === 'GOT.mem') got.set(name, slot);
			imports[from][name] = slot;
		} else imports[from][name] = own[name] ?? (kind === 'function' ? refused(name) : missing(name));
	}
	return {imports, got};
}

function missing(name: string): never {
	throw new Error(`the Wasm module wants \`${name}\`, which is not known`);
}

/** Registrations for JavaScript are of no interest; a call of the system ends as on a system that has none. */
function refused(name: string): Call {
	if (name.startsWith('_embind_register') || name.startsWith('_emscripten_')) return () => 0;
	if (name.startsWith('__syscall_')) return () => -NO_SUCH_CALL;
	return () => NO_SUCH_CALL;
}

function callsOf(memory: WebAssembly.Memory, maxPages: number): Record<string, Call> {
	const view = () => new DataView(memory.buffer);
	const nothing = (count: number | bigint, size: number | bigint) => {
		view().setUint32(Number(count), 0, true);
		view().setUint32(Number(size), 0, true);
		return 0;
	};
	return {
		_emscripten_memcpy_js(to, from, size) {
			new Uint8Array(memory.buffer).copyWithin(Number(to), Number(from), Number(from) + Number(size));
			return 0;
		},
		emscripten_resize_heap(wanted) {
			const pages = Math.ceil((Number(wanted) >>> 0) / PAGE) - memory.buffer.byteLength / PAGE;
			const room = maxPages - memory.buffer.byteLength / PAGE;
			if (pages > room) return 0;
			try {
				memory.grow(Math.min(room, Math.max(pages, 256)));
				return 1;
			} catch {
				return 0; // the engine says that memory ran out
			}
		},
		emscripten_get_heap_max: () => maxPages * PAGE,
		emscripten_date_now: () => Date.now(),
		emscripten_get_now: () => performance.now(),
		emscripten_get_now_res: () => 0.001,
		_emscripten_get_now_is_monotonic: () => 1,
		environ_sizes_get: (count = 0, size = 0) => nothing(count, size),
		environ_get: () => 0,
		random_get(to, size) {
			randomFillSync(new Uint8Array(memory.buffer, Number(to), Number(size)));
			return 0;
		},
		__syscall_getcwd(to) {
			view().setUint16(Number(to), 0x2f, true); // "/"
			return 2;
		},
		_abort_js: () => missing('abort'),
		proc_exit: () => missing('exit'),
		exit: () => missing('exit'),
		__assert_fail: () => missing('assert'),
	};
}

function engineOf(exports: WebAssembly.Exports, memory: WebAssembly.Memory, table: WebAssembly.Table): Engine {
	// Exports with 64-bit numbers come twice: split in halves for JavaScript of old, and as they are.
	const find = (name: string) => exports[`orig$${name}`] ?? exports[name];
	return {
		...{memory, table},
		call(name, ...given) {
			const found = find(name);
			if (typeof found !== 'function') return missing(name);
			return (found as Call)(...given);
		},
		address(name) {
			const found = exports[name];
			if (!(found instanceof WebAssembly.Global)) return missing(name);
			return STACK_BYTES + Number(found.value);
		},
	};
}
