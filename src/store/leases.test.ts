import assert from 'node:assert/strict';
import {test} from 'node:test';
import {asked, at, batch, FENCE, type Fence, finished, intent, resumed, started} from './sample-run.ts';
import {appendAll, conflict, eachStore, LATER} from './test-stores.ts';

eachStore(process.env, ({store: fresh}) => {
	for (const [who, fence] of Object.entries({
		'a writer with an older token': {...FENCE, token: 0},
		'a writer with a token nobody was given': {...FENCE, token: 2},
		'another holder': {...FENCE, holder: 'two'},
	}))
		test(`${who} cannot append or renew`, async () => {
			const store = await fresh();
			await store.append(batch({runId: 'r', expectedSeq: 0}, started()));
			await assert.rejects(store.append(batch({runId: 'r', expectedSeq: 1, fence}, intent())), conflict);
			assert.equal(await store.renew('r', fence), false);
			assert.equal((await store.read('r')).length, 1);
		});

	test('a run is claimed once its lease has run out, not before', async () => {
		const store = await fresh();
		await store.append(batch({runId: 'r', expectedSeq: 0}, started()));
		assert.equal(await store.claim('two', new Date(at(0)), 1000), null);
		assert.deepEqual(await store.claim('two', LATER, 1000), {runId: 'r', token: 2});
		assert.equal(await store.claim('three', LATER, 1000), null);
		assert.deepEqual(await store.claim('three', new Date(LATER.getTime() + 1000), 1000), {runId: 'r', token: 3});
	});

	test('appending and renewing extend a lease', async () => {
		const store = await fresh();
		const until = new Date(LATER.getTime() + 60_000).toISOString();
		await appendAll(store, batch({runId: 'r', expectedSeq: 0}, started()), batch({runId: 's', expectedSeq: 0}, started()));
		await store.append(batch({runId: 'r', expectedSeq: 1, fence: {...FENCE, until}}, intent()));
		assert.equal(await store.renew('s', {...FENCE, until}), true);
		assert.equal(await store.claim('two', LATER, 1000), null);
	});

	test('a writer whose run was claimed is fenced off, and the claimer writes', async () => {
		const store = await fresh();
		await store.append(batch({runId: 'r', expectedSeq: 0}, started()));
		const claimed = await store.claim('two', LATER, 1000);
		const fence: Fence = {holder: 'two', token: claimed?.token ?? 0, until: LATER.toISOString()};

		await assert.rejects(store.append(batch({runId: 'r', expectedSeq: 1}, intent())), conflict);
		assert.equal(await store.renew('r', FENCE), false);
		await store.append(batch({runId: 'r', expectedSeq: 1, fence}, resumed()));
		assert.deepEqual(
			(await store.read('r', 1)).map(({type}) => type),
			['run.resumed'],
		);
	});

	test('finished runs and runs that a person may still answer are not claimed', async () => {
		const store = await fresh();
		const approveBy = new Date(LATER.getTime() + 1).toISOString();
		await appendAll(
			store,
			batch({runId: 'done', expectedSeq: 0}, started(), finished()),
			batch({runId: 'waiting', expectedSeq: 0}, started(), asked(), asked('apr_2', approveBy)),
		);
		assert.equal(await store.claim('two', LATER, 1000), null);
		assert.equal(await store.renew('done', FENCE), false);
	});

	test('a run that nobody answered in time is claimed, so that it ends', async () => {
		const store = await fresh();
		await store.append(batch({runId: 'waiting', expectedSeq: 0}, started(), asked('apr_1', LATER.toISOString())));
		assert.equal(await store.claim('two', new Date(LATER.getTime() - 1), 1000), null);
		assert.deepEqual(await store.claim('two', LATER, 1000), {runId: 'waiting', token: 2});
		assert.equal(await store.claim('three', LATER, 1000), null);
	});

	test('a run is claimed by name when it waits, when it is the holder’s own, and when its lease has run out', async () => {
		const store = await fresh();
		await appendAll(
			store,
			batch({runId: 'busy', expectedSeq: 0}, started()),
			batch({runId: 'done', expectedSeq: 0}, started(), finished()),
			batch({runId: 'waiting', expectedSeq: 0}, started(), asked()),
		);
		const now = new Date(at(0));
		assert.equal(await store.claim('two', now, 1000, 'busy'), null);
		assert.equal(await store.claim('two', LATER, 1000, 'done'), null);
		assert.equal(await store.claim('two', LATER, 1000, 'nothing'), null);
		assert.deepEqual(await store.claim('one', now, 1000, 'busy'), {runId: 'busy', token: 2});
		assert.deepEqual(await store.claim('two', now, 1000, 'waiting'), {runId: 'waiting', token: 2});
		assert.deepEqual(await store.claim('two', LATER, 1000, 'busy'), {runId: 'busy', token: 3});
	});

	test('what somebody holds who is gone is claimed at once, and nobody else’s', async () => {
		const store = await fresh();
		const other: Fence = {...FENCE, holder: 'other'};
		await appendAll(
			store,
			batch({runId: 'r', expectedSeq: 0}, started()),
			batch({runId: 'waiting', expectedSeq: 0}, started(), asked()),
			batch({runId: 'done', expectedSeq: 0, fence: {...FENCE, holder: 'third'}}, started(), finished()),
			batch({runId: 's', expectedSeq: 0, fence: other}, started()),
		);
		assert.deepEqual((await store.holders()).toSorted(), ['one', 'other']);
		await store.abandon('one');
		const now = new Date(at(0));
		assert.deepEqual(await store.claim('two', now, 1000), {runId: 'r', token: 2});
		assert.equal(await store.claim('two', now, 1000), null);
		await assert.rejects(store.append(batch({runId: 'r', expectedSeq: 1}, intent())), conflict);
	});

	test('many claimers get each run once', async () => {
		const store = await fresh();
		const runIds = [1, 2, 3, 4, 5, 6].map((n) => `r${n}`);
		await Promise.all(runIds.map((runId) => store.append(batch({runId, expectedSeq: 0}, started()))));
		const claims = await Promise.all([...runIds, 'a', 'b'].map((holder) => store.claim(holder, LATER, 1000)));
		const claimed = claims.flatMap((claim) => (claim ? [claim.runId] : [])).sort();
		assert.deepEqual(claimed, runIds);
	});
});
