import assert from 'node:assert/strict';
import {test} from 'node:test';
import type {Store} from '#kernel/ports.ts';
import {asked, at, batch, FENCE, granted, intent, message, started} from './sample-run.ts';
import {ALL, appendAll, eachSharedStore, LATER, snapshot, take} from './test-stores.ts';

eachSharedStore(process.env, ({place: make}) => {
	test('stores that open a new database together migrate it once', async () => {
		const place = await make();
		const stores = await Promise.all([1, 2, 3, 4].map(() => place.open()));
		await Promise.all(stores.map((store, n) => store.append(batch({runId: `r${n}`, expectedSeq: 0}, started()))));
		for (const store of stores) assert.equal((await store.runs(ALL)).rows.length, 4);
	});

	test('what one store appended is there after all are closed', async () => {
		const place = await make();
		const first = await place.open();
		await store(first);
		const past = await snapshot(first, 'r');
		await first.close();
		assert.deepEqual(await snapshot(await place.open(), 'r'), past);

		async function store(open: Store) {
			await open.append(batch({runId: 'r', expectedSeq: 0}, started(), message('user', 'hi'), asked(), granted()));
		}
	});

	test('a subscription sees what another store appends', async () => {
		const place = await make();
		const [reader, writer] = [await place.open(), await place.open()];
		const stop = new AbortController();
		const seen = take(reader.subscribe('r', 0, stop.signal)[Symbol.asyncIterator](), 3);
		await appendAll(
			writer,
			batch({runId: 'r', expectedSeq: 0}, started(), intent()),
			batch({runId: 'r', expectedSeq: 2}, intent()),
		);
		assert.deepEqual(await seen, [1, 2, 3]);
		stop.abort();
	});

	test('of stores that append to one run at once, one wins each event', async () => {
		const place = await make();
		const stores = [await place.open(), await place.open(), await place.open()];
		await stores[0]?.append(batch({runId: 'r', expectedSeq: 0}, started()));
		for (let seq = 1; seq <= 5; seq += 1) {
			const results = await Promise.allSettled(
				stores.map((store) => store.append(batch({runId: 'r', expectedSeq: seq}, intent()))),
			);
			assert.deepEqual(results.map(({status}) => status).sort(), ['fulfilled', 'rejected', 'rejected']);
		}
		assert.equal((await stores[0]?.read('r'))?.length, 6);
	});

	test('of stores that start one run at once, one wins', async () => {
		const place = await make();
		const stores = [await place.open(), await place.open(), await place.open()];
		const starts = stores.map((store, n) =>
			store.append(batch({runId: 'r', expectedSeq: 0, fence: {...FENCE, holder: `h${n}`}}, started())),
		);
		const failed = (await Promise.allSettled(starts)).flatMap((result) =>
			result.status === 'rejected' ? [result.reason.code] : [],
		);
		assert.deepEqual(failed, ['conflict', 'conflict']);
	});

	test('claimers of several stores get each run once', async () => {
		const place = await make();
		const stores = [await place.open(), await place.open()];
		const runIds = [1, 2, 3, 4, 5, 6].map((n) => `r${n}`);
		for (const runId of runIds) await stores[0]?.append(batch({runId, expectedSeq: 0}, started()));
		const claims = await Promise.all(runIds.map((holder, n) => stores[n % 2]?.claim(holder, LATER, 1000)));
		assert.deepEqual(claims.map((claim) => claim?.runId).sort(), runIds);
	});

	test('messages that several stores add to one thread are all counted', async () => {
		const place = await make();
		const stores = [await place.open(), await place.open()];
		const runIds = Array.from({length: 12}, (_, n) => `r${n}`);
		await Promise.all(
			runIds.map(async (runId, n) => {
				const store = stores[n % 2] as Store;
				await store.append(
					batch({runId, expectedSeq: 0, second: n}, started(), message('user', 'a'), message('user', 'b', 't2')),
				);
				await store.append(batch({runId, expectedSeq: 3, second: n}, message('assistant', 'c', 't2'), message('assistant', 'd')));
			}),
		);
		const threads = await stores[0]?.threads('local', 10);
		const common = {datasetId: 'support', messages: 24, updatedAt: at(11)};
		const expected = [
			{...common, threadId: 't2', title: 'b'},
			{...common, threadId: 't1', title: 'a'},
		];
		assert.deepEqual(threads, expected);
		assert.equal((await stores[1]?.messages('local', 't1', 200))?.length, 24);
	});

	test('stores that are checked at once all pass', async () => {
		const place = await make();
		const stores = [await place.open(), await place.open(), await place.open()];
		await Promise.all([...stores, ...stores, ...stores].map((store) => store.check()));
	});
});
