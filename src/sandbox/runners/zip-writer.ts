/** Writes a ZIP archive front to back: one entry at a time, each compressed as it is fed, nothing held in memory. */
import {closeSync, openSync, writeSync} from 'node:fs';
import {crc32, createDeflateRaw} from 'node:zlib';

/** The format's limit without its 64-bit extension, which not every spreadsheet reads. */
const MAX_BYTES = 0xffffffff;

const DEFLATE = 8;
const SIZES_FOLLOW = 0x0008;
const UTF8_NAMES = 0x0800;
const VERSION = 20;
/** 1980-01-01, the format's earliest: equal contents make equal files. */
const DATE = 0x0021;

type Entry = {
	readonly name: string;
	readonly offset: number;
	readonly crc: number;
	readonly compressed: number;
	readonly size: number;
};

export class ZipWriter {
	readonly #descriptor: number;
	readonly #entries: Entry[] = [];
	#offset = 0;

	constructor(path: string) {
		this.#descriptor = openSync(path, 'w');
	}

	/** Adds an entry from the pieces of text that `parts` yields. */
	async add(name: string, parts: AsyncIterable<string> | Iterable<string>): Promise<void> {
		const offset = this.#offset;
		this.#write(this.#header(0x04034b50, name, [0, 0, 0], Buffer.alloc(0)));
		const start = this.#offset;
		const deflate = createDeflateRaw({level: 5});
		deflate.on('data', (chunk: Buffer) => this.#write(chunk));
		const ended = new Promise<void>((resolve, reject) => deflate.once('end', resolve).once('error', reject));
		let [crc, size] = [0, 0];
		for await (const part of parts) {
			const bytes = Buffer.from(part, 'utf8');
			crc = crc32(bytes, crc);
			size += bytes.length;
			if (!deflate.write(bytes)) await new Promise((resolve) => deflate.once('drain', resolve));
		}
		deflate.end();
		await ended;
		const compressed = this.#offset - start;
		if (size > MAX_BYTES || this.#offset > MAX_BYTES) throw new RangeError('the archive is larger than 4 GiB');
		this.#write(words(0x08074b50, crc, compressed, size));
		this.#entries.push({name, offset, crc, compressed, size});
	}

	/** Writes the directory and returns the size of the file. */
	close(): number {
		const start = this.#offset;
		for (const {name, offset, crc, compressed, size} of this.#entries) {
			const tail = Buffer.alloc(14);
			tail.writeUInt32LE(offset, 10);
			this.#write(this.#header(0x02014b50, name, [crc, compressed, size], tail));
		}
		const end = Buffer.alloc(22);
		end.writeUInt32LE(0x06054b50, 0);
		end.writeUInt16LE(this.#entries.length, 8);
		end.writeUInt16LE(this.#entries.length, 10);
		end.writeUInt32LE(this.#offset - start, 12);
		end.writeUInt32LE(start, 16);
		this.#write(end);
		closeSync(this.#descriptor);
		return this.#offset;
	}

	/** Local header and directory record share all but the version that made them and their tail. */
	#header(signature: number, name: string, [crc, compressed, size]: readonly [number, number, number], tail: Buffer): Buffer {
		const inDirectory = tail.length > 0;
		const fields = Buffer.alloc(22);
		fields.writeUInt16LE(SIZES_FOLLOW | UTF8_NAMES, 0);
		fields.writeUInt16LE(DEFLATE, 2);
		fields.writeUInt16LE(DATE, 6);
		fields.writeUInt32LE(crc, 8);
		fields.writeUInt32LE(compressed, 12);
		fields.writeUInt32LE(size, 16);
		fields.writeUInt16LE(Buffer.byteLength(name), 20);
		const versions = Buffer.alloc(inDirectory ? 4 : 2);
		for (let at = 0; at < versions.length; at += 2) versions.writeUInt16LE(VERSION, at);
		return Buffer.concat([words(signature), versions, fields, Buffer.alloc(2), tail, Buffer.from(name, 'utf8')]);
	}

	#write(bytes: Buffer): void {
		for (let written = 0; written < bytes.length; ) written += writeSync(this.#descriptor, bytes, written);
		this.#offset += bytes.length;
	}
}

function words(...values: readonly number[]): Buffer {
	const bytes = Buffer.alloc(values.length * 4);
	for (const [index, value] of values.entries()) bytes.writeUInt32LE(value >>> 0, index * 4);
	return bytes;
}
