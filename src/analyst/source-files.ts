/** The files a dataset is made from: who may name them, and that they stay what they were. */
import {constants, type Stats} from 'node:fs';
import {type FileHandle, lstat, open, realpath} from 'node:fs/promises';
import {dirname, isAbsolute, normalize, sep} from 'node:path';
import {WritError} from '#contract/errors.ts';
import type {Principal} from '#contract/event.ts';
import {isCode} from './durable-files.ts';

type SourceFile = {
	/** as its owner named it */
	readonly name: string;
	readonly path: string;
	/** its place among the files, and what it is called in the sandbox */
	readonly index: number;
	readonly label: string;
};

export type SourceLimits = {
	/** directories whose files any person or service may add; elsewhere only the local user may */
	readonly roots?: readonly string[];
	/** of one source file */
	readonly maxFileBytes?: number;
};

const TEBIBYTE = 2 ** 40;

export type Source = SourceFile & {
	readonly handle: FileHandle;
	readonly bytes: number;
	readonly facts: Stats;
};

/** Opens a file for reading only after it is clear that this principal may name it and that it is a plain file. */
export async function openSource(
	file: SourceFile,
	principal: Principal,
	{roots = [], maxFileBytes = TEBIBYTE}: SourceLimits,
): Promise<Source> {
	const {name, path} = file;
	await assertAdmitted(path, principal, roots);
	const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch((cause) => {
		throw unreadable(name, why(cause), cause);
	});
	try {
		const facts = await handle.stat();
		if (!facts.isFile()) throw unreadable(name, facts.isDirectory() ? 'is a directory' : 'is not a regular file');
		if (facts.size > maxFileBytes) throw tooLarge(name, facts.size, maxFileBytes);
		return {...file, handle, bytes: facts.size, facts};
	} catch (error) {
		await handle.close();
		throw error;
	}
}

function tooLarge(name: string, bytes: number, limit: number): WritError {
	return new WritError('request_too_large', `\`${name}\` has ${bytes} bytes, more than the limit of ${limit}`, {
		details: {limit: 'maxFileBytes', value: limit, bytes},
	});
}

/** A path on this host may be named by its local user, outside the system's own directories. All others, and never an agent, may name what lies in the given directories. */
async function assertAdmitted(path: string, {kind, tenant}: Principal, roots: readonly string[]): Promise<void> {
	if (!isAbsolute(path) || normalize(path) !== path || path.includes('\0'))
		throw new WritError('invalid_request', 'the path of a file is absolute and without `..`', {details: {path}});
	const place = await realpath(dirname(path)).catch(() => null); // a place that is not there is in no directory
	const lies = (directory: string) => `${place}${sep}`.startsWith(`${directory}${sep}`);
	const allowed = await Promise.all(roots.map((root) => realpath(root).catch(() => null)));
	const isUploaded = place !== null && allowed.some((root) => root !== null && lies(root));
	if (kind === 'user' && tenant === 'local') {
		if (isUploaded || !SYSTEM.some(lies)) return;
		throw new WritError('forbidden', `\`${path}\` belongs to the system, which keeps no data for questions there`, {
			hint: 'copy what you want to ask about to a file of your own',
			details: {path},
		});
	}
	const forbidden = new WritError('forbidden', 'files on this host are out of reach from here', {
		hint: 'upload the file instead',
	});
	if (kind === 'agent') throw forbidden;
	if (!isUploaded) throw forbidden;
}

/** Where secrets, settings and the kernel's own files are: writ may run as a user who can read all of them. */
const SYSTEM = ['/etc', '/proc', '/sys', '/boot', '/dev', '/run'];

function unreadable(name: string, reason: string, cause?: unknown): WritError {
	return new WritError('unreadable_file', `\`${name}\` ${reason}`, {cause, details: {file: name}});
}

function why(cause: unknown): string {
	if (isCode(cause, 'ELOOP')) return 'is a symbolic link: give the path of the file itself';
	if (isCode(cause, 'ENOENT', 'ENOTDIR')) return 'is not there';
	if (isCode(cause, 'EACCES', 'EPERM')) return 'may not be read by the user that runs writ';
	return 'cannot be opened';
}

/** What was hashed and what the sandbox read must be one thing: a file that changed meanwhile is neither. */
export async function assertUnchanged({name, path, handle, facts}: Source): Promise<void> {
	const same = (now: Stats | null) => now !== null && ALIKE.every((fact) => now[fact] === facts[fact]);
	const named = await lstat(path).catch(() => null); // gone is changed
	if (!(same(named) && same(await handle.stat()))) throw unreadable(name, 'changed while it was being read: add it again');
}

const ALIKE = ['dev', 'ino', 'size', 'mtimeMs'] as const;
