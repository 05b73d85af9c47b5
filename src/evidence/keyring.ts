import {existsSync, readFileSync, statSync} from 'node:fs';
import {rename, rm, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {makeDirectory} from '#contract/directory.ts';
import {WritError} from '#contract/errors.ts';
import type {Clock} from '#kernel/ports.ts';
import {canonical} from './canonical.ts';
import {createKey, genesisRecord, type KeyRecord, loadOrCreateKey, parseKey, type SigningKey} from './keys.ts';

/** The keys of a platform. What is current is looked up at each call: another process may have rotated it. */
export type Keyring = {
	current(): SigningKey;
	/** all there ever were, oldest first */
	records(): readonly KeyRecord[];
};

export type Rotation = {
	/** why the old key must not be trusted any more; null when it only has grown old */
	readonly revoke: string | null;
	readonly clock: Clock;
};

type State = {readonly key: SigningKey; readonly records: readonly KeyRecord[]; readonly stamp: string};

/** Reads the keys in `directory`, or makes the first. Throws `invalid_config` on keys that others can read or that do not fit together. */
export async function openKeyring(directory: string): Promise<Keyring> {
	const file = path.join(directory, 'signing.pem');
	await loadOrCreateKey(file);
	await finishRotation(directory);
	const held: {state: State} = {state: read(directory)};
	const fresh = (): State => {
		if (stampOf(directory) !== held.state.stamp) held.state = read(directory);
		return held.state;
	};
	return {current: () => fresh().key, records: () => fresh().records};
}

/**
 * Makes a new key that the old one vouches for, and forgets the private half of the old one. What the old one signed stays
 * verifiable by the chain. Returns the new record.
 */
export async function rotateKey(directory: string, {revoke, clock}: Rotation): Promise<KeyRecord> {
	const keyring = await openKeyring(directory);
	const [old, records] = [keyring.current(), keyring.records()];
	const {pem, key} = createKey();
	const facts = {
		keyId: key.keyId,
		publicKey: key.publicKey,
		since: clock.now().toISOString(),
		previous: old.keyId,
		revokes: revoke === null ? null : {keyId: old.keyId, reason: revoke},
	};
	const record: KeyRecord = {...facts, own: key.sign(canonical(facts)), endorsement: old.sign(canonical(facts))};
	makeDirectory(directory, 0o700);
	await writeFile(path.join(directory, NEXT), pem, {mode: 0o600, flush: true});
	await replace(path.join(directory, CHAIN), `${canonical([...records, record])}\n`);
	await finishRotation(directory);
	return record;
}

const CHAIN = 'chain.json';
const NEXT = 'next.pem';

/** From the moment the chain names the new key it is the key: a crash in between is made good by whoever comes next. */
async function finishRotation(directory: string): Promise<void> {
	const next = path.join(directory, NEXT);
	if (!existsSync(next)) return;
	const pem = readFileSync(next, 'utf8');
	if (parseKey(pem, next).keyId !== readRecords(directory).at(-1)?.keyId) return rm(next, {force: true});
	const file = path.join(directory, 'signing.pem');
	await rename(next, file);
	await loadOrCreateKey(file); // writes its public half beside it
}

function read(directory: string): State {
	const stamp = stampOf(directory);
	const file = path.join(directory, 'signing.pem');
	const key = parseKey(readFileSync(file, 'utf8'), file);
	const known = readRecords(directory);
	const records = known.length > 0 ? known : [genesisRecord(key)];
	if (records.at(-1)?.keyId === key.keyId) return {key, records, stamp};
	throw new WritError('invalid_config', `${file} is not the last key of ${path.join(directory, CHAIN)}`, {
		hint: 'restore both files from the same backup',
	});
}

function readRecords(directory: string): readonly KeyRecord[] {
	const file = path.join(directory, CHAIN);
	return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as KeyRecord[]) : [];
}

/** Changes when a rotation has happened. */
function stampOf(directory: string): string {
	const found = statSync(path.join(directory, 'signing.pem'), {throwIfNoEntry: false});
	return `${found?.ino} ${found?.mtimeMs}`;
}

async function replace(file: string, content: string): Promise<void> {
	await writeFile(`${file}.draft`, content, {flush: true});
	await rename(`${file}.draft`, file);
}
