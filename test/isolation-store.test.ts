/** Every question to a store is asked for a tenant, or for one id whose tenant its caller compares; on every store. */
import assert from 'node:assert/strict';
import {test} from 'node:test';
import type {Principal} from '#contract/event.ts';
import type {Store} from '#kernel/ports.ts';
import {ANN, asked, at, batch, granted, message, started} from '../src/store/sample-run.ts';
import {eachStore} from '../src/store/test-stores.ts';

/**
 * How each method keeps tenants apart: it lists for one; it answers for one id, and a server compares the tenant
 * (test/isolation.test.ts asks every route); or it is the platform's own, and no route hands out what it says. A new method fails
 * until it is here.
 */
const KEPT_APART: Readonly<Record<string, 'tenant' | 'id' | 'platform'>> = {
	...({runs: 'tenant', audit: 'tenant', messages: 'tenant', threads: 'tenant', approvals: 'tenant', grants: 'tenant'} as const),
	...({
		read: 'id',
		rawEvents: 'id',
		subscribe: 'id',
		head: 'id',
		headPosition: 'id',
		run: 'id',
		approval: 'id',
		renew: 'id',
	} as const),
	...({append: 'id', heads: 'platform', claim: 'platform', overdue: 'platform', check: 'platform', close: 'platform'} as const),
	...({
		holders: 'platform',
		abandon: 'platform',
		identity: 'tenant',
		quota: 'tenant',
		retention: 'platform',
		letters: 'platform',
	} as const),
};

const EVE: Principal = {kind: 'user', id: 'eve', tenant: 'other'};

async function fill(store: Store, principal: Principal): Promise<void> {
	const runId = `run-of-${principal.tenant}`;
	const bodies = [
		started({principal, threadId: 't1', question: `of ${principal.tenant}`}),
		message('user', `of ${principal.tenant}`),
		asked(`apr-of-${principal.tenant}`),
		granted(`apr-of-${principal.tenant}`),
	].map((body) => ({...body, actor: principal}));
	await store.append(batch({runId, expectedSeq: 0}, ...(bodies as Parameters<typeof batch>[1][])));
	const token = {tokenId: `tok-${principal.tenant}`, digest: `d-${principal.tenant}`, owner: principal.id, person: principal.id};
	const held = {name: 'key', kind: 'user', roles: ['viewer'], tools: null, createdAt: at(0), expiresAt: at(600)} as const;
	await store.identity.addToken({...token, ...held, tenant: principal.tenant, lastUsedAt: null, revokedAt: null} as never);
	const account = {account: 'same', name: principal.tenant, roles: ['viewer'], signedInAt: at(0), tenant: principal.tenant};
	await store.identity.putAccount(account as never);
	await store.quota.change({kind: 'settle', tenant: principal.tenant, holdId: null, change: 1_000});
}

/** All that a tenant can list. */
async function listed(store: Store, tenant: string): Promise<Readonly<Record<string, readonly unknown[]>>> {
	return {
		runs: (await store.runs({tenant, limit: 200})).rows,
		audit: (await store.audit({tenant, limit: 200})).rows,
		messages: await store.messages(tenant, 't1', 200),
		threads: await store.threads(tenant, 200),
		approvals: await store.approvals(tenant),
		grants: new Array(await store.grants(tenant, 'bob', at(0))).fill('one'),
		quota: [await store.quota.stored(tenant)],
		identity: [...(await store.identity.tokens(tenant)), ...(await store.identity.accounts(tenant))],
	};
}

eachStore(process.env, ({store: open}) => {
	test('what one tenant lists does not change with what another has', async () => {
		const alone = await open();
		await fill(alone, EVE);
		assert.deepEqual(
			Object.keys(alone).filter((name) => KEPT_APART[name] === undefined),
			[],
		);
		const expected = await listed(alone, EVE.tenant);
		const shared = await open();
		await fill(shared, ANN);
		await fill(shared, EVE);
		const withoutRowIds = (lists: typeof expected) =>
			JSON.parse(JSON.stringify(lists), (key, value) => (key === 'id' ? 0 : value));
		assert.deepEqual(withoutRowIds(await listed(shared, EVE.tenant)), withoutRowIds(expected));
		const tenants = Object.keys(KEPT_APART).filter((name) => KEPT_APART[name] === 'tenant');
		assert.deepEqual(Object.keys(expected).toSorted(), tenants.toSorted(), 'every list was looked at');
		for (const [name, rows] of Object.entries(expected)) assert.ok(rows.length > 0, `${name} had something to list`);
		assert.doesNotMatch(JSON.stringify(await listed(shared, EVE.tenant)), /local/);
		const {identity} = shared;
		assert.equal(await identity.revokeToken({tenant: 'other', tokenId: 'tok-local'}, at(1)), false);
		assert.equal((await identity.account('other', 'same'))?.name, 'other');
	});

	test('names that differ only in letters a database takes for the same are different tenants', async () => {
		const store = await open();
		for (const tenant of ['acme', 'Acme', 'acme ', 'äcme']) await fill(store, {...ANN, tenant});
		for (const tenant of ['acme', 'Acme', 'acme ', 'äcme'])
			assert.deepEqual(
				(await store.runs({tenant, limit: 10})).rows.map((row) => row.tenant),
				[tenant],
			);
		assert.deepEqual((await store.runs({tenant: '%', limit: 10})).rows, []);
	});
});
