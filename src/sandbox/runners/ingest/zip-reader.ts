/** Reads ZIP archives that nobody vouches for: sizes are counted while unpacking, never believed. */
import {closeSync, fstatSync, openSync, readSync} from 'node:fs';
import {createInflateRaw} from 'node:zlib';
import {RunnerError} from '../frames.ts';
import {through, unreadable} from './recognise.ts';

const MAX_ENTRIES = 10_000;
const MAX_UNPACKED = 4 * 2 ** 30;
const MAX_RATIO = 250;
/** Small archives may shrink well without being bombs. */
const RATIO_FROM = 64 << 20;
const CHUNK = 1 << 20;

type Entry = {readonly offset: number; readonly compressed: number; readonly method: number; readonly encrypted: boolean};

export class ZipReader {
	readonly #name: string;
	readonly #descriptor: number;
	readonly #size: number;
	readonly #entries: ReadonlyMap<string, Entry>;
	#unpacked = 0;

	constructor(path: string, name: string) {
		this.#name = name;
		this.#descriptor = openSync(path, 'r');
		this.#size = fstatSync(this.#descriptor).size;
		this.#entries = this.#readDirectory();
	}

	has(entry: string): boolean {
		return this.#entries.has(entry);
	}

	names(): readonly string[] {
		return [...this.#entries.keys()];
	}

	close(): void {
		closeSync(this.#descriptor);
	}

	/** The text of an entry, as it is unpacked. */
	async *text(entry: string): AsyncGenerator<string> {
		const found = this.#entries.get(entry);
		if (!found) throw this.#damaged();
		if (found.encrypted) throw unreadable(this.#name, 'it is encrypted', 'save it without a password');
		const decoder = new TextDecoder();
		for await (const chunk of this.#unpack(found)) yield decoder.decode(chunk, {stream: true});
		yield decoder.decode();
	}

	async *#unpack(entry: Entry): AsyncGenerator<Buffer> {
		if (entry.method !== 0 && entry.method !== 8) throw this.#damaged();
		const packed = this.#packed(entry);
		const stream = entry.method === 8 ? through(packed, createInflateRaw()) : packed;
		try {
			for await (const chunk of stream) {
				this.#unpacked += chunk.length;
				const bomb = this.#unpacked > RATIO_FROM && this.#unpacked > this.#size * MAX_RATIO;
				if (bomb || this.#unpacked > MAX_UNPACKED)
					throw unreadable(this.#name, 'it unpacks to far more than its size (a zip bomb)', 'save the sheet as CSV');
				yield chunk;
			}
		} catch (error) {
			if (error instanceof RunnerError) throw error;
			throw this.#damaged();
		}
	}

	*#packed({offset, compressed}: Entry): Generator<Buffer> {
		const header = this.#read(offset, 30);
		if (header.length < 30 || header.readUInt32LE(0) !== 0x04034b50) throw this.#damaged();
		let at = offset + 30 + header.readUInt16LE(26) + header.readUInt16LE(28);
		const end = Math.min(at + compressed, this.#size);
		while (at < end) {
			const chunk = this.#read(at, Math.min(CHUNK, end - at));
			if (chunk.length === 0) return;
			at += chunk.length;
			yield chunk;
		}
	}

	#readDirectory(): Map<string, Entry> {
		const tail = this.#read(Math.max(0, this.#size - 65_557), 65_557);
		const end = tail.lastIndexOf(Buffer.from([0x50, 0x4b, 0x05, 0x06]));
		if (end < 0 || tail.length < end + 22) throw this.#damaged();
		const count = tail.readUInt16LE(end + 10);
		const size = tail.readUInt32LE(end + 12);
		if (count > MAX_ENTRIES) throw unreadable(this.#name, `it holds more than ${MAX_ENTRIES} files`, 'save the sheet as CSV');
		if (size > this.#size) throw this.#damaged();
		const directory = this.#read(tail.readUInt32LE(end + 16), size);
		const entries = new Map<string, Entry>();
		for (let at = 0; at + 46 <= directory.length && entries.size < count; ) {
			if (directory.readUInt32LE(at) !== 0x02014b50) throw this.#damaged();
			const [nameLength, extra, comment] = [28, 30, 32].map((field) => directory.readUInt16LE(at + field)) as [
				number,
				number,
				number,
			];
			const name = directory.toString('utf8', at + 46, at + 46 + nameLength);
			entries.set(name, {
				offset: directory.readUInt32LE(at + 42),
				compressed: directory.readUInt32LE(at + 20),
				method: directory.readUInt16LE(at + 10),
				encrypted: (directory.readUInt16LE(at + 8) & 1) === 1,
			});
			at += 46 + nameLength + extra + comment;
		}
		return entries;
	}

	#read(position: number, length: number): Buffer {
		const bytes = Buffer.alloc(length);
		return bytes.subarray(0, readSync(this.#descriptor, bytes, 0, length, position));
	}

	#damaged(): RunnerError {
		return unreadable(this.#name, 'the archive is damaged', 'open it in a spreadsheet and save it anew');
	}
}
