import assert from 'node:assert/strict';
import {PassThrough} from 'node:stream';
import {text} from 'node:stream/consumers';
import {test} from 'node:test';
import {packed} from '../doubles/docker-engine.ts';
import {separate} from './streams.ts';

const CUT = {code: 'sandbox_unavailable', message: 'the container engine: the connection to a container was cut'};
const both = Buffer.concat([
	packed(1, Buffer.from('frames')),
	packed(2, Buffer.from('printed')),
	packed(1, Buffer.from(' and more')),
]);

for (const size of [1, 3, 7, 8, 9, both.length])
	test(`two streams are told apart, however they arrive: ${size} bytes at a time`, async () => {
		const connection = new PassThrough();
		const {stdout, stderr, ended} = separate(connection);
		const texts = Promise.all([text(stdout), text(stderr)]);
		for (let at = 0; at < both.length; at += size) connection.write(both.subarray(at, at + size));
		connection.end();
		assert.deepEqual(await texts, ['frames and more', 'printed']);
		await ended;
	});

test('what was printed waits for its reader, and when it came is known without one', async () => {
	const connection = new PassThrough();
	const {stdout, stderr, printedAt} = separate(connection);
	stdout.resume();
	assert.equal(printedAt(), undefined);
	connection.end(packed(2, Buffer.from('early')));
	await new Promise(setImmediate);
	assert.equal(typeof printedAt(), 'number');
	assert.equal(await text(stderr), 'early');
});

test('an empty part is nothing', async () => {
	const connection = new PassThrough();
	const {stdout, stderr} = separate(connection);
	stderr.resume();
	connection.end(Buffer.concat([packed(1, Buffer.alloc(0)), packed(1, Buffer.from('x'))]));
	assert.equal(await text(stdout), 'x');
});

test('a part that is said to be of four gigabytes is passed on as it comes, and not waited for', async () => {
	const connection = new PassThrough();
	const {stdout, stderr} = separate(connection);
	stderr.resume();
	const seen: number[] = [];
	stdout.on('data', (chunk: Buffer) => seen.push(chunk.length));
	connection.write(Buffer.from([1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]));
	connection.write(Buffer.alloc(1_000));
	connection.write(Buffer.alloc(2_000));
	await new Promise(setImmediate);
	assert.deepEqual(seen, [1_000, 2_000]);
	connection.end();
});

for (const [title, bytes] of Object.entries({
	'a stream that there is not': packed(3, Buffer.from('x')),
	'the standard input': packed(0, Buffer.from('x')),
	'a header that is none': Buffer.from('HTTP/1.1 500'),
	'a header after a good part that is none': Buffer.concat([packed(1, Buffer.from('x')), Buffer.from('12345678')]),
}))
	test(`${title} ends the connection`, async () => {
		const connection = new PassThrough();
		const {stdout, stderr, ended} = separate(connection);
		for (const stream of [stdout, stderr]) stream.resume();
		connection.write(bytes);
		await assert.rejects(ended, {
			code: 'sandbox_unavailable',
			message: 'the container engine: what it sent of a container was not its output',
		});
		assert.ok(connection.destroyed);
	});

test('a connection that is cut is an error, not an end', async () => {
	const connection = new PassThrough();
	const {stdout, stderr, ended} = separate(connection);
	for (const stream of [stdout, stderr]) stream.resume();
	connection.destroy();
	await assert.rejects(ended, CUT);
});

for (const bytes of [3, 10])
	test(`so is one that ends after ${bytes} bytes of a part`, async () => {
		const connection = new PassThrough();
		const {stdout, stderr, ended} = separate(connection);
		for (const stream of [stdout, stderr]) stream.resume();
		connection.end(packed(1, Buffer.from('half')).subarray(0, bytes));
		await assert.rejects(ended, CUT);
	});
