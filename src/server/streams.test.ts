import assert from 'node:assert/strict';
import {test} from 'node:test';
import type {Store} from '#kernel/ports.ts';
import {batch, finished, started} from '#store/sample-run.ts';
import {readEvents} from './client.ts';
import {listening, type TestServer, testServer} from './doubles/test-server.ts';

const WAIT = {dataset_id: 'support', message: 'wait'};

async function framesOf(response: Response): Promise<[event: string, id: string][]> {
	const frames: [string, string][] = [];
	for await (const {event, id} of readEvents(response)) frames.push([event, id]);
	return frames;
}

/** Reads until the text has been seen, then lets go of the stream. */
async function readUntil(response: Response, text: string): Promise<string> {
	let seen = '';
	const decoder = new TextDecoder();
	for await (const chunk of response.body ?? []) {
		seen += decoder.decode(chunk, {stream: true});
		if (seen.includes(text)) return seen;
	}
	return seen;
}

function open(url: string, path: string, init: RequestInit = {}) {
	return fetch(new URL(path, url), init);
}

function openChat(url: string, body: unknown, signal?: AbortSignal) {
	const headers = {'content-type': 'application/json'};
	return open(url, '/chat/stream', {method: 'POST', headers, body: JSON.stringify(body), ...(signal && {signal})});
}

async function endOf(store: Store, runId: string): Promise<string> {
	for await (const event of store.subscribe(runId, 0, AbortSignal.timeout(5_000))) {
		if (event.type === 'run.finished') return event.data.status;
	}
	return 'no end';
}

test('a turn streams its frames in order, each with the id of its run and its number', async () => {
	const {post} = testServer();
	const reply = await post('/chat/stream', {dataset_id: 'support', message: 'how many?'});
	assert.equal(reply.headers.get('content-type'), 'text/event-stream; charset=utf-8');
	assert.equal(reply.headers.get('cache-control'), 'no-cache, no-transform');
	assert.deepEqual(await framesOf(reply), [
		['status', 'run_1:1'],
		['token', 'run_1:2'],
		['result', 'run_1:3'],
		['done', 'run_1:4'],
	]);
});

for (const [message, type] of [
	['crash', 'AGENT_ERROR'],
	['fail', 'STORE_UNAVAILABLE'],
] as const) {
	test(`a turn that fails after it began says ${type} in the stream, then ends`, async () => {
		const {post} = testServer();
		const text = await (await post('/chat/stream', {dataset_id: 'support', message})).text();
		assert.match(text, new RegExp(`event: error\nid: run_1:2\ndata: \\{"type":"${type}"`));
		assert.match(text, /event: done\nid: run_1:3\ndata: \{\}\n\n$/);
		assert.ok(!text.includes('secret detail'));
	});
}

test('a client that reconnects gets the frames after the last it has seen', async () => {
	const {ask, post} = testServer();
	await (await post('/chat/stream', {dataset_id: 'support', message: 'how many?'})).text();
	const again = await ask('/runs/run_1/stream', {headers: {'last-event-id': 'run_1:2'}});
	assert.deepEqual(await framesOf(again), [
		['result', 'run_1:3'],
		['done', 'run_1:4'],
	]);
	assert.equal((await ask('/runs/run_1/stream', {headers: {'last-event-id': 'run_2:2'}})).status, 400);
});

test('a turn of another process is answered from its record, when it has ended', async () => {
	const {ask, store} = testServer();
	await store.append(batch({runId: 'run_9', expectedSeq: 0}, started()));
	const joined = ask('/runs/run_9/stream');
	await store.append(batch({runId: 'run_9', expectedSeq: 1}, finished()));
	assert.deepEqual(await framesOf(await joined), [
		['result', ''],
		['done', ''],
	]);
});

test('a quiet stream sends heartbeats', async () => {
	const {server, analyst} = testServer({heartbeatMs: 5});
	await listening(server, async ({url}) => {
		const reply = await openChat(url, WAIT);
		assert.match(await readUntil(reply, 'heartbeat\n\n: heartbeat'), /event: status\n.*\n.*\n\n(: heartbeat\n\n)+/);
		analyst.goOn();
	});
});

test('a run whose client has gone is cancelled after the grace', async () => {
	const {server, store} = testServer({disconnectGraceMs: 1});
	await listening(server, async ({url}) => {
		for (const path of ['/chat/stream', '/chat']) {
			const client = new AbortController();
			const headers = {'content-type': 'application/json'};
			const asked = open(url, path, {method: 'POST', headers, body: JSON.stringify(WAIT), signal: client.signal});
			const runId = path === '/chat' ? 'run_2' : 'run_1';
			await startOf(store, runId);
			if (path === '/chat/stream') await readUntil(await asked, 'status');
			client.abort();
			await asked.catch(() => {});
			assert.equal(await endOf(store, runId), 'cancelled', path);
		}
	});
});

/** The run's first event, which the store tells of when it is there. */
async function startOf(store: Store, runId: string): Promise<void> {
	for await (const _ of store.subscribe(runId, 0, AbortSignal.timeout(5_000))) return;
}

test('a run whose client comes back within the grace goes on', async () => {
	const {server, store, analyst} = testServer({disconnectGraceMs: 60_000});
	await listening(server, async ({url}) => {
		const client = new AbortController();
		await readUntil(await openChat(url, WAIT, client.signal), 'status');
		client.abort();
		const back = await open(url, '/runs/run_1/stream', {headers: {'last-event-id': 'run_1:1'}});
		analyst.goOn();
		assert.deepEqual(await framesOf(back), [
			['token', 'run_1:2'],
			['result', 'run_1:3'],
			['done', 'run_1:4'],
		]);
		assert.equal(await endOf(store, 'run_1'), 'succeeded');
	});
});

test('a run is cancelled on request, and cancelling again changes nothing', async () => {
	const {post, store} = testServer();
	const asked = post('/chat', WAIT);
	await startOf(store, 'run_1');
	const cancel = async () => (await post('/runs/run_1/cancel', {})).json();
	assert.deepEqual(await cancel(), {run_id: 'run_1', status: 'cancelled'});
	assert.deepEqual(await cancel(), {run_id: 'run_1', status: 'cancelled'});
	assert.equal(((await (await asked).json()) as {status: string}).status, 'cancelled');
});

test('a run in progress elsewhere cannot be cancelled here', async () => {
	const {post, store} = testServer();
	await store.append(batch({runId: 'run_9', expectedSeq: 0}, started()));
	assert.equal((await post('/runs/run_9/cancel', {})).status, 409);
});

test('durable events are streamed with their seq, from the one after Last-Event-ID to the end', async () => {
	const {ask, post, store} = testServer();
	await store.append(batch({runId: 'run_9', expectedSeq: 0}, started()));
	const live = ask('/runs/run_9/events', {headers: {accept: 'text/event-stream'}});
	await store.append(batch({runId: 'run_9', expectedSeq: 1}, finished()));
	assert.deepEqual(await framesOf(await live), [
		['run.started', '1'],
		['run.finished', '2'],
	]);
	const rest = await ask('/runs/run_9/events', {headers: {'last-event-id': '1'}});
	assert.deepEqual(await framesOf(rest), [['run.finished', '2']]);
	assert.equal((await ask('/runs/run_9/events', {headers: {'last-event-id': '2'}})).status, 204);
	assert.equal((await ask('/runs/run_9/events', {headers: {'last-event-id': 'x'}})).status, 400);
	const all = (await (await ask('/runs/run_9/events', {headers: {accept: 'application/json'}})).json()) as {
		events: {seq: number}[];
	};
	assert.deepEqual(
		all.events.map(({seq}) => seq),
		[1, 2],
	);
	assert.equal((await post('/runs/run_9/events', {})).status, 404);
});

test('a slow reader holds its stream back and does not fill memory', async () => {
	const {server, store} = testServer();
	await store.append(batch({runId: 'run_9', expectedSeq: 0}, started()));
	const pulled = {count: 0};
	const counting: TestServer['store'] = {
		...store,
		async *subscribe() {
			const [event] = await store.read('run_9');
			for (;;) {
				pulled.count += 1;
				if (event) yield event;
			}
		},
	};
	const slow = testServer({}, {store: counting});
	await listening(slow.server, async ({url}) => {
		const client = new AbortController();
		const reply = await open(url, '/runs/run_9/events', {signal: client.signal});
		await reply.body?.getReader().read();
		const settled = await stable(() => pulled.count);
		assert.ok(settled < 100_000, `${settled} events were taken for a reader that took one`);
		client.abort();
	});
	assert.ok(server);
});

/** The count when it has not changed for a while: the socket is full. */
async function stable(count: () => number): Promise<number> {
	const {setTimeout: wait} = await import('node:timers/promises');
	for (let before = -1; ; ) {
		const now = count();
		if (now === before) return now;
		before = now;
		await wait(50);
	}
}

test('a stopping server refuses what is new, ends its streams and cancels what does not finish', async () => {
	const {server, store} = testServer({shutdownMs: 20});
	await store.append(batch({runId: 'run_9', expectedSeq: 0}, started()));
	const running = await server.listen();
	const events = await open(running.url, '/runs/run_9/events');
	const chat = await openChat(running.url, WAIT);
	await readUntilFirst(chat);
	const closed = running.close();
	assert.equal((await server.fetch(new Request(`${running.url}/datasets`))).status, 503);
	assert.equal((await server.fetch(new Request(`${running.url}/readyz`))).status, 503);
	assert.equal((await server.fetch(new Request(`${running.url}/healthz`))).status, 200);
	await closed;
	assert.equal(await endOf(store, 'run_1'), 'cancelled');
	await events.text();
	await assert.rejects(open(running.url, '/healthz'));
	assert.equal(running.close(), closed);
});

/** One chunk, without letting go. */
async function readUntilFirst(response: Response): Promise<void> {
	const [, rest] = response.body?.tee() ?? [];
	await rest?.getReader().read();
}

test('a run that finishes in time is answered while the server stops', async () => {
	const {server, analyst} = testServer({shutdownMs: 5_000});
	const running = await server.listen();
	const chat = await openChat(running.url, WAIT);
	const closed = running.close();
	analyst.goOn();
	assert.deepEqual(
		(await framesOf(chat)).map(([event]) => event),
		['status', 'token', 'result', 'done'],
	);
	await closed;
});

test('a port that is taken is said to be', async () => {
	await listening(testServer().server, async ({url}) => {
		const second = testServer({port: Number(new URL(url).port)});
		await assert.rejects(second.server.listen(), {
			code: 'invalid_config',
			message: /^cannot listen on 127\.0\.0\.1:\d+: .*EADDRINUSE/,
		});
	});
});

test('event streams have a limit, and one that is let go makes room', async () => {
	const {ask, store} = testServer();
	await store.append(batch({runId: 'run_9', expectedSeq: 0}, started()));
	const watch = () => ask('/runs/run_9/events', {headers: {accept: 'text/event-stream'}});
	const streams = await Promise.all(Array.from({length: 256}, watch));
	assert.deepEqual([...new Set(streams.map(({status}) => status))], [200]);
	assert.equal((await watch()).status, 429);
	await streams[0]?.body?.cancel();
	const next = await watch();
	assert.equal(next.status, 200);
	await Promise.all([...streams.slice(1), next].map(({body}) => body?.cancel()));
});
