import assert from 'node:assert/strict';
import {readFileSync} from 'node:fs';
import {describe, test} from 'node:test';
import fc from 'fast-check';
import {type ClientHello, MAX_HELLO_BYTES, readClientHello} from './client-hello.ts';
import {captureHello} from './fixtures/hello.ts';

/** Hellos of other clients, and broken ones, in base64, each with what is to be read from it. */
const CORPUS: readonly {readonly title: string; readonly bytes: string; readonly expected: ClientHello}[] = JSON.parse(
	readFileSync(new URL('../../../test/corpus/egress/hellos.json', import.meta.url), 'utf8'),
);

const NAMED: ClientHello = {kind: 'complete', serverName: 'allowed.test', hidesName: false};
const hello = await captureHello('allowed.test', {ALPNProtocols: ['h2', 'http/1.1']});
const message = hello.subarray(5);

function records(pieces: readonly Buffer[]): Buffer {
	return Buffer.concat(pieces.flatMap((piece) => [Buffer.of(22, 3, 1, piece.length >> 8, piece.length & 255), piece]));
}

/** The hello with its extensions changed by `edit`, lengths put right. */
function edited(edit: (extensions: [number, Buffer][]) => [number, Buffer][]): Buffer {
	const start = 4 + 34 + 1 + (message[38] ?? 0);
	const suites = start + 2 + message.readUInt16BE(start);
	const at = suites + 1 + (message[suites] ?? 0);
	const extensions: [number, Buffer][] = [];
	for (let offset = at + 2; offset < message.length; ) {
		const length = message.readUInt16BE(offset + 2);
		extensions.push([message.readUInt16BE(offset), message.subarray(offset + 4, offset + 4 + length)]);
		offset += 4 + length;
	}
	const block = Buffer.concat(edit(extensions).map(([type, data]) => Buffer.concat([u16(type), u16(data.length), data])));
	const body = Buffer.concat([message.subarray(4, at), u16(block.length), block]);
	return records([Buffer.concat([Buffer.of(1, 0), u16(body.length), body])]);
}

const u16 = (value: number) => Buffer.of(value >> 8, value & 255);
const name = (text: string) => Buffer.concat([Buffer.of(0), u16(text.length), Buffer.from(text, 'latin1')]);
const names = (...list: Buffer[]) => Buffer.concat([u16(Buffer.concat(list).length), ...list]);
const withName = (extension: Buffer) => edited((all) => [...all.filter(([type]) => type !== 0), [0, extension]]);

describe('a client hello', () => {
	test('names its server, and is incomplete until its last byte', () => {
		assert.deepEqual(readClientHello(hello), NAMED);
		for (let length = 0; length < hello.length; length++)
			assert.deepEqual(readClientHello(hello.subarray(0, length)), {kind: 'incomplete'});
	});

	test('reads the same however it is cut into records', () => {
		const cuts = fc.uniqueArray(fc.integer({min: 1, max: message.length - 1}), {maxLength: 40});
		fc.assert(
			fc.property(cuts, (at) => {
				const ends = [...at.toSorted((a, b) => a - b), message.length];
				const pieces = ends.map((end, index) => message.subarray(ends[index - 1] ?? 0, end));
				const bytes = records(pieces);
				assert.deepEqual(readClientHello(bytes), NAMED);
				assert.deepEqual(readClientHello(bytes.subarray(0, -1)), {kind: 'incomplete'});
			}),
		);
	});

	test('may hold values that mean nothing, in any place', () => {
		const grease = [0x0a0a, 0x1a1a, 0xfafa].map((type): [number, Buffer] => [type, Buffer.of(0)]);
		assert.deepEqual(readClientHello(edited((all) => [...grease.slice(0, 1), ...all, ...grease.slice(1)])), NAMED);
	});

	test('may name no server', () => {
		const unnamed = edited((all) => all.filter(([type]) => type !== 0));
		assert.deepEqual(readClientHello(unnamed), {kind: 'complete', serverName: null, hidesName: false});
	});

	test('may hide another name behind the one it shows, in either way there was', () => {
		for (const type of [0xfe0d, 0xffce])
			assert.deepEqual(readClientHello(edited((all) => [...all, [type, Buffer.alloc(8)]])), {...NAMED, hidesName: true});
	});

	const twoHellos = records([message, message]);
	for (const [title, bytes, reason] of [
		[
			'comes in a record longer than itself',
			Buffer.concat([Buffer.of(22, 3, 1), u16(message.length + 1), message]),
			'bytes after the hello',
		],
		['has two names', withName(names(name('allowed.test'), name('hidden.test'))), 'more than one server name'],
		['has names after its names', withName(Buffer.concat([names(name('allowed.test')), name('x')])), 'more than one server name'],
		[
			'has a name of another type',
			withName(names(Buffer.concat([Buffer.of(1), name('a').subarray(1)]))),
			'server name of an unknown type',
		],
		['has an empty list of names', withName(names()), 'a field reaches beyond its end'],
		[
			'has a name longer than its list',
			withName(Buffer.from(names(name('allowed.test'))).fill(255, 3, 5)),
			'a field reaches beyond its end',
		],
		['has its name twice', edited((all) => [...all, [0, names(name('hidden.test'))]]), 'an extension twice'],
		['is followed by another', twoHellos, 'bytes after the hello'],
		['is followed by data', Buffer.concat([hello, Buffer.of(23, 3, 3, 0, 1, 0)]), 'bytes after the hello'],
		['has data after its end in its record', records([Buffer.concat([message, Buffer.of(0)])]), 'bytes after the hello'],
		['comes in empty records', Buffer.concat([Buffer.of(22, 3, 1, 0, 0), hello]), 'record of a wrong length'],
		['comes in a record that is too long', Buffer.of(22, 3, 1, 0x40, 1), 'record of a wrong length'],
		['comes in too many records', records([...message].map((byte) => Buffer.of(byte))), 'too many records'],
		['claims to be endless', records([Buffer.of(1, 255, 255, 255)]), 'hello too long'],
		['is a server hello', records([Buffer.of(2, 0, 0, 1, 0)]), 'not a client hello'],
		['is of SSL 2', Buffer.of(0x80, 0x2e, 1, 3, 1), 'not a TLS handshake'],
		['is of an unknown version', Buffer.of(22, 9, 1, 0, 1, 1), 'unknown TLS version'],
	] as const)
		test(`that ${title} is refused`, () => assert.deepEqual(readClientHello(bytes), {kind: 'refused', reason}));

	test('of the corpus reads as noted', () => {
		assert.ok(CORPUS.length >= 10, `only ${CORPUS.length} hellos`);
		for (const {title, bytes, expected} of CORPUS)
			assert.deepEqual(readClientHello(Buffer.from(bytes, 'base64')), expected, title);
	});

	test('never takes the reader beyond its end, and a changed byte never makes another name of it unnoticed', () => {
		const change = fc.tuple(fc.nat(hello.length - 1), fc.integer({min: 0, max: 255}));
		const at = hello.indexOf('allowed.test');
		fc.assert(
			fc.property(fc.array(change, {minLength: 1, maxLength: 4}), (changes) => {
				const bytes = Buffer.from(hello);
				for (const [index, value] of changes) bytes[index] = value;
				const read = readClientHello(bytes);
				if (read.kind !== 'complete' || read.serverName === null) return;
				// What is read is there, letter by letter.
				assert.ok(bytes.includes(Buffer.from(read.serverName, 'latin1')));
				if (bytes.subarray(at, at + 12).equals(hello.subarray(at, at + 12)) && read.serverName.length === 12)
					assert.equal(read.serverName, 'allowed.test');
			}),
			{numRuns: 5_000},
		);
		fc.assert(
			fc.property(fc.uint8Array({maxLength: 200}), fc.boolean(), (bytes, framed) => {
				const random = framed ? records([Buffer.from(bytes)]) : Buffer.from(bytes);
				assert.ok(['incomplete', 'refused', 'complete'].includes(readClientHello(random).kind));
			}),
			{numRuns: 5_000},
		);
		assert.equal(readClientHello(Buffer.alloc(MAX_HELLO_BYTES, 22)).kind, 'refused');
	});
});
