/** Files that several processes of one machine change: each replaces the whole, one after the other. */
import {closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeFileSync} from 'node:fs';
import path from 'node:path';
import {setTimeout as pause} from 'node:timers/promises';
import {makeDirectory} from '#contract/directory.ts';
import {WritError} from '#contract/errors.ts';

/** Whoever reads meets the old text or the new; after a crash too. Only the owner can read it. */
export function replaceFile(file: string, text: string): void {
	const draft = `${file}.${process.pid}.new`;
	writeFileSync(draft, text, {mode: 0o600, flush: true});
	renameSync(draft, file);
	const directory = openSync(path.dirname(file), 'r');
	try {
		fsyncSync(directory);
	} finally {
		closeSync(directory);
	}
}

const TRIES = 200;
const PAUSE_MS = 25;

/** Throws `conflict` when another process does not let go of it. A holder that died holds nothing. */
export async function withLock<T>(lock: string, work: () => T): Promise<T> {
	for (let attempt = 0; !take(lock); attempt += 1) {
		if (attempt === TRIES) {
			throw new WritError('conflict', `another process is changing what ${lock} guards`, {
				hint: 'try again; if none is running, delete that file',
			});
		}
		await pause(PAUSE_MS);
	}
	try {
		return work();
	} finally {
		rmSync(lock, {force: true});
	}
}

function take(lock: string): boolean {
	makeDirectory(path.dirname(lock), 0o700);
	try {
		writeFileSync(lock, String(process.pid), {flag: 'wx', mode: 0o600});
		return true;
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
	}
	if (isHeld(lock)) return false;
	rmSync(lock, {force: true});
	return false;
}

function isHeld(lock: string): boolean {
	try {
		const holder = Number(readFileSync(lock, 'utf8'));
		if (!Number.isSafeInteger(holder) || holder <= 0) return true; // its holder is about to write who it is
		process.kill(holder, 0);
		return true;
	} catch (error) {
		return (error as NodeJS.ErrnoException).code === 'EPERM';
	}
}
