import {createWriteStream} from 'node:fs';
import {chmod, mkdir, rm} from 'node:fs/promises';
import {basename, join} from 'node:path';
import {Readable} from 'node:stream';
import {pipeline} from 'node:stream/promises';
import type {ReadableStream as WebStream} from 'node:stream/web';
import {Busboy} from '@fastify/busboy';
import type {UploadedFile} from '#analyst/analyst.ts';
import {WritError} from '#contract/errors.ts';

export type UploadLimits = {readonly maxUploadBytes: number; readonly maxUploadFiles: number; readonly uploadDir: string};

export type Upload = {
	readonly files: UploadedFile[];
	readonly fields: Readonly<Record<string, string>>;
	/** Removes everything that was received. */
	discard(): Promise<void>;
};

/**
 * A sandbox reads uploads as a user of its own, so they are readable; who may not list the directory and does not know its random
 * name still does not find them.
 */
const SEALED = 0o711;
const READABLE = 0o644;

/**
 * Streams a multipart body to disk, in a directory of its own, under names made here: the name a client gave is only data. Throws
 * `request_too_large` at the first byte beyond a limit; nothing is left behind then.
 */
export async function receiveUpload(request: Request, limits: UploadLimits, id: string): Promise<Upload> {
	const {body} = request;
	const type = request.headers.get('content-type') ?? '';
	if (!body || !/boundary=/i.test(type)) throw new WritError('invalid_request', 'expected a multipart body with files');
	const dir = join(limits.uploadDir, id);
	await mkdir(dir, {recursive: true});
	for (const path of [limits.uploadDir, dir]) await chmod(path, SEALED);
	const discard = () => rm(dir, {recursive: true, force: true});
	try {
		const received = await receive(body as WebStream<Uint8Array>, type, {...limits, dir});
		if (received.files.length === 0) {
			throw new WritError('invalid_request', 'the upload holds no file', {hint: 'send each file as a part named `file`'});
		}
		return {...received, discard};
	} catch (error) {
		await discard();
		throw error;
	}
}

async function receive(body: WebStream<Uint8Array>, type: string, limits: UploadLimits & {readonly dir: string}) {
	const files: UploadedFile[] = [];
	const fields: Record<string, string> = {};
	const writing: Promise<void>[] = [];
	const parser = new Busboy({
		headers: {'content-type': type},
		limits: {files: limits.maxUploadFiles + 1, fields: 20, fieldSize: 10_000, fieldNameSize: 100, headerPairs: 20},
	});
	const received = {bytes: 0};
	const limit = new AbortController();

	parser.on('field', (name, value) => {
		if (['id', 'name', 'description'].includes(name)) fields[name] = value;
	});
	parser.on('file', (_field, stream, given) => {
		if (files.length >= limits.maxUploadFiles) {
			stream.resume();
			return limit.abort(tooMany(limits.maxUploadFiles));
		}
		const file = {name: displayName(given, files.length), path: join(limits.dir, `${files.length}`)};
		files.push(file);
		stream.on('data', (chunk: Buffer) => {
			received.bytes += chunk.length;
			if (received.bytes > limits.maxUploadBytes) limit.abort(tooLarge(limits.maxUploadBytes));
		});
		const saved = pipeline(stream, createWriteStream(file.path, {flags: 'wx', mode: READABLE}), {signal: limit.signal});
		saved.catch(() => {}); // awaited below
		writing.push(saved);
	});
	try {
		await pipeline(Readable.fromWeb(body), parser, {signal: limit.signal});
		await Promise.all(writing);
	} catch (error) {
		// A body that is cut off leaves its last file waiting for more.
		limit.abort(new WritError('invalid_request', 'the multipart body is malformed or was cut off', {cause: error}));
		await Promise.allSettled(writing);
		throw limit.signal.reason;
	}
	return {files, fields};
}

/** The last part of what the client called the file, without what a terminal or a page could stumble over. */
export function displayName(given: string | undefined, index: number): string {
	const last = basename((given ?? '').replaceAll('\\', '/'));
	const name = last.replace(/\p{Cc}|[\u202a-\u202e\u2066-\u2069]/gu, '').slice(0, 200);
	return name === '' || name === '.' || name === '..' ? `file-${index + 1}` : name;
}

function tooLarge(limit: number): WritError {
	return new WritError('request_too_large', `the upload is larger than ${limit} bytes`, {
		hint: 'raise WRIT_MAX_UPLOAD_BYTES, or add the file by its path with `writ datasets add`',
		details: {limit: 'maxUploadBytes', value: limit},
	});
}

function tooMany(limit: number): WritError {
	return new WritError('request_too_large', `the upload holds more than ${limit} files`, {
		hint: 'raise WRIT_MAX_UPLOAD_FILES',
		details: {limit: 'maxUploadFiles', value: limit},
	});
}
