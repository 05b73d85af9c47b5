/** The keys of the secret file: random ones in a key file, or one made of a passphrase. */
import {createHash, randomBytes, scryptSync} from 'node:crypto';
import {readFileSync, statSync} from 'node:fs';
import path from 'node:path';
import {z} from 'zod';
import {makeDirectory} from '#contract/directory.ts';
import {WritError} from '#contract/errors.ts';
import {replaceFile} from './locked-file.ts';

/** Where the key of a file comes from; `id` tells another key from a damaged file. */
export const keySourceSchema = z.discriminatedUnion('kind', [
	z.strictObject({kind: z.literal('file'), id: z.string()}),
	z.strictObject({kind: z.literal('passphrase'), id: z.string(), salt: z.base64()}),
]);
export type KeySource = z.infer<typeof keySourceSchema>;

export type Keyring = {
	/** What to encrypt with; makes a key where there is none yet. */
	current(): {readonly key: Buffer; readonly source: KeySource};
	/** What `file` was encrypted with. Throws `secrets_unreadable` when it is not here. */
	find(source: KeySource, file: string): Buffer;
	/** From here on another key is the current one; those before can still be found. */
	renew(passphrase: string | null): void;
	forgetOld(): void;
};

const KEY_BYTES = 32;
/** 32 MiB and about a tenth of a second for one guess. */
const SCRYPT = {N: 32_768, r: 8, p: 1, maxmem: 64 * 2 ** 20};
const MIN_PASSPHRASE = 12;

/** With a passphrase new files are encrypted with that; a key file is read all the same, for what was encrypted before. */
export function createKeyring(keyFile: string, passphrase: string | null): Keyring {
	if (passphrase !== null) assertPassphrase(passphrase);
	const derived = new Map<string, Buffer>();
	const derive = (words: string, salt: string) => {
		const key = derived.get(salt + words) ?? scryptSync(words.normalize('NFC'), Buffer.from(salt, 'base64'), KEY_BYTES, SCRYPT);
		derived.set(salt + words, key);
		return key;
	};
	const state = {passphrase, source: null as KeySource | null};
	return {
		current() {
			if (state.passphrase === null) {
				const key = readKeys(keyFile)[0] ?? addKey(keyFile);
				return {key, source: {kind: 'file', id: idOf(key)}};
			}
			const salt = state.source?.kind === 'passphrase' ? state.source.salt : randomBytes(16).toString('base64');
			const key = derive(state.passphrase, salt);
			const source = {kind: 'passphrase', id: idOf(key), salt} as const;
			state.source = source;
			return {key, source};
		},
		find(source, file) {
			const keys = source.kind === 'file' ? readKeys(keyFile) : passphrase === null ? [] : [derive(passphrase, source.salt)];
			const key = keys.find((candidate) => idOf(candidate) === source.id);
			if (!key) throw noKey(source, keys.length > 0, file, keyFile);
			state.source = source;
			return key;
		},
		renew(next) {
			if (next !== null) assertPassphrase(next);
			if (next === null && state.passphrase === null) addKey(keyFile);
			state.passphrase = next ?? state.passphrase;
			state.source = null; // a new salt, even for the same words
		},
		forgetOld() {
			const [first] = readKeys(keyFile);
			if (first && state.passphrase === null) writeKeys(keyFile, [first]);
		},
	};
}

function noKey(source: KeySource, hasOther: boolean, file: string, keyFile: string): WritError {
	if (source.kind === 'file') {
		const what = hasOther ? 'another key than that in' : 'a key that is not in';
		return new WritError('secrets_unreadable', `the secrets in ${file} were encrypted with ${what} ${keyFile}`, {
			hint: 'restore the key file from a backup, or name it with WRIT_SECRETS_KEY_FILE',
		});
	}
	const what = hasOther ? 'another passphrase' : 'a passphrase, and none is set';
	return new WritError('secrets_unreadable', `the secrets in ${file} were encrypted with ${what}`, {
		hint: 'set WRIT_SECRETS_PASSPHRASE to the one they were encrypted with',
	});
}

/** A first line with the newest key, in base64; a second one only while all is encrypted anew. */
function readKeys(keyFile: string): readonly Buffer[] {
	const mode = statSync(keyFile, {throwIfNoEntry: false})?.mode;
	if (mode === undefined) return [];
	if ((mode & 0o077) !== 0) {
		throw new WritError('invalid_config', `the key of the secrets ${keyFile} can be read by other users of this machine`, {
			hint: `run \`chmod 600 ${keyFile}\` and \`writ secrets rotate-key\`, as somebody may have copied it`,
		});
	}
	const keys = readFileSync(keyFile, 'utf8')
		.split('\n')
		.filter(Boolean)
		.map((line) => Buffer.from(line, 'base64'));
	if (keys.every(({length}) => length === KEY_BYTES)) return keys;
	throw new WritError('secrets_unreadable', `${keyFile} holds no key`, {hint: 'restore the key file from a backup'});
}

function addKey(keyFile: string): Buffer {
	makeDirectory(path.dirname(keyFile), 0o700);
	const key = randomBytes(KEY_BYTES);
	writeKeys(keyFile, [key, ...readKeys(keyFile)]);
	return key;
}

function writeKeys(keyFile: string, keys: readonly Buffer[]): void {
	replaceFile(keyFile, keys.map((key) => `${key.toString('base64')}\n`).join(''));
}

/** Tells keys apart and tells nothing else of them. */
function idOf(key: Buffer): string {
	return createHash('sha256').update('writ secrets key id\0').update(key).digest('hex').slice(0, 16);
}

function assertPassphrase(words: string): void {
	if (words.length >= MIN_PASSPHRASE) return;
	throw new WritError('invalid_config', `the passphrase of the secrets has fewer than ${MIN_PASSPHRASE} characters`, {
		hint: 'choose several words, or leave it out to use a key file',
	});
}
