import {mkdirSync, statSync} from 'node:fs';
import {dirname, resolve} from 'node:path';
import {WritError} from './errors.ts';

/**
 * Makes a directory that a person named, and those above it. Throws `invalid_config`. One at a time, because `recursive` of Node tries
 * for ever where a file system says `ENOENT` of what has a parent, as `/proc` does.
 */
export function makeDirectory(directory: string, mode = 0o777): void {
	const place = resolve(directory);
	if (isDirectory(place)) return;
	if (dirname(place) !== place) makeDirectory(dirname(place), mode);
	try {
		mkdirSync(place, {mode});
	} catch (cause) {
		if (isDirectory(place)) return; // another process was quicker
		const {code = 'unknown'} = cause as NodeJS.ErrnoException;
		throw new WritError('invalid_config', `the directory \`${place}\` cannot be made: ${REASONS[code] ?? code}`, {
			hint: 'name another place, or make it so that this user can write there',
			cause,
		});
	}
}

const REASONS: Readonly<Record<string, string>> = {
	EEXIST: 'there is a file of that name',
	EACCES: 'this user may not',
	EPERM: 'this user may not',
	ENOENT: 'the file system takes none there',
	EROFS: 'the file system is read-only',
	ENOSPC: 'the disk is full',
};

function isDirectory(place: string): boolean {
	try {
		return statSync(place).isDirectory();
	} catch {
		return false; // what may not be looked at cannot be used either
	}
}
