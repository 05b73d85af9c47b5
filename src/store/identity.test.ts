import assert from 'node:assert/strict';
import {test} from 'node:test';
import type {SessionRow, SignInRow, TokenRow} from '#kernel/identity-store.ts';
import {eachSharedStore, eachStore} from './test-stores.ts';

const AT = '2026-03-01T12:00:00.000Z';
const LATER = '2026-03-02T12:00:00.000Z';

function token(change: Partial<TokenRow> = {}): TokenRow {
	return {
		...{tokenId: 'tok_1', digest: 'd1', tenant: 'acme', kind: 'agent', name: 'nightly', owner: 'ann', person: 'ann'},
		...{roles: ['viewer', 'analyst'], tools: ['analyst.sql'], createdAt: AT, expiresAt: LATER, lastUsedAt: null, revokedAt: null},
		...change,
	};
}

const SESSION: SessionRow = {digest: 's1', tenant: 'acme', account: 'ann', createdAt: AT, seenAt: AT, expiresAt: LATER};
const SIGN_IN: SignInRow = {digest: 'i1', state: 's', nonce: 'n', verifier: 'v', expiresAt: LATER};
const ANN = {tenant: 'acme', account: 'ann', name: 'Ann Lee', roles: ['viewer'], signedInAt: AT} as const;

eachStore(process.env, ({store: fresh}) => {
	test('a token is found by its digest, used, listed for its tenant and owner, and revoked once', async () => {
		const {identity} = await fresh();
		const service = token({tokenId: 'tok_2', digest: 'd2', kind: 'service', owner: null, tools: null, createdAt: LATER});
		await identity.addToken(token());
		await identity.addToken(service);
		await identity.noteTokenUse('tok_1', LATER);
		assert.deepEqual(await identity.tokenBy('d1'), token({lastUsedAt: LATER}));
		assert.equal(await identity.tokenBy('d3'), null);
		assert.deepEqual(await identity.tokens('acme'), [service, token({lastUsedAt: LATER})]);
		assert.deepEqual(await identity.tokens('acme', 'ann'), [token({lastUsedAt: LATER})]);
		assert.deepEqual(await identity.tokens('globex'), []);
		assert.equal(await identity.revokeToken({tenant: 'globex', tokenId: 'tok_1'}, LATER), false);
		assert.equal(await identity.revokeToken({tenant: 'acme', tokenId: 'tok_1', owner: 'bob'}, LATER), false);
		assert.equal(await identity.revokeToken({tenant: 'acme', tokenId: 'tok_1', owner: 'ann'}, LATER), true);
		assert.equal(await identity.revokeToken({tenant: 'acme', tokenId: 'tok_1'}, LATER), false);
		assert.equal((await identity.tokenBy('d1'))?.revokedAt, LATER);
	});

	test('two tokens never share a digest', async () => {
		const {identity} = await fresh();
		await identity.addToken(token());
		await assert.rejects(identity.addToken(token({tokenId: 'tok_2', tenant: 'globex'})));
	});

	test('signing in again renews an account, and leaves one that is disabled disabled', async () => {
		const {identity} = await fresh();
		await identity.putAccount(ANN);
		await identity.addSession(SESSION);
		assert.equal(await identity.disableAccount('acme', 'bob', AT), false);
		assert.equal(await identity.disableAccount('globex', 'ann', AT), false);
		assert.equal(await identity.disableAccount('acme', 'ann', AT), true);
		assert.equal(await identity.session('s1'), null);
		await identity.putAccount({...ANN, name: 'Ann', roles: ['viewer', 'approver'], signedInAt: LATER});
		const renewed = {...ANN, name: 'Ann', roles: ['viewer', 'approver'], signedInAt: LATER, disabledAt: AT};
		assert.deepEqual(await identity.accounts('acme'), [renewed]);
		assert.deepEqual(await identity.account('globex', 'ann'), null);
		await identity.disableAccount('acme', 'ann', null);
		assert.deepEqual(await identity.account('acme', 'ann'), {...renewed, disabledAt: null});
	});

	test('a sign-in is handed out once, and what is over is swept', async () => {
		const {identity} = await fresh();
		await identity.addSignIn(SIGN_IN);
		const taken = await Promise.all([identity.takeSignIn('i1'), identity.takeSignIn('i1'), identity.takeSignIn('i1')]);
		assert.deepEqual(
			taken.filter((row) => row !== null),
			[SIGN_IN],
		);
		await identity.addSignIn(SIGN_IN);
		await identity.addSession(SESSION);
		await identity.addSession({...SESSION, digest: 's2', expiresAt: '2026-03-03T12:00:00.000Z'});
		await identity.sweepIdentity(LATER);
		assert.equal(await identity.takeSignIn('i1'), null);
		assert.equal(await identity.session('s1'), null);
		assert.equal((await identity.session('s2'))?.digest, 's2');
	});
});

eachSharedStore(process.env, ({place}) => {
	test('what one replica revokes or ends is over for the other at its next look', async () => {
		const {open} = await place();
		const [one, other] = [(await open()).identity, (await open()).identity];
		await one.addToken(token());
		await one.addSession(SESSION);
		assert.equal((await other.tokenBy('d1'))?.revokedAt, null);
		await other.noteSessionUse('s1', LATER);
		assert.deepEqual(await one.session('s1'), {...SESSION, seenAt: LATER});
		await one.revokeToken({tenant: 'acme', tokenId: 'tok_1'}, AT);
		assert.equal(await one.endSession('s1'), true);
		assert.equal((await other.tokenBy('d1'))?.revokedAt, AT);
		assert.equal(await other.session('s1'), null);
		assert.equal(await other.endSession('s1'), false);
	});
});
