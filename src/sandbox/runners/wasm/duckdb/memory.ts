/** Reads and writes the engine's memory, which moves whenever it grows: nothing here is kept between two calls. */
import type {Engine} from './engine.ts';

export type Memory = {
	view(): DataView;
	/** a view of what lies there, not a copy */
	bytes(at: number, length: number): Uint8Array<ArrayBuffer>;
	pointer(at: number): number;
	/** text up to its NUL; '' at address 0 */
	text(at: number): string;
	utf8(at: number, length: number): string;
	/** zeroed, to be given back by `free` */
	allocate(bytes: number): number;
	free(at: number): void;
	/** runs `use` with the address of the text, which ends with NUL */
	withText<T>(value: string, use: (at: number) => T): T;
	/** runs `use` with an address of that many zeroed bytes */
	withBytes<T>(count: number, use: (at: number) => T): T;
};

const encoder = new TextEncoder();
// Without `fatal`: the engine holds valid UTF-8 only.
const decoder = new TextDecoder('utf-8', {ignoreBOM: true});

export function memoryOf(engine: Engine): Memory {
	const view = () => new DataView(engine.memory.buffer as ArrayBuffer);
	const bytes = (at: number, length: number) => new Uint8Array(engine.memory.buffer as ArrayBuffer, at, length);
	const allocate = (count: number) => {
		const at = Number(engine.call('malloc', count)) >>> 0;
		if (at === 0) throw new Error('Out of Memory Error: the sandbox has no more memory');
		bytes(at, count).fill(0);
		return at;
	};
	const free = (at: number) => void engine.call('free', at);
	const withBytes = <T>(count: number, use: (at: number) => T): T => {
		const at = allocate(count);
		try {
			return use(at);
		} finally {
			free(at);
		}
	};
	const utf8 = (at: number, length: number) => decoder.decode(bytes(at, length));
	return {
		...{view, bytes, allocate, free, withBytes, utf8},
		pointer: (at) => view().getUint32(at, true),
		text: (at) => (at === 0 ? '' : utf8(at, new Uint8Array(engine.memory.buffer).indexOf(0, at) - at)),
		withText(value, use) {
			const encoded = encoder.encode(value);
			return withBytes(encoded.length + 1, (at) => {
				bytes(at, encoded.length).set(encoded);
				return use(at);
			});
		},
	};
}
