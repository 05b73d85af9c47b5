import {verify} from 'node:crypto';
import {z} from 'zod';
import {canonical} from './canonical.ts';
import {decode, readSigner, type Signer} from './verify.ts';
import type {Finding} from './verify-conduct.ts';

const recordSchema = z.strictObject({
	keyId: z.string(),
	publicKey: z.string(),
	since: z.iso.datetime().nullable(),
	previous: z.string().nullable(),
	revokes: z.strictObject({keyId: z.string(), reason: z.string()}).nullable(),
	own: z.string(),
	endorsement: z.string().nullable(),
});

export type KeyChain = {
	readonly findings: readonly Finding[];
	/** oldest first; empty when the chain is not whole */
	readonly signers: readonly Signer[];
	/** why a key is not to be trusted any more, by its id */
	readonly revoked: ReadonlyMap<string, string>;
};

const NAME = 'keys';
const FILE = 'keys.json';

/** Checks that each key was vouched for by the one before it, and that a trusted one is among them. */
export function checkKeys(records: unknown, trustedKeyId: string | undefined): KeyChain {
	const {data} = z.array(recordSchema).min(1).safeParse(records);
	const fail = (detail: string): KeyChain => ({
		findings: [{name: NAME, verdict: 'tampered', detail, file: FILE}],
		signers: [],
		revoked: new Map(),
	});
	if (!data) return fail('there is no chain of keys');
	const signers: Signer[] = [];
	for (const [index, {own, endorsement, ...facts}] of data.entries()) {
		const signer = readSigner(facts.publicKey);
		const before = signers[index - 1] ?? null;
		if (signer?.keyId !== facts.keyId) return fail(`key ${index + 1} is not the Ed25519 key that its id names`);
		if (facts.previous !== (before?.keyId ?? null)) return fail(`key ${index + 1} does not follow from the one before it`);
		if (!isSignedBy(signer, canonical(facts), own)) return fail(`key ${index + 1} did not sign its own record`);
		if (before ? !isSignedBy(before, canonical(facts), endorsement) : endorsement !== null)
			return fail(`the key before key ${index + 1} did not vouch for it`);
		signers.push(signer);
	}
	const revoked = new Map(data.flatMap(({revokes}) => (revokes ? [[revokes.keyId, revokes.reason] as const] : [])));
	return {findings: [toTrust(signers, trustedKeyId)], signers, revoked};
}

function toTrust(signers: readonly Signer[], trustedKeyId: string | undefined): Finding {
	const last = signers.at(-1)?.keyId ?? '';
	const count = signers.length === 1 ? 'one key' : `${signers.length} keys, each vouched for by the one before`;
	if (trustedKeyId === undefined) {
		const detail = `${count}; nobody vouched for key ${last}: compare it with the .pub file of the platform that ran this`;
		return {name: 'self-signed key', verdict: 'valid', detail};
	}
	if (signers.some(({keyId}) => keyId === trustedKeyId))
		return {name: 'key', verdict: 'valid', detail: `${count}, among them the trusted key ${trustedKeyId}`};
	return {
		name: 'key',
		verdict: 'cannot_tell',
		detail: `signed with key ${last}, which the trusted key ${trustedKeyId} does not vouch for`,
	};
}

/** Ed25519 over the UTF-8 bytes of `text`; false for a signature that is none. */
export function isSignedBy({key}: Signer, text: string, signature: unknown): boolean {
	try {
		return verify(null, Buffer.from(text, 'utf8'), key, decode(signature));
	} catch {
		return false;
	}
}
