/** Files to and from a pod, as tar. What comes back was written by whoever ran inside: it is read strictly, and only plain files come out. */
import {createReadStream} from 'node:fs';
import {WritError} from '#contract/errors.ts';

export type TarEntry = {
	/** inside the archive, relative, without `.` and `..` */
	readonly path: string;
	/** absent for a directory */
	readonly file?: {readonly source: string; readonly bytes: number};
};

const BLOCK = 512;
const NAME_BYTES = 100;
/** Sizes up to here fit into eleven octal digits. */
const MAX_OCTAL = 8 ** 11;

/** The archive of `entries`, piece by piece. Throws when a file is not as long as it was. */
export async function* writeTar(
	entries: Iterable<TarEntry>,
	onFile: (path: string, chunk: Buffer) => void,
): AsyncGenerator<Buffer> {
	for (const {path, file} of entries) {
		yield headerOf(path, file?.bytes ?? 0, file ? '0' : '5');
		if (!file) continue;
		const sent = {bytes: 0};
		for await (const chunk of createReadStream(file.source) as AsyncIterable<Buffer>) {
			sent.bytes += chunk.length;
			onFile(path, chunk);
			yield chunk;
		}
		if (sent.bytes !== file.bytes)
			throw new WritError('sandbox_unavailable', `${file.source} changed while it was sent to the pod`);
		yield Buffer.alloc(padding(file.bytes));
	}
	yield Buffer.alloc(2 * BLOCK);
}

/** How long the archive will be. */
export function tarLength(entries: Iterable<TarEntry>): number {
	const lengths = [...entries].map(({path, file}) => {
		const bytes = file?.bytes ?? 0;
		return headerOf(path, bytes, '0').length + bytes + padding(bytes);
	});
	return lengths.reduce((total, length) => total + length, 2 * BLOCK);
}

function headerOf(path: string, bytes: number, type: string): Buffer {
	const long = Buffer.byteLength(path) > NAME_BYTES;
	const records = [...(long ? [record('path', path)] : []), ...(bytes >= MAX_OCTAL ? [record('size', String(bytes))] : [])];
	const header = block(long ? 'long' : path, bytes >= MAX_OCTAL ? 0 : bytes, type);
	if (records.length === 0) return header;
	const extended = Buffer.concat(records);
	return Buffer.concat([block('pax', extended.length, 'x'), extended, Buffer.alloc(padding(extended.length)), header]);
}

function block(name: string, bytes: number, type: string): Buffer {
	const header = Buffer.alloc(BLOCK);
	header.write(name, 0);
	header.write(type === '5' ? '0000755\0' : '0000644\0', 100);
	header.write('0000000\0'.repeat(2), 108);
	header.write(`${bytes.toString(8).padStart(11, '0')}\0`, 124);
	header.write('00000000000\0', 136);
	header.write(' '.repeat(8), 148);
	header.write(type, 156);
	header.write('ustar\u000000', 257);
	header.write(`${sum(header).toString(8).padStart(6, '0')}\0 `, 148);
	return header;
}

/** A pax record begins with its own length, which counts its own digits. */
function record(key: string, value: string): Buffer {
	const rest = ` ${key}=${value}\n`;
	const bytes = Buffer.byteLength(rest);
	const length = bytes + String(bytes + String(bytes).length).length;
	return Buffer.from(`${length}${rest}`);
}

function padding(bytes: number): number {
	return (BLOCK - (bytes % BLOCK)) % BLOCK;
}

function sum(header: Buffer): number {
	return header.reduce((total, byte, at) => total + (at >= 148 && at < 156 ? 0x20 : byte), 0);
}

type TarSink = {
	directory(path: string): void;
	/** returns what takes the file's bytes, then `undefined` at its end */
	file(path: string): (chunk: Buffer | undefined) => void;
};

type TarLimits = {readonly bytes: number; readonly entries: number};

export type TarReader = {
	push(chunk: Buffer): void;
	/** Throws unless the archive was complete. */
	end(): void;
};

type Body = {left: number; padding: number; take: (chunk: Buffer | undefined) => void};
type Reading = {
	pending: Buffer;
	body: Body | undefined;
	longName: string | undefined;
	ended: boolean;
	bytes: number;
	entries: number;
};

const MAX_PATH = 1_024;
const MAX_DEPTH = 32;
const MAX_EXTENSION = 64 * 1024;
const UTF8 = new TextDecoder('utf-8', {fatal: true});

/**
 * Reads an archive as it comes. Directories and regular files reach the sink; links, devices and everything else are passed over.
 * A path that leads out, a wrong checksum or more than the limits is a `runner_internal_error` or `runner_resource_exceeded`.
 */
export function createTarReader(limits: TarLimits, sink: TarSink): TarReader {
	const state: Reading = {pending: Buffer.alloc(0), body: undefined, longName: undefined, ended: false, bytes: 0, entries: 0};
	return {
		push(chunk) {
			if (state.ended) return; // tar pads its archive to a whole record
			state.pending = state.pending.length > 0 ? Buffer.concat([state.pending, chunk]) : chunk;
			while (!state.ended && (state.body ? takeBody(state) : takeHeader(state, limits, sink)));
		},
		end() {
			if (!state.ended) throw violation('is cut short');
		},
	};
}

/** True when something was taken, and more may follow. */
function takeBody(state: Reading): boolean {
	const {body, pending} = state;
	if (!body || (pending.length === 0 && body.left + body.padding > 0)) return false;
	const content = pending.subarray(0, body.left);
	if (content.length > 0) body.take(content);
	body.left -= content.length;
	const padded = body.left === 0 ? Math.min(body.padding, pending.length - content.length) : 0;
	body.padding -= padded;
	state.pending = pending.subarray(content.length + padded);
	if (body.left + body.padding > 0) return false;
	body.take(undefined);
	state.body = undefined;
	return true;
}

function takeHeader(state: Reading, limits: TarLimits, sink: TarSink): boolean {
	if (state.pending.length < BLOCK) return false;
	const header = state.pending.subarray(0, BLOCK);
	state.pending = state.pending.subarray(BLOCK);
	if (header.every((byte) => byte === 0)) {
		state.ended = true;
		return false;
	}
	if (octal(header, 148, 8) !== sum(header)) throw violation('has a wrong checksum');
	const bytes = octal(header, 124, 12);
	const type = String.fromCharCode(header[156] ?? 0);
	count(state, bytes, limits);
	const take = type === 'L' || type === 'x' ? extension(state, type, bytes) : entryOf(state, header, type, sink);
	state.body = {left: bytes, padding: padding(bytes), take};
	return true;
}

function count(state: Reading, bytes: number, limits: TarLimits): void {
	state.bytes += bytes;
	state.entries += 1;
	const [limit, value] = state.bytes > limits.bytes ? ['fileBytes', limits.bytes] : ['files', limits.entries];
	if (state.bytes <= limits.bytes && state.entries <= limits.entries) return;
	throw new WritError(
		'runner_resource_exceeded',
		`what the run left in /out is more than ${value} ${limit === 'files' ? 'files' : 'bytes'}`,
		{
			hint: 'ask for less data',
			details: {limit, value},
		},
	);
}

/** The name of the entry that follows: GNU's own form, or a pax record. */
function extension(state: Reading, type: 'L' | 'x', bytes: number): Body['take'] {
	if (bytes > MAX_EXTENSION) throw violation('has an overlong name');
	const chunks: Buffer[] = [];
	return (chunk) => {
		if (chunk) return void chunks.push(chunk);
		const text = decode(Buffer.concat(chunks));
		const name = type === 'L' ? text.replace(/\0.*$/s, '') : /(?:^|\n)\d+ path=([^\n]*)\n/.exec(text)?.[1];
		if (type === 'x' && /(?:^|\n)\d+ size=/.test(text)) throw violation('has a file of unusual size');
		state.longName = name ?? state.longName;
	};
}

function entryOf(state: Reading, header: Buffer, type: string, sink: TarSink): Body['take'] {
	const short = [field(header, 345, 155), field(header, 0, NAME_BYTES)];
	// GNU's own header uses the place of the prefix for times.
	const isPosix = header.subarray(257, 263).equals(Buffer.from('ustar\0'));
	const name = state.longName ?? (isPosix ? short.filter(Boolean).join('/') : (short[1] ?? ''));
	state.longName = undefined;
	if (type !== '0' && type !== '\0' && type !== '5') return () => {};
	const path = safePath(name);
	if (type !== '5') return path === '' ? wrongFile() : sink.file(path);
	if (path !== '') sink.directory(path);
	return () => {};
}

function wrongFile(): never {
	throw violation('has a file without a name');
}

/** Relative, downwards only, and short; the root itself is the empty path. */
function safePath(name: string): string {
	const path = name.replace(/^(?:\.\/)+/, '').replace(/\/$/, '');
	if (path === '.' || path === '') return '';
	const parts = path.split('/');
	if (path.length > MAX_PATH || parts.length > MAX_DEPTH || parts.some((part) => part === '' || part === '.' || part === '..'))
		throw violation('has a path that leads elsewhere');
	return path;
}

function field(header: Buffer, at: number, length: number): string {
	const bytes = header.subarray(at, at + length);
	const end = bytes.indexOf(0);
	return decode(end === -1 ? bytes : bytes.subarray(0, end));
}

function octal(header: Buffer, at: number, length: number): number {
	const text = header
		.toString('latin1', at, at + length)
		.replace(/[\0 ]+$/, '')
		.trimStart();
	if (!/^[0-7]+$/.test(text)) throw violation('has a number that is not octal');
	return Number.parseInt(text, 8);
}

function decode(bytes: Buffer): string {
	try {
		return UTF8.decode(bytes);
	} catch (cause) {
		throw violation('has a name that is not UTF-8', cause);
	}
}

function violation(what: string, cause?: unknown): WritError {
	return new WritError('runner_internal_error', `the archive of /out ${what}`, {cause});
}
