import {hash} from 'node:crypto';
import type {SigningKey} from './keys.ts';

/** A tree at one size. `origin` names the log: no spaces, no plus. */
export type TreeHead = {readonly origin: string; readonly size: number; readonly root: Buffer};

/** A C2SP checkpoint: a note of three lines, signed with Ed25519 under the log's own name. */
export function signCheckpoint({origin, size, root}: TreeHead, key: SigningKey): string {
	const text = `${origin}\n${size}\n${root.toString('base64')}\n`;
	const raw = Buffer.from(key.publicKey, 'base64').subarray(-32); // the last bytes of an Ed25519 SPKI are the key itself
	const id = hash('sha256', Buffer.concat([Buffer.from(`${origin}\n\u0001`, 'latin1'), raw]), 'buffer').subarray(0, 4);
	const signature = Buffer.concat([id, Buffer.from(key.sign(text), 'base64')]).toString('base64');
	return `${text}\n— ${origin} ${signature}\n`;
}
