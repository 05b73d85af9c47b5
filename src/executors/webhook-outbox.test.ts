import assert from 'node:assert/strict';
import {once} from 'node:events';
import {appendFileSync, mkdtempSync, rmSync, statSync} from 'node:fs';
import {createServer} from 'node:http';
import type {AddressInfo} from 'node:net';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {type TestContext, test} from 'node:test';
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

for (const kept of [false, true]) {
	test(`what was not delivered when a server stopped is ${kept ? 'told by the next one, once and in order' : 'lost without a file'}`, async (t) => {
		const file = placeFor(t);
		const {state, url} = await receiver(t);
		const open = () =>
			createWebhook({url, secret: 's', report: () => {}, backoffMs: 60_000, ...(kept && {outbox: openOutbox(file)})});
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
	assert.equal(outbox.add({id: 'a', body: '1'}), true);
	assert.equal(outbox.add({id: 'b', body: '2'}), true);
	assert.equal(outbox.add({id: 'b', body: '2'}), false);
	outbox.delivered('a');
	appendFileSync(file, '{"id":"c","bo');
	assert.equal((statSync(file).mode & 0o777).toString(8), '600');
	const again = openOutbox(file);
	assert.deepEqual(again.undelivered, [{id: 'b', body: '2'}]);
	assert.equal(again.add({id: 'a', body: '1'}), false);
});
