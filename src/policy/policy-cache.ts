import {mkdirSync, readFileSync, renameSync, writeFileSync} from 'node:fs';
import path from 'node:path';
import type {PolicyOptions} from './policy.ts';

/** Parsed rules in a directory that only the platform writes to, which is as trusted as the signing key beside it. */
export function createPolicyCache(directory: string): NonNullable<PolicyOptions['cache']> {
	mkdirSync(directory, {recursive: true, mode: 0o700});
	const file = (key: string) => path.join(directory, `policy-${key}.json`);
	return {
		read(key) {
			try {
				return readFileSync(file(key), 'utf8');
			} catch {
				return null; // it is made again
			}
		},
		write(key, text) {
			const draft = `${file(key)}.${process.pid}`;
			writeFileSync(draft, text, {mode: 0o600});
			renameSync(draft, file(key));
		},
	};
}
