/**
 * The certificate authority of one run, which only that run's sandbox trusts: it lets the proxy read what the sandbox says over TLS.
 *
 * Certificates are written here rather than by a package because the process that does it holds secrets, and so loads no package: this
 * writes a fixed form from our own values, reads nothing, and OpenSSL checks the result in the tests.
 */
import {createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign} from 'node:crypto';
import {createSecureContext, type SecureContext} from 'node:tls';
import {addressOf} from './host-name.ts';

export type Authority = {
	readonly certificate: string;
	/** What a TLS server needs to pass for `host` to who trusts the authority. */
	contextFor(host: string): SecureContext;
};

const SEQUENCE = 0x30;
const SET = 0x31;
const INTEGER = 0x02;
const BIT_STRING = 0x03;
const OCTET_STRING = 0x04;
const UTF8_STRING = 0x0c;
const UTC_TIME = 0x17;
const EXPLICIT_0 = 0xa0;
const EXPLICIT_3 = 0xa3;
const TRUE = Buffer.of(0x01, 0x01, 0xff);

/** Object identifiers, already encoded. */
const OID = {
	ecdsaWithSha256: '2a8648ce3d040302',
	commonName: '550403',
	basicConstraints: '551d13',
	keyUsage: '551d0f',
	extendedKeyUsage: '551d25',
	serverAuth: '2b06010505070301',
	subjectAltName: '551d11',
	subjectKeyIdentifier: '551d0e',
	authorityKeyIdentifier: '551d23',
} as const;

const DAY_MS = 86_400_000;
const ISSUER = 'writ egress';

export function createAuthority(): Authority {
	const authority = newKeys();
	const leaf = newKeys();
	const certificate = issue({
		subject: name(ISSUER),
		publicKey: authority.publicKey,
		signer: authority.privateKey,
		extensions: [
			extension(OID.basicConstraints, tlv(SEQUENCE, TRUE, tlv(INTEGER, Buffer.of(0))), true),
			extension(OID.keyUsage, Buffer.of(BIT_STRING, 2, 1, 0x06), true), // keyCertSign, cRLSign
			extension(OID.subjectKeyIdentifier, tlv(OCTET_STRING, keyId(authority.publicKey))),
		],
	});
	const contexts = new Map<string, SecureContext>();
	const create = (host: string) => {
		const cert = issue({
			subject: tlv(SEQUENCE),
			publicKey: leaf.publicKey,
			signer: authority.privateKey,
			extensions: [
				extension(OID.subjectAltName, tlv(SEQUENCE, alternativeName(host)), true), // critical, as the subject is empty
				extension(OID.keyUsage, Buffer.of(BIT_STRING, 2, 7, 0x80), true), // digitalSignature
				extension(OID.extendedKeyUsage, tlv(SEQUENCE, oid(OID.serverAuth))),
				extension(OID.authorityKeyIdentifier, tlv(SEQUENCE, tlv(0x80, keyId(authority.publicKey)))),
			],
		});
		const key = leaf.privateKey.export({type: 'pkcs8', format: 'pem'});
		const context = createSecureContext({key, cert, minVersion: 'TLSv1.2'});
		contexts.set(host, context);
		return context;
	};
	return {certificate, contextFor: (host) => contexts.get(host) ?? create(host)};
}

type Keys = {readonly publicKey: KeyObject; readonly privateKey: KeyObject};

function newKeys(): Keys {
	const pair = generateKeyPairSync('ec', {
		namedCurve: 'P-256',
		publicKeyEncoding: {type: 'spki', format: 'pem'},
		privateKeyEncoding: {type: 'pkcs8', format: 'pem'},
	});
	return {publicKey: createPublicKey(pair.publicKey), privateKey: createPrivateKey(pair.privateKey)};
}

type Contents = {
	readonly subject: Buffer;
	readonly publicKey: KeyObject;
	readonly signer: KeyObject;
	readonly extensions: readonly Buffer[];
};

/** RFC 5280, section 4.1, as PEM. */
function issue({subject, publicKey, signer, extensions}: Contents): string {
	const algorithm = tlv(SEQUENCE, oid(OID.ecdsaWithSha256));
	const serial = randomBytes(16);
	serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40; // positive, and never a leading zero
	const [from, until] = [Date.now() - DAY_MS, Date.now() + DAY_MS]; // clocks inside and out may differ
	const content = tlv(
		SEQUENCE,
		tlv(EXPLICIT_0, tlv(INTEGER, Buffer.of(2))), // version 3
		tlv(INTEGER, serial),
		algorithm,
		name(ISSUER),
		tlv(SEQUENCE, time(from), time(until)),
		subject,
		publicKey.export({type: 'spki', format: 'der'}),
		tlv(EXPLICIT_3, tlv(SEQUENCE, ...extensions)),
	);
	const certificate = tlv(SEQUENCE, content, algorithm, bits(sign('sha256', content, signer)));
	const lines = certificate.toString('base64').replace(/.{64}/g, '$&\n').trimEnd();
	return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`;
}

function name(commonName: string): Buffer {
	return tlv(SEQUENCE, tlv(SET, tlv(SEQUENCE, oid(OID.commonName), tlv(UTF8_STRING, Buffer.from(commonName)))));
}

function time(ms: number): Buffer {
	return tlv(UTC_TIME, Buffer.from(`${new Date(ms).toISOString().replace(/\D/g, '').slice(2, 14)}Z`));
}

function extension(id: string, value: Buffer, critical = false): Buffer {
	return tlv(SEQUENCE, oid(id), ...(critical ? [TRUE] : []), tlv(OCTET_STRING, value));
}

function alternativeName(host: string): Buffer {
	const address = addressOf(host);
	return address === undefined ? tlv(0x82, Buffer.from(host, 'latin1')) : tlv(0x87, addressBytes(address));
}

function addressBytes(address: string): Buffer {
	if (!address.includes(':')) return Buffer.from(address.split('.').map(Number));
	const [head = [], tail = []] = address.split('::').map((half) => half.split(':').filter(Boolean));
	const groups = [...head, ...Array<string>(8 - head.length - tail.length).fill('0'), ...tail];
	return Buffer.from(groups.map((group) => group.padStart(4, '0')).join(''), 'hex');
}

/** Any value that is the same for the same key. */
function keyId(publicKey: KeyObject): Buffer {
	return publicKey.export({type: 'spki', format: 'der'}).subarray(-20);
}

function bits(value: Buffer): Buffer {
	return tlv(BIT_STRING, Buffer.of(0), value);
}

function oid(encoded: string): Buffer {
	return tlv(0x06, Buffer.from(encoded, 'hex'));
}

/** One value of DER: its tag, its length, its parts. */
function tlv(tag: number, ...parts: readonly Buffer[]): Buffer {
	const value = Buffer.concat(parts);
	if (value.length < 0x80) return Buffer.concat([Buffer.of(tag, value.length), value]);
	const length = Buffer.from(value.length.toString(16).padStart(4, '0'), 'hex');
	return Buffer.concat([Buffer.of(tag, 0x80 | length.length), length, value]);
}
