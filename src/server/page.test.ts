import assert from 'node:assert/strict';
import {mkdirSync, mkdtempSync, utimesSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {test} from 'node:test';
import {brotliDecompressSync, gunzipSync} from 'node:zlib';
import {testServer} from './doubles/test-server.ts';

function built(): string {
	const root = mkdtempSync(join(tmpdir(), 'writ-page-'));
	writeFileSync(join(root, 'secret.txt'), 'secret');
	const dir = join(root, 'dist');
	mkdirSync(join(dir, 'assets'), {recursive: true});
	writeFileSync(join(dir, 'index.html'), '<!doctype html><title>page</title>');
	writeFileSync(join(dir, 'assets/app-1a2b.js'), 'let x;'.repeat(1_000));
	return dir;
}

const BROWSER = {headers: {accept: 'text/html,application/xhtml+xml'}};

test('every address a person opens shows the page, and the same addresses are data for programs', async () => {
	const {ask} = testServer({pageDir: built()});
	for (const path of ['/', '/runs', '/runs/run_1', '/datasets', '/threads/t1', '/approvals', '/anything/else']) {
		assert.match(await (await ask(path, BROWSER)).text(), /<title>page</, path);
	}
	assert.deepEqual(await (await ask('/runs')).json(), {runs: [], next_cursor: null});
	for (const path of ['/healthz', '/metrics', '/openapi.json', '/runs/x/export', '/api/v1/tools']) {
		assert.doesNotMatch(await (await ask(path, BROWSER)).text(), /<title>page</, path);
	}
});

test('the page may run its own scripts and speak to its own server only', async () => {
	const {ask} = testServer({pageDir: built()});
	const csp = (await ask('/', BROWSER)).headers.get('content-security-policy') ?? '';
	assert.match(csp, /default-src 'none'; script-src 'self';/);
	assert.match(csp, /connect-src 'self'/);
	assert.doesNotMatch(csp, /https?:|unsafe-eval|script-src[^;]*unsafe/);
});

test('assets named by their content are kept for good, the page is asked for again', async () => {
	const {ask} = testServer({pageDir: built()});
	const asset = await ask('/assets/app-1a2b.js');
	assert.deepEqual(
		[asset.headers.get('content-type'), asset.headers.get('cache-control')],
		['text/javascript; charset=utf-8', 'public, max-age=31536000, immutable'],
	);
	const page = await ask('/', BROWSER);
	assert.equal(page.headers.get('cache-control'), 'no-cache');
	const etag = page.headers.get('etag') ?? '';
	assert.equal((await ask('/', {headers: {...BROWSER.headers, 'if-none-match': etag}})).status, 304);
});

for (const [encoding, unpack] of [
	['br', brotliDecompressSync],
	['gzip', gunzipSync],
] as const) {
	test(`assets travel as ${encoding} to who takes it`, async () => {
		const {ask} = testServer({pageDir: built()});
		const reply = await ask('/assets/app-1a2b.js', {headers: {'accept-encoding': encoding}});
		assert.equal(reply.headers.get('content-encoding'), encoding);
		assert.equal(unpack(Buffer.from(await reply.arrayBuffer())).toString(), 'let x;'.repeat(1_000));
	});
}

for (const path of [
	'/../secret.txt',
	'/assets/../../secret.txt',
	'/%2e%2e/secret.txt',
	'/assets/..%2f..%2fsecret.txt',
	'/assets/%2e%2e%2f%2e%2e%2fsecret.txt',
	'//etc/passwd',
]) {
	test(`${path} leads to no file outside the page`, async () => {
		const {server} = testServer({pageDir: built()});
		const reply = await server.fetch(new Request(`http://127.0.0.1:8000${path}`));
		assert.equal(reply.status, 404);
		assert.doesNotMatch(await reply.text(), /^secret|root:/);
	});
}

test('a page that was built again is served again', async () => {
	const dir = built();
	const {ask} = testServer({pageDir: dir});
	await ask('/', BROWSER);
	writeFileSync(join(dir, 'index.html'), '<title>newer</title>');
	utimesSync(join(dir, 'index.html'), 1, 1);
	assert.equal(await (await ask('/', BROWSER)).text(), '<title>newer</title>');
});

test('a page that was not built says how to build it', async () => {
	const {ask} = testServer({pageDir: '/nowhere'});
	assert.match(await (await ask('/', BROWSER)).text(), /The page has not been built/);
});
