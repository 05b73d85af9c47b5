import {canonical} from './canonical.ts';
import type {SigningKey} from './keys.ts';

/** A file's or an event's digest, as in-toto names what a statement is about. */
export type Resource = {readonly name: string; readonly uri?: string; readonly digest: {readonly sha256: string}};

/** An in-toto Statement v1. */
export type Statement = {
	readonly _type: 'https://in-toto.io/Statement/v1';
	readonly subject: readonly Resource[];
	readonly predicateType: string;
	readonly predicate: Readonly<Record<string, unknown>>;
};

const PAYLOAD_TYPE = 'application/vnd.in-toto+json';

/** A statement in a DSSE envelope with one Ed25519 signature: canonical JSON and a line feed. */
export function toEnvelope(statement: Statement, key: SigningKey): string {
	const payload = canonical(statement);
	const envelope = {
		payloadType: PAYLOAD_TYPE,
		payload: Buffer.from(payload, 'utf8').toString('base64'),
		signatures: [{keyid: key.keyId, sig: key.sign(preAuthEncoding(PAYLOAD_TYPE, payload))}],
	};
	return `${canonical(envelope)}\n`;
}

/** What is signed instead of the payload, so that a payload of one type cannot pass as one of another. */
function preAuthEncoding(type: string, payload: string): string {
	return `DSSEv1 ${Buffer.byteLength(type)} ${type} ${Buffer.byteLength(payload)} ${payload}`;
}
