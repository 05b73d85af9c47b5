import assert from 'node:assert/strict';
import {once} from 'node:events';
import {appendFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync} from 'node:fs';
import {createServer} from 'node:http';
import type {AddressInfo} from 'node:net';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {type TestContext, test} from 'node:test';
import {eraseContent} from '#evidence/content.ts';
import {asked, batch, granted, started} from '#store/sample-run.ts';
import {createWebhook} from './webhook.ts';
import {openOutbox} from './webhook-outbox.ts';

function placeFor(t: TestContext): string {
	const directory = mkdtempSync(path.join(tmpdir(), 'writ-outbox-'));
	t.after(() => rmSync(directory, {recursive: true}));
	return path.join(directory, 'webhook.jsonl');
}

/** A server that refuses until it is told to take what comes. */
async function receiver(t: TestContext) {
	const state = {status: 500, taken: [] as string[], news: Promise.withResolvers<void>()};
	const server = createServer((request, response) => {
		request.resume();
		state.taken.push(`${state.status} ${request.headers['x-writ-delivery']}`);
		response.writeHead(state.status).end();
		state.news.resolve();
		state.news = Promise.withResolvers();
	});
	server.listen(0, '127.0.0.1');
	await once(server, 'listening');
	t.after(() => {
		server.closeAllConnections();
		server.close();
	});
	return {state, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`};
}

const EVENTS = batch({runId: 'run_1', expectedSeq: 0}, started(), asked(), granted()).events;
const read = async (runId: string, after: number) => (runId === 'run_1' ? EVENTS.slice(after) : []);

for (const kept of [false, true]) {
	test(`what was not delivered when a server stopped is ${kept ? 'told by the next one, once and in order' : 'lost without a file'}`, async (t) => {
		const file = placeFor(t);
		const {state, url} = await receiver(t);
		const open = () =>
			createWebhook({url, secret: 's', read, report: () => {}, backoffMs: 60_000, ...(kept && {outbox: openOutbox(file)})});
		const first = open();
		const told = state.news.promise;
		for (const event of EVENTS) first.notify(event);
		await told;
		await first.close();
		assert.deepEqual(state.taken, ['500 run_1:2']);

		state.status = 200;
		const second = open();
		if (kept) while (state.taken.length < 3) await state.news.promise;
		if (kept) for (const event of EVENTS) second.notify(event); // the store still has them, and they were told
		await second.close();
		const third = open();
		await third.close();
		assert.deepEqual(state.taken, kept ? ['500 run_1:2', '200 run_1:2', '200 run_1:3'] : ['500 run_1:2']);
	});
}

test('an outbox is its owner’s alone, and outlives a line that was half-written', (t) => {
	const file = placeFor(t);
	const outbox = openOutbox(file);
	assert.equal(outbox.add('a'), true);
	assert.equal(outbox.add('b'), true);
	assert.equal(outbox.add('b'), false);
	outbox.settled('a');
	appendFileSync(file, '{"id":"c","wai');
	assert.equal((statSync(file).mode & 0o777).toString(8), '600');
	const again = openOutbox(file);
	assert.deepEqual(again.waiting, ['b']);
	assert.equal(again.add('a'), false);
});

test('a file of an earlier version is read, and what it held of content is dropped', (t) => {
	const file = placeFor(t);
	writeFileSync(file, '{"id":"run_1:2","body":"restart web"}\n{"id":"run_1:3","body":"go ahead"}\n{"id":"run_1:2"}\n');
	assert.deepEqual(openOutbox(file).waiting, ['run_1:3']);
	assert.equal(readFileSync(file, 'utf8'), '{"id":"run_1:2"}\n{"id":"run_1:3","waits":true}\n');
});

test('of what was erased, or is not there, nothing is sent, and it is not kept for the next process', async (t) => {
	const file = placeFor(t);
	const {state, url} = await receiver(t);
	state.status = 200;
	const [, request, grant] = EVENTS;
	assert.ok(request && grant);
	const erased = eraseContent({...request, v: 2});
	assert.equal(erased?.erased?.length, 64);
	const stored = [erased, {...grant, seq: 4}];
	const outbox = openOutbox(file);
	for (const {runId, seq} of [request, grant, {...grant, seq: 4}]) outbox.add(`${runId}:${seq}`);
	const told = state.news.promise;
	const webhook = createWebhook({
		...{url, secret: 's', report: () => {}, outbox: openOutbox(file)},
		read: async (_runId, after) => stored.filter(({seq}) => seq > after),
	});
	await told;
	await webhook.close();
	assert.deepEqual(state.taken, ['200 run_1:4']);
	assert.deepEqual(
		openOutbox(file).waiting.filter((id) => id !== 'run_1:4'),
		[],
	);
});
