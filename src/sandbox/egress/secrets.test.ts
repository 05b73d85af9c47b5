/** A secret leaves on the way out only, and what comes back does not show it. */
import assert from 'node:assert/strict';
import type {RequestListener} from 'node:http';
import {describe, test} from 'node:test';
import {gzipSync} from 'node:zlib';
import {fetchSecurely, get, type Internet, type Opening, type Rule, SECRET, send, startInternet} from './fixtures/internet.ts';

const INJECT = {header: 'Authorization', secret: 'key', prefix: 'Bearer '};

/** The answer to one request over TLS to a host with an injected secret. */
async function asked(
	listener: RequestListener,
	head = '',
	{rule = {}, ...options}: Opening & {rule?: Partial<Rule>} = {},
): Promise<{answer: string; report: string}> {
	const net = await startInternet();
	try {
		const port = await net.https(listener);
		const way = await net.open([{host: 'allowed.test', ports: [port], inject: INJECT, ...rule}], options);
		const target = `allowed.test:${port}`;
		const answer = await fetchSecurely(way, target, `GET /x?q=1 HTTP/1.1\r\nHost: ${target}\r\nConnection: close\r\n${head}\r\n`);
		return {answer, report: JSON.stringify(await way.close())};
	} finally {
		await net.close();
	}
}

const on = async (act: (net: Internet) => Promise<void>) => {
	const net = await startInternet();
	await act(net).finally(net.close);
};

describe('an injected secret', () => {
	test('reaches the host, in place of what the code inside sent', async () => {
		const seen: (string | undefined)[] = [];
		const listener: RequestListener = ({headers}, response) => {
			seen.push(headers.authorization, headers['accept-encoding'], headers.range);
			response.end('ok');
		};
		const head = 'authorization: Bearer mine\r\nAUTHORIZATION: x\r\nAccept-Encoding: gzip\r\nRange: bytes=0-3\r\n';
		const {answer, report} = await asked(listener, head);
		assert.deepEqual(seen, [`Bearer ${SECRET}`, 'identity', undefined]);
		assert.match(answer, /ok$/);
		assert.doesNotMatch(report, /canary/);
	});

	const spelled = {
		'as it is': SECRET,
		'in base64': Buffer.from(SECRET).toString('base64'),
		'percent-encoded': encodeURIComponent(SECRET),
	};
	const reflect: RequestListener = (_, response) => {
		for (const [index, text] of Object.values(spelled).entries()) response.setHeader(`X-Seen-${index}`, `<${text}>`);
		response.setHeader('Set-Cookie', [`a=${SECRET}`, `b=${SECRET}`]);
		response.statusMessage = SECRET;
		const body = Object.values(spelled).join(' ');
		// In two pieces, so that no single one holds the secret.
		response.write(body.slice(0, 9));
		setImmediate(() => response.end(body.slice(9)));
	};

	test('that a host repeats is masked in head and body; without masks it is seen', async () => {
		const {answer} = await asked(reflect);
		for (const text of Object.values(spelled)) assert.ok(!answer.includes(text.slice(0, -2)), text);
		assert.match(answer, /X-Seen-0: <\*{20}>/);
		const unmasked = await asked(reflect, '', {without: ['mask']});
		for (const text of Object.values(spelled)) assert.ok(unmasked.answer.includes(text), text);
	});

	test('that comes back compressed is not passed on', async () => {
		const {answer} = await asked((_, response) => {
			response.setHeader('Content-Encoding', 'gzip');
			response.end(gzipSync(SECRET));
		});
		assert.match(answer, /^HTTP\/1.1 502 [\s\S]*the host encoded what must be searched/);
	});

	test('is not shown by TRACE', async () => {
		await on(async (net) => {
			const port = await net.https((request, response) => response.end(JSON.stringify(request.rawHeaders)));
			const way = await net.open([{host: 'allowed.test', ports: [port], inject: INJECT}]);
			const trace = `TRACE / HTTP/1.1\r\nHost: allowed.test:${port}\r\nConnection: close\r\n\r\n`;
			assert.match(await fetchSecurely(way, `allowed.test:${port}`, trace), /^HTTP\/1.1 400 /);
		});
	});

	test('is not sent in clear text', () =>
		on(async (net) => {
			const seen: string[] = [];
			const port = await net.http((request, response) => response.end(String(seen.push(String(request.headers.authorization)))));
			const way = await net.open([{host: 'allowed.test', ports: [port], inject: INJECT}]);
			assert.match(await send(way, get(`http://allowed.test:${port}/`)), /^HTTP\/1.1 403 [\s\S]*a secret is sent over TLS only/);
			assert.deepEqual(seen, []);
		}));

	test('goes with the paths of its rule only, and to no other host', () =>
		on(async (net) => {
			const seen: (string | undefined)[] = [];
			const listener: RequestListener = ({headers, url}, response) =>
				response.end(String(seen.push(`${url} ${headers.authorization}`)));
			const port = await net.https(listener);
			const way = await net.open([
				{host: 'allowed.test', ports: [port], paths: ['/v1'], inject: INJECT},
				{host: 'allowed.test', ports: [port], paths: ['/public']},
				{host: 'www.allowed.test', ports: [port]},
			]);
			for (const [host, path] of [
				['allowed.test', '/v1/x'],
				['allowed.test', '/public'],
				['www.allowed.test', '/v1'],
				['allowed.test', '/v1/../public'],
				['allowed.test', '/v12'],
			])
				await fetchSecurely(way, `${host}:${port}`, `GET ${path} HTTP/1.1\r\nHost: ${host}:${port}\r\nConnection: close\r\n\r\n`);
			assert.deepEqual(seen, [`/v1/x Bearer ${SECRET}`, '/public undefined', '/v1 undefined']);
		}));

	test('is no part of a redirect: the next request is a new one', () =>
		on(async (net) => {
			const port = await net.https((_, response) => response.writeHead(302, {Location: 'https://evil.test/'}).end());
			const way = await net.open([{host: 'allowed.test', ports: [port], inject: INJECT}]);
			const target = `allowed.test:${port}`;
			const answer = await fetchSecurely(way, target, `GET / HTTP/1.1\r\nHost: ${target}\r\nConnection: close\r\n\r\n`);
			assert.match(answer, /^HTTP\/1.1 302 Found\r\nLocation: https:\/\/evil.test\/\r\n/);
			assert.match(await send(way, 'CONNECT evil.test:443 HTTP/1.1\r\nHost: evil.test:443\r\n\r\n'), /^HTTP\/1.1 403 /);
		}));
});
