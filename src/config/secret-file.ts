/**
 * Secrets in one file, encrypted with AES-256-GCM. The whole file is one message: its names and times are hidden with its values, and
 * nothing can be taken out, put in or exchanged unseen. What is not covered: putting an older whole file in its place.
 */
import {createCipheriv, createDecipheriv, randomBytes} from 'node:crypto';
import {readFileSync} from 'node:fs';
import path from 'node:path';
import {z} from 'zod';
import {makeDirectory} from '#contract/directory.ts';
import {WritError} from '#contract/errors.ts';
import {replaceFile, withLock} from './locked-file.ts';
import {type Keyring, keySourceSchema} from './secret-key.ts';

/** A secret at rest. Times are ISO 8601. */
const entrySchema = z.strictObject({value: z.string(), createdAt: z.iso.datetime(), changedAt: z.iso.datetime()});
const contentSchema = z.record(z.string(), entrySchema);
export type SecretEntry = z.infer<typeof entrySchema>;
type Content = z.infer<typeof contentSchema>;

const headSchema = z.strictObject({v: z.literal(1), cipher: z.literal('aes-256-gcm'), key: keySourceSchema});
const documentSchema = headSchema.extend({nonce: z.base64(), tag: z.base64(), data: z.base64()});

export const SECRET_NAME = /^[A-Za-z][A-Za-z0-9._-]{0,63}$/;
/** Shorter ones could not be told from ordinary words, and so not be kept out of records. */
const MIN_BYTES = 8;
const MAX_BYTES = 64 * 1024;
const TAG_BYTES = 16;

export type SecretFile = {
	/** Throws `secrets_unreadable` for another key or a changed file. */
	read(): ReadonlyMap<string, SecretEntry>;
	/** Throws `invalid_request` for a name or a value that cannot be kept. */
	set(name: string, value: string, now: Date): Promise<void>;
	/** Throws `not_found`. */
	delete(name: string): Promise<void>;
	/** Encrypts all of it with another key; a crash at any point leaves a file that can be read. */
	rotateKey(passphrase: string | null): Promise<void>;
};

export function openSecretFile(file: string, keyring: Keyring): SecretFile {
	const read = (): Content => decrypt(file, keyring);
	const write = (content: Content) => replaceFile(file, encrypt(content, keyring));
	const change = (edit: (content: Content) => Content) => {
		makeDirectory(path.dirname(file), 0o700);
		return withLock(`${file}.lock`, () => write(edit(read())));
	};
	return {
		read: () => new Map(Object.entries(read())),
		set(name, value, now) {
			assertKeepable(name, value);
			const at = now.toISOString();
			return change((content) => ({
				...content,
				[name]: {value, createdAt: (Object.hasOwn(content, name) && content[name]?.createdAt) || at, changedAt: at},
			}));
		},
		delete: (name) =>
			change((content) => {
				if (!Object.hasOwn(content, name)) throw new WritError('not_found', `there is no secret \`${printable(name)}\``);
				return Object.fromEntries(Object.entries(content).filter(([key]) => key !== name));
			}),
		rotateKey(passphrase) {
			makeDirectory(path.dirname(file), 0o700);
			return withLock(`${file}.lock`, () => {
				const content = read();
				keyring.renew(passphrase);
				write(content);
				keyring.forgetOld();
			});
		},
	};
}

function encrypt(content: Content, keyring: Keyring): string {
	const {key, source} = keyring.current();
	const head = {v: 1, cipher: 'aes-256-gcm', key: source} as const;
	const nonce = randomBytes(12);
	const cipher = createCipheriv('aes-256-gcm', key, nonce, {authTagLength: TAG_BYTES}).setAAD(associated(head));
	const data = Buffer.concat([cipher.update(JSON.stringify(content), 'utf8'), cipher.final()]);
	const encoded = {nonce: nonce.toString('base64'), tag: cipher.getAuthTag().toString('base64'), data: data.toString('base64')};
	return `${JSON.stringify({...head, ...encoded})}\n`;
}

function decrypt(file: string, keyring: Keyring): Content {
	const text = readIfThere(file);
	if (text === null) return {};
	const document = parse(text, documentSchema, file);
	const {nonce, tag, data, ...head} = document;
	const key = keyring.find(head.key, file);
	try {
		const decipher = createDecipheriv('aes-256-gcm', key, Buffer.from(nonce, 'base64'), {authTagLength: TAG_BYTES});
		decipher.setAAD(associated(head)).setAuthTag(Buffer.from(tag, 'base64'));
		const plain = Buffer.concat([decipher.update(Buffer.from(data, 'base64')), decipher.final()]);
		return contentSchema.parse(JSON.parse(plain.toString('utf8')));
	} catch (cause) {
		throw damaged(file, cause);
	}
}

/** The head is not hidden, but it is sealed: as one text whatever order its keys had on disk. */
function associated({v, cipher, key}: z.infer<typeof headSchema>): Buffer {
	return Buffer.from(JSON.stringify([v, cipher, key.kind, key.id, key.kind === 'passphrase' ? key.salt : '']));
}

function readIfThere(file: string): string | null {
	try {
		return readFileSync(file, 'utf8');
	} catch (cause) {
		if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return null;
		throw new WritError('secrets_unreadable', `the secrets in ${file} cannot be read`, {
			hint: 'look at the owner and the rights of the file',
			cause,
		});
	}
}

function parse<T>(text: string, schema: z.ZodType<T>, file: string): T {
	try {
		return schema.parse(JSON.parse(text));
	} catch (cause) {
		throw damaged(file, cause);
	}
}

function damaged(file: string, cause: unknown): WritError {
	return new WritError('secrets_unreadable', `the secrets in ${file} were changed or damaged after they were written`, {
		hint: 'restore the file from a backup, or delete it and set the secrets again',
		cause,
	});
}

function assertKeepable(name: string, value: string): void {
	if (!SECRET_NAME.test(name) || name === '__proto__') {
		throw new WritError('invalid_request', `\`${printable(name)}\` is not a name for a secret`, {
			hint: 'start with a letter; then up to 63 letters, digits, `.`, `_` or `-`',
		});
	}
	const bytes = Buffer.byteLength(value);
	if (bytes >= MIN_BYTES && bytes <= MAX_BYTES && value.isWellFormed()) return;
	throw new WritError('invalid_request', `the value has ${bytes} bytes; a secret has ${MIN_BYTES} to ${MAX_BYTES}`, {
		hint: 'a shorter one could not be told from ordinary words in what is recorded',
	});
}

function printable(text: string): string {
	return text.slice(0, 100).replace(/[^\x20-\x7e]|`/g, '?');
}
