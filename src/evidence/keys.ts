import {createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, randomUUID, sign} from 'node:crypto';
import {link, open, rm, writeFile} from 'node:fs/promises';
import {dirname} from 'node:path';
import {makeDirectory} from '#contract/directory.ts';
import {WritError} from '#contract/errors.ts';
import type {SignedHead} from '#contract/event.ts';
import {canonical} from './canonical.ts';

/** The platform's Ed25519 key. The private half stays inside. */
export type SigningKey = {
	/** SHA-256 of the public key (SPKI DER), hex */
	readonly keyId: string;
	/** SPKI DER, base64 */
	readonly publicKey: string;
	/** Ed25519 over the UTF-8 bytes of `text`, base64 */
	sign(text: string): string;
};

/**
 * Reads the signing key at `path`, or makes one there that only its owner can read. The public half is kept in `<path>.pub`: give
 * that file to whoever should be able to check evidence. Throws `invalid_config` on a key that others can read or that is no Ed25519 key.
 */
export async function loadOrCreateKey(path: string): Promise<SigningKey> {
	const privateKey = parsePrivateKey(await readOrCreate(path), path);
	await writeFile(`${path}.pub`, createPublicKey(privateKey).export({type: 'spki', format: 'pem'}), {mode: 0o644});
	return toSigningKey(privateKey);
}

/** The key of a PEM text. Throws `invalid_config`, naming `path`, when it is no Ed25519 key. */
export function parseKey(pem: string, path: string): SigningKey {
	return toSigningKey(parsePrivateKey(pem, path));
}

/** A new key, and its private half to keep. */
export function createKey(): {readonly pem: string; readonly key: SigningKey} {
	const {privateKey} = generateKeyPairSync('ed25519');
	return {pem: String(privateKey.export({type: 'pkcs8', format: 'pem'})), key: toSigningKey(privateKey)};
}

function toSigningKey(privateKey: KeyObject): SigningKey {
	const publicKey = createPublicKey(privateKey);
	return {
		keyId: keyIdOf(publicKey),
		publicKey: publicKey.export({type: 'spki', format: 'der'}).toString('base64'),
		sign: (text) => sign(null, Buffer.from(text, 'utf8'), privateKey).toString('base64'),
	};
}

/**
 * One key of a platform's life. Each but the first is vouched for by the one before it, and itself vouches for its own record, so
 * that whoever trusts one of the keys can tell which others belong to it.
 */
export type KeyRecord = {
	readonly keyId: string;
	/** SPKI DER, base64 */
	readonly publicKey: string;
	/** when it took over; null for the first */
	readonly since: string | null;
	/** the key before it */
	readonly previous: string | null;
	/** an older key that is not to be trusted any more, and why */
	readonly revokes: {readonly keyId: string; readonly reason: string} | null;
	/** Ed25519 over the canonical JSON of the five fields above: by the key itself, and by the one before it */
	readonly own: string;
	readonly endorsement: string | null;
};

/** The record of a key that nothing came before. */
export function genesisRecord(key: SigningKey): KeyRecord {
	const facts = {keyId: key.keyId, publicKey: key.publicKey, since: null, previous: null, revokes: null};
	return {...facts, own: key.sign(canonical(facts)), endorsement: null};
}

/** The id of a public key, given as a key or as the text of a `.pub` file. */
export function keyIdOf(publicKey: KeyObject | string): string {
	const key = typeof publicKey === 'string' ? createPublicKey(publicKey) : publicKey;
	return createHash('sha256')
		.update(key.export({type: 'spki', format: 'der'}))
		.digest('hex');
}

/** Signs the end of a run. */
export function signHead(key: SigningKey, end: Omit<SignedHead, 'keyId' | 'signature'>): SignedHead {
	const {runId, seq, hash, at} = end;
	const statement = {runId, seq, hash, at, keyId: key.keyId};
	return {...statement, signature: key.sign(canonical(statement))};
}

async function readOrCreate(path: string): Promise<string> {
	try {
		return await readPrivate(path);
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
	}
	await create(path);
	return readPrivate(path);
}

async function readPrivate(path: string): Promise<string> {
	await using file = await open(path, 'r');
	const {mode} = await file.stat();
	if ((mode & 0o077) !== 0) {
		throw new WritError('invalid_config', `the signing key ${path} can be read by other users of this machine`, {
			hint: `run \`chmod 600 ${path}\`; if somebody may have copied it, delete it, and a new one is made`,
		});
	}
	return await file.readFile('utf8');
}

/** Linked into place whole: of two processes that start together one makes the key, and both read the same. */
async function create(path: string): Promise<void> {
	const {privateKey} = generateKeyPairSync('ed25519');
	const draft = `${path}.${randomUUID()}`;
	makeDirectory(dirname(path), 0o700);
	await writeFile(draft, privateKey.export({type: 'pkcs8', format: 'pem'}), {mode: 0o600, flag: 'wx', flush: true});
	try {
		await link(draft, path);
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
	} finally {
		await rm(draft);
	}
}

function parsePrivateKey(pem: string, path: string): KeyObject {
	try {
		const key = createPrivateKey(pem);
		if (key.asymmetricKeyType === 'ed25519') return key;
	} catch {
		// Its own message may quote the file; ours does not.
	}
	throw new WritError('invalid_config', `${path} holds no Ed25519 private key in PEM form`, {
		hint: 'restore the file from a backup, or move it away, and a new key is made',
	});
}
