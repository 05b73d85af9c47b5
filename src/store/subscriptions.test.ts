import assert from 'node:assert/strict';
import {test} from 'node:test';
import {batch, intent, started} from './sample-run.ts';
import {eachStore, take} from './test-stores.ts';

eachStore(process.env, ({store: fresh}) => {
	test('a subscription gives what is durable, then what becomes durable, and ends when aborted', async () => {
		const store = await fresh();
		const stop = new AbortController();
		await store.append(batch({runId: 'r', expectedSeq: 0}, started(), intent(), intent()));
		const events = store.subscribe('r', 1, stop.signal)[Symbol.asyncIterator]();
		assert.deepEqual(await take(events, 2), [2, 3]);

		const live = take(events, 4);
		for (const expectedSeq of [3, 4, 5, 6]) await store.append(batch({runId: 'r', expectedSeq}, intent()));
		assert.deepEqual(await live, [4, 5, 6, 7]);

		const end = events.next();
		stop.abort();
		assert.deepEqual(await end, {value: undefined, done: true});
	});

	test('a subscription may begin before its run', async () => {
		const store = await fresh();
		const stop = new AbortController();
		const first = take(store.subscribe('r', 0, stop.signal)[Symbol.asyncIterator](), 1);
		await store.append(batch({runId: 'r', expectedSeq: 0}, started()));
		assert.deepEqual(await first, [1]);
		stop.abort();
	});

	test('many subscribers of a busy run miss nothing', async () => {
		const store = await fresh();
		const stop = new AbortController();
		const all = [1, 2, 3, 4, 5].map(() => take(store.subscribe('r', 0, stop.signal)[Symbol.asyncIterator](), 30));
		await store.append(batch({runId: 'r', expectedSeq: 0}, started()));
		for (let seq = 1; seq < 30; seq += 1) await store.append(batch({runId: 'r', expectedSeq: seq}, intent()));
		const expected = Array.from({length: 30}, (_, index) => index + 1);
		assert.deepEqual(
			await Promise.all(all),
			all.map(() => expected),
		);
		stop.abort();
	});

	test('closing a store ends its subscriptions', async () => {
		const store = await fresh();
		const end = store.subscribe('r', 0, new AbortController().signal)[Symbol.asyncIterator]().next();
		await store.close();
		assert.deepEqual(await end, {value: undefined, done: true});
	});
});
