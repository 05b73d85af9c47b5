import assert from 'node:assert/strict';
import {createHmac} from 'node:crypto';
import {once} from 'node:events';
import {createServer, type IncomingHttpHeaders} from 'node:http';
import type {AddressInfo} from 'node:net';
import {type TestContext, test} from 'node:test';
import type {WritError} from '#contract/errors.ts';
import type {Event, EventBody} from '#contract/event.ts';
import {asked, batch, granted, message, started} from '#store/sample-run.ts';
import {createWebhook} from './webhook.ts';

const SECRET = 'a secret that both know';

type Taken = {readonly headers: IncomingHttpHeaders; readonly body: string};

/** A server that answers with these statuses, the last one for good, and a webhook that sends to it. */
async function listening(t: TestContext, ...statuses: number[]) {
	const taken: Taken[] = [];
	const news = {told: Promise.withResolvers<void>()};
	const server = createServer(async (request, response) => {
		const chunks: Buffer[] = [];
		for await (const chunk of request) chunks.push(chunk as Buffer);
		taken.push({headers: request.headers, body: Buffer.concat(chunks).toString()});
		const status = statuses[Math.min(taken.length, statuses.length) - 1] ?? 200;
		response.writeHead(status, {location: 'http://127.0.0.1:9/'}).end();
		news.told.resolve();
		news.told = Promise.withResolvers();
	});
	server.listen(0, '127.0.0.1');
	await once(server, 'listening');
	const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
	const reported: WritError[] = [];
	const failed = Promise.withResolvers<WritError>();
	const report = (error: WritError) => {
		reported.push(error);
		failed.resolve(error);
	};
	const stored: Event[] = [];
	const {notify, close} = createWebhook({url, secret: SECRET, read: readFrom(stored), report, backoffMs: 1});
	const webhook = {
		notify(event: Event) {
			stored.push(event);
			notify(event);
		},
		close,
	};
	t.after(async () => {
		await webhook.close();
		server.closeAllConnections();
		server.close();
	});
	const until = async (count: number) => {
		while (taken.length < count) await news.told.promise;
	};
	return {webhook, taken, reported, failed: failed.promise, until};
}

/** As a store reads: in order, after one. */
function readFrom(stored: readonly Event[]) {
	return async (runId: string, after: number) =>
		stored.filter((event) => event.runId === runId && event.seq > after).toSorted((one, other) => one.seq - other.seq);
}

function eventsOf(...bodies: readonly EventBody[]): readonly Event[] {
	return batch({runId: 'run_1', expectedSeq: 0}, started(), ...bodies).events;
}

test('an approval is told with a signature that covers its time and its body', async (t) => {
	const {webhook, taken, until, reported} = await listening(t, 200);
	for (const event of eventsOf(asked(), message('user', 'this is no approval'), granted())) webhook.notify(event);
	await until(2);
	const [first, second] = taken;
	assert.ok(first && second);
	const timestamp = String(first.headers['x-writ-timestamp']);
	assert.ok(Math.abs(Number(timestamp) - Date.now() / 1_000) < 60);
	const expected = createHmac('sha256', SECRET).update(`v1:${timestamp}:${first.body}`).digest('hex');
	assert.equal(first.headers['x-writ-signature'], `v1=${expected}`);
	const {text, blocks, metadata} = JSON.parse(first.body);
	assert.equal(text, 'docker.restart, risk high, asked by ann, waits for a person until 2026-03-01T12:10:00.000Z');
	assert.equal(blocks[0].text.text, `${text}\n\`\`\`\nrestart web\n\`\`\`\n\`writ approvals show apr_1\``);
	assert.deepEqual([metadata.event_type, metadata.event_payload.approvalId], ['writ_approval_requested', 'apr_1']);
	assert.equal(JSON.parse(second.body).text, 'bob granted apr_1: go ahead');
	assert.deepEqual(reported, []);
});

test('what an agent wrote cannot mention people, link or leave its block', async (t) => {
	const {webhook, taken, until} = await listening(t, 200);
	const [, request] = eventsOf(asked());
	assert.ok(request?.type === 'approval.requested');
	webhook.notify({...request, data: {...request.data, preview: '```<!channel> <http://evil.example|click>'}});
	await until(1);
	const {blocks} = JSON.parse(taken[0]?.body ?? '');
	assert.match(blocks[0].text.text, /\n'''&lt;!channel&gt; &lt;http:\/\/evil\.example\|click&gt;\n/);
});

test('a server that is busy or broken is tried again, in order', async (t) => {
	const {webhook, taken, until, reported} = await listening(t, 500, 429, 200);
	for (const event of eventsOf(asked(), granted())) webhook.notify(event);
	await until(4);
	assert.deepEqual(
		taken.map(({body}) => JSON.parse(body).metadata.event_type),
		[...Array(3).fill('writ_approval_requested'), 'writ_approval_granted'],
	);
	assert.deepEqual(reported, []);
});

test('after six attempts it is given up and reported', async (t) => {
	const {webhook, taken, failed} = await listening(t, 503);
	for (const event of eventsOf(asked())) webhook.notify(event);
	assert.equal((await failed).message, 'an approval could not be told to the webhook: it answered 503');
	assert.equal(taken.length, 6);
});

for (const status of [400, 404, 302]) {
	test(`an answer of ${status} is not tried again, and no redirect is followed`, async (t) => {
		const {webhook, taken, failed} = await listening(t, status);
		for (const event of eventsOf(asked())) webhook.notify(event);
		assert.match((await failed).message, new RegExp(`it answered ${status}`));
		assert.equal(taken.length, 1);
	});
}

test('a server that is not there holds nothing up, and closing gives up on it', async () => {
	const reported: WritError[] = [];
	const report = (error: WritError) => void reported.push(error);
	const events = eventsOf(asked(), granted());
	const read = readFrom(events);
	const webhook = createWebhook({url: 'http://127.0.0.1:1/', secret: SECRET, read, report, backoffMs: 60_000});
	for (const event of events) webhook.notify(event);
	await webhook.close();
	assert.deepEqual(reported, []);
});
