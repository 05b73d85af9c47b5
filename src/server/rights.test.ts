import assert from 'node:assert/strict';
import {test} from 'node:test';
import {ROLES, type Role} from '#contract/identity.ts';
import {testServer} from './doubles/test-server.ts';
import {RIGHTS} from './rights.ts';

const account = (role: string) => ({token: `token-of-the-${role}`, id: role, tenant: 'acme', roles: [role] as never});
const bearer = (role: string) => ({authorization: `Bearer token-of-the-${role}`});
const PLAIN = ['GET /docs', 'GET /openapi.json', 'GET /auth/sign-in', 'GET /auth/callback', 'POST /auth/sign-out'];

test('every route has its roles, and every line of the table a route', () => {
	const {server} = testServer();
	const routes = Object.entries(server.openapi().paths).flatMap(([path, operations]) =>
		Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
	);
	assert.ok(routes.length > 40);
	assert.deepEqual(Object.keys(RIGHTS).toSorted(), [...routes, ...PLAIN].toSorted());
});

test('every route refuses every role that it is not for, before it looks at anything', async () => {
	const {ask} = testServer({authTokens: ROLES.map(account)});
	const seen = {refused: 0, passed: 0};
	for (const [route, wanted] of Object.entries(RIGHTS)) {
		if (wanted === 'public' || wanted === 'self') continue;
		const [method = '', path = ''] = route.split(' ');
		for (const role of ROLES) {
			// Aborted at once: streams would go on.
			const reply = await ask(path.replaceAll(/\{\w+\}/g, 'x'), {method, headers: bearer(role)});
			const refused = reply.status === 403 && /takes one of the roles/.test(await reply.text());
			if (reply.status !== 403) await reply.body?.cancel();
			assert.equal(refused, !wanted.includes(role), `${route} for ${role}: ${reply.status}`);
			seen[refused ? 'refused' : 'passed'] += 1;
		}
	}
	assert.ok(seen.refused > 80 && seen.passed > 80, JSON.stringify(seen));
});

test('a refusal names the roles it takes', async () => {
	const {ask} = testServer({authTokens: [account('viewer')]});
	const reply = await ask('/api/v1/policy/reload', {method: 'POST', headers: bearer('viewer')});
	const {error} = (await reply.json()) as {error: {code: string; message: string; details: object}};
	assert.deepEqual(
		[reply.status, error.code, error.message, error.details],
		[403, 'forbidden', 'this takes one of the roles: platform', {roles: ['platform'], has: ['viewer']}],
	);
});

test('an admin stops a tenant, and not everybody', async () => {
	const {post} = testServer({authTokens: [account('admin'), account('platform')]});
	const stop = async (role: Role, scope: object) =>
		(await post('/api/v1/kill-switch', {mode: 'observe', reason: 'a drill', ...scope}, bearer(role))).status;
	const own = {scope: {tenant: 'acme'}};
	assert.deepEqual([await stop('admin', {}), await stop('admin', own)], [403, 200]);
	assert.deepEqual([await stop('platform', own), await stop('platform', {})], [403, 200]);
});

test('an account without roles, and the one user of a loopback server, may call every route', async () => {
	const known = {token: 'token-of-ann-0123', id: 'ann', tenant: 'acme'};
	for (const [server, headers] of [
		[testServer(), {}],
		[testServer({authTokens: [known]}), {authorization: `Bearer ${known.token}`}],
	] as const)
		for (const [route] of Object.entries(RIGHTS)) {
			const [method = '', path = ''] = route.split(' ');
			const reply = await server.ask(path.replaceAll(/\{\w+\}/g, 'x'), {method, headers});
			await reply.body?.cancel();
			assert.notEqual(reply.status, 403, route);
		}
});
