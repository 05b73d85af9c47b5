import {createHash, randomBytes} from 'node:crypto';
import {crc32} from 'node:zlib';

const PREFIX = 'writ_';
const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
/** 62 to the 43rd is more than 2 to the 256th. */
const BODY = 43;
const CHECK = 6;

/** 256 random bits, recognisable for what they are; the last characters tell a typo from a token that is not there. */
export function mintToken(): string {
	const body = `${PREFIX}${base62(BigInt(`0x${randomBytes(32).toString('hex')}`), BODY)}`;
	return `${body}${checksum(body)}`;
}

/** Whether it claims to be one of ours. */
export function looksLikeToken(text: string): boolean {
	return text.startsWith(PREFIX);
}

/** Whether it could be one of ours. */
export function isWellFormed(text: string): boolean {
	if (!/^writ_[A-Za-z0-9]{49}$/.test(text)) return false;
	return checksum(text.slice(0, -CHECK)) === text.slice(-CHECK);
}

/** What is kept of something secret, hex. Its 256 bits are as many as the secret has, so there is nothing to gain by guessing. */
export function digestOf(secret: string): string {
	return createHash('sha256').update(secret).digest('hex');
}

/** For cookies: 256 random bits. */
export function mintSecret(): string {
	return randomBytes(32).toString('base64url');
}

function checksum(body: string): string {
	return base62(BigInt(crc32(body)), CHECK);
}

function base62(value: bigint, length: number): string {
	let [rest, text] = [value, ''];
	while (rest > 0n) {
		text = `${DIGITS[Number(rest % 62n)]}${text}`;
		rest /= 62n;
	}
	return text.padStart(length, '0');
}
