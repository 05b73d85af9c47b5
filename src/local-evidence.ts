import {readdir, readFile, stat, writeFile} from 'node:fs/promises';
import path from 'node:path';
import type {Local} from '#cli/io.ts';
import type {Config} from '#config/config.ts';
import type {Verification} from '#contract/api.ts';
import {makeDirectory} from '#contract/directory.ts';
import {WritError} from '#contract/errors.ts';
import {type Keyring, openKeyring, rotateKey} from '#evidence/keyring.ts';
import {type KeyRecord, keyIdOf} from '#evidence/keys.ts';
import {verifyCapsule} from '#evidence/verify.ts';
import {verifyBundle} from '#evidence/verify-bundle.ts';
import {verifyLog} from '#evidence/verify-server-log.ts';
import {unpackTar} from '#evidence/verify-tar.ts';

/** The keys of the data directory that the settings name. */
export function keyring({data}: Config): Promise<Keyring> {
	return openKeyring(path.join(path.resolve(data.dir), 'keys'));
}

export function rotate({data}: Config, revoke: string | null): Promise<KeyRecord> {
	return rotateKey(path.join(path.resolve(data.dir), 'keys'), {revoke, clock: {now: () => new Date()}});
}

type Files = ReadonlyMap<string, Uint8Array>;

/** Evidence that lies on this machine: bundles as directories and archives, and capsules. */
export const localEvidence: Local['evidence'] = {
	async verify(place, {key, anchor}) {
		const source = typeof place === 'string' ? await readSource(place) : place;
		if (source === null) return null;
		const trust = {
			...(key === undefined ? {} : {trustedKeyId: trustedKey(await readFile(key, 'utf8'))}),
			...(anchor === undefined ? {} : {anchor: await readAnchor(anchor)}),
		};
		return verifySource(source, trust);
	},
	async read(place) {
		const source = typeof place === 'string' ? await readSource(place) : place;
		if (source === null || !(source instanceof Uint8Array)) return source;
		const {files, fault} = unpackTar(source);
		if (!fault) return files;
		throw new WritError('invalid_request', 'this is no bundle', {
			hint: 'export one with `writ evidence export RUN --bundle OUT`',
		});
	},
	async write(files, directory) {
		for (const [name, bytes] of files) {
			const file = path.join(directory, name);
			makeDirectory(path.dirname(file));
			await writeFile(file, bytes);
		}
	},
};

type Trust = {readonly trustedKeyId?: string; readonly anchor?: string};

function verifySource(source: Uint8Array | Files, trust: Trust): Verification {
	if (!(source instanceof Uint8Array)) return source.has('checkpoint') ? verifyLog(source, trust) : verifyBundle(source, trust);
	const isCapsule = source[0] === '{'.charCodeAt(0);
	return isCapsule ? verifyCapsule(source, trust) : verifyBundle(source, trust);
}

/** A file of checkpoints, or the directory that holds it. */
async function readAnchor(place: string): Promise<string> {
	return readFile((await stat(place)).isDirectory() ? path.join(place, 'checkpoints') : place, 'utf8');
}

/** Null when there is nothing at this place. */
async function readSource(place: string): Promise<Uint8Array | Files | null> {
	try {
		return (await stat(place)).isDirectory() ? new Map(await readTree(place, '')) : await readFile(place);
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
		throw error;
	}
}

/** Every file below a directory. What is no plain file has no bytes, and so not those that were exported. */
async function readTree(root: string, inner: string): Promise<readonly (readonly [string, Uint8Array])[]> {
	const entries = await readdir(path.join(root, inner), {withFileTypes: true});
	const found = await Promise.all(
		entries.map(async (entry): Promise<readonly (readonly [string, Uint8Array])[]> => {
			const name = inner === '' ? entry.name : `${inner}/${entry.name}`;
			if (entry.isDirectory()) return readTree(root, name);
			return [[name, entry.isFile() ? await readFile(path.join(root, name)) : new Uint8Array()]];
		}),
	);
	return found.flat();
}

function trustedKey(publicKey: string): string {
	try {
		return keyIdOf(publicKey);
	} catch (cause) {
		throw new WritError('invalid_request', 'the key file holds no public key', {
			hint: 'give the signing.pem.pub of the platform that ran this',
			cause,
		});
	}
}
