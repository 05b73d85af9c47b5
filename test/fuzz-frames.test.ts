/** The reader of frames against streams that a runner which was taken over could send. */
import assert from 'node:assert/strict';
import {test} from 'node:test';
import fc from 'fast-check';
import {WritError} from '#contract/errors.ts';
import type {Frame} from '#contract/sandbox.ts';
import {createFrameReader, encodeFrame} from '#sandbox/frames.ts';
import {corpus, runs, SEED} from './fuzz.ts';

const CAP = 20_000;
const CODES = ['runner_internal_error', 'runner_resource_exceeded'];

type Seen = {readonly frames: readonly string[]; readonly error: string | null};

/** What a reader makes of the chunks. Anything but a named error is a bug and is thrown on. */
function read(chunks: readonly Buffer[], cap = CAP): Seen {
	const frames: Frame[] = [];
	const reader = createFrameReader(cap, (frame) => frames.push(frame));
	try {
		for (const chunk of chunks) reader.push(chunk);
		return {frames: frames.map((frame) => JSON.stringify(frame)), error: null};
	} catch (error) {
		if (!(error instanceof WritError && CODES.includes(error.code))) throw error;
		return {frames: frames.map((frame) => JSON.stringify(frame)), error: error.code};
	}
}

function bytewise(bytes: Buffer): Buffer[] {
	return Array.from(bytes, (_, index) => bytes.subarray(index, index + 1));
}

/** However it is cut, a stream within the cap is the same stream; the protocol's order holds in what was handed on. */
function assertSound(bytes: Buffer, cuts: readonly number[] = []): Seen {
	const whole = read([bytes]);
	if (bytes.length <= CAP) assert.deepEqual(read(bytewise(bytes)), whole);
	else assert.equal(read(bytewise(bytes)).error === null, whole.error === null);
	const edges = [0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].toSorted((a, b) => a - b);
	const pieces = edges.slice(1).map((edge, index) => bytes.subarray(edges[index], edge));
	if (bytes.length <= CAP) assert.deepEqual(read(pieces), whole);
	const types = whole.frames.map((frame) => (JSON.parse(frame) as Frame).type);
	assert.ok(
		types.every((type, index) => (type === 'ready') === (index === 0)),
		types.join(),
	);
	assert.ok(
		types.slice(0, -1).every((type) => type !== 'done' && type !== 'error'),
		types.join(),
	);
	return whole;
}

const json = fc.jsonValue({maxDepth: 4});
const good: fc.Arbitrary<unknown> = fc.oneof(
	fc.constant({type: 'ready'}),
	fc.record({type: fc.constant('stage'), stage: fc.string()}),
	fc.record({type: fc.constant('rows'), rows: fc.array(fc.array(json, {maxLength: 4}), {maxLength: 4})}),
	fc.record({type: fc.constant('value'), value: json}),
	fc.record({type: fc.constant('file'), name: fc.string(), bytes: fc.nat(), rows: fc.option(fc.nat())}),
	fc.record({type: fc.constant('call'), id: fc.integer(), tool: fc.string(), input: json}),
	fc.record({type: fc.constant('error'), code: fc.constantFrom('x', '__proto__', 'toString'), message: fc.string()}),
	fc.record({type: fc.constant('done'), totalRows: fc.option(fc.nat()), truncated: fc.constant(null), nonFinite: fc.nat()}),
);
const strange = fc.oneof(
	json,
	fc.constantFrom<unknown>(
		{type: 'rows', rows: {length: 1}},
		{type: ['done']},
		{type: 'done', totalRows: 2 ** 53, nonFinite: 0.5},
		{__proto__: null, type: 'ready'},
	),
	fc.record({type: fc.string(), rows: json, value: json}),
);
const frame = fc.oneof({arbitrary: good.map(encodeFrame), weight: 6}, {arbitrary: strange.map(encodeFrame), weight: 1});
const lie = fc
	.tuple(fc.constantFrom(0, 1, 0x7fff_ffff, 0xffff_ffff, CAP, CAP + 1, 32 << 20), fc.uint8Array({maxLength: 40}))
	.map(([length, body]) => {
		const header = Buffer.alloc(4);
		header.writeUInt32BE(length);
		return Buffer.concat([header, body]);
	});
const deep = fc.integer({min: 1, max: 3_000}).map((depth) => {
	const body = Buffer.from(`{"type":"value","value":${'['.repeat(depth)}${']'.repeat(depth)}}`);
	const header = Buffer.alloc(4);
	header.writeUInt32BE(body.length);
	return Buffer.concat([header, body]);
});
const stream = fc
	.tuple(
		fc.boolean(),
		fc.array(fc.oneof({arbitrary: frame, weight: 8}, {arbitrary: lie, weight: 1}, {arbitrary: deep, weight: 1}), {maxLength: 8}),
		fc.array(fc.tuple(fc.nat(), fc.nat(255)), {maxLength: 3}),
	)
	.map(([starts, frames, flips]) => {
		const bytes = Buffer.concat([...(starts ? [encodeFrame({type: 'ready'})] : []), ...frames]);
		for (const [place, value] of flips) if (bytes.length > 0 && value % 3 === 0) bytes[place % bytes.length] = value;
		return bytes;
	});

test('what was kept from earlier runs is read alike however it is cut', () => {
	const kept = corpus('frames');
	assert.ok(kept.length >= 10, `${kept.length}`);
	for (const {bytes} of kept) assertSound(bytes, [1, 3, 5]);
});

test(`whatever a runner sends is frames in order, then a named error or nothing, however it is cut (seed ${SEED})`, () => {
	const ends: Record<string, number> = {};
	fc.assert(
		fc.property(stream, fc.array(fc.nat(), {maxLength: 5}), (bytes, cuts) => {
			const {error, frames} = assertSound(bytes, cuts);
			const end = error ?? (frames.length > 0 ? 'frames' : 'nothing');
			ends[end] = (ends[end] ?? 0) + 1;
		}),
		runs(6_000),
	);
	for (const end of ['runner_internal_error', 'runner_resource_exceeded', 'frames'])
		assert.ok((ends[end] ?? 0) > 50, JSON.stringify(ends));
});

test(`noise is an error or nothing (seed ${SEED})`, () => {
	fc.assert(
		fc.property(
			fc.uint8Array({maxLength: 300}),
			(noise) => void assertSound(Buffer.concat([encodeFrame({type: 'ready'}), noise])),
		),
		runs(3_000),
	);
});

test('an announced length reserves no memory', () => {
	const readers = Array.from({length: 2_000}, () => createFrameReader(2 ** 30, () => {}));
	const header = Buffer.from([0x01, 0xff, 0xff, 0xff]);
	const before = process.memoryUsage().arrayBuffers;
	for (const reader of readers) reader.push(header);
	assert.ok(process.memoryUsage().arrayBuffers - before < 50 << 20);
	assert.deepEqual(new Set(readers.map(({bytes}) => bytes)), new Set([4]));
});

test('bytes that drip one by one cost hardly more than what they are', () => {
	const reader = createFrameReader(2 ** 22, () => {});
	reader.push(encodeFrame({type: 'ready'}));
	reader.push(Buffer.from([0, 0x30, 0, 0]));
	const before = process.memoryUsage().rss;
	// Each in a buffer of its own, as a pipe delivers them.
	for (let index = 0; index < 2 ** 19; index += 1) reader.push(Buffer.from(new ArrayBuffer(1)));
	const grown = (process.memoryUsage().rss - before) / 2 ** 20;
	assert.ok(grown < 100, `${grown} MiB for half a MiB`);
});
