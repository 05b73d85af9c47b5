import assert from 'node:assert/strict';
import {mkdtempSync, readdirSync, statSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {test} from 'node:test';
import {type TestServer, testServer} from './doubles/test-server.ts';

type Part = {readonly name: string; readonly filename?: string; readonly body: string};

/** As a client writes it that does not mean well. */
function multipart(parts: readonly Part[], end = '--x--\r\n'): RequestInit {
	const text = parts.map(({name, filename, body}) => {
		const file = filename === undefined ? '' : `; filename="${filename}"\r\nContent-Type: text/csv`;
		return `--x\r\nContent-Disposition: form-data; name="${name}"${file}\r\n\r\n${body}\r\n`;
	});
	return {method: 'POST', body: text.join('') + end, headers: {'content-type': 'multipart/form-data; boundary=x'}};
}

function leftBehind({options}: TestServer): string[] {
	try {
		return readdirSync(options.uploadDir);
	} catch {
		return [];
	}
}

test('uploaded files reach the analyst with their names and fields, and are removed after', async () => {
	const server = testServer();
	const parts = [
		{name: 'id', body: 'sales'},
		{name: 'file', filename: 'jan.csv', body: 'a\n1\n'},
		{name: 'file', filename: 'feb.csv', body: 'a\n2\n'},
	];
	const reply = await server.ask('/datasets', multipart(parts));
	assert.deepEqual([reply.status, ((await reply.json()) as {id: string}).id], [201, 'support']);
	const files = [
		{name: 'jan.csv', text: 'a\n1\n'},
		{name: 'feb.csv', text: 'a\n2\n'},
	];
	assert.deepEqual(server.analyst.added, [{id: 'sales', files}]);
	assert.deepEqual(leftBehind(server), []);
});

for (const [given, name] of [
	['../../../etc/passwd', 'passwd'],
	['/etc/passwd', 'passwd'],
	['..\\\\..\\\\windows\\\\x.csv', 'x.csv'],
	['..', 'file-1'],
	['a/', 'file-1'],
	['x\u0000\u001b[2J\u202e.csv', 'x[2J.csv'],
	['', 'file-1'],
	['é'.repeat(300), 'é'.repeat(200)],
] as const) {
	test(`a file that calls itself ${JSON.stringify(given.slice(0, 30))} is known as ${JSON.stringify(name.slice(0, 10))} and written nowhere else`, async () => {
		const server = testServer();
		const reply = await server.ask('/datasets', multipart([{name: 'file', filename: given, body: 'a\n'}]));
		assert.equal(reply.status, 201);
		assert.deepEqual(server.analyst.added, [{files: [{name, text: 'a\n'}]}]);
		assert.deepEqual(leftBehind(server), []);
	});
}

test('the directory of uploads cannot be listed by others', async () => {
	const server = testServer();
	await server.ask('/datasets', multipart([{name: 'file', filename: 'a.csv', body: 'x'}]));
	assert.equal(statSync(server.options.uploadDir).mode & 0o777, 0o711);
});

for (const [title, init, status] of [
	['a file over the size limit', multipart([{name: 'file', filename: 'a.csv', body: 'x'.repeat(3_000)}]), 413],
	[
		'files that are over it together',
		multipart(['a', 'b'].map((name) => ({name, filename: `${name}.csv`, body: 'x'.repeat(1_500)}))),
		413,
	],
	['more files than allowed', multipart(['a', 'b', 'c', 'd'].map((name) => ({name, filename: `${name}.csv`, body: 'x'}))), 413],
	['a body without a file', multipart([{name: 'id', body: 'sales'}]), 400],
	['a body that is cut off', multipart([{name: 'file', filename: 'a.csv', body: 'x'}], ''), 400],
	['a body without a boundary', {method: 'POST', body: 'x', headers: {'content-type': 'multipart/form-data'}}, 400],
	['an empty body', {method: 'POST', headers: {'content-type': 'multipart/form-data; boundary=x'}}, 400],
] as const) {
	test(`${title} is refused with ${status} and leaves nothing behind`, async () => {
		const server = testServer({maxUploadBytes: 2_000});
		const reply = await server.ask('/datasets', init as RequestInit);
		assert.deepEqual([reply.status, server.analyst.added, leftBehind(server)], [status, [], []]);
	});
}

test('an upload that never ends is cut at the limit, not stored', async () => {
	const server = testServer({maxUploadBytes: 100_000});
	const sent = {bytes: 0};
	const head = new TextEncoder().encode('--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n');
	const body = new ReadableStream<Uint8Array>({
		start: (controller) => controller.enqueue(head),
		pull(controller) {
			sent.bytes += 10_000;
			controller.enqueue(new Uint8Array(10_000));
		},
	});
	const headers = {'content-type': 'multipart/form-data; boundary=x'};
	const reply = await server.ask('/datasets', {method: 'POST', body, headers, duplex: 'half'} as RequestInit);
	assert.equal(reply.status, 413);
	assert.ok(sent.bytes < 1_000_000, `${sent.bytes} bytes were taken`);
	assert.deepEqual(leftBehind(server), []);
});

test('a file is added by path on a single-user server, and not where others can ask', async () => {
	const path = join(mkdtempSync(join(tmpdir(), 'writ-path-')), 'big.csv');
	writeFileSync(path, 'a\n');
	const own = testServer();
	assert.equal((await own.post('/datasets', {path})).status, 201);
	assert.deepEqual(own.analyst.added, [{files: [{name: 'big.csv', text: 'a\n'}]}]);
	for (const wrong of [join(path, 'x'), '/nowhere.csv', 'big.csv', tmpdir()]) {
		const {error} = (await (await own.post('/datasets', {path: wrong})).json()) as {error: {code: string}};
		assert.equal(error.code, 'unreadable_file', wrong);
	}
	const shared = testServer({authTokens: [{token: 'a-long-enough-token', id: 'ann', tenant: 'acme'}]});
	const reply = await shared.post('/datasets', {path}, {authorization: 'Bearer a-long-enough-token'});
	assert.deepEqual([reply.status, shared.analyst.added], [403, []]);
});
