import assert from 'node:assert/strict';
import {test} from 'node:test';
import type {Store} from '#kernel/ports.ts';
import {batch, finished, hash, started} from './sample-run.ts';
import {eachSharedStore, eachStore} from './test-stores.ts';

const finish = async (store: Store, runId: string) => {
	const events = batch({runId, expectedSeq: 0}, started(), finished());
	const last = events.events.at(-1);
	const head = {runId, seq: 2, hash: hash(2), at: last?.at ?? '', keyId: 'k', signature: 's'};
	await store.append({...events, head});
};

eachStore(process.env, ({store: fresh}) => {
	test('heads are read in the order in which runs finished, a page at a time', async () => {
		const store = await fresh();
		for (const runId of ['c', 'a', 'b']) await finish(store, runId);
		await store.append(batch({runId: 'open', expectedSeq: 0}, started()));
		const ids = async (from: number, limit: number) => (await store.heads(from, limit)).map(({runId}) => runId);
		assert.deepEqual([await ids(0, 200), await ids(1, 1), await ids(3, 1)], [['c', 'a', 'b'], ['a'], []]);
		assert.deepEqual(await Promise.all(['c', 'a', 'b', 'open', 'gone'].map((runId) => store.headPosition(runId))), [
			0,
			1,
			2,
			null,
			null,
		]);
		await assert.rejects(store.heads(0, 201), {code: 'validation_error'});
	});
});

eachSharedStore(process.env, ({place}) => {
	test('runs that finish at once in several processes get positions without gap or repetition', async () => {
		const here = await place();
		const stores = await Promise.all([here.open(), here.open(), here.open()]);
		try {
			await Promise.all(Array.from({length: 60}, (_, n) => finish(stores[n % 3] as Store, `r${n}`)));
			const heads = await (stores[0] as Store).heads(0, 200);
			assert.equal(new Set(heads.map(({runId}) => runId)).size, 60);
			const places = await Promise.all(heads.map(({runId}) => (stores[1] as Store).headPosition(runId)));
			assert.deepEqual(places, [...heads.keys()]);
		} finally {
			await Promise.all(stores.map((store) => store.close()));
		}
	});
});
