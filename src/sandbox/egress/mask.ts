/**
 * Keeps the value of an injected secret from coming back: a host may repeat what it was sent. Covers the spellings it is given (as it
 * is, in base64, hex, percent-encoded, in JSON), in the head and the body of a response. Does not cover a host that transforms it in
 * another way, cuts it into pieces or tells what it means: give secrets only to hosts that are trusted with them.
 */
import {Transform} from 'node:stream';

/** Shorter ones could not be masked without masking half of a text. */
export const MIN_SECRET_LENGTH = 8;

const STAR = 0x2a;

/** `text` with as many stars as it had bytes of the secret. */
export function maskText(text: string, secrets: readonly Buffer[]): string {
	const bytes = Buffer.from(text, 'latin1');
	mask(bytes, secrets);
	return bytes.toString('latin1');
}

/** Masks a stream without changing its length. Holds back only what could be the beginning of the secret. */
export function createMask(secrets: readonly Buffer[]): Transform {
	const state = {held: Buffer.alloc(0)};
	return new Transform({
		transform(chunk: Buffer, _encoding, done) {
			const bytes = Buffer.concat([state.held, chunk]);
			mask(bytes, secrets);
			const keep = Math.max(...secrets.map((secret) => beginningAtEnd(bytes, secret)));
			state.held = bytes.subarray(bytes.length - keep);
			done(null, bytes.subarray(0, bytes.length - keep));
		},
		flush(done) {
			done(null, state.held);
		},
	});
}

function mask(bytes: Buffer, secrets: readonly Buffer[]): void {
	for (const secret of secrets)
		for (let at = bytes.indexOf(secret); at !== -1; at = bytes.indexOf(secret, at)) bytes.fill(STAR, at, at + secret.length);
}

/** How many of the last bytes are the first bytes of `secret`. */
function beginningAtEnd(bytes: Buffer, secret: Buffer): number {
	for (let count = Math.min(bytes.length, secret.length - 1); count > 0; count--)
		if (bytes.subarray(bytes.length - count).equals(secret.subarray(0, count))) return count;
	return 0;
}
