import assert from 'node:assert/strict';
import {test} from 'node:test';
import type {Store} from '#kernel/ports.ts';
import type {Spend} from '#kernel/spend.ts';
import {batch, FENCE, finished, started} from './sample-run.ts';
import {eachSharedStore, eachStore} from './test-stores.ts';

const NOTHING = {tokens: 0, costMicros: 0, bytes: 0};
type Reserve = Extract<Spend, {kind: 'reserve'}>;

function reserving(limits: Reserve['limits'], wants: Partial<Reserve['wants']> = {}, window = '2026-03-01'): Reserve {
	return {kind: 'reserve', tenant: 'local', window, limits, wants: {...NOTHING, ...wants}};
}

function settling(used: Partial<Reserve['wants']> = {}): Spend {
	return {kind: 'settle', tenant: 'local', used: {...NOTHING, ...used}};
}

const start = (store: Store, runId: string, spend: Spend) => store.append({...batch({runId, expectedSeq: 0}, started()), spend});
const end = (store: Store, runId: string, spend: Spend) => store.append({...batch({runId, expectedSeq: 1}, finished()), spend});
const spent = (budget: string) => (error: unknown) => {
	const {code, details} = error as {code?: string; details?: {budget?: string}};
	return code === 'budget_exceeded' && details?.budget === budget;
};

/** How many of 64 runs that start at once, through all of the stores, may start. */
async function race(stores: readonly Store[], spend: Reserve): Promise<string[]> {
	const runIds = Array.from({length: 64}, (_, index) => `r${index}`);
	const results = await Promise.allSettled(
		runIds.map((runId, index) => start(stores[index % stores.length] as Store, runId, spend)),
	);
	for (const result of results)
		if (result.status === 'rejected')
			assert.equal((result.reason as {code?: string}).code, 'budget_exceeded', String(result.reason));
	return runIds.filter((_, index) => results[index]?.status === 'fulfilled');
}

eachStore(process.env, ({store: fresh}) => {
	for (const [budget, spend, admitted] of [
		['runs', reserving({runs: 10}), 10],
		['concurrency', reserving({concurrency: 7}), 7],
		['tokens', reserving({tokens: 100}, {tokens: 7}), 14],
		['money', reserving({costMicros: 1_000_000}, {costMicros: 300_000}), 3],
		['bytes', reserving({bytes: 10}, {bytes: 10}), 1],
	] as const) {
		test(`of 64 runs that start at once, as many may as the tenant has ${budget} for`, async () => {
			const store = await fresh();
			const ran = await race([store], spend);
			assert.equal(ran.length, admitted);
			await assert.rejects(start(store, 'one-more', spend), spent(`tenant:${budget}`));
			assert.equal(await store.run('one-more'), null);
		});
	}

	test('what a run did not use is there again when it has ended, and what it used is not', async () => {
		const store = await fresh();
		const spend = reserving({tokens: 100}, {tokens: 60});
		await start(store, 'a', spend);
		await assert.rejects(start(store, 'b', spend), spent('tenant:tokens'));
		await end(store, 'a', settling({tokens: 30}));
		await start(store, 'b', spend);
		await end(store, 'b', settling({tokens: 60}));
		await assert.rejects(start(store, 'c', reserving({tokens: 100}, {tokens: 11})), spent('tenant:tokens'));
		await start(store, 'c', reserving({tokens: 100}, {tokens: 10}));
	});

	test('runs at the same time are counted until they end, and runs of a window for good', async () => {
		const store = await fresh();
		const limits = {runs: 2, concurrency: 1};
		await start(store, 'a', reserving(limits));
		await assert.rejects(start(store, 'b', reserving(limits)), spent('tenant:concurrency'));
		await end(store, 'a', settling());
		await start(store, 'b', reserving(limits));
		await end(store, 'b', settling());
		await assert.rejects(start(store, 'c', reserving(limits)), spent('tenant:runs'));
		await start(store, 'c', reserving(limits, {}, '2026-03-02'));
	});

	test('a run that ends in another window gives back to the one it began in', async () => {
		const store = await fresh();
		await start(store, 'a', reserving({tokens: 10}, {tokens: 10}));
		await start(store, 'b', reserving({tokens: 10}, {tokens: 10}, '2026-03-02'));
		await end(store, 'a', settling({tokens: 1}));
		await assert.rejects(start(store, 'c', reserving({tokens: 10}, {tokens: 1}, '2026-03-02')), spent('tenant:tokens'));
		await start(store, 'c', reserving({tokens: 10}, {tokens: 9}));
	});

	test('another tenant has a budget of its own', async () => {
		const store = await fresh();
		await start(store, 'a', reserving({runs: 1}));
		await start(store, 'b', {...reserving({runs: 1}), tenant: 'acme'});
		await assert.rejects(start(store, 'c', reserving({runs: 1})), spent('tenant:runs'));
	});

	test('a batch that is refused for another reason reserves nothing', async () => {
		const store = await fresh();
		await start(store, 'a', reserving({runs: 2}));
		const stale = {...batch({runId: 'a', expectedSeq: 5, fence: FENCE}, finished()), spend: reserving({runs: 2})};
		await assert.rejects(store.append(stale), {code: 'conflict'});
		await start(store, 'b', reserving({runs: 2}));
	});

	test('settling a run that reserved nothing changes nothing', async () => {
		const store = await fresh();
		await store.append(batch({runId: 'a', expectedSeq: 0}, started()));
		await end(store, 'a', settling({tokens: 1_000}));
		await start(store, 'b', reserving({tokens: 10}, {tokens: 10}));
	});
});

eachSharedStore(process.env, ({place}) => {
	test('64 runs that start at once on two servers spend no more than there is', async () => {
		const shared = await place();
		const stores = [await shared.open(), await shared.open()];
		const ran = await race(stores, reserving({tokens: 1_000, runs: 40, concurrency: 30}, {tokens: 37}));
		assert.equal(ran.length, 27);
		await Promise.all(ran.map((runId, index) => end(stores[index % 2] as Store, runId, settling({tokens: 37}))));
		await assert.rejects(start(stores[0] as Store, 'one-more', reserving({tokens: 1_000}, {tokens: 2})), spent('tenant:tokens'));
		await start(stores[0] as Store, 'last', reserving({tokens: 1_000}, {tokens: 1}));
	});
});
