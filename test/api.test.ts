/** The HTTP contract against a real server with the sample data: every mode, every error, streams, re-runs and exports. */
import assert from 'node:assert/strict';
import {writeFileSync} from 'node:fs';
import path from 'node:path';
import {after, test} from 'node:test';
import {DuckDBInstance} from '@duckdb/node-api';
import type {Capsule, ChatResponse, ErrorReply} from '#contract/api.ts';
import {readEvents} from '#server/client.ts';
import {eventually, jsonPost, type Reply, startWrit} from './server.ts';

const writ = await startWrit({after}, {env: {WRIT_POOL_SIZE: '1', WRIT_DISCONNECT_GRACE_SECONDS: '1', RUN_TIMEOUT_SECONDS: '8'}});

const BY_PRIORITY = 'SELECT priority, count(*) AS n FROM tickets GROUP BY 1 ORDER BY n DESC';
const FOREVER = 'SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE (a.range * b.range) % 7 = 3';

test('SQL: in a chat is computed, remembered in its thread, and the capsule repeats the answer', async () => {
	const reply = await writ.post<ChatResponse>('/chat', {dataset_id: 'support', thread_id: 'api', message: `sql: ${BY_PRIORITY}`});
	const {run_id, status, result, details, thread_id} = reply.body;
	assert.deepEqual([reply.status, status, thread_id, details.query_mode], [200, 'succeeded', 'api', 'sql']);
	assert.deepEqual(
		[result.columns, result.column_types],
		[
			['priority', 'n'],
			['text', 'integer'],
		],
	);
	assert.equal(
		result.rows.reduce((sum, row) => sum + Number(row[1]), 0),
		6_417,
	);
	const capsule = await writ.capsule(run_id);
	assert.deepEqual([capsule.result_json, capsule.compiled_sql, capsule.status], [result, BY_PRIORITY, 'succeeded']);
	const {body} = await writ.get<{messages: {role: string; run_id: string}[]}>('/threads/api/messages');
	assert.deepEqual(
		body.messages.map((message) => [message.role, message.run_id]),
		[
			['user', run_id],
			['assistant', run_id],
		],
	);
	assert.equal((await writ.verify(run_id)).verdict, 'valid');
});

test('a direct run takes SQL, Python or a plan, and each says what was computed', async () => {
	const plan = {table: 'tickets', select: [{func: 'count', alias: 'n'}]};
	const cases = [
		{query_type: 'sql', sql: 'SELECT count(*) AS n FROM tickets'},
		{query_type: 'plan', plan_json: plan},
		{query_type: 'python', python_code: "import pandas as pd\nresult = pd.DataFrame({'n': [len(tickets)]})"},
	];
	for (const body of cases) {
		const {status, body: answer} = await writ.post<ChatResponse>('/runs', {dataset_id: 'support', ...body});
		assert.deepEqual(
			[status, answer.status, answer.result.columns, answer.result.rows, answer.thread_id, answer.details.query_mode],
			[200, 'succeeded', ['n'], [[6_417]], null, body.query_type],
			JSON.stringify(answer),
		);
	}
});

test('rows beyond the cap are left out, and the reply says so with the total', async () => {
	const {result} = await writ.ask('SQL: SELECT * FROM tickets');
	assert.deepEqual(
		[result.row_count, result.rows.length, result.total_rows, result.truncated],
		[1_000, 1_000, 6_417, {by: 'rows', limit: 1_000, total: 6_417}],
	);
});

for (const [title, act, status, code] of [
	['an unknown dataset', () => writ.post('/chat', {dataset_id: 'nope', message: 'SQL: SELECT 1'}), 404, 'not_found'],
	['an unknown dataset to run on', () => writ.post('/runs', {dataset_id: 'nope', sql: 'SELECT 1'}), 404, 'not_found'],
	['an unknown dataset to look at', () => writ.get('/datasets/nope/schema'), 404, 'not_found'],
	['an unknown run', () => writ.get('/runs/run_none'), 404, 'not_found'],
	['the status of an unknown run', () => writ.get('/runs/run_none/status'), 404, 'not_found'],
	['an unknown run to run again', () => writ.post('/runs/run_none/rerun'), 404, 'not_found'],
	['an unknown run to cancel', () => writ.post('/runs/run_none/cancel'), 404, 'not_found'],
	['an unknown run to export', () => writ.get('/runs/run_none/export'), 404, 'not_found'],
	['an unknown run to verify', () => writ.post('/runs/run_none/verify'), 404, 'not_found'],
	['an unknown approval', () => writ.post('/api/v1/approvals/apr_none/reject', {}), 404, 'not_found'],
	['an unknown route', () => writ.get('/no/such/route'), 404, 'not_found'],
	['a body without its message', () => writ.post('/chat', {dataset_id: 'support'}), 422, 'validation_error'],
	['a run without code', () => writ.post('/runs', {dataset_id: 'support', query_type: 'sql'}), 400, 'invalid_request'],
	[
		'a plan with an unknown key',
		() => writ.post('/runs', {dataset_id: 'support', query_type: 'plan', plan_json: {table: 'tickets', selct: ['id']}}),
		400,
		'invalid_plan',
	],
	['a list with an unknown status', () => writ.get('/runs?status=odd'), 422, 'validation_error'],
] as const) {
	test(`${title} is answered with ${status} ${code}`, async () => {
		const reply = (await act()) as Reply<ErrorReply>;
		assert.deepEqual([reply.status, reply.body.error?.code], [status, code], JSON.stringify(reply.body));
		assert.ok(reply.body.error.requestId);
		assert.ok(reply.body.detail);
	});
}

test('a plan with a misspelt key suggests the right one', async () => {
	const plan_json = {table: 'tickets', selct: ['ticket_id']};
	const {body} = await writ.post<ErrorReply>('/runs', {dataset_id: 'support', query_type: 'plan', plan_json});
	assert.match(JSON.stringify(body), /select/);
});

test('a query that is refused or fails is an answer, with the reason and a way out', async () => {
	for (const [message, status, type] of [
		["SQL: SELECT * FROM read_csv('/etc/passwd')", 'rejected', 'SQL_POLICY_VIOLATION'],
		['SQL: DROP TABLE tickets', 'rejected', 'SQL_POLICY_VIOLATION'],
		['SQL: SELECT 1; SELECT 2', 'rejected', 'SQL_POLICY_VIOLATION'],
		['SQL: SELECT nothing FROM tickets', 'failed', 'SQL_EXECUTION_ERROR'],
		['SQL: SELEKT 1', 'failed', 'SQL_EXECUTION_ERROR'],
		['PYTHON: result = 1 / 0', 'failed', 'PYTHON_EXECUTION_ERROR'],
		[`SQL: ${FOREVER}`, 'timed_out', 'RUNNER_TIMEOUT'],
	]) {
		const {status: ended, result, run_id} = await writ.ask(String(message));
		assert.deepEqual([ended, result.error?.type], [status, type], `${message}: ${JSON.stringify(result.error)}`);
		assert.equal((await writ.verify(run_id)).verdict, 'valid');
	}
});

test('a stream tells the stages as they happen, then the result and the end, each frame with its id', async () => {
	const response = await writ.request('/chat/stream', jsonPost({dataset_id: 'support', message: `SQL: ${BY_PRIORITY}`}));
	assert.match(response.headers.get('content-type') ?? '', /^text\/event-stream/);
	const frames = await Array.fromAsync(readEvents(response));
	assert.deepEqual(
		frames.map(({event, data}) => (event === 'status' ? (data as {stage: string}).stage : event)),
		['validating', 'executing', 'result', 'done'],
	);
	const result = frames.find(({event}) => event === 'result')?.data as ChatResponse;
	assert.deepEqual(
		frames.map(({id}) => id),
		frames.map((_, index) => `${result.run_id}:${index + 1}`),
	);

	const resumed = await writ.request(`/runs/${result.run_id}/stream`, {headers: {'last-event-id': `${result.run_id}:2`}});
	assert.deepEqual(await Array.fromAsync(readEvents(resumed)), frames.slice(2), 'a client that reconnects misses nothing');
});

test('a stream whose reader goes away is cancelled after the grace', async () => {
	const stop = new AbortController();
	const init = {...jsonPost({dataset_id: 'support', message: `SQL: ${FOREVER}`}), signal: stop.signal};
	const reading = readEvents(await writ.request('/chat/stream', init))[Symbol.asyncIterator]();
	const first = (await reading.next()).value as {id: string};
	const [runId = ''] = first.id.split(':');
	stop.abort();
	const begin = Date.now();
	const ended = await eventually('end of the run', async () => {
		const {status} = (await writ.get<{status: string}>(`/runs/${runId}/status`)).body;
		return status === 'running' ? undefined : status;
	});
	assert.equal(ended, 'cancelled');
	assert.ok(Date.now() - begin < 6_000, 'well before its time limit');
	assert.equal((await writ.verify(runId)).verdict, 'valid');
});

test('a run in progress is cancelled on request', async () => {
	const asking = writ.ask(`SQL: ${FOREVER} -- cancel me`);
	const runId = await eventually('run to cancel', async () => {
		const {runs} = (await writ.get<{runs: {run_id: string}[]}>('/runs?status=running&text=cancel')).body;
		return runs[0]?.run_id;
	});
	const {status, body} = await writ.post<{status: string}>(`/runs/${runId}/cancel`);
	assert.deepEqual([status, body.status, (await asking).status], [200, 'cancelled', 'cancelled']);
});

test('a run is run again as a new run with the same answer', async () => {
	const first = await writ.ask(`SQL: ${BY_PRIORITY}`);
	const {status, body} = await writ.post<ChatResponse>(`/runs/${first.run_id}/rerun`);
	assert.deepEqual([status, body.status, body.result.rows], [200, 'succeeded', first.result.rows]);
	assert.notEqual(body.run_id, first.run_id);
});

test('runs are listed newest first, filtered and paged', async () => {
	const {body} = await writ.get<{runs: {run_id: string; dataset_id: string; status: string}[]; next_cursor: string}>(
		'/runs?limit=2&dataset_id=support&status=succeeded',
	);
	assert.equal(body.runs.length, 2);
	assert.ok(body.runs.every((run) => run.dataset_id === 'support' && run.status === 'succeeded'));
	const next = await writ.get<{runs: {run_id: string}[]}>(
		`/runs?limit=2&dataset_id=support&status=succeeded&cursor=${encodeURIComponent(body.next_cursor)}`,
	);
	const seen = new Set(body.runs.map(({run_id}) => run_id));
	assert.ok(next.body.runs.every(({run_id}) => !seen.has(run_id)));
});

const DANGEROUS = `SELECT * FROM (VALUES ('=1+1', 1.5, DATE '2024-02-29', NULL), ('+cmd|x', -2, NULL, 'é"quoted", two'),
	('@SUM(A1)', 9007199254740993, DATE '2024-01-01', 'plain')) AS t(formula, number, day, note) ORDER BY number`;

test('an export holds every row, not only those of the reply, and is on record', async () => {
	const {run_id} = await writ.ask('SQL: SELECT ticket_id FROM tickets');
	const response = await writ.request(`/runs/${run_id}/export?format=csv`);
	const lines = (await response.text()).trimEnd().split(/\r?\n/);
	assert.equal(lines.length, 1 + 6_417);
	const capsule = (await writ.get<Capsule>(`/runs/${response.headers.get('x-writ-run-id')}`)).body;
	assert.deepEqual([capsule.status, capsule.query_mode], ['succeeded', 'export']);
});

test('a CSV export leaves no formula for a spreadsheet to run', async () => {
	const text = await (await exported(DANGEROUS, 'csv')).text();
	const cells = text.split(/\r?\n/).slice(1).filter(Boolean);
	assert.equal(cells.length, 3);
	assert.deepEqual(
		cells.filter((line) => /^"?[=+@]/.test(line)),
		[],
	);
});

test('a JSON export keeps values as they are', async () => {
	const rows = (await (await exported(DANGEROUS, 'json')).json()) as Record<string, unknown>[];
	assert.deepEqual(
		rows.map(({formula, note}) => [formula, note]),
		[
			['+cmd|x', 'é"quoted", two'],
			['=1+1', null],
			['@SUM(A1)', 'plain'],
		],
	);
});

test('a Parquet export is read back by DuckDB with its types', async () => {
	const file = path.join(writ.dataDir, 'export.parquet');
	writeFileSync(file, Buffer.from(await (await exported(DANGEROUS, 'parquet')).arrayBuffer()));
	const instance = await DuckDBInstance.create(':memory:');
	const connection = await instance.connect();
	const reader = await connection.runAndReadAll(`SELECT formula, typeof(day) AS type FROM read_parquet('${file}') ORDER BY 1`);
	const rows = reader.getRowsJson();
	connection.closeSync();
	instance.closeSync();
	assert.deepEqual(rows, [
		['+cmd|x', 'DATE'],
		['=1+1', 'DATE'],
		['@SUM(A1)', 'DATE'],
	]);
});

test('an XLSX export opens as a workbook that holds the same rows and no formula', async () => {
	const bytes = Buffer.from(await (await exported(DANGEROUS, 'xlsx')).arrayBuffer());
	assert.deepEqual(bytes.subarray(0, 4), Buffer.from('PK\u0003\u0004'));
	assert.equal(bytes.includes('<f>'), false);
	const form = new FormData();
	form.set('id', 'returned');
	form.append('file', new Blob([bytes]), 'returned.xlsx');
	const added = await writ.request('/datasets', {method: 'POST', body: form});
	assert.equal(added.status, 201, await added.clone().text());
	const {tables} = (await added.json()) as {tables: {name: string; rows: number}[]};
	assert.deepEqual(
		tables.map(({rows}) => rows),
		[3],
	);
	const {result} = await writ.ask(`SQL: SELECT * FROM "${tables[0]?.name}"`, 'returned');
	assert.deepEqual(result.columns, ['formula', 'number', 'day', 'note']);
});

test('metrics count what happened under labels that no client chooses', async () => {
	await writ.get('/no/such/route/for-metrics');
	await writ.post('/chat', {dataset_id: 'made-up-dataset', message: 'x'});
	const {body} = await writ.get<string>('/metrics');
	for (const name of ['csv_analyst_http_requests_total', 'csv_analyst_agent_turns_total', 'csv_analyst_sandbox_runs_total'])
		assert.match(body, new RegExp(`^${name}\\{`, 'm'));
	assert.match(body, /^writ_actions_total\{tool="analyst.sql",status="succeeded"\} [1-9]/m);
	assert.doesNotMatch(body, /for-metrics|made-up-dataset|run_0|SELECT/);
});

test('the API describes itself, and every route of it is there', async () => {
	const {body} = await writ.get<{paths: Record<string, unknown>}>('/openapi.json');
	for (const route of ['/chat', '/chat/stream', '/runs', '/runs/{run_id}/export', '/datasets', '/api/v1/approvals', '/readyz'])
		assert.ok(body.paths[route], route);
	assert.equal((await writ.request('/docs')).status, 200);
});

test('a request from another site is refused', async () => {
	const {request} = writ;
	const elsewhere = {...jsonPost({dataset_id: 'support', message: 'SQL: SELECT 1'})};
	const response = await request('/chat', {...elsewhere, headers: {...elsewhere.headers, origin: 'https://elsewhere.example'}});
	assert.equal(response.status, 403);
});

test('Python that is switched off is refused, and SQL goes on', async (t) => {
	const {post} = await startWrit(t, {env: {WRIT_POOL_SIZE: '0', ENABLE_PYTHON_EXECUTION: 'false'}});
	const off = await post<ChatResponse>('/runs', {dataset_id: 'support', query_type: 'python', python_code: 'result = 1'});
	const on = await post<ChatResponse>('/runs', {dataset_id: 'support', sql: 'SELECT 1 AS one'});
	assert.deepEqual([off.status, off.body.status, on.body.status], [200, 'rejected', 'succeeded']);
	assert.equal(off.body.result.error?.type, 'FEATURE_DISABLED');
	assert.match(JSON.stringify(off.body.result.error), /ENABLE_PYTHON_EXECUTION/);
});

async function exported(sql: string, format: string): Promise<Response> {
	const {run_id, status, result} = await writ.ask(`SQL: ${sql}`);
	assert.equal(status, 'succeeded', JSON.stringify(result.error));
	const response = await writ.request(`/runs/${run_id}/export?format=${format}`);
	assert.equal(response.status, 200);
	assert.match(response.headers.get('content-disposition') ?? '', new RegExp(`${run_id}\\.${format}`));
	return response;
}
