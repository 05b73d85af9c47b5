import assert from 'node:assert/strict';
import {describe, test} from 'node:test';
import fc from 'fast-check';
import type {Frame} from '#contract/sandbox.ts';
import {createCapturedText, sanitise} from './captured-text.ts';
import {createFrameReader, encodeFrame} from './frames.ts';

const ready: Frame = {type: 'ready'};
const rows: Frame = {type: 'rows', rows: [[1, 'ä', null, {deep: [true]}]]};
const done: Frame = {type: 'done', totalRows: 1, truncated: null, nonFinite: 0};

function read(chunks: readonly Buffer[], outputBytes = 10_000): Frame[] {
	const frames: Frame[] = [];
	const reader = createFrameReader(outputBytes, (frame) => frames.push(frame));
	for (const chunk of chunks) reader.push(chunk);
	return frames;
}

describe('a frame reader', () => {
	test('gives the same frames however the bytes are cut', () => {
		const bytes = Buffer.concat([ready, rows, done].map(encodeFrame));
		fc.assert(
			fc.property(fc.array(fc.integer({min: 1, max: bytes.length})), (cuts) => {
				const edges = [0, ...new Set(cuts), bytes.length].toSorted((a, b) => a - b);
				const chunks = edges.slice(1).map((edge, index) => bytes.subarray(edges[index], edge));
				assert.deepEqual(read(chunks), [ready, rows, done]);
			}),
		);
	});

	test('throws nothing but the two named errors, whatever arrives', () => {
		fc.assert(
			fc.property(fc.uint8Array({maxLength: 200}), (noise) => {
				try {
					read([encodeFrame(ready), Buffer.from(noise)]);
				} catch (error) {
					assert.match((error as {code: string}).code, /^runner_(internal_error|resource_exceeded)$/);
				}
			}),
		);
	});

	test('stops at the output limit, on the length announced rather than the bytes received', () => {
		const header = Buffer.from([0, 0, 0x27, 0x11]);
		const error = {code: 'runner_resource_exceeded', details: {limit: 'outputBytes', value: 10_000}};
		assert.throws(() => read([encodeFrame(ready), header]), error);
		assert.throws(() => read([encodeFrame({type: 'stage', stage: 'x'.repeat(10_000)})]), error);
	});

	test('stops a stream of more frames than an answer has', () => {
		const many = Buffer.concat(Array(70_000).fill(encodeFrame({type: 'stage', stage: ''})));
		assert.throws(() => read([encodeFrame(ready), many], 10_000_000), {code: 'runner_resource_exceeded'});
	});

	for (const [what, frames] of Object.entries({
		'no ready': [done],
		'two readies': [ready, ready],
		'bytes after done': [ready, done, rows],
		'bytes after error': [ready, {type: 'error', code: 'x', message: ''}, done],
		'an unknown type': [ready, {type: 'permit'}],
		'rows that are no rows': [ready, {type: 'rows', rows: [1]}],
		'a fractional count': [ready, {...done, nonFinite: 0.5}],
	}))
		test(`refuses ${what}`, () => {
			assert.throws(() => read(frames.map(encodeFrame)), {code: 'runner_internal_error'});
		});

	test('refuses JSON too deep to walk', () => {
		const body = Buffer.from(`{"type":"rows","rows":[[${'['.repeat(90_000)}${']'.repeat(90_000)}]]}`);
		const header = Buffer.alloc(4);
		header.writeUInt32BE(body.length);
		assert.throws(() => read([encodeFrame(ready), header, body], 1_000_000), {code: 'runner_internal_error'});
	});

	for (const [what, value] of Object.entries({
		'an object of many members': `{${Array.from({length: 70}, (_, index) => `"${index}":0`).join()}}`,
		'many small objects': `[${'{"a":0},'.repeat(70)}0]`,
		'many lists in lists': `[[${'[],'.repeat(70)}0]]`,
	}))
		test(`stops at ${what}, which take longer than their bytes say, in one frame or in several`, () => {
			const error = {
				code: 'runner_resource_exceeded',
				message: /more than 125 lists and members/,
				details: {limit: 'outputBytes', value: 2_000},
			};
			const frame = encodeFrame({type: 'value', value: JSON.parse(value)});
			assert.throws(() => read([encodeFrame(ready), frame, frame], 2_000), error);
			assert.throws(
				() => read([encodeFrame(ready), encodeFrame({type: 'rows', rows: [[JSON.parse(`[${value},${value}]`)]]})], 2_000),
				error,
			);
		});

	test('takes as many rows as there is room for, however short they are', () => {
		const many: Frame = {type: 'rows', rows: Array.from({length: 400}, () => [1])};
		assert.deepEqual(read([ready, many].map(encodeFrame), 2_000), [ready, many]);
	});

	for (const [what, text] of Object.entries({
		'columns that are none': '{"type":"columns","columns":[LIST]}',
		'names that are none': '{"type":"case","case":{"file":"","name":[LIST],"status":"passed","durationMs":1}}',
		'rows that are none': '{"type":"rows","rows":[LIST]}',
	}))
		test(`does not look through millions of ${what}`, () => {
			const body = Buffer.from(text.replace('LIST', `${'0,'.repeat(6_000_000)}0`));
			const header = Buffer.alloc(4);
			header.writeUInt32BE(body.length);
			const before = process.threadCpuUsage();
			assert.throws(() => read([encodeFrame(ready), header, body], 20_000_000), {code: 'runner_internal_error'});
			const {user, system} = process.threadCpuUsage(before);
			assert.ok(user + system < 2_000_000, `${user + system} µs`);
		});

	test('takes a large frame in small pieces in linear time', () => {
		const bytes = encodeFrame({type: 'stage', stage: 'x'.repeat(4_000_000)});
		const pieces = Array.from({length: Math.ceil(bytes.length / 1000)}, (_, index) =>
			bytes.subarray(index * 1000, (index + 1) * 1000),
		);
		const started = performance.now();
		assert.equal(read([encodeFrame(ready), ...pieces], 10_000_000).length, 2);
		assert.ok(performance.now() - started < 1_000);
	});
});

describe('captured text', () => {
	for (const [input, output] of [
		['plain\ttext\n', 'plain\ttext\n'],
		['\u001b[2J\u001b[1;31mred\u001b[0m', 'red'],
		['\u001b]0;title\u0007\u001b]8;;http://x\u001b\\link\u001b]8;;\u001b\\', 'link'],
		['a\u0000b\u0007c\u0008d\u009b31m', 'abcd31m'],
		['one\r\ntwo\rthree', 'one\ntwothree'],
		['safe\u202egpj.exe', 'safegpj.exe'],
	] as const)
		test(`${JSON.stringify(input)} is shown as ${JSON.stringify(output)}`, () => {
			assert.equal(sanitise(input), output);
		});

	test('keeps 64 KiB and says how much it left out', () => {
		const captured = createCapturedText();
		for (let i = 0; i < 10; i++) captured.push(Buffer.alloc(10_000, 'x'));
		assert.equal(captured.text(), `${'x'.repeat(65_536)}\n… 34464 more bytes were left out\n`);
	});
});

for (const [type, payload] of Object.entries({
	value: (json: string) => `"value":${json}`,
	call: (json: string) => `"id":1,"tool":"x","input":${json}`,
	error: (json: string) => `"code":"a","message":"b","details":{"a":${json}}`,
	rows: (json: string) => `"rows":[[${json}]]`,
}))
	test(`${type}: a number that is not finite is refused, a prototype left out, and the rest is as it was sent`, () => {
		const read = (json: string) => {
			const frames: unknown[] = [];
			const reader = createFrameReader(100_000, (frame) => frames.push(frame));
			for (const text of ['{"type":"ready"}', `{"type":"${type}",${payload(json)}}`]) {
				const body = Buffer.from(text);
				const header = Buffer.alloc(4);
				header.writeUInt32BE(body.length);
				reader.push(Buffer.concat([header, body]));
			}
			return frames[1];
		};
		const sent = '{"a":[1,null,{"b":"c"}],"d":true}';
		assert.deepEqual(read(sent), JSON.parse(`{"type":"${type}",${payload(sent)}}`));
		assert.deepEqual(read('[{"b":2,"__proto__":{"a":1}}]'), read('[{"b":2}]'));
		for (const json of ['1e999', '[-1e999]']) assert.throws(() => read(json), {code: 'runner_internal_error'});
	});
