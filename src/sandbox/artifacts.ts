/**
 * Files that a sandbox left in its output directory, taken up by somebody who trusts none of it: neither names, nor sizes, nor that
 * what is there now is what was there a moment ago. Nothing is followed and nothing blocks; what is not taken is named with the reason.
 */
import {createHash, randomUUID} from 'node:crypto';
import {constants} from 'node:fs';
import {type FileHandle, lstat, open, opendir, rename, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {z} from 'zod';
import {sanitise} from './captured-text.ts';
import {sniffMediaType} from './media-type.ts';

/** A file that was collected. Its bytes are kept under its hash; the name is only what it is called. */
export const artifactSchema = z.object({
	/** path below the output directory, parts joined by `/` */
	name: z.string(),
	bytes: z.int(),
	sha256: z.string(),
	/** by its first bytes, not its name */
	mediaType: z.string(),
});
export type Artifact = z.infer<typeof artifactSchema>;

export const collectedSchema = z.object({
	artifacts: z.array(artifactSchema),
	/** what was there and is not an artifact; `name` is harmless to show */
	refused: z.array(z.object({name: z.string(), reason: z.string()})),
	/** how many more were refused than `refused` names */
	unnamed: z.int(),
});
export type Collected = z.infer<typeof collectedSchema>;

export type ArtifactCaps = {
	readonly fileBytes: number;
	/** of all together */
	readonly totalBytes: number;
	readonly files: number;
	/** hears of every file that was not kept before */
	readonly onNew?: (bytes: number) => void;
};

/** Deeper directories hold nothing that anybody meant to hand over. */
const MAX_DEPTH = 16;
/** Entries that are looked at, of whatever kind. */
const MAX_ENTRIES = 5_000;
const MAX_NAMED = 100;
const MAX_PART_BYTES = 255;
const CHUNK = 1 << 20;

type Walk = {
	readonly keep: string;
	readonly caps: ArtifactCaps;
	readonly taken: Set<string>;
	readonly artifacts: Artifact[];
	readonly refused: {name: string; reason: string}[];
	bytes: number;
	entries: number;
	unnamed: number;
};

/** Copies what is worth keeping from `directory`, after its sandbox has ended, to `keep`, each file under its hash. */
export async function collectArtifacts(directory: string, keep: string, caps: ArtifactCaps): Promise<Collected> {
	const walk: Walk = {keep, caps, taken: new Set(), artifacts: [], refused: [], bytes: 0, entries: 0, unnamed: 0};
	await using root = await open(directory, DIRECTORY);
	await visit(root, [], walk);
	const {artifacts, refused, unnamed} = walk;
	return {artifacts: artifacts.toSorted((a, b) => (a.name < b.name ? -1 : 1)), refused, unnamed};
}

const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
/** O_NONBLOCK: a pipe without a writer must not hold us. */
const FILE = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY;

/**
 * INVARIANT: every name is opened relative to the descriptor of the directory it was found in, and never through a link, so that
 * nothing that is renamed or replaced meanwhile leads out of `directory`.
 */
async function visit(directory: FileHandle, above: readonly string[], walk: Walk): Promise<void> {
	const here = `/proc/self/fd/${directory.fd}`;
	for await (const entry of await opendir(`${here}/`, {encoding: 'buffer' as BufferEncoding})) {
		const raw = entry.name as unknown as Buffer;
		walk.entries += 1;
		if (walk.entries > MAX_ENTRIES) {
			refuse(walk, [...above, '…'], `more than ${MAX_ENTRIES} entries`);
			return;
		}
		const name = raw.toString('utf8');
		const path = [...above, name];
		const fault = faultIn(raw, name) ?? (await take(Buffer.concat([Buffer.from(`${here}/`), raw]), path, walk));
		if (fault) refuse(walk, path, fault);
	}
}

/** Why an entry is not taken; null when it was. */
async function take(place: Buffer, path: readonly string[], walk: Walk): Promise<string | null> {
	const opened = await openEntry(place);
	if (typeof opened === 'string') return opened;
	await using handle = opened;
	const facts = await handle.stat();
	if (facts.isDirectory()) {
		if (path.length > MAX_DEPTH) return `deeper than ${MAX_DEPTH} directories`;
		await visit(handle, path, walk);
		return null;
	}
	if (!facts.isFile()) return 'not a regular file';
	if (facts.nlink > 1) return 'has a second name';
	if (walk.artifacts.length >= walk.caps.files) return `more than ${walk.caps.files} files`;
	return await keepFile(handle, path, walk);
}

async function openEntry(place: Buffer): Promise<FileHandle | string> {
	try {
		return await open(place as unknown as string, FILE);
	} catch (error) {
		const {code} = error as NodeJS.ErrnoException;
		const reason = UNOPENED[code ?? ''];
		if (reason === undefined) throw error;
		return reason;
	}
}

/** How opening says what it will not open. */
const UNOPENED: Readonly<Record<string, string>> = {
	ELOOP: 'a link',
	ENXIO: 'not a regular file',
	ENODEV: 'not a regular file',
	ENOENT: 'gone before it was read',
	EACCES: 'not readable',
	EPERM: 'not readable',
};

/** Copies by what reading gives, not by what the file's size says, and gives up at a cap. */
async function keepFile(handle: FileHandle, path: readonly string[], walk: Walk): Promise<string | null> {
	const {caps, keep} = walk;
	const name = path.join('/').normalize('NFC');
	if (walk.taken.has(name)) return 'the same name as another file';
	const unfinished = join(keep, `.${randomUUID()}`);
	try {
		const copied = await copy(handle, unfinished, Math.min(caps.fileBytes, caps.totalBytes - walk.bytes));
		if (copied === null) return overCap(walk);
		const place = join(keep, copied.sha256);
		const isNew = (await lstat(place).catch(() => null)) === null;
		await rename(unfinished, place);
		if (isNew) caps.onNew?.(copied.bytes);
		walk.bytes += copied.bytes;
		walk.taken.add(name);
		walk.artifacts.push({name, ...copied});
		return null;
	} finally {
		await rm(unfinished, {force: true});
	}
}

function overCap({caps, bytes}: Walk): string {
	return caps.totalBytes - bytes < caps.fileBytes
		? `all together more than ${caps.totalBytes} bytes`
		: `more than ${caps.fileBytes} bytes`;
}

/** Null when there is more than `most`. */
async function copy(from: FileHandle, to: string, most: number): Promise<Omit<Artifact, 'name'> | null> {
	const hash = createHash('sha256');
	const chunk = Buffer.allocUnsafe(CHUNK);
	const state = {bytes: 0, head: Buffer.alloc(0)};
	await using target = await open(to, 'wx', 0o600);
	for (;;) {
		const {bytesRead} = await from.read(chunk, 0, Math.min(CHUNK, most - state.bytes + 1), state.bytes);
		if (bytesRead === 0) break;
		state.bytes += bytesRead;
		if (state.bytes > most) return null;
		const part = chunk.subarray(0, bytesRead);
		if (state.bytes === bytesRead) state.head = Buffer.from(part.subarray(0, 512));
		hash.update(part);
		await target.writeFile(part);
	}
	return {bytes: state.bytes, sha256: hash.digest('hex'), mediaType: sniffMediaType(state.head)};
}

/** Names that some system, shell or page would take for something else. */
function faultIn(raw: Buffer, name: string): string | null {
	if (!Buffer.from(name, 'utf8').equals(raw)) return 'a name that is not UTF-8';
	if (Buffer.byteLength(name.normalize('NFC')) > MAX_PART_BYTES) return 'a name that is too long';
	if (UNSAFE.test(name)) return 'a name with control characters, or with characters that some system reserves';
	if (RESERVED.test(name)) return 'a name that some system reserves';
	if (/^[-~]|^\.|[ .]$/.test(name)) return 'a name that starts with `-`, `~` or `.`, or ends with a dot or a space';
	return null;
}

const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cn}\\/:*?"<>|]/u;
const RESERVED = /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i;

function refuse(walk: Walk, path: readonly string[], reason: string): void {
	if (walk.refused.length >= MAX_NAMED) walk.unnamed += 1;
	else walk.refused.push({name: sanitise(path.join('/')).replaceAll('\n', ' ').slice(0, MAX_PART_BYTES), reason});
}
