/** Looks at the bytes of a file, not at its name, and says what it is: a hostile file is refused here, with the reason. */
import {isUtf8} from 'node:buffer';
import {closeSync, openSync, readSync} from 'node:fs';
import {Readable, type Transform} from 'node:stream';
import {createGunzip} from 'node:zlib';
import {RunnerError} from '../frames.ts';

export type Encoding = 'utf-8' | 'utf-16le' | 'utf-16be' | 'windows-1252';
export type Format = 'csv' | 'json' | 'parquet' | 'xlsx';

export type Recognised = {
	readonly format: Format;
	readonly gzip: boolean;
	readonly encoding: Encoding;
	/** the beginning of the text, decoded */
	readonly head: string;
};

const HEAD_BYTES = 1 << 20;
const CHUNK = 4 << 20;

/** A gzip file that unpacks to more than this many times its size, beyond the first bytes, is a bomb. */
const MAX_RATIO = 200;
const RATIO_FROM = 64 << 20;

const FOREIGN: readonly (readonly [bytes: readonly number[], what: string])[] = [
	[[0xff, 0xd8, 0xff], 'a JPEG image'],
	[[0x89, 0x50, 0x4e, 0x47], 'a PNG image'],
	[[0x47, 0x49, 0x46, 0x38], 'a GIF image'],
	[[0x25, 0x50, 0x44, 0x46], 'a PDF document'],
	[[0x7f, 0x45, 0x4c, 0x46], 'a program'],
	[[0x4d, 0x5a, 0x90], 'a program'],
	[[0xd0, 0xcf, 0x11, 0xe0], 'an encrypted workbook or one of an old Excel'],
	[[0x52, 0x61, 0x72, 0x21], 'a RAR archive'],
	[[0x37, 0x7a, 0xbc, 0xaf], 'a 7z archive'],
	[[0x28, 0xb5, 0x2f, 0xfd], 'a zstd archive'],
	[[0x42, 0x5a, 0x68], 'a bzip2 archive'],
	[[0x53, 0x51, 0x4c, 0x69, 0x74, 0x65], 'an SQLite database'],
];

const PARQUET = [0x50, 0x41, 0x52, 0x31];
const ZIP = [0x50, 0x4b, 0x03, 0x04];
const GZIP = [0x1f, 0x8b];

/**
 * Throws `unreadable_file` for what is not tabular data. Of plain delimited text only the beginning is read: the engine finds what is
 * not UTF-8 further on. Packed text and JSON are read whole.
 */
export async function recognise(path: string, name: string): Promise<Recognised> {
	const start = readHead(path, 16);
	if (start.length === 0) throw unreadable(name, 'it is empty', 'add at least a header line');
	const foreign = FOREIGN.find(([bytes]) => startsWith(start, bytes));
	if (foreign) throw unreadable(name, `it is ${foreign[1]}, whatever its name says`, 'save it as CSV, XLSX, JSON or Parquet');
	const plain = {gzip: false, encoding: 'utf-8', head: ''} as const;
	if (startsWith(start, PARQUET)) return {...plain, format: 'parquet'};
	if (startsWith(start, ZIP)) return {...plain, format: 'xlsx'};
	const gzip = startsWith(start, GZIP);
	const text = () => (gzip ? gunzipped(path, name) : chunks(path));
	const begun = await readText(text(), name, gzip ? Number.POSITIVE_INFINITY : HEAD_BYTES);
	if (!isJson(begun.head, name)) return {format: 'csv', gzip, ...begun};
	return {format: 'json', gzip, ...(gzip ? begun : await readText(text(), name, Number.POSITIVE_INFINITY))};
}

export function unreadable(name: string, reason: string, hint: string): RunnerError {
	return new RunnerError('unreadable_file', `\`${name}\` cannot be read: ${reason}`, {hint, details: {file: name}});
}

/** What the engine objected to in a file, for its owner. */
export function engineRefusal(error: unknown, name: string): RunnerError {
	if (error instanceof RunnerError) return error;
	const message = error instanceof Error ? error.message : String(error);
	if (/out of memory|max_temp_directory_size/i.test(message))
		return new RunnerError('runner_resource_exceeded', `\`${name}\` needs more memory than the sandbox has`, {
			hint: 'split the file by rows or columns, or raise WRIT_SANDBOX_MEMORY_MB',
			details: {limit: 'memoryBytes'},
		});
	if (/No space left|File too large|write file/i.test(message))
		return new RunnerError('runner_resource_exceeded', `there is no room for \`${name}\``, {
			hint: 'free some space where the datasets are kept',
			details: {limit: 'fileBytes'},
		});
	return unreadable(name, plainReason(message), 'check the file with the program that wrote it');
}

/** The engine's first line, without what only its developers need. */
export function plainReason(message: string): string {
	const [first = message] = message.split('\n');
	return first
		.replace(/^([A-Z][A-Za-z]* )+Error: /, '')
		.replace(/,? (in|from) file (["'])\/[^"']*\2/g, '')
		.replace(/file (["'])\/[^"']*\1/g, 'the file')
		.trim()
		.replace(/\.$/, '');
}

/** The text of a file in its own encoding, from its beginning. */
export async function* textOf(path: string, name: string, {gzip, encoding}: Recognised): AsyncGenerator<string> {
	const decoder = new TextDecoder(encoding);
	for await (const chunk of gzip ? gunzipped(path, name) : chunks(path)) yield decoder.decode(chunk, {stream: true});
	yield decoder.decode();
}

function startsWith(bytes: Buffer, expected: readonly number[]): boolean {
	return expected.every((byte, index) => bytes[index] === byte);
}

function readHead(path: string, length: number): Buffer {
	const descriptor = openSync(path, 'r');
	const bytes = Buffer.alloc(length);
	const count = readSync(descriptor, bytes, 0, length, 0);
	closeSync(descriptor);
	return bytes.subarray(0, count);
}

async function* chunks(path: string): AsyncGenerator<Buffer> {
	const descriptor = openSync(path, 'r');
	try {
		for (;;) {
			const bytes = Buffer.allocUnsafe(CHUNK);
			const count = readSync(descriptor, bytes, 0, CHUNK, null);
			if (count === 0) return;
			yield bytes.subarray(0, count);
		}
	} finally {
		closeSync(descriptor);
	}
}

/** What `transform` makes of the pieces; an error of either ends both. */
export function through(pieces: AsyncIterable<Buffer> | Iterable<Buffer>, transform: Transform): AsyncIterable<Buffer> {
	const source = Readable.from(pieces);
	source.on('error', (error) => transform.destroy(error));
	return source.pipe(transform);
}

async function* gunzipped(path: string, name: string): AsyncGenerator<Buffer> {
	let packed = 0;
	let unpacked = 0;
	const counted = async function* () {
		for await (const chunk of chunks(path)) {
			packed += chunk.length;
			yield chunk;
		}
	};
	try {
		for await (const chunk of through(counted(), createGunzip())) {
			unpacked += chunk.length;
			if (unpacked > RATIO_FROM && unpacked > packed * MAX_RATIO)
				throw unreadable(name, `it unpacks to more than ${MAX_RATIO} times its size`, 'unpack it and add the file itself');
			yield chunk;
		}
	} catch (error) {
		if (error instanceof RunnerError) throw error;
		throw unreadable(name, 'the gzip data is damaged', 'pack it again');
	}
}

/** Whether every byte is UTF-8. */
export async function isWholeUtf8(path: string, name: string, gzip: boolean): Promise<boolean> {
	const check = new Utf8Check();
	for await (const chunk of gzip ? gunzipped(path, name) : chunks(path)) check.add(chunk);
	return check.passed();
}

/** Reads at least `wanted` bytes, if there are as many. */
async function readText(
	source: AsyncIterable<Buffer>,
	name: string,
	wanted: number,
): Promise<{encoding: Encoding; head: string}> {
	let head = Buffer.alloc(0);
	let [read, ended] = [0, true];
	const check = new Utf8Check();
	let wide: Encoding | undefined;
	for await (const chunk of source) {
		if (head.length < HEAD_BYTES) head = Buffer.concat([head, chunk.subarray(0, HEAD_BYTES - head.length)]);
		wide ??= wideEncoding(head);
		if (wide) break;
		if (chunk.includes(0)) throw unreadable(name, 'it holds binary data', 'save it as CSV, XLSX, JSON or Parquet');
		check.add(chunk);
		read += chunk.length;
		ended = read < wanted;
		if (!ended) break;
	}
	if (head.length === 0) throw unreadable(name, 'it is empty', 'add at least a header line');
	const encoding = wide ?? (check.passed(ended) ? 'utf-8' : 'windows-1252');
	const text = new TextDecoder(encoding).decode(
		head.subarray(0, encoding === 'utf-8' ? head.length - unfinished(head) : head.length),
	);
	if (text.trim() === '') throw unreadable(name, 'it is empty', 'add at least a header line');
	assertText(text, name);
	return {encoding, head: text};
}

/** Whether chunks make up UTF-8, also where a character is split between two. */
class Utf8Check {
	#carry = Buffer.alloc(0);
	#valid = true;

	add(chunk: Buffer): void {
		if (!this.#valid) return;
		const whole = this.#carry.length > 0 ? Buffer.concat([this.#carry, chunk]) : chunk;
		const cut = whole.length - unfinished(whole);
		this.#valid = isUtf8(whole.subarray(0, cut));
		this.#carry = Buffer.from(whole.subarray(cut));
	}

	/** `ended` is false where a character may go on in what was not read. */
	passed(ended = true): boolean {
		return this.#valid && (!ended || this.#carry.length === 0);
	}
}

function wideEncoding(head: Buffer): Encoding | undefined {
	if (head[0] === 0xff && head[1] === 0xfe) return 'utf-16le';
	if (head[0] === 0xfe && head[1] === 0xff) return 'utf-16be';
	// Without a mark: text of Latin letters has its zeros in every other place.
	const sample = head.subarray(0, 512);
	const zeros = [0, 1].map((parity) => sample.filter((byte, index) => index % 2 === parity && byte === 0).length) as [
		number,
		number,
	];
	if (zeros[1] > sample.length / 4 && zeros[0] === 0) return 'utf-16le';
	if (zeros[0] > sample.length / 4 && zeros[1] === 0) return 'utf-16be';
	return undefined;
}

/** Bytes at the end that begin a character whose rest is in the next chunk. */
function unfinished(bytes: Buffer): number {
	const tail = bytes.subarray(-3);
	const start = tail.findLastIndex((byte) => byte >= 0xc0);
	if (start < 0) return 0;
	const first = tail[start] ?? 0;
	const whole = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
	return tail.length - start < whole ? tail.length - start : 0;
}

function assertText(text: string, name: string): void {
	// biome-ignore lint/suspicious/noControlCharactersInRegex: -- control characters are what tells noise from text
	const noise = text.match(/[\u0000-\u0008\u000e-\u001f\u007f-\u0084\u0086-\u009f\ufffd]/g)?.length ?? 0;
	if (noise > Math.max(8, text.length / 50))
		throw unreadable(name, 'it holds binary data', 'save it as CSV, XLSX, JSON or Parquet');
}

function isJson(head: string, name: string): boolean {
	const first = head.replace(/^\ufeff/, '').trimStart()[0];
	if (/\.(json|ndjson|jsonl|geojson)(\.gz)?$/i.test(name)) return true;
	return (first === '[' || first === '{') && !/\.(csv|tsv|txt)(\.gz)?$/i.test(name) && /^\s*[[{]\s*["{[\]}]/.test(head);
}
