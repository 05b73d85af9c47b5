/** Signing in with a real OpenID Connect provider, against a real server: what works, and everything that must not. */
import assert from 'node:assert/strict';
import {after, beforeEach, describe, test} from 'node:test';
import type {ErrorReply} from '#contract/api.ts';
import type {Me} from '#contract/identity.ts';
import {Browser, startIssuer} from './issuer.ts';
import {jsonPost, runWrit, startWrit} from './server.ts';

const scope = {after};
const issuer = await startIssuer(scope);
const writ = await startWrit(scope, {env: issuer.env});
const replica = await startWrit(scope, {env: issuer.env, dataDir: writ.dataDir});
issuer.serve(new URL('/auth/callback', writ.url).href);

const at = (route: string, server = writ) => new URL(route, server.url).href;
const codeOf = async (response: Response) => `${response.status} ${((await response.json()) as ErrorReply).error.code}`;
const me = async (browser: Browser) => (await (await browser.get(at('/api/v1/me'))).json()) as Me;
const SESSION = 'writ_session';

beforeEach(() => {
	issuer.lie = null;
	issuer.forge = false;
	issuer.people.clear();
	issuer.people.set('ann', {tenant: 'acme', roles: ['viewer', 'analyst', 'admin'], name: 'Ann Lee'});
	issuer.people.set('bob', {tenant: 'globex', roles: ['viewer'], name: 'Bob'});
});

describe('signing in', () => {
	test('a person comes back as who the provider says they are, in their tenant, with their roles', async () => {
		const ann = new Browser('ann');
		assert.equal(await codeOf(await ann.get(at('/api/v1/me'))), '401 unauthenticated');
		const reply = await ann.signIn(writ.url);
		assert.deepEqual([reply.status, reply.headers.get('location')], [302, '/']);
		assert.deepEqual(await me(ann), {
			...{kind: 'user', id: 'ann', tenant: 'acme', name: 'Ann Lee', roles: ['viewer', 'analyst', 'admin']},
			...{tools: null, onBehalfOf: null, by: 'session'},
		});
		assert.equal((await ann.get(at('/datasets'))).status, 200);
		assert.equal(await codeOf(await ann.get(at('/api/v1/audit'))), '403 forbidden');
	});

	test('the cookie is kept from scripts and from other sites, and is not what the store keeps', async () => {
		const ann = new Browser('ann');
		const reply = await ann.signIn(writ.url);
		const line = reply.headers.getSetCookie().find((each) => each.startsWith(`${SESSION}=`)) ?? '';
		assert.match(line, /; HttpOnly/);
		assert.match(line, /; SameSite=Lax/);
		assert.match(line, /; Max-Age=43200/);
	});

	test('whoever signs out is out on every replica, and a copy of the cookie is as dead', async () => {
		const ann = new Browser('ann');
		await ann.signIn(writ.url);
		const copy = {headers: {cookie: `${SESSION}=${ann.cookies(writ.url).get(SESSION)}`}};
		assert.equal((await fetch(at('/api/v1/me', replica), copy)).status, 200);
		assert.equal((await ann.page(at('/auth/sign-out'), {method: 'POST'})).status, 204);
		assert.equal((await fetch(at('/api/v1/me'), copy)).status, 401);
		assert.equal((await fetch(at('/api/v1/me', replica), copy)).status, 401);
	});

	test('a session that somebody planted is not the one a person gets', async () => {
		const [mallory, ann] = [new Browser('bob'), new Browser('ann')];
		await mallory.signIn(writ.url);
		const planted = mallory.cookies(writ.url).get(SESSION) ?? '';
		ann.cookies(writ.url).set(SESSION, planted);
		assert.equal((await me(ann)).id, 'bob');
		await ann.signIn(writ.url);
		assert.notEqual(ann.cookies(writ.url).get(SESSION), planted);
		assert.equal((await me(ann)).id, 'ann');
		assert.equal((await mallory.get(at('/api/v1/me'))).status, 401);
	});

	test('a value of one’s own choosing is no session', async () => {
		const chosen = {headers: {cookie: `${SESSION}=${'a'.repeat(43)}`}};
		assert.equal((await fetch(at('/api/v1/me'), chosen)).status, 401);
	});
});

describe('what the provider sends back', () => {
	test('is refused in a browser that did not begin, though the same answer is good where it began', async () => {
		const [ann, other] = [new Browser('ann'), new Browser('ann')];
		const answer = await ann.begin(writ.url);
		assert.equal(await codeOf(await other.get(answer.href)), '401 unauthenticated');
		assert.equal((await ann.get(answer.href)).status, 302);
	});

	test('is refused with another state', async () => {
		const ann = new Browser('ann');
		const answer = await ann.begin(writ.url);
		answer.searchParams.set('state', 'another');
		assert.equal(await codeOf(await ann.get(answer.href)), '401 unauthenticated');
		assert.equal(ann.cookies(writ.url).has(SESSION), false);
	});

	test('is refused the second time, also with a sign-in that was begun for it', async () => {
		const ann = new Browser('ann');
		const used = await ann.begin(writ.url);
		assert.equal((await ann.get(used.href)).status, 302);
		assert.equal(await codeOf(await ann.get(used.href)), '401 unauthenticated');
		const fresh = await ann.begin(writ.url);
		fresh.searchParams.set('code', used.searchParams.get('code') ?? '');
		assert.equal(await codeOf(await ann.get(fresh.href)), '401 unauthenticated');
	});

	for (const [what, lie] of [
		['for another sign-in (nonce)', (truth) => ({...truth, nonce: 'another'})],
		['without a nonce', ({nonce: _, ...truth}) => truth],
		['for another audience', (truth) => ({...truth, aud: 'somebody-else'})],
		['of another issuer', (truth) => ({...truth, iss: 'http://127.0.0.1:9'})],
		['that is over', (truth) => ({...truth, iat: 1_700_000_000, exp: 1_700_000_060})],
	] as readonly (readonly [string, (truth: Readonly<Record<string, unknown>>) => Record<string, unknown>])[])
		test(`is refused with a token ${what}`, async () => {
			const ann = new Browser('ann');
			assert.equal((await ann.signIn(writ.url)).headers.get('location'), '/', 'the truth is accepted');
			issuer.lie = lie;
			const browser = new Browser('ann');
			assert.equal(await codeOf(await browser.signIn(writ.url)), '401 unauthenticated');
			assert.equal(browser.cookies(writ.url).has(SESSION), false);
		});

	test('is refused when somebody else signed it', async () => {
		issuer.forge = true;
		assert.equal(await codeOf(await new Browser('ann').signIn(writ.url)), '401 unauthenticated');
	});

	for (const [what, claims] of [
		['no tenant', {roles: ['admin']}],
		['an empty tenant', {tenant: '', roles: ['admin']}],
		['no roles', {tenant: 'acme'}],
		['roles nobody knows', {tenant: 'acme', roles: ['Admin', 'root']}],
		['roles that are no list', {tenant: 'acme', roles: {admin: true}}],
	] as const)
		test(`lets nobody in with ${what}`, async () => {
			issuer.people.set('eve', claims);
			assert.equal(await codeOf(await new Browser('eve').signIn(writ.url)), '403 forbidden');
		});
});

describe('a session', () => {
	test('changes nothing for a page of another site, and does for its own', async () => {
		const ann = new Browser('ann');
		await ann.signIn(writ.url);
		const post = jsonPost({name: 'mine', roles: ['viewer']});
		const from = (headers: Record<string, string>) =>
			ann.get(at('/api/v1/tokens'), {...post, headers: {...(post.headers as Record<string, string>), ...headers}});
		assert.equal(await codeOf(await from({origin: 'https://evil.example'})), '403 forbidden_host');
		assert.equal(await codeOf(await from({'sec-fetch-site': 'cross-site'})), '403 forbidden_host');
		assert.equal(await codeOf(await from({'sec-fetch-site': 'same-site', origin: at('/').slice(0, -1)})), '403 forbidden_host');
		assert.equal(await codeOf(await from({})), '403 forbidden_host');
		assert.equal((await ann.page(at('/api/v1/tokens'), post)).status, 201);
		const form = {method: 'POST', body: 'name=mine', headers: {'content-type': 'application/x-www-form-urlencoded'}};
		assert.equal(await codeOf(await ann.page(at('/api/v1/tokens'), form)), '415 unsupported_media_type');
	});

	test('ends for a disabled account, with what acts for it; signing in again is refused', async () => {
		const [ann, carl] = [new Browser('ann'), new Browser('carl')];
		issuer.people.set('carl', {tenant: 'acme', roles: ['viewer', 'analyst'], name: 'Carl'});
		await ann.signIn(writ.url);
		await carl.signIn(writ.url);
		const made = await carl.page(at('/api/v1/tokens'), jsonPost({name: 'bot', kind: 'agent', roles: ['viewer']}));
		const {token} = (await made.json()) as {token: string};
		const bot = {headers: {authorization: `Bearer ${token}`}};
		assert.equal((await fetch(at('/datasets', replica), bot)).status, 200);
		const terminal = {
			WRIT_URL: writ.url,
			WRIT_TOKEN: (
				(await (await ann.page(at('/api/v1/tokens'), jsonPost({name: 'cli', roles: ['admin']}))).json()) as {token: string}
			).token,
		};
		const listed = await runWrit(['accounts'], {env: terminal});
		assert.match(listed.out, /carl +Carl +provider +viewer analyst .*enabled/);
		const bob = new Browser('bob');
		issuer.people.set('bob', {tenant: 'globex', roles: ['admin'], name: 'Bob'});
		await bob.signIn(writ.url);
		assert.equal((await bob.page(at('/api/v1/accounts/carl'), jsonPost({disabled: true}))).status, 404);
		const disabled = await runWrit(['accounts', 'disable', 'carl'], {env: terminal});
		assert.match(disabled.out, /carl +Carl +provider +viewer analyst .*disabled/);
		assert.equal((await carl.get(at('/api/v1/me', writ))).status, 401);
		assert.equal((await fetch(at('/datasets', replica), bot)).status, 401);
		assert.equal(await codeOf(await carl.signIn(writ.url)), '403 forbidden');
	});

	test('has the roles of the last sign-in, and so has what acts for it', async () => {
		const ann = new Browser('ann');
		await ann.signIn(writ.url);
		const made = await ann.page(at('/api/v1/tokens'), jsonPost({name: 'bot', kind: 'agent', roles: ['viewer', 'analyst']}));
		const {token} = (await made.json()) as {token: string};
		const roles = async () =>
			((await (await fetch(at('/api/v1/me'), {headers: {authorization: `Bearer ${token}`}})).json()) as Me).roles;
		assert.deepEqual(await roles(), ['viewer', 'analyst']);
		issuer.people.set('ann', {tenant: 'acme', roles: ['viewer'], name: 'Ann Lee'});
		await new Browser('ann').signIn(writ.url);
		assert.deepEqual((await me(ann)).roles, ['viewer']);
		assert.deepEqual(await roles(), ['viewer']);
	});

	test('is on record with its beginning and its end', async () => {
		issuer.people.set('ann', {tenant: 'audited', roles: ['auditor'], name: 'Ann Lee'});
		const ann = new Browser('ann');
		await ann.signIn(writ.url);
		await ann.page(at('/auth/sign-out'), {method: 'POST'});
		await ann.signIn(writ.url);
		const {entries} = (await (await ann.get(at('/api/v1/audit?type=audit.recorded'))).json()) as {
			entries: {detail: string; actor: string}[];
		};
		assert.deepEqual(
			entries.map(({detail, actor}) => `${actor} ${detail}`),
			['ann login.succeeded: ann: auditor', 'ann session.ended: ann', 'ann login.succeeded: ann: auditor'],
		);
	});
});

test('a browser that was refused is sent to the page, which says why', async () => {
	issuer.people.set('eve', {tenant: 'acme'});
	const eve = new Browser('eve');
	const answer = await eve.begin(writ.url);
	const reply = await eve.get(answer.href, {headers: {accept: 'text/html'}});
	assert.deepEqual([reply.status, reply.headers.get('location')], [302, '/?sign_in=forbidden']);
});

test('without the provider nobody signs in, and the server serves on', async () => {
	const ann = new Browser('ann');
	await ann.signIn(writ.url);
	const begun = new Browser('ann');
	const answer = await begun.begin(writ.url);
	await issuer.close();
	const cold = await startWrit(scope, {env: issuer.env, dataDir: writ.dataDir});
	assert.equal(await codeOf(await fetch(at('/auth/sign-in', cold))), '503 identity_unavailable');
	assert.equal(await codeOf(await begun.get(answer.href)), '503 identity_unavailable');
	assert.equal((await ann.get(at('/datasets'))).status, 200);
	assert.equal((await cold.request('/readyz')).status, 200);
});
