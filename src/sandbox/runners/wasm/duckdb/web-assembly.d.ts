/** The part of the language that TypeScript knows of browsers only: what engine.ts and callbacks.ts use. */
declare namespace WebAssembly {
	class Module {
		constructor(bytes: Uint8Array<ArrayBuffer>);
		static imports(module: Module): {readonly module: string; readonly name: string; readonly kind: string}[];
		static customSections(module: Module, name: string): ArrayBuffer[];
	}
	class Instance {
		constructor(module: Module, imports: Readonly<Record<string, Readonly<Record<string, ImportValue>>>>);
		readonly exports: Exports;
	}
	class Memory {
		/** in pages of 64 KiB */
		constructor(size: {readonly initial: number; readonly maximum: number});
		readonly buffer: ArrayBuffer;
		grow(pages: number): number;
	}
	class Table {
		constructor(size: {readonly initial: number; readonly element: 'anyfunc'});
		get(entry: number): unknown;
		set(entry: number, value: unknown): void;
		grow(entries: number): number;
	}
	class Global {
		constructor(type: {readonly value: 'i32'; readonly mutable: boolean}, value: number);
		value: number;
	}
	class Tag {
		constructor(type: {readonly parameters: readonly string[]});
	}
	type ImportValue = Memory | Table | Global | Tag | ((...given: never[]) => unknown);
	type ExportValue = Memory | Table | Global | ((...given: never[]) => unknown);
	type Exports = Readonly<Record<string, ExportValue>>;
}
