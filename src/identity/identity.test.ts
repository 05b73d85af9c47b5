import assert from 'node:assert/strict';
import {test} from 'node:test';
import type {Principal} from '#contract/event.ts';
import {ROLES} from '#contract/identity.ts';
import {openMemory} from '#store/memory.ts';
import {createIdentity} from './identity.ts';
import type {ConfiguredAccount} from './rights.ts';
import {createSignIn, type Provider} from './sign-in.ts';
import {isWellFormed, mintToken} from './token.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const ANN: ConfiguredAccount = {token: 'token-of-ann-0123', id: 'ann', tenant: 'acme'};

/** An identity whose clock stands still, and a provider that says what it is told to. */
function identityAt(start = '2026-03-01T12:00:00.000Z', single: Principal | null = null) {
	const {identity: store} = openMemory();
	const clock = {at: Date.parse(start), now: () => new Date(clock.at)};
	const said: {claims: Record<string, unknown>} = {claims: {sub: 'bob', tenant: 'acme', roles: ['viewer']}};
	const notes: string[] = [];
	const record = async ({what, target}: {what: string; target: string}) => void notes.push(`${what} ${target}`);
	const provider: Provider = {
		label: 'Acme',
		begin: async () => ({url: 'https://id.example/auth', checks: {state: 's', nonce: 'n', verifier: 'v'}}),
		finish: async () => said.claims,
	};
	const claims = {tenant: 'tenant', roles: 'access.roles'};
	const options = {store, clock, configured: single ? [] : [ANN], record};
	const signIn = createSignIn({...options, provider, claims: {...claims, roles: 'roles'}, sessionMs: 12 * HOUR});
	const nested = createSignIn({...options, provider, claims, sessionMs: 12 * HOUR});
	const identity = createIdentity({
		...{...options, single, signIn, sessionIdleMs: HOUR},
		newId: () => `tok_${notes.length}`,
		redact: (value) => ({value, count: 0}),
	});
	const open = async (by = signIn) =>
		(await by.finish((await by.begin('https://writ.example')).secret, new URL('https://x'))).secret;
	return {identity, store, clock, said, notes, signIn, nested, open};
}

test('a session ends when nobody uses it, and at last however much it is used', async () => {
	const {identity, clock, open} = identityAt();
	const idle = await open();
	clock.at += HOUR - 1;
	assert.equal((await identity.identify(null, idle))?.principal.id, 'bob');
	clock.at += HOUR - 1;
	assert.equal((await identity.identify(null, idle))?.by, 'session');
	clock.at += HOUR;
	assert.equal(await identity.identify(null, idle), null);
	const busy = await open();
	for (let uses = 0; uses < 23; uses += 1) {
		clock.at += HOUR / 2;
		assert.ok(await identity.identify(null, busy), `after ${uses + 1} half hours`);
	}
	clock.at += HOUR / 2;
	assert.equal(await identity.identify(null, busy), null);
});

test('a sign-in that takes longer than ten minutes is begun again', async () => {
	const {signIn, clock} = identityAt();
	const [slow, quick] = [await signIn.begin('https://writ.example'), await signIn.begin('https://writ.example')];
	clock.at += 10 * MINUTE - 1;
	assert.ok(await signIn.finish(quick.secret, new URL('https://x')));
	clock.at += 1;
	await assert.rejects(signIn.finish(slow.secret, new URL('https://x')), {code: 'unauthenticated'});
	await assert.rejects(signIn.finish(null, new URL('https://x')), {code: 'unauthenticated'});
});

test('the provider may keep roles inside an object, and may not take a name of the settings', async () => {
	const {said, nested, identity, open} = identityAt();
	said.claims = {sub: 'bob', tenant: 'acme', access: {roles: 'viewer approver'}};
	const session = await open(nested);
	assert.deepEqual((await identity.identify(null, session))?.principal.roles, ['viewer', 'approver']);
	said.claims = {...said.claims, sub: 'ann'};
	await assert.rejects(open(nested), {code: 'forbidden', message: 'an account of the settings has this name already'});
	said.claims = {...said.claims, tenant: 'globex'};
	assert.ok(await open(nested));
	said.claims = {...said.claims, access: Object.create({roles: ['admin']}) as object};
	await assert.rejects(open(nested), {code: 'forbidden'});
});

for (const sub of [undefined, '', 7, 'a'.repeat(201), 'ann@acme\n', '@acme', ' ann'])
	test(`nobody is called ${JSON.stringify(sub)?.slice(0, 20)}`, async () => {
		const {said, open} = identityAt();
		said.claims = {...said.claims, sub};
		await assert.rejects(open(), {code: 'forbidden', message: /did not say who this is/});
	});

test('when a token was last used is known to the minute, and written no more often', async () => {
	const {identity, store, clock} = identityAt();
	const ann = await identity.identify(ANN.token, null);
	assert.ok(ann);
	const request = {name: 'bot', kind: 'agent', roles: ['viewer'], expiresInDays: 90} as const;
	const {token, tokenId} = await identity.tokens.create({...request, roles: [...request.roles]}, ann);
	const writes = {count: 0};
	const {noteTokenUse} = store;
	store.noteTokenUse = async (...given) => {
		writes.count += 1;
		await noteTokenUse(...given);
	};
	for (let uses = 0; uses < 7; uses += 1) {
		assert.equal((await identity.identify(token, null))?.principal.token, tokenId);
		clock.at += MINUTE / 3;
	}
	assert.equal(writes.count, 3);
	assert.equal((await identity.tokens.list(ann, false))[0]?.lastUsedAt, '2026-03-01T12:02:00.000Z');
});

test('an owner has a hundred active tokens at most', async () => {
	const {identity, clock} = identityAt();
	const ann = await identity.identify(ANN.token, null);
	assert.ok(ann);
	const make = () => identity.tokens.create({name: 'one', kind: 'user', roles: ['viewer'], expiresInDays: 1}, ann);
	for (let count = 0; count < 100; count += 1) await make();
	await assert.rejects(make(), {code: 'conflict'});
	clock.at += 24 * HOUR;
	assert.ok(await make());
});

test('the accounts of a tenant are those of the settings and of the provider, each once', async () => {
	const {identity, store, open} = identityAt();
	const ann = await identity.identify(ANN.token, null);
	assert.ok(ann);
	await open();
	const stale = {account: 'ann', name: 'Ann', roles: ['viewer'], signedInAt: '2026-02-01T12:00:00.000Z'} as const;
	await store.putAccount({...stale, tenant: 'acme'});
	await store.putAccount({...stale, tenant: 'globex'});
	const signedInAt = '2026-03-01T12:00:00.000Z';
	assert.deepEqual(await identity.accounts.list(ann), [
		{account: 'ann', name: 'ann', source: 'settings', signedInAt: null, disabledAt: null, roles: [...ROLES]},
		{account: 'bob', name: 'bob', source: 'provider', signedInAt, disabledAt: null, roles: ['viewer']},
	]);
});

test('on a server that asks nobody, a token of ours that is no good is nobody’s, and anything else is ignored', async () => {
	const local: Principal = {kind: 'user', id: 'local', tenant: 'local'};
	const {identity} = identityAt(undefined, local);
	assert.equal((await identity.identify(null, null))?.by, 'open');
	assert.equal((await identity.identify('whatever', 'whatever'))?.by, 'open');
	assert.equal(await identity.identify(mintToken(), null), null);
	assert.equal(await identity.identify('writ_', null), null);
});

test('where there are accounts, nobody is anybody without proof', async () => {
	const {identity} = identityAt();
	for (const [bearer, cookie] of [
		[null, null],
		['', null],
		['token-of-ann-012', null],
		[mintToken(), null],
		[null, 'a'.repeat(43)],
		['wrong', await identityAt().open()],
	] as const)
		assert.equal(await identity.identify(bearer, cookie), null);
	assert.deepEqual((await identity.identify(ANN.token, null))?.principal, {kind: 'user', id: 'ann', tenant: 'acme'});
});

test('tokens are as random as they are long, and each tells a typo from itself', () => {
	const tokens = Array.from({length: 1_000}, mintToken);
	assert.equal(new Set(tokens).size, 1_000);
	for (const token of tokens) {
		assert.match(token, /^writ_[A-Za-z0-9]{49}$/);
		assert.ok(isWellFormed(token));
		const at = 5 + (token.charCodeAt(10) % 49);
		assert.ok(!isWellFormed(`${token.slice(0, at)}${token[at] === 'x' ? 'y' : 'x'}${token.slice(at + 1)}`));
	}
});
