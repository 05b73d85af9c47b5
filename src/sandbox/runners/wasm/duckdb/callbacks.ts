/** Makes functions of JavaScript callable through the table of a Wasm module, by a module that does nothing but pass them on. */
import {Buffer} from 'node:buffer';
import type {Engine} from './engine.ts';
import {toNumber} from './keep-exports.ts';

/** Parameters by letter: `i` and `j` are integers of 32 and 64 bits, `f` and `d` floats of 32 and 64. Nothing is returned. */
export type Callback = {readonly parameters: string; readonly run: (...given: never[]) => void};

const LETTERS: Readonly<Record<string, number>> = {i: 0x7f, j: 0x7e, f: 0x7d, d: 0x7c};

/** The entries of the table at which the callbacks stand from now on, in their order. */
export function addCallbacks(callbacks: readonly Callback[], {table}: Engine): number[] {
	const module = new WebAssembly.Module(moduleOf(callbacks));
	const {exports} = new WebAssembly.Instance(module, {
		js: Object.fromEntries(callbacks.map(({run}, index) => [`f${index}`, run])),
	});
	const first = table.grow(callbacks.length);
	return callbacks.map((_, index) => {
		table.set(first + index, exports[`f${index}`]);
		return first + index;
	});
}

function moduleOf(callbacks: readonly Callback[]): Uint8Array<ArrayBuffer> {
	const types = callbacks.map(({parameters}) => [0x60, ...counted([...parameters].map((letter) => LETTERS[letter] ?? 0)), 0]);
	const imports = callbacks.map((_, index) => [...text('js'), ...text(`f${index}`), 0, ...toNumber(index)]);
	const exports = callbacks.map((_, index) => [...text(`f${index}`), 0, ...toNumber(index)]);
	const magic = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
	return Uint8Array.from([...magic, ...section(1, types), ...section(2, imports), ...section(7, exports)]);
}

function section(id: number, entries: readonly (readonly number[])[]): number[] {
	return [id, ...counted([...toNumber(entries.length), ...entries.flat()])];
}

function text(name: string): number[] {
	return counted([...Buffer.from(name)]);
}

function counted(bytes: readonly number[]): number[] {
	return [...toNumber(bytes.length), ...bytes];
}
