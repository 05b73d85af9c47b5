/** Reads which server a TLS client asks for, from the bytes of its first message: RFC 8446, section 4.1.2, and RFC 6066, section 3. */

/** More than any client sends, with post-quantum keys and session tickets. */
export const MAX_HELLO_BYTES = 32 * 1024;

const HANDSHAKE = 22;
const CLIENT_HELLO = 1;
const RECORD_HEADER = 5;
const MAX_FRAGMENT = 2 ** 14;
const MAX_RECORDS = 64;
const RANDOM_BYTES = 32;
const SERVER_NAME = 0;
const HOST_NAME = 0;
/** Behind these may be an encrypted name. Some browsers send noise in its place to everybody; which it is cannot be told. */
const ENCRYPTED_NAMES = [0xfe0d, 0xffce];

export type ClientHello =
	| {readonly kind: 'incomplete'}
	| {readonly kind: 'refused'; readonly reason: string}
	| {
			readonly kind: 'complete';
			/** null when the client named no server */
			readonly serverName: string | null;
			/** the server may see another name than this one, behind a key of its own */
			readonly hidesName: boolean;
	  };

/** `bytes` is all that the client has sent so far. */
export function readClientHello(bytes: Buffer): ClientHello {
	try {
		const message = joinFragments(bytes);
		if (message === undefined) return bytes.length < MAX_HELLO_BYTES ? {kind: 'incomplete'} : refused('hello too long');
		return readMessage(message);
	} catch (error) {
		if (error instanceof Malformed) return refused(error.message);
		throw error;
	}
}

/** What a client can send wrong. */
class Malformed extends Error {}

function refused(reason: string): ClientHello {
	return {kind: 'refused', reason};
}

/** The handshake message without its record layer, or undefined while it is not all there. */
function joinFragments(bytes: Buffer): Buffer | undefined {
	const fragments: Buffer[] = [];
	for (let at = 0; at < bytes.length; ) {
		if (fragments.length === MAX_RECORDS) throw new Malformed('too many records');
		const length = fragmentLength(bytes.subarray(at, at + RECORD_HEADER));
		if (length === undefined) return undefined;
		const end = at + RECORD_HEADER + length;
		fragments.push(bytes.subarray(at + RECORD_HEADER, end));
		const message = Buffer.concat(fragments);
		const size = sizeOf(message);
		// A client waits for its answer: what it sends before that is not TLS as we know it.
		if (message.length > size || (message.length === size && end !== bytes.length)) throw new Malformed('bytes after the hello');
		if (message.length === size) return message;
		at = end;
	}
	return undefined;
}

/** Undefined while the header is not all there; what is there must be right already. */
function fragmentLength(header: Buffer): number | undefined {
	if (header[0] !== HANDSHAKE) throw new Malformed('not a TLS handshake');
	if (header.length > 1 && header[1] !== 3) throw new Malformed('unknown TLS version');
	if (header.length < RECORD_HEADER) return undefined;
	const length = header.readUInt16BE(3);
	if (length === 0 || length > MAX_FRAGMENT) throw new Malformed('record of a wrong length');
	return length;
}

/** What a client hello says its length is; infinite while it has not said so. */
function sizeOf(message: Buffer): number {
	if (message.length > 0 && message[0] !== CLIENT_HELLO) throw new Malformed('not a client hello');
	if (message.length < 4) return Number.POSITIVE_INFINITY;
	const size = 4 + message.readUIntBE(1, 3);
	if (size > MAX_HELLO_BYTES) throw new Malformed('hello too long');
	return size;
}

function readMessage(message: Buffer): ClientHello {
	const reader = new Reader(message.subarray(4));
	reader.take(2 + RANDOM_BYTES);
	if (reader.vector(1).length > 32) throw new Malformed('session id too long');
	const suites = reader.vector(2);
	if (suites.length < 2 || suites.length % 2 !== 0) throw new Malformed('cipher suites of a wrong length');
	if (reader.vector(1).length < 1) throw new Malformed('no compression method');
	if (reader.left === 0) return {kind: 'complete', serverName: null, hidesName: false};
	const extensions = readExtensions(new Reader(reader.vector(2)));
	if (reader.left > 0) throw new Malformed('bytes after the extensions');
	const name = extensions.get(SERVER_NAME);
	const serverName = name === undefined ? null : readServerName(name);
	return {kind: 'complete', serverName, hidesName: ENCRYPTED_NAMES.some((type) => extensions.has(type))};
}

function readExtensions(reader: Reader): ReadonlyMap<number, Buffer> {
	const extensions = new Map<number, Buffer>();
	while (reader.left > 0) {
		const type = reader.take(2).readUInt16BE();
		if (extensions.has(type)) throw new Malformed('an extension twice');
		extensions.set(type, reader.vector(2));
	}
	return extensions;
}

/** Exactly one name: with several, which one counts would be the server's choice. */
function readServerName(extension: Buffer): string {
	const outer = new Reader(extension);
	const names = new Reader(outer.vector(2));
	if (names.take(1)[0] !== HOST_NAME) throw new Malformed('server name of an unknown type');
	const name = names.vector(2);
	if (names.left > 0 || outer.left > 0) throw new Malformed('more than one server name');
	return name.toString('latin1');
}

/** Takes fields from the front; one that reaches beyond the end is malformed. */
class Reader {
	#bytes: Buffer;

	constructor(bytes: Buffer) {
		this.#bytes = bytes;
	}

	get left(): number {
		return this.#bytes.length;
	}

	take(count: number): Buffer {
		if (count > this.#bytes.length) throw new Malformed('a field reaches beyond its end');
		const taken = this.#bytes.subarray(0, count);
		this.#bytes = this.#bytes.subarray(count);
		return taken;
	}

	/** A field behind its own length, which is `width` bytes wide. */
	vector(width: 1 | 2): Buffer {
		return this.take(this.take(width).readUIntBE(0, width));
	}
}
