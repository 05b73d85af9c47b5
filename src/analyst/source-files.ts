/** The files a dataset is made from: who may name them, and that they stay what they were. */
import {type BigIntStats, constants} from 'node:fs';
import {type FileHandle, lstat, open, realpath} from 'node:fs/promises';
import {basename, dirname, isAbsolute, join, normalize, sep} from 'node:path';
import {toErrorBody, WritError} from '#contract/errors.ts';
import type {World} from '#kernel/tool.ts';
import {hashHandle, isCode} from './durable-files.ts';

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
	/** files, and directories with all they hold, that nobody may add: the platform's own; what is in `roots` stays open */
	readonly closed?: readonly string[];
	/** of one source file */
	readonly maxFileBytes?: number;
};

const TEBIBYTE = 2 ** 40;

/** Who names a file, and in a run that was opened for what. */
export type Naming = Pick<World, 'principal' | 'mode'>;

/** The mode of a run that was opened to add files. */
export const INGEST_MODE = 'ingest';

export type Source = SourceFile & {
	readonly handle: FileHandle;
	readonly bytes: number;
	readonly facts: BigIntStats;
};

/** Opens a file for reading only after it is clear that it may be named here and that it is a plain file. */
export async function openSource(file: SourceFile, naming: Naming, limits: SourceLimits): Promise<Source> {
	const {name, path} = file;
	const {maxFileBytes = TEBIBYTE} = limits;
	await assertAdmitted(path, naming, limits);
	const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch((cause) => {
		throw unreadable(name, why(cause), cause);
	});
	try {
		const facts = await handle.stat({bigint: true});
		if (!facts.isFile()) throw unreadable(name, facts.isDirectory() ? 'is a directory' : 'is not a regular file');
		const bytes = Number(facts.size);
		if (bytes > maxFileBytes) throw tooLarge(name, bytes, maxFileBytes);
		return {...file, handle, bytes, facts};
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

/**
 * INVARIANT: only a run that was opened to add files names any, and no agent does: the routes and the command line that open such runs say
 * which paths, whatever code in a sandbox would like. Then the local user may name a path outside of the system's directories and the
 * platform's own, and all others what lies in the given ones.
 */
async function assertAdmitted(path: string, {principal, mode}: Naming, {roots = [], closed = []}: SourceLimits): Promise<void> {
	const {kind, tenant} = principal;
	if (mode !== INGEST_MODE || kind === 'agent') throw outOfReach();
	if (!isAbsolute(path) || normalize(path) !== path || path.includes('\0'))
		throw new WritError('invalid_request', 'the path of a file is absolute and without `..`', {details: {path}});
	const place = await realpath(dirname(path)).catch(() => null); // a place that is not there is in no directory
	const lies = (directory: string) => `${place}${sep}${basename(path)}${sep}`.startsWith(`${directory}${sep}`);
	if (place !== null && (await resolved(roots)).some(lies)) return;
	if (kind !== 'user' || tenant !== 'local') throw outOfReach();
	if (![...SYSTEM, ...(await resolved(closed))].some(lies)) return;
	throw new WritError('forbidden', `\`${path}\` belongs to the system, which keeps no data for questions there`, {
		hint: 'copy what you want to ask about to a file of your own',
		details: {path},
	});
}

function outOfReach(): WritError {
	return new WritError('forbidden', 'files on this host are out of reach from here', {hint: 'upload the file instead'});
}

/** Paths without links in them; of one that is not there only its directory is looked at. */
async function resolved(paths: readonly string[]): Promise<readonly string[]> {
	const resolve = async (path: string) =>
		realpath(path).catch(async () => join(await realpath(dirname(path)).catch(() => dirname(path)), basename(path)));
	return Promise.all(paths.map(resolve));
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
	const then = identityOf(facts);
	const named = await lstat(path, {bigint: true}).catch(() => null); // gone is changed
	const isSame = named !== null && identityOf(named) === then && identityOf(await handle.stat({bigint: true})) === then;
	if (!isSame) throw unreadable(name, 'changed while it was being read: add it again');
}

/** Which file, and since when it is what it is: nobody but root writes to a file and leaves this as it was. */
function identityOf({dev, ino, size, mtimeNs, ctimeNs}: BigIntStats): string {
	return [dev, ino, size, mtimeNs, ctimeNs].join(':');
}

/** What a file held when it was looked at; or why it could not be. */
export type SourceState =
	| {readonly sha256: string; readonly bytes: number; readonly identity: string}
	| {readonly refusal: string};

/** Reads all of a file. One that cannot be read is for whoever executes to refuse, with its reason. */
export async function stateOf(
	file: SourceFile,
	naming: Naming & {readonly signal: AbortSignal},
	limits: SourceLimits,
): Promise<SourceState> {
	try {
		const source = await openSource(file, naming, limits);
		await using _open = source.handle;
		const sha256 = await hashHandle(source.handle, naming.signal);
		await assertUnchanged(source);
		return {sha256, bytes: source.bytes, identity: identityOf(source.facts)};
	} catch (error) {
		if (error instanceof WritError || naming.signal.aborted) return {refusal: toErrorBody(error).message};
		throw error;
	}
}

/** The SHA-256 that a file was decided on with. Throws `unreadable_file` when it is not that file any more. */
export function assertDecidedOn({name, facts}: Source, state: SourceState | undefined): string {
	if (state && 'identity' in state && state.identity === identityOf(facts)) return state.sha256;
	throw unreadable(name, 'changed after it was looked at: add it again');
}
