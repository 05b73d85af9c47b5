import assert from 'node:assert/strict';
import {readdir} from 'node:fs/promises';
import {test} from 'node:test';
import {testServer} from './doubles/test-server.ts';

test('a question is answered with the shape of every execution', async () => {
	const {post} = testServer();
	const reply = await post('/chat', {dataset_id: 'support', message: 'how many?'}, {'x-request-id': 'mine-1'});
	assert.equal(reply.status, 200);
	assert.equal(reply.headers.get('x-request-id'), 'mine-1');
	const body = (await reply.json()) as Record<string, unknown>;
	assert.deepEqual([body.run_id, body.thread_id, body.status], ['run_1', 'thread-1', 'succeeded']);
});

test('a run can be listed, shown, asked for its status, verified and downloaded', async () => {
	const {ask, post} = testServer();
	await post('/runs', {dataset_id: 'support', sql: 'select 1'});
	const {runs, next_cursor} = (await (await ask('/runs?limit=1&status=succeeded')).json()) as {
		runs: {run_id: string}[];
		next_cursor: null;
	};
	assert.deepEqual([runs.map((run) => run.run_id), next_cursor], [['run_1'], null]);
	assert.equal(((await (await ask('/runs/run_1')).json()) as {run_id: string}).run_id, 'run_1');
	assert.deepEqual(await (await ask('/runs/run_1/status')).json(), {run_id: 'run_1', status: 'succeeded'});
	assert.equal(((await (await post('/runs/run_1/verify', {})).json()) as {verdict: string}).verdict, 'valid');
	assert.equal(
		(await ask('/runs/run_1/evidence')).headers.get('content-disposition'),
		'attachment; filename="run_1.json"; filename*=UTF-8\'\'run_1.json',
	);
	const file = await ask('/runs/run_1/export?format=csv');
	assert.deepEqual([file.headers.get('content-length'), await file.text()], ['4', 'n\n2\n']);
	assert.equal(((await (await post('/runs/run_1/rerun', {})).json()) as {run_id: string}).run_id, 'run_2');
});

test('a download that nobody takes leaves no file behind', async () => {
	const {ask, post, dir} = testServer();
	await post('/runs', {dataset_id: 'support', sql: 'select 1'});
	const head = await ask('/runs/run_1/export', {method: 'HEAD'});
	assert.deepEqual([head.status, head.headers.get('content-length'), await head.text()], [200, '4', '']);
	const unread = await ask('/runs/run_1/export');
	assert.deepEqual(
		(await readdir(dir)).filter((name) => name.startsWith('export-')),
		[],
	);
	await unread.body?.cancel();
});

test('a dataset is described with its columns and three rows at most', async () => {
	const {ask} = testServer();
	const body = (await (await ask('/datasets/support/schema')).json()) as {
		files: {schema: Record<string, {type: string; nullable: boolean}>; sample_rows: unknown[]}[];
	};
	assert.deepEqual(
		Object.entries(body.files[0]!.schema).map(([name, {type, nullable}]) => [name, type, nullable]),
		[
			['id', 'BIGINT', false],
			['note', 'VARCHAR', true],
		],
	);
	assert.deepEqual(body.files[0]!.sample_rows, [
		{id: 1, note: null},
		{id: 2, note: 'x'},
	]);
});

for (const [path, init, status, code] of [
	['/runs/nope/status', {}, 404, 'not_found'],
	['/runs/nope', {}, 404, 'not_found'],
	['/runs/nope/cancel', {method: 'POST'}, 404, 'not_found'],
	['/datasets/nope/schema', {}, 404, 'not_found'],
	['/nowhere', {}, 404, 'not_found'],
	['/runs?limit=many', {}, 422, 'validation_error'],
	['/runs?limit=-1', {}, 422, 'validation_error'],
	['/runs?bogus=1', {}, 422, 'validation_error'],
	['/threads?bogus=1', {}, 422, 'validation_error'],
	['/threads/nope/messages', {}, 404, 'not_found'],
	['/runs?status=odd', {}, 422, 'validation_error'],
	['/chat', json({dataset_id: 'nope', message: 'hi'}), 404, 'not_found'],
	['/chat/stream', json({dataset_id: 'nope', message: 'hi'}), 404, 'not_found'],
	['/runs', json({dataset_id: 'nope', sql: 'select 1'}), 404, 'not_found'],
	['/runs', json({dataset_id: 'support'}), 400, 'invalid_request'],
	['/runs', json({dataset_id: 'support', query_type: 'perl'}), 422, 'validation_error'],
	['/chat', json({message: 'hi'}), 422, 'validation_error'],
	['/chat', {...json({}), body: '{'}, 400, 'invalid_request'],
	['/chat', {method: 'POST', body: '{}', headers: {'content-type': 'text/plain'}}, 415, 'unsupported_media_type'],
	['/chat', json({dataset_id: 'support', message: 'fail'}), 503, 'store_unavailable'],
	['/chat', json({dataset_id: 'support', message: 'crash'}), 500, 'internal_error'],
] as const) {
	test(`${'method' in init ? init.method : 'GET'} ${path} answers ${status} ${code}${'body' in init ? ` to ${init.body}` : ''}`, async () => {
		const {ask, logged} = testServer();
		const reply = await ask(path, init as RequestInit);
		const {error, detail} = (await reply.json()) as {error: Record<string, unknown>; detail: unknown};
		assert.deepEqual([reply.status, error.code], [status, code]);
		assert.equal(error.requestId, reply.headers.get('x-request-id'));
		assert.ok(detail);
		assert.ok(!JSON.stringify(error).includes('secret detail'));
		if (status === 500) assert.ok(logged.some((line) => line.includes('secret detail') && line.includes('"stack"')));
	});
}

function json(body: unknown) {
	return {method: 'POST', body: JSON.stringify(body), headers: {'content-type': 'application/json'}} as const;
}

test('a key that is not taken is named with the nearest one', async () => {
	const {ask, post} = testServer();
	const messageOf = async (reply: Response) => ((await reply.json()) as {error: {message: string}}).error.message;
	assert.deepEqual(
		[
			await messageOf(await post('/chat', {dataset_id: 'support', message: 'hi', threadid: 't'})),
			await messageOf(await post('/runs', {dataset_id: 'support', sgl: 'select 1'})),
			await messageOf(await ask('/runs?statsu=failed&limit=-1')),
		],
		[
			'body: unknown key `threadid`; did you mean `thread_id`?',
			'body: unknown key `sgl`; did you mean `sql`?',
			'query.limit: Too small: expected number to be >=1; query: unknown key `statsu`; did you mean `status`?',
		],
	);
});

test('a body that does not fit names each place, as the reference does', async () => {
	const {post} = testServer();
	const {detail} = (await (await post('/chat', {message: 7})).json()) as {detail: unknown};
	assert.deepEqual(detail, [
		{type: 'missing', loc: ['body', 'dataset_id'], msg: 'field required', input: null},
		{type: 'invalid_type', loc: ['body', 'message'], msg: 'Invalid input: expected string, received number', input: 7},
	]);
});

for (const id of ['', 'x'.repeat(129), 'with space', 'ünicode', 'a\tb']) {
	test(`the request id ${JSON.stringify(id.slice(0, 12))} is replaced by one of ours`, async () => {
		const {ask} = testServer();
		const headers = new Headers();
		if (!/[^\x20-\x7e\t]/.test(id)) headers.set('x-request-id', id);
		assert.match((await ask('/healthz', {headers})).headers.get('x-request-id') ?? '', /^req-[0-9a-f-]{36}$/);
	});
}

test('one line is logged for each request, with constant message and ids', async () => {
	const {post, logged} = testServer();
	await post('/chat', {dataset_id: 'support', message: 'hi'}, {'x-request-id': 'r1'});
	const lines = logged.map((line) => JSON.parse(line) as Record<string, unknown>);
	assert.deepEqual(
		lines.map(({msg, requestId, runId, threadId, endpoint, status}) => ({msg, requestId, runId, threadId, endpoint, status})),
		[{msg: 'http.request.completed', requestId: 'r1', runId: 'run_1', threadId: 'thread-1', endpoint: '/chat', status: 200}],
	);
});

test('metrics count requests by route, never by what a client made up', async () => {
	const {ask, post} = testServer();
	await ask('/made/up/1');
	await ask('/runs/run_x/status');
	await post('/chat', {dataset_id: 'support', message: 'SQL: select 1'});
	const text = await (await ask('/metrics')).text();
	assert.match(text, /csv_analyst_http_requests_total\{method="GET",endpoint="unmatched",status="404"\} 1/);
	assert.match(text, /csv_analyst_http_requests_total\{method="GET",endpoint="\/runs\/:run_id\/status",status="404"\} 1/);
	assert.match(text, /csv_analyst_agent_turns_total\{endpoint="\/chat",input_mode="sql",status="succeeded"\} 1/);
	assert.match(text, /writ_sandboxes\{runner="sql",state="idle"\} 1/);
	assert.ok(!text.includes('made'));
});
