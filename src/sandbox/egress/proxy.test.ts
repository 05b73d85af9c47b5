/** Attacks on the proxy over real sockets. Where a check can be left out, the attack is shown to succeed without it. */
import assert from 'node:assert/strict';
import {once} from 'node:events';
import {readFileSync} from 'node:fs';
import {connect} from 'node:net';
import {networkInterfaces} from 'node:os';
import {describe, test} from 'node:test';
import {setTimeout as delay} from 'node:timers/promises';
import type {Answers} from './fixtures/dns-double.ts';
import {fetchSecurely, get, type Internet, secure, send, startInternet, tunnel, untilClosed} from './fixtures/internet.ts';

const CORPUS = new URL('../../../test/corpus/egress/hellos.json', import.meta.url);

async function on(internet: Promise<Internet>, act: (internet: Internet) => Promise<void>): Promise<void> {
	const net = await internet;
	try {
		await act(net);
	} finally {
		await net.close();
	}
}

const online = (act: (internet: Internet) => Promise<void>, answers: Answers = {}) => on(startInternet(answers), act);

/** The body of a refusal. */
function refusal(answer: string): string {
	return /writ egress: (.*)\n/.exec(answer)?.[1] ?? answer;
}

const request = (host: string, path = '/', headers = '') =>
	`GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n${headers}\r\n`;

describe('what a rule allows', () => {
	test('is reached in plain text and over TLS, and becomes evidence', () =>
		online(async (net) => {
			const [plain, encrypted] = [await net.http(), await net.https()];
			const way = await net.open([{host: 'allowed.test', ports: [plain, encrypted]}]);
			const url = `http://allowed.test:${plain}/a?b=c`;
			assert.match(
				await send(way, get(url, 'X-Mine: 1\r\n')),
				/"url":"\/a\?b=c","rawHeaders":\["Host","allowed.test:\d+","X-Mine","1","Connection","close"\]/,
			);
			const over = await fetchSecurely(way, `allowed.test:${encrypted}`, request(`allowed.test:${encrypted}`, '/tls'));
			assert.match(over, /^HTTP\/1.1 200 OK\r\n[\s\S]*"url":"\/tls"/);
			const {decisions, more, bytesUp, bytesDown} = await way.close();
			assert.deepEqual(
				decisions.map(({bytesUp: _, bytesDown: __, ...decision}) => decision),
				[
					{
						host: 'allowed.test',
						port: plain,
						address: '127.0.0.1',
						request: 'GET /a',
						verdict: 'allowed',
						rule: 0,
						reason: 'allowed',
					},
					{
						host: 'allowed.test',
						port: encrypted,
						address: '127.0.0.1',
						request: 'GET /tls',
						verdict: 'allowed',
						rule: 0,
						reason: 'allowed',
					},
				],
			);
			assert.deepEqual([more, bytesUp > 100, bytesDown > 200], [0, true, true]);
		}));

	test('is reached by several requests of one connection, each checked anew', () =>
		online(async (net) => {
			const port = await net.http();
			const way = await net.open([{host: 'allowed.test', ports: [port], paths: ['/a']}]);
			const url = `http://allowed.test:${port}`;
			const socket = connect(way.socket);
			const answers = untilClosed(socket);
			socket.write(get(`${url}/a`).replace('Connection: close\r\n', ''));
			await once(socket, 'data');
			await delay(100); // the answer has come to its end
			socket.write(get(`${url}/b`));
			assert.deepEqual((await answers).match(/HTTP\/1.1 \d+/g), ['HTTP/1.1 200', 'HTTP/1.1 403']);
		}));

	test('is reached through a tunnel that is passed on unread, and counted', () =>
		online(async (net) => {
			const port = await net.https();
			const way = await net.open([{host: 'allowed.test', ports: [port], opaque: true}]);
			const client = await secure(way, `allowed.test:${port}`, {ca: net.authority.certificate, rejectUnauthorized: true});
			assert.ok(typeof client !== 'string', String(client));
			client.write(request('allowed.test'));
			await once(client.resume(), 'close');
			const {decisions} = await way.close();
			assert.deepEqual(
				decisions.map(({host, verdict, request: seen}) => ({host, verdict, seen})),
				[{host: 'allowed.test', verdict: 'allowed', seen: null}],
			);
			assert.ok((decisions[0]?.bytesDown ?? 0) > 500);
		}));
});

describe('a destination', () => {
	for (const [title, host, reason] of [
		['that no rule names', 'evil.test', 'no rule names this host'],
		['whose name begins with an allowed one', 'allowed.test.evil.test', 'no rule names this host'],
		['whose name ends with an allowed one', 'evilallowed.test', 'no rule names this host'],
		['that is a child of an allowed one', 'sub.allowed.test', 'no rule names this host'],
		['that looks like an allowed one', 'аllowed.test', ''],
		['with a trailing dot', 'allowed.test.', 'the host is not written the way a host is written'],
		['behind user information', 'allowed.test@evil.test', 'the host is not written the way a host is written'],
		['behind an allowed one as user', 'evil.test:x@allowed.test', 'the host is not written the way a host is written'],
		['with an escape', 'allowed%2etest', 'the host is not written the way a host is written'],
		['in decimal', '2130706433', 'the host is not written the way a host is written'],
		['in octal', '0177.0.0.1', 'the host is not written the way a host is written'],
		['in hexadecimal', '0x7f.1', 'the host is not written the way a host is written'],
		['that is an address', '127.0.0.1', 'no rule names this host'],
		['that is an IPv6 address', '[::1]', 'no rule names this host'],
		['that is a mapped address', '[::ffff:127.0.0.1]', 'the host is not written the way a host is written'],
		['with an empty label', 'allowed..test', 'the host is not written the way a host is written'],
		['with a label that is too long', `${'a'.repeat(64)}.test`, 'the host is not written the way a host is written'],
	] as const)
		test(`${title} is refused before it is looked up`, () =>
			online(async (net) => {
				const port = await net.http();
				const way = await net.open([{host: 'allowed.test', ports: [80, port]}]);
				const answer = await send(way, get(`http://${host}:${port}/`));
				assert.match(answer, /^HTTP\/1.1 40[03] /);
				if (reason) assert.equal(refusal(answer), reason);
				const opened = await tunnel(way, `${host}:${port}`);
				assert.match(String(opened), /^HTTP\/1.1 40[03] /);
				assert.deepEqual(net.asked, []);
			}));

	test('with NUL in its name is no HTTP', () =>
		online(async (net) => {
			const way = await net.open([{host: '*.allowed.test', ports: [80]}]);
			for (const bytes of [
				get('http://evil.test\0.allowed.test/'),
				'CONNECT evil.test\0.allowed.test:80 HTTP/1.1\r\nHost: x\r\n\r\n',
			])
				assert.match(await send(way, bytes), /^HTTP\/1.1 400 /);
			assert.deepEqual(net.asked, []);
		}));

	test('in capitals is the same destination', () =>
		online(async (net) => {
			const port = await net.http();
			const way = await net.open([{host: 'allowed.test', ports: [port]}]);
			assert.match(await send(way, get(`http://ALLOWED.Test:${port}/`)), /^HTTP\/1.1 200 /);
		}));

	test('on a port that the rule does not open is refused', () =>
		online(async (net) => {
			const ssh = await net.tcp((socket) => socket.end('SSH-2.0-canary\r\n'));
			const way = await net.open([{host: 'allowed.test', ports: [443]}]);
			assert.equal(refusal(String(await tunnel(way, `allowed.test:${ssh}`))), 'no rule opens this port');
			for (const port of ['0', '65536', '022', '+22', ''])
				assert.match(String(await tunnel(way, `allowed.test:${port}`)), /^HTTP\/1.1 400 /);
		}));
});

describe('an address', () => {
	const rule = (port: number) => [{host: 'name.test', ports: [port]}];

	test('that is not public is refused after the look-up; without that check a service of the host answers', () =>
		online(
			async (net) => {
				const port = await net.http();
				const ask = get(`http://name.test:${port}/`);
				assert.equal(refusal(await send(await net.open(rule(port)), ask)), "one of this host's own addresses");
				assert.match(await send(await net.open(rule(port), {without: ['addresses']}), ask), /^HTTP\/1.1 200 /);
			},
			{'name.test': [['127.0.0.1']]},
		));

	for (const address of ['10.1.2.3', '169.254.169.254', '100.100.100.200', '168.63.129.16', '0.0.0.0', '224.0.0.1', '192.0.2.1'])
		test(`${address} is refused`, () =>
			online(
				async (net) => {
					const way = await net.open([{host: 'name.test', ports: [80]}]);
					assert.match(refusal(await send(way, get('http://name.test/'))), /address$/);
					assert.equal((await way.close()).decisions[0]?.address, address);
				},
				{'name.test': [[address]]},
			));

	for (const address of [
		'::1',
		'fd00:ec2::254',
		'fe80::1',
		'64:ff9b::a9fe:a9fe',
		'2002:7f00:1::',
		'2001::1',
		'ff02::1',
		'::ffff:a00:1',
	])
		test(`${address} is refused`, () =>
			online(
				async (net) => {
					const way = await net.open([{host: 'name.test', ports: [80]}]);
					assert.match(refusal(await send(way, get('http://name.test/'))), /address(?:es)?$/);
				},
				{'name.test': [[address]]},
			));

	test('of the host itself is refused, whichever it is', () =>
		online(async (net) => {
			const own = Object.values(networkInterfaces()).flatMap((each) => (each ?? []).filter(({family}) => family === 'IPv4'));
			for (const {address} of own) {
				const way = await net.open([{host: address, ports: [80]}]);
				assert.equal(refusal(await send(way, get(`http://${address}/`))), "one of this host's own addresses");
			}
			assert.ok(own.length > 0);
		}));

	test('among good ones refuses them all', () =>
		online(
			async (net) => {
				const way = await net.open([{host: 'name.test', ports: [80]}]);
				assert.equal(refusal(await send(way, get('http://name.test/'))), 'private address');
			},
			{'name.test': [['93.184.216.34', '10.0.0.1']]},
		));

	test('behind an alias is checked like any other', () =>
		online(
			async (net) => {
				const way = await net.open([{host: 'name.test', ports: [80]}]);
				assert.equal(refusal(await send(way, get('http://name.test/'))), 'private address');
			},
			{'name.test': [{alias: 'inner.test', addresses: ['10.0.0.1']}]},
		));

	test('that changes after it was checked is not dialled; without pinning it is', () =>
		online(
			async (net) => {
				const inner = await net.http((_, response) => response.end('canary'));
				const exceptions = [{host: 'name.test', cidr: '127.0.0.2/32'}];
				const open = (without: 'pinning'[]) => net.open(rule(inner), {exceptions, without});
				// The checked answer is 127.0.0.2, where nobody listens; the second is the host's own 127.0.0.1.
				assert.equal(
					refusal(await send(await open([]), get(`http://name.test:${inner}/`))),
					'the host could not be connected to',
				);
				assert.match(
					await send(await open(['pinning']), get(`http://again.test:${inner}/`).replaceAll('again', 'name')),
					/canary$/,
				);
			},
			{'name.test': [['127.0.0.2'], ['127.0.0.2'], ['127.0.0.1']]},
		));

	test('excepted for one host is not excepted for another', () =>
		online(
			async (net) => {
				const port = await net.http();
				const way = await net.open([
					{host: 'allowed.test', ports: [port]},
					{host: 'name.test', ports: [port]},
				]);
				assert.match(await send(way, get(`http://allowed.test:${port}/`)), /^HTTP\/1.1 200 /);
				assert.match(await send(way, get(`http://name.test:${port}/`)), /^HTTP\/1.1 403 /);
			},
			{'name.test': [['127.0.0.1']]},
		));
});

describe('a tunnel', () => {
	test('is for the host it was opened for: another Host inside is refused; without that check it is served', () =>
		online(async (net) => {
			const port = await net.https((seen, response) => response.end(`served ${seen.headers.host}`));
			const target = `allowed.test:${port}`;
			const fronted = request('hidden.test');
			const rules = [{host: 'allowed.test', ports: [port]}];
			const strict = await net.open(rules);
			assert.equal(refusal(await fetchSecurely(strict, target, fronted)), 'the Host header differs from the host of the request');
			assert.match(await fetchSecurely(await net.open(rules, {without: ['host-header']}), target, fronted), /served hidden.test/);
			const twice = request(target, '/', 'Host: hidden.test\r\n');
			assert.equal(refusal(await fetchSecurely(strict, target, twice)), 'there must be one Host header');
			const inTunnel = `GET https://hidden.test/ HTTP/1.1\r\nHost: ${target}\r\nConnection: close\r\n\r\n`;
			assert.equal(refusal(await fetchSecurely(strict, target, inTunnel)), 'inside a tunnel the target is a path');
		}));

	for (const opaque of [false, true])
		test(`${opaque ? 'passed on unread' : 'that is read'} takes only the server name it was opened for; without that check any`, () =>
			online(async (net) => {
				const port = await net.https();
				const rules = [{host: 'allowed.test', ports: [port], opaque}];
				for (const servername of ['hidden.test', '']) {
					const reason = servername ? 'the server name differs from the host of CONNECT' : 'the client named no server';
					const way = await net.open(rules);
					assert.match(String(await secure(way, `allowed.test:${port}`, {servername})), /unrecognized name/);
					assert.equal((await way.close()).decisions[0]?.reason, reason);
				}
				const open = await net.open(rules, {without: ['server-name']});
				assert.notEqual(typeof (await secure(open, `allowed.test:${port}`, {servername: 'hidden.test'})), 'string');
			}));

	test('passed on unread takes no client that may hide another name; one that is read may try', () =>
		online(async (net) => {
			const corpus: {title: string; bytes: string}[] = JSON.parse(readFileSync(CORPUS, 'utf8'));
			const hello = Buffer.from(corpus.find(({title}) => title.startsWith('Chromium'))?.bytes ?? '', 'base64');
			for (const opaque of [true, false]) {
				const port = await net.https();
				const way = await net.open([{host: 'allowed.test', ports: [port], opaque}]);
				const socket = await tunnel(way, `allowed.test:${port}`);
				assert.ok(typeof socket !== 'string');
				socket.write(hello);
				const [answer] = (await once(socket, 'data')) as [Buffer];
				assert.equal(answer[0], opaque ? 21 : 22); // an alert, or a server hello
				socket.destroy();
			}
		}));

	test('that is read speaks no HTTP/2; one that is not read may', () =>
		online(async (net) => {
			const port = await net.https();
			const way = await net.open([{host: 'allowed.test', ports: [port]}]);
			assert.match(String(await secure(way, `allowed.test:${port}`, {ALPNProtocols: ['h2']})), /no application protocol/);
			const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
			assert.match(await fetchSecurely(way, `allowed.test:${port}`, preface), /^HTTP\/1.1 400 /);
		}));

	test('carries neither SSH nor anything else that is not TLS or HTTP, also on an open port', () =>
		online(async (net) => {
			const port = await net.tcp((socket) => socket.end('SSH-2.0-canary\r\n'));
			const way = await net.open([{host: 'allowed.test', ports: [port]}], {limits: {headMs: 300}});
			for (const bytes of [Buffer.of(0, 1, 2), Buffer.from('ssh-2.0-x\r\n'), Buffer.alloc(0)]) {
				const socket = await tunnel(way, `allowed.test:${port}`);
				assert.ok(typeof socket !== 'string');
				const parts: Buffer[] = [];
				socket.on('data', (part: Buffer) => parts.push(part));
				socket.write(bytes);
				await once(socket, 'close');
				assert.doesNotMatch(Buffer.concat(parts).toString(), /canary/);
			}
			const {decisions} = await way.close();
			assert.deepEqual(
				decisions.map(({reason}) => reason),
				['neither TLS nor HTTP/1.1', 'neither TLS nor HTTP/1.1', 'the client took too long to say what it wants'],
			);
		}));

	test('does not go through another tunnel', () =>
		online(async (net) => {
			const port = await net.https();
			const way = await net.open([{host: 'allowed.test', ports: [port]}]);
			const nested = `CONNECT allowed.test:${port} HTTP/1.1\r\nHost: allowed.test:${port}\r\n\r\n`;
			assert.equal(refusal(await fetchSecurely(way, `allowed.test:${port}`, nested)), 'a tunnel in a tunnel');
		}));

	test('reaches only a host that proves its name', () =>
		online(async (net) => {
			const port = await net.https();
			const way = await net.open([{host: 'allowed.test', ports: [port]}], {trust: []});
			const answer = await fetchSecurely(way, `allowed.test:${port}`, request(`allowed.test:${port}`));
			assert.match(answer, /^HTTP\/1.1 502 [\s\S]*UNABLE_TO_VERIFY_LEAF_SIGNATURE/);
		}));

	test('for plain HTTP is checked like plain HTTP', () =>
		online(async (net) => {
			const port = await net.http();
			const way = await net.open([{host: 'allowed.test', ports: [port]}]);
			for (const [host, status] of [
				[`allowed.test:${port}`, 200],
				['hidden.test', 400],
			] as const) {
				const socket = await tunnel(way, `allowed.test:${port}`);
				assert.ok(typeof socket !== 'string');
				socket.write(request(host));
				const [answer] = (await once(socket, 'data')) as [Buffer];
				assert.match(answer.toString(), new RegExp(`^HTTP/1.1 ${status} `));
				socket.destroy();
			}
		}));
});

test('CONNECT behind a request that is not answered yet opens nothing, and the proxy serves on', () =>
	online(async (net) => {
		const port = await net.http();
		const way = await net.open([{host: 'allowed.test', ports: [port]}]);
		const host = `allowed.test:${port}`;
		const put = `PUT http://${host}/a HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 0\r\n\r\n`;
		const piped = Array.from({length: 20}, () => send(way, `${put}CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\n\r\n`));
		for (const answer of await Promise.all(piped)) assert.doesNotMatch(answer, /Connection established/);
		assert.match(await send(way, get(`http://${host}/b`)), /^HTTP\/1.1 200 /);
	}));
