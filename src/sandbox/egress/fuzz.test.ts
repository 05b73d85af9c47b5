/** Whatever is sent to the proxy, a host gets nothing but whole, plain requests that are for it, one to a connection. */
import assert from 'node:assert/strict';
import {readFileSync} from 'node:fs';
import {after, test} from 'node:test';
import fc from 'fast-check';
import {send, startInternet} from './fixtures/internet.ts';

/** Requests as JSON strings, HOST standing for the allowed host and its port; `evil.test` and `/smuggled` must reach nobody. */
const CORPUS: readonly string[] = JSON.parse(
	readFileSync(new URL('../../../test/corpus/egress/requests.json', import.meta.url), 'utf8'),
);

const net = await startInternet();
const received: string[] = [];
const port = await net.tcp((socket) => {
	const index = received.push('') - 1;
	socket.on('data', (part: Buffer) => {
		const before = received[index] ?? '';
		received[index] = before + part.toString('latin1');
		if (!before.includes('\r\n\r\n') && received[index]?.includes('\r\n\r\n'))
			socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok');
	});
});
const host = `allowed.test:${port}`;
const way = await net.open([{host: 'allowed.test', ports: [port], paths: ['/ok']}], {
	limits: {headMs: 1_000, idleMs: 1_000},
	maxBytes: 2 ** 30,
});
after(() => net.close());

const HEAD = new RegExp(
	`^[A-Z]+ /ok[!-~]* HTTP/1\\.1\\r\\nHost: ${host}\\r\\n((?:[!#$%&'*+.^_\`|~0-9A-Za-z-]+: [\\t -~\\x80-\\xff]*\\r\\n)*)Connection: close\\r\\n\\r\\n`,
	'i',
);

/** What follows the last chunk; empty when the body was broken off. */
function afterChunks(body: string): string {
	const [line, digits = ''] = /^([0-9a-f]+)\r\n/i.exec(body) ?? [''];
	const size = Number.parseInt(digits, 16);
	if (size === 0) return body.startsWith('0\r\n\r\n') ? body.slice(5) : body;
	if (line === '') return body;
	return body.length < line.length + size + 2 ? '' : afterChunks(body.slice(line.length + size + 2));
}

/** Throws unless `text` is one request, or the beginning of one that was broken off. */
function assertOneRequest(text: string): void {
	if (text === '') return;
	const [head, headers = ''] = HEAD.exec(text) ?? assert.fail(JSON.stringify(text));
	const body = text.slice(head.length);
	const [, length] = /^content-length: (\d+)\r$/im.exec(headers) ?? [];
	const chunked = /^transfer-encoding: chunked\r$/im.test(headers);
	assert.ok(!(length !== undefined && chunked), text);
	if (chunked) assert.equal(afterChunks(body), '', text);
	else assert.ok(body.length <= Number(length ?? 0), text);
	assert.doesNotMatch(head.split('\r\n', 1)[0] ?? '', /evil\.test|smuggled/);
	assert.doesNotMatch(headers, /^host *:/im, 'a second host');
}

async function sendAll(requests: readonly string[]): Promise<string[]> {
	const answers: string[] = [];
	for (let at = 0; at < requests.length; at += 24)
		answers.push(
			...(await Promise.all(
				requests.slice(at, at + 24).map((text) => send(way, Buffer.from(text.replaceAll('HOST', host), 'latin1'))),
			)),
		);
	return answers;
}

test('the corpus', async () => {
	assert.ok(CORPUS.length >= 40, `only ${CORPUS.length} requests`);
	await sendAll(CORPUS);
	for (const text of received) assertOneRequest(text);
});

test('requests put together at random', async () => {
	const line = fc.constantFrom(
		...[
			'GET http://HOST/ok HTTP/1.1',
			'POST http://HOST/ok HTTP/1.1',
			'GET /ok HTTP/1.1',
			'GET http://evil.test/ok HTTP/1.1',
			'CONNECT HOST HTTP/1.1',
			'GET http://HOST/ok/../smuggled HTTP/1.1',
		],
		...[
			'GET http://HOST/smuggled HTTP/1.1',
			'GET http://HOST@evil.test/ok HTTP/1.1',
			'HEAD http://HOST/ok HTTP/1.1',
			'OPTIONS * HTTP/1.1',
		],
	);
	const header = fc.constantFrom(
		...[
			'Host: HOST',
			'Host: evil.test',
			'Connection: close',
			'Content-Length: 5',
			'Content-Length: 0',
			'Transfer-Encoding: chunked',
			'Transfer-Encoding: identity',
			'Connection: content-length',
		],
		...[
			'Content-Length: 5, 5',
			'content-length : 3',
			'X: y',
			' folded',
			'X: \tpad',
			'Expect: 100-continue',
			'Connection: host, transfer-encoding',
			'Upgrade: h2c',
			'TE: trailers',
			'X: \xff',
			':',
			'Trailer: Host',
		],
	);
	const end = fc.constantFrom('\r\n', '\r\n', '\r\n', '\r\n', '\n', '\r', '\r\r\n');
	const body = fc.constantFrom(
		'',
		'hello',
		'5\r\nhello\r\n0\r\n\r\n',
		'0\r\n\r\n',
		'5\r\nhello\r\n0\r\nHost: evil.test\r\n\r\n',
		'GET /smuggled HTTP/1.1\r\nHost: evil.test\r\n\r\n',
		'5;x\r\nhello\r\n0\r\n\r\n',
		'fffffffff\r\n',
	);
	const lines = fc.tuple(line, fc.array(header, {maxLength: 5}), fc.boolean(), fc.array(end, {minLength: 1, maxLength: 8}), body);
	const request = lines.map(([first, headers, proper, ends, rest]) => {
		const all = [first, ...(proper ? ['Host: HOST'] : []), ...headers, ''];
		return all.map((text, index) => `${text}${proper ? '\r\n' : ends[index % ends.length]}`).join('') + rest;
	});
	const mutated = fc
		.tuple(fc.constantFrom(...CORPUS), fc.nat(200), fc.nat(4), fc.string({unit: 'binary', maxLength: 4}))
		.map(([text, at, cut, extra]) => text.slice(0, at) + extra + text.slice(at + cut));
	const tidy = fc
		.tuple(
			fc.constantFrom('POST http://HOST/ok HTTP/1.1', 'PUT http://HOST/ok?a HTTP/1.1'),
			fc.constantFrom('Content-Length: 5', 'Transfer-Encoding: chunked', 'Content-Length: 0', 'X: y'),
			fc.array(header, {maxLength: 1}),
			body,
		)
		.map(([first, framing, more, rest]) => [first, 'Host: HOST', framing, ...more, '', rest].join('\r\n'));
	const seed = Date.now() % 2 ** 31;
	const before = received.length;
	const good = CORPUS[0] ?? '';
	const answers = await sendAll([
		...fc
			.sample(fc.array(fc.oneof(request, tidy), {minLength: 1, maxLength: 2}), {seed, numRuns: 300})
			.map((each) => each.join('')),
		...fc.sample(mutated, {seed, numRuns: 300}),
	]);
	for (const text of received) assertOneRequest(text);
	assert.match((await sendAll([good]))[0] ?? '', /^HTTP\/1.1 200 /, `the proxy is gone, seed ${seed}`);
	// A fuzzer whose requests are all refused has tested nothing.
	const arrived = received.slice(before).filter((text) => text !== '');
	assert.ok(arrived.length > 30, `${arrived.length} of 600 arrived, seed ${seed}`);
	assert.ok(answers.filter((answer) => answer.startsWith('HTTP/1.1 40')).length > 100);
});
