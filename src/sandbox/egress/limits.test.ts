/** Every limit of the proxy, and the strictness of its HTTP. */
import assert from 'node:assert/strict';
import {once} from 'node:events';
import {existsSync, readdirSync, readFileSync} from 'node:fs';
import {connect, type Socket} from 'node:net';
import {dirname} from 'node:path';
import {describe, test} from 'node:test';
import {captureHello} from './fixtures/hello.ts';
import {fetchSecurely, get, type Internet, send, startInternet, tunnel, untilClosed} from './fixtures/internet.ts';

const on = async (act: (net: Internet) => Promise<void>) => {
	const net = await startInternet();
	await act(net).finally(net.close);
};

describe('the bytes of a run', () => {
	test('end it when they are used up, whichever way they went', () =>
		on(async (net) => {
			const port = await net.http((request, response) => {
				request.resume();
				request.on('end', () => response.end(Buffer.alloc(request.url === '/down' ? 100_000 : 1)));
			});
			const url = `http://allowed.test:${port}`;
			const rules = [{host: 'allowed.test', ports: [port]}];
			const body = Buffer.alloc(100_000);
			const upload = `POST ${url}/up HTTP/1.1\r\nHost: allowed.test:${port}\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n`;
			for (const bytes of [[get(`${url}/down`)], [upload, body]]) {
				const [narrow, wide] = [await net.open(rules, {maxBytes: 50_000}), await net.open(rules, {maxBytes: 150_000})];
				assert.ok((await send(narrow, ...bytes)).length < 51_000);
				assert.equal((await narrow.broken).message, 'stopped at 50000 bytes, the network limit of a sandbox');
				const {bytesUp, bytesDown, decisions} = await narrow.close();
				assert.ok(bytesUp + bytesDown <= 50_000, `${bytesUp} + ${bytesDown}`);
				assert.deepEqual(
					decisions.map(({verdict, reason}) => [verdict, reason]),
					[['failed', 'the bytes of this run are used up']],
				);
				assert.match(await send(wide, ...bytes), /^HTTP\/1.1 200 /);
			}
		}));

	test('count over all connections together, and in a tunnel that is not read', () =>
		on(async (net) => {
			const port = await net.https((_, response) => response.end(Buffer.alloc(30_000)));
			const way = await net.open([{host: 'allowed.test', ports: [port], opaque: true}], {maxBytes: 50_000});
			const request = 'GET / HTTP/1.1\r\nHost: allowed.test\r\nConnection: close\r\n\r\n';
			assert.ok((await fetchSecurely(way, `allowed.test:${port}`, request)).length > 30_000);
			await fetchSecurely(way, `allowed.test:${port}`, request);
			assert.deepEqual((await way.broken).details, {limit: 'networkBytes', value: 50_000});
		}));
});

describe('a client that is slow', () => {
	test('with its head is turned away', () =>
		on(async (net) => {
			const way = await net.open([{host: 'allowed.test'}], {limits: {headMs: 200}});
			assert.match(await send(way, 'GET http://allowed.test/ HTTP/1.1\r\nHost: al'), /^HTTP\/1.1 408 /);
		}));

	test('to go on is turned away, as is a host', () =>
		on(async (net) => {
			const port = await net.tcp((socket) => socket.resume());
			const way = await net.open([{host: 'allowed.test', ports: [port]}], {limits: {idleMs: 200}});
			const upload = `POST http://allowed.test:${port}/ HTTP/1.1\r\nHost: allowed.test:${port}\r\nContent-Length: 9\r\n\r\nx`;
			await send(way, upload);
			await send(way, get(`http://allowed.test:${port}/`));
			await way.close();
			assert.equal(way.report().decisions.length, 2);
		}));

	test('is turned away at the total time, whatever it does', () =>
		on(async (net) => {
			const port = await net.http((_, response) => {
				const timer = setInterval(() => response.write('x'), 20);
				response.on('close', () => clearInterval(timer));
			});
			const way = await net.open([{host: 'allowed.test', ports: [port]}], {limits: {totalMs: 300}});
			assert.match(await send(way, get(`http://allowed.test:${port}/`)), /^HTTP\/1.1 200 /);
		}));

	test('has one exchange at a time, however many requests it sends at once', () =>
		on(async (net) => {
			const seen = {open: 0, most: 0};
			const port = await net.tcp((socket) => {
				seen.open += 1;
				seen.most = Math.max(seen.most, seen.open);
				socket.resume().once('close', () => (seen.open -= 1));
			});
			const way = await net.open([{host: 'allowed.test', ports: [port]}], {limits: {connections: 2, idleMs: 500}});
			await send(way, `GET http://allowed.test:${port}/ HTTP/1.1\r\nHost: allowed.test:${port}\r\n\r\n`.repeat(500));
			const {decisions, more} = await way.close();
			assert.ok(seen.most <= 1, `${seen.most} connections at once`);
			assert.ok(decisions.length + more <= 2, `${decisions.length + more} decisions`);
			assert.equal(decisions[0]?.reason, 'a request before the answer to the request before it');
		}));

	test('takes a place that nobody else gets, up to the limit', () =>
		on(async (net) => {
			const way = await net.open([{host: 'allowed.test'}], {limits: {connections: 2, headMs: 2_000}});
			const idle = [connect(way.socket), connect(way.socket)];
			await Promise.all(idle.map((socket) => once(socket, 'connect')));
			for (const socket of idle) socket.on('error', () => {}).write('G');
			assert.equal(await send(way, get('http://evil.test/')), '');
			for (const socket of idle) socket.destroy();
			const {decisions} = await way.close();
			assert.equal(decisions[0]?.reason, 'too many connections at once');
		}));
});

describe('a request that two servers could read in two ways', () => {
	const url = 'http://allowed.test:PORT/';
	const host = 'Host: allowed.test:PORT\r\nConnection: close\r\n';
	for (const [title, bytes] of Object.entries({
		'with a length and chunks': `POST ${url} HTTP/1.1\r\n${host}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
		'with two lengths': `POST ${url} HTTP/1.1\r\n${host}Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx`,
		'with a signed length': `POST ${url} HTTP/1.1\r\n${host}Content-Length: +1\r\n\r\nx`,
		'with two codings': `POST ${url} HTTP/1.1\r\n${host}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
		'with an unknown coding': `POST ${url} HTTP/1.1\r\n${host}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`,
		'with a space before a colon': `POST ${url} HTTP/1.1\r\n${host}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n`,
		'with bare line feeds': `GET ${url} HTTP/1.1\n${host}\n`,
		'with one bare line feed': `GET ${url} HTTP/1.1\r\n${host}X: y\nZ: 1\r\n\r\n`,
		'with a bare carriage return': `GET ${url} HTTP/1.1\r\n${host}X: y\rZ: 1\r\n\r\n`,
		'with a folded line': `GET ${url} HTTP/1.1\r\n${host}X: y\r\n z\r\n\r\n`,
		'with two hosts': `GET ${url} HTTP/1.1\r\n${host}Host: evil.test\r\n\r\n`,
		'without a host': `GET ${url} HTTP/1.1\r\nConnection: close\r\n\r\n`,
		'with another host than its URL': `GET ${url} HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n`,
		'that upgrades': `GET ${url} HTTP/1.1\r\n${host}Connection: upgrade\r\nUpgrade: h2c\r\n\r\n`,
		'of HTTP/1.0': `GET ${url} HTTP/1.0\r\n${host}\r\n`,
		'of HTTP/0.9': `GET ${url}\r\n\r\n`,
		'of HTTP/2': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
		'for https in clear text': `GET https://allowed.test:PORT/ HTTP/1.1\r\n${host}\r\n`,
		'for a path': `GET / HTTP/1.1\r\n${host}\r\n`,
		'with a body in CONNECT': `CONNECT allowed.test:PORT HTTP/1.1\r\nHost: allowed.test:PORT\r\nContent-Length: 1\r\n\r\nx`,
		'with another host than its CONNECT': 'CONNECT allowed.test:PORT HTTP/1.1\r\nHost: evil.test\r\n\r\n',
		'with too many headers': `GET ${url} HTTP/1.1\r\n${host}${'X: 1\r\n'.repeat(100)}\r\n`,
		'with too long a head': `GET ${url} HTTP/1.1\r\n${host}X: ${'x'.repeat(20_000)}\r\n\r\n`,
		'with too long a target': `GET ${url}${'x'.repeat(9_000)} HTTP/1.1\r\n${host}\r\n`,
		'with a control character': `GET ${url}\x01 HTTP/1.1\r\n${host}\r\n`,
		'with a broken chunk': `POST ${url} HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n1\nx\r\n0\r\n\r\n`,
	}))
		test(`${title} is refused`, () =>
			on(async (net) => {
				const bodies: string[] = [];
				const port = await net.http((request, response) => {
					request.on('data', (part: Buffer) => bodies.push(part.toString()));
					request.on('end', () => response.end(String(bodies.push('whole'))));
					request.on('error', () => {});
				});
				const way = await net.open([{host: 'allowed.test', ports: [port]}]);
				assert.match(await send(way, bytes.replaceAll('PORT', String(port))), /^HTTP\/1.1 (?:4\d\d|502) /);
				assert.deepEqual(bodies, []);
			}));

	test('is never on a connection with another: what is smuggled past the proxy does not arrive; without it, it does', () =>
		on(async (net) => {
			const seen: string[] = [];
			const port = await net.http((request, response) => response.end(String(seen.push(request.url ?? ''))));
			const way = await net.open([{host: 'allowed.test', ports: [port], paths: ['/a']}]);
			const smuggled = `GET http://allowed.test:${port}/a HTTP/1.1\r\nHost: allowed.test:${port}\r\n\r\nGET /admin HTTP/1.1\r\nHost: allowed.test:${port}\r\nConnection: close\r\n\r\n`;
			assert.match(await send(way, smuggled), /^HTTP\/1.1 200 [\s\S]*HTTP\/1.1 400 /);
			assert.deepEqual(seen, ['/a']);
			await untilClosed(
				connect(port)
					.setNoDelay()
					.on('connect', function (this: Socket) {
						this.write(smuggled);
					}),
			);
			assert.equal(seen.at(-1), '/admin');
		}));
});

describe('an answer', () => {
	for (const [title, bytes] of Object.entries({
		'with a length and chunks': 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
		'with a bare line feed': 'HTTP/1.1 200 OK\nX: y\n\n',
		'that upgrades': 'HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n',
		'with too many headers': `HTTP/1.1 200 OK\r\n${'X: 1\r\n'.repeat(200)}\r\n`,
		'that is no HTTP': 'SSH-2.0-canary\r\n',
		'of another protocol version': 'HTTP/3.0 200 OK\r\n\r\n',
	}))
		test(`${title} is not passed on`, () =>
			on(async (net) => {
				const port = await net.tcp((socket) => socket.once('data', () => socket.end(bytes)));
				const way = await net.open([{host: 'allowed.test', ports: [port]}]);
				const answer = await send(way, get(`http://allowed.test:${port}/`));
				assert.match(answer, /^HTTP\/1.1 502 /);
				assert.doesNotMatch(answer, /canary/);
			}));
});

describe('a way out', () => {
	test('is closed with its run: nothing is left of it, and what was open is on record', () =>
		on(async (net) => {
			const port = await net.https();
			const way = await net.open([{host: 'allowed.test', ports: [port], opaque: true}]);
			const socket = await tunnel(way, `allowed.test:${port}`);
			assert.ok(typeof socket !== 'string');
			socket.write(await captureHello('allowed.test'));
			await once(socket, 'data');
			const closed = untilClosed(socket);
			const {decisions} = await way.close();
			await closed;
			assert.deepEqual(
				decisions.map(({reason}) => reason),
				['the run ended first'],
			);
			assert.ok(!existsSync(dirname(way.socket)));
		}));

	test('that dies breaks its run, by name', () =>
		on(async (net) => {
			const way = await net.open([{host: 'allowed.test'}]);
			const children = readdirSync('/proc').filter((pid) => isProxyOf(pid, way.socket));
			assert.equal(children.length, 1);
			process.kill(Number(children[0]), 'SIGKILL');
			assert.deepEqual((await way.broken).toJSON(), {
				code: 'runner_internal_error',
				message: 'the egress proxy of this run ended: SIGKILL',
				retry: 'later',
				details: {},
			});
			await way.close();
			assert.ok(!existsSync(dirname(way.socket)));
		}));
});

function isProxyOf(pid: string, socket: string): boolean {
	const command = `/proc/${pid}/cmdline`;
	return /^\d+$/.test(pid) && existsSync(command) && readFileSync(command, 'utf8').includes(`=${dirname(socket)}\0`);
}
