import assert from 'node:assert/strict';
import {test} from 'node:test';
import type {Store} from '#kernel/ports.ts';
import type {StorageChange} from '#kernel/quota-store.ts';
import {eachSharedStore, eachStore} from './test-stores.ts';

const UNTIL = '2026-03-01T14:00:00.000Z';
const LIMIT = 1_000;
const SIZE = 37;

const holding = (holdId: string, bytes = SIZE, limit = LIMIT): StorageChange => ({
	...{kind: 'hold', tenant: 'local', holdId, holder: 'h', bytes, until: UNTIL, limit},
});
const settling = (holdId: string | null, change: number): StorageChange => ({kind: 'settle', tenant: 'local', holdId, change});
const spent = {code: 'budget_exceeded', details: {budget: 'tenant:storage', limit: 10, used: 6, reserved: 3, wants: 2}};

/** Keeps so much as 64 writers at once find room for, each by `keep`, and resolves to what is kept then. */
async function race(stores: readonly Store[], keep: (store: Store, holdId: string) => Promise<unknown>): Promise<number> {
	const results = await Promise.allSettled(
		Array.from({length: 64}, (_, index) => keep(stores[index % stores.length] as Store, `h${index}`)),
	);
	for (const result of results)
		if (result.status === 'rejected')
			assert.equal((result.reason as {code?: string}).code, 'budget_exceeded', String(result.reason));
	return ((await stores[0]?.quota.stored('local')) ?? assert.fail()).kept;
}

/** Looks, and then writes: what there would be without a reservation. */
async function keepUnreserved(store: Store, _holdId: string): Promise<void> {
	const {kept} = await store.quota.stored('local');
	if (kept + SIZE <= LIMIT) await store.quota.change(settling(null, SIZE));
}

async function keepReserved(store: Store, holdId: string): Promise<void> {
	await store.quota.change(holding(holdId));
	await store.quota.change(settling(holdId, SIZE));
}

eachSharedStore(process.env, ({place}) => {
	test('64 writers on two servers that only look before they write keep more than the tenant may', async () => {
		const shared = await place();
		assert.ok((await race([await shared.open(), await shared.open()], keepUnreserved)) > LIMIT);
	});

	test('64 writers on two servers that reserve keep all there is room for and no byte more', async () => {
		const shared = await place();
		const stores = [await shared.open(), await shared.open()];
		const kept = await race(stores, keepReserved);
		assert.ok(kept <= LIMIT, `${kept} bytes are kept`);
		assert.equal(kept, Math.floor(LIMIT / SIZE) * SIZE);
		assert.deepEqual((await stores[1]?.quota.stored('local'))?.holds, []);
	});

	test('64 holds at once on two servers leave room for none that would be too much', async () => {
		const shared = await place();
		const stores = [await shared.open(), await shared.open()];
		await race(stores, (store, holdId) => store.quota.change(holding(holdId)));
		const {kept, holds} = (await stores[0]?.quota.stored('local')) ?? assert.fail();
		assert.deepEqual([kept, holds.length], [0, Math.floor(LIMIT / SIZE)]);
	});

	test('what is kept and what is held are there after all servers stopped', async () => {
		const shared = await place();
		const first = await shared.open();
		await first.quota.change(settling(null, 6));
		await first.quota.change(holding('a', 3));
		await first.close();
		const {kept, holds} = await (await shared.open()).quota.stored('local');
		assert.deepEqual([kept, holds], [6, [{holdId: 'a', holder: 'h', bytes: 3, until: UNTIL}]]);
	});
});

eachStore(process.env, ({store: fresh}) => {
	test('a hold that there is no room for is refused with what is used, and another tenant has room of its own', async () => {
		const {quota} = await fresh();
		await quota.change(settling(null, 6));
		await quota.change(holding('a', 3, 10));
		await assert.rejects(quota.change(holding('b', 2, 10)), spent);
		await assert.rejects(quota.change(holding('c', Number.NaN, 10)), {code: 'budget_exceeded'});
		await quota.change({...holding('d', 10, 10), tenant: 'acme'});
		assert.deepEqual((await quota.stored('local')).holds.length, 1);
	});

	test('a hold can grow into what is left, and what was not kept of it is there again', async () => {
		const {quota} = await fresh();
		await quota.change(holding('a', 3, 10));
		await quota.change(holding('a', 10, 10));
		await assert.rejects(quota.change(holding('a', 11, 10)), {code: 'budget_exceeded'});
		await quota.change(settling('a', 4));
		await quota.change(holding('b', 6, 10));
		await quota.change(settling('b', 0));
		await quota.change(settling(null, -4));
		const {kept, holds} = await quota.stored('local');
		assert.deepEqual([kept, holds], [0, []]);
	});

	test('a count of the disk counts only while nobody changes anything, and ends the holds of who is gone', async () => {
		const {quota} = await fresh();
		const count = (seen: number, gone: readonly string[] = []) =>
			quota.change({kind: 'count', tenant: 'local', kept: 5, seen, gone});
		await quota.change(holding('a'));
		assert.equal(await count(1), false, 'somebody holds bytes');
		assert.equal(await count(0, ['a']), false, 'something changed since');
		assert.equal(await count(1, ['a']), true);
		assert.deepEqual(await quota.stored('local'), {kept: 5, holds: [], changes: 2});
	});
});
