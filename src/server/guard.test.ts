import assert from 'node:assert/strict';
import {request as httpRequest} from 'node:http';
import {connect} from 'node:net';
import {test} from 'node:test';
import {WritError} from '#contract/errors.ts';
import {openMemory} from '#store/memory.ts';
import {batch, finished, started} from '#store/sample-run.ts';
import {identityOf, listening, testServer} from './doubles/test-server.ts';
import {isLoopback} from './guard.ts';

const QUESTION = {dataset_id: 'support', message: 'how many?'};
const TOKENS = [
	{token: 'token-of-ann-0123', id: 'ann', tenant: 'acme'},
	{token: 'token-of-bob-0123', id: 'bob', tenant: 'globex'},
];

/** As a browser or an attacker writes it, which `fetch` does not let one do. */
function raw(url: string, headers: Record<string, string>, method = 'GET', path = '/datasets'): Promise<number> {
	const {promise, resolve, reject} = Promise.withResolvers<number>();
	const {port} = new URL(url);
	const request = httpRequest({host: '127.0.0.1', port, path, method, headers}, (reply) => {
		reply.resume();
		resolve(reply.statusCode ?? 0);
	});
	request.on('error', reject);
	request.end(method === 'POST' ? JSON.stringify(QUESTION) : undefined);
	return promise;
}

/** The status of a POST with these headers and no body, as curl sends it. */
function headOnly(url: string, headers: string): Promise<string> {
	const {promise, resolve, reject} = Promise.withResolvers<string>();
	const {hostname, port, host} = new URL(url);
	const head = `POST /runs/run_none/verify HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n${headers}\r\n`;
	const socket = connect(Number(port), hostname, () => socket.write(head));
	socket.once('data', (reply) => {
		resolve(String(reply).slice(9, 12));
		socket.destroy();
	});
	socket.once('error', reject);
	return promise;
}

test('a name re-pointed at this machine reaches the data only where the Host check was lifted for it', async () => {
	const attack = {host: 'evil.example:8000'};
	await listening(testServer({allowedHosts: ['evil.example:8000']}).server, async ({url}) =>
		assert.equal(await raw(url, attack), 200),
	);
	await listening(testServer().server, async ({url}) => assert.equal(await raw(url, attack), 403));
});

for (const host of ['evil.example', '127.0.0.1.evil.example', 'localhost.evil.example', '127.0.0.1:1', '0.0.0.0']) {
	test(`a loopback server does not answer to the host ${host}`, async () => {
		await listening(testServer().server, async ({url}) => assert.equal(await raw(url, {host}), 403));
	});
}

test('a Host that is no host at all is refused before anything looks at it', async () => {
	await listening(testServer().server, async ({url}) => {
		for (const host of ['localhost@evil.example', '[::ffff:127.0.0.1]', 'a b']) assert.equal(await raw(url, {host}), 400, host);
	});
});

test('a loopback server answers to each of its own names with its port', async () => {
	await listening(testServer().server, async ({url}) => {
		const {port} = new URL(url);
		for (const name of ['localhost', '127.0.0.1', '[::1]', 'LOCALHOST'])
			assert.equal(await raw(url, {host: `${name}:${port}`}), 200, name);
	});
});

test('what only looks like a loopback address is another host', async () => {
	await listening(testServer().server, async ({url}) => {
		for (const name of ['127.999.1.1', '127.1', '127.0.0.1.evil.example'])
			assert.notEqual(await raw(url, {host: `${name}:${new URL(url).port}`}), 200, name);
	});
	assert.equal(isLoopback('127.999.1.1'), false);
	assert.equal(isLoopback('127.1.2.3'), true);
});

test('a request without a body needs no content type', async () => {
	await listening(testServer().server, async ({url}) => {
		assert.equal(await headOnly(url, ''), '404');
		assert.equal(await headOnly(url, 'content-type: text/plain\r\n'), '415');
		assert.equal(await headOnly(url, 'content-length: 2\r\n'), '415');
	});
});

test('a page of another site cannot make a run, and its own page can', async () => {
	const {server, store} = testServer();
	await listening(server, async ({url}) => {
		const json = {'content-type': 'application/json'};
		assert.equal(await raw(url, {...json, origin: 'https://evil.example'}, 'POST', '/chat'), 403);
		assert.equal(await raw(url, {...json, origin: 'null'}, 'POST', '/chat'), 403);
		assert.equal(await raw(url, {...json, 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors'}, 'POST', '/chat'), 403);
		assert.equal(await raw(url, {'content-type': 'text/plain'}, 'POST', '/chat'), 415);
		assert.equal((await store.runs({tenant: 'local', limit: 10})).rows.length, 0);
		assert.equal(await raw(url, {...json, origin: url}, 'POST', '/chat'), 200);
	});
});

test('an address that others reach is refused without tokens, and served with them', async () => {
	for (const host of ['0.0.0.0', '::', '192.168.1.5', 'writ.example']) {
		assert.throws(
			() => testServer({host}),
			(error) => error instanceof WritError && error.code === 'invalid_config' && /without authentication/.test(error.message),
		);
	}
	const {ask} = testServer({host: '0.0.0.0', authTokens: TOKENS});
	assert.equal((await ask('/datasets')).status, 401);
	assert.equal((await ask('/datasets', bearer('token-of-ann-0123'))).status, 200);
});

for (const authorization of [
	'',
	'Bearer',
	'Bearer ',
	'Bearer token-of-ann-012',
	'Bearer token-of-ann-01234',
	'Basic token-of-ann-0123',
	'token-of-ann-0123',
]) {
	test(`the authorization ${JSON.stringify(authorization)} is not accepted`, async () => {
		const {ask} = testServer({authTokens: TOKENS});
		const reply = await ask('/datasets', {headers: {authorization}});
		assert.deepEqual([reply.status, reply.headers.get('www-authenticate')], [401, 'Bearer realm="writ"']);
	});
}

test('without a token one sees that the server is alive and what it offers, and nothing else', async () => {
	const {ask, server} = testServer({authTokens: TOKENS});
	for (const path of ['/healthz', '/docs', '/openapi.json']) assert.equal((await ask(path)).status, 200, path);
	const ready = (await (await ask('/readyz')).json()) as {components: unknown[]};
	assert.deepEqual(ready.components, [{name: 'store', ok: true, required: true, why: '', fix: null, facts: {}}]);
	const gets = Object.entries(server.openapi().paths).flatMap(([path, operations]) => ('get' in operations ? [path] : []));
	const closed = gets.filter((path) => path !== '/healthz' && path !== '/readyz');
	assert.ok(closed.length > 12);
	for (const path of closed) assert.equal((await ask(path.replaceAll(/\{\w+\}/g, 'x'))).status, 401, path);
});

test('a tenant does not see, stop, repeat or export the runs of another', async () => {
	const {ask, store} = testServer({authTokens: TOKENS});
	const ann = {kind: 'user', id: 'ann', tenant: 'acme'} as const;
	await store.append(batch({runId: 'run_a', expectedSeq: 0}, started({principal: ann}), finished()));
	assert.equal((await ask('/runs/run_a/status', bearer('token-of-ann-0123'))).status, 200);
	for (const path of ['', '/status', '/events', '/stream', '/export', '/evidence']) {
		assert.equal((await ask(`/runs/run_a${path}`, bearer('token-of-bob-0123'))).status, 404, path);
	}
	for (const path of ['/rerun', '/cancel', '/verify']) {
		assert.equal((await ask(`/runs/run_a${path}`, {method: 'POST', ...bearer('token-of-bob-0123')})).status, 404, path);
	}
	assert.deepEqual(await (await ask('/runs', bearer('token-of-bob-0123'))).json(), {runs: [], next_cursor: null});
});

function bearer(token: string) {
	return {headers: {authorization: `Bearer ${token}`}};
}

test('a client over its rate is told when to come back; its neighbour and the health check are not', async () => {
	const clock = {now: () => new Date(0)};
	const {ask} = testServer({authTokens: TOKENS, burst: 2, requestsPerMinute: 6}, {clock});
	const statuses = async (token: string, count: number) =>
		Promise.all(Array.from({length: count}, async () => (await ask('/datasets', bearer(token))).status));
	assert.deepEqual(await statuses('token-of-ann-0123', 3), [200, 200, 429]);
	assert.deepEqual(await statuses('token-of-bob-0123', 1), [200]);
	assert.equal((await ask('/datasets', bearer('token-of-ann-0123'))).headers.get('retry-after'), '10');
	assert.equal((await ask('/healthz', bearer('token-of-ann-0123'))).status, 200);
	clock.now = () => new Date(10_000);
	assert.deepEqual(await statuses('token-of-ann-0123', 2), [200, 429]);
});

test('whoever is nobody here is told so only so often, and keeps nobody else out', async () => {
	const {ask} = testServer({authTokens: TOKENS, burst: 2, requestsPerMinute: 6}, {clock: {now: () => new Date(0)}});
	const status = async (token: string) => (await ask('/datasets', bearer(token))).status;
	assert.deepEqual([await status('a'), await status('b'), await status('c')], [401, 401, 429]);
	assert.equal(await status('token-of-ann-0123'), 200);
});

test('a body over the limit is refused, whether it says its length or not', async () => {
	const {post, ask} = testServer({maxJsonBytes: 2_000});
	assert.equal((await post('/chat', {...QUESTION, message: 'x'.repeat(1_000)})).status, 200);
	assert.equal((await post('/chat', {...QUESTION, message: 'x'.repeat(3_000)})).status, 413);
	const body = new Response(JSON.stringify({...QUESTION, message: 'x'.repeat(3_000)})).body as ReadableStream;
	const chunked = await ask('/chat', {
		method: 'POST',
		body,
		duplex: 'half',
		headers: {'content-type': 'application/json'},
	} as RequestInit);
	assert.equal(chunked.status, 413);
});

test('one run more than allowed is refused while the others are in progress, and taken after', async () => {
	const {post, analyst} = testServer({maxConcurrentRuns: 1});
	const first = post('/chat', {...QUESTION, message: 'wait'});
	const refused = await post('/chat', QUESTION);
	assert.deepEqual([refused.status, refused.headers.get('retry-after')], [429, '1']);
	analyst.goOn();
	assert.equal((await first).status, 200);
	assert.equal((await post('/chat', QUESTION)).status, 200);
});

test('exports and new datasets take places too', async () => {
	const {ask, post, analyst} = testServer({maxConcurrentRuns: 1});
	const {run_id} = (await (await post('/chat', QUESTION)).json()) as {run_id: string};
	const first = post('/chat', {...QUESTION, message: 'wait'});
	const form = new FormData();
	form.set('file', new File(['a,b'], 'a.csv'));
	const refused = [
		await ask(`/runs/${run_id}/export?format=csv`),
		await ask('/datasets', {method: 'POST', body: form}),
		await post('/datasets', {path: import.meta.filename}),
	];
	assert.deepEqual(
		refused.map(({status}) => status),
		[429, 429, 429],
	);
	analyst.goOn();
	await first;
	assert.equal((await ask(`/runs/${run_id}/export?format=csv`)).status, 200);
	assert.equal((await post('/datasets', {path: import.meta.filename})).status, 201);
});

test('every reply carries the headers that keep a browser from doing more with it', async () => {
	const {ask} = testServer();
	for (const path of ['/healthz', '/nowhere', '/runs?limit=x']) {
		const {headers} = await ask(path);
		assert.deepEqual(
			[
				'x-content-type-options',
				'x-frame-options',
				'referrer-policy',
				'cross-origin-resource-policy',
				'cache-control',
				'content-security-policy',
			].map((name) => headers.get(name)),
			[
				'nosniff',
				'DENY',
				'no-referrer',
				'same-origin',
				'no-store',
				"default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
			],
		);
	}
});

test('a provider counts as authentication, once the server knows the address that browsers use', async () => {
	const signIn = {
		label: 'Acme',
		begin: async () => ({url: 'https://id.example', secret: 'x'}),
		finish: () => Promise.reject(new Error()),
	};
	const identity = {...identityOf(openMemory(), {authTokens: []}), identify: async () => null, signIn};
	assert.throws(
		() => testServer({host: '0.0.0.0'}, {identity}),
		(error) => error instanceof WritError && error.code === 'invalid_config' && /address that browsers use/.test(error.message),
	);
	const {ask} = testServer({host: '0.0.0.0', publicUrl: 'https://writ.example'}, {identity});
	assert.equal((await ask('/datasets')).status, 401);
	const begun = await ask('/auth/sign-in');
	assert.deepEqual([begun.status, begun.headers.get('location')], [302, 'https://id.example']);
	assert.equal(begun.headers.getSetCookie()[0], '__Host-writ_sign_in=x; Max-Age=600; Path=/; HttpOnly; Secure; SameSite=Lax');
});
