/** Roles and tokens, and what people try with them, against two real servers on one store. */
import assert from 'node:assert/strict';
import {randomBytes} from 'node:crypto';
import path from 'node:path';
import {DatabaseSync} from 'node:sqlite';
import {after, describe, test} from 'node:test';
import type {ErrorReply} from '#contract/api.ts';
import type {AuditReply} from '#contract/audit.ts';
import {type Me, ROLES, type Token} from '#contract/identity.ts';
import {isWellFormed, mintToken} from '#identity/token.ts';
import {jsonPost, runWrit, startWrit} from './server.ts';

const scope = {after};
const keys = {ann: secret(), lea: secret(), vic: secret(), bob: secret()};
const env = {
	WRIT_AUTH_TOKENS: [
		`${keys.ann}=ann@local`,
		`${keys.lea}=lea@local:analyst+operator`,
		`${keys.vic}=vic@local:viewer`,
		`${keys.bob}=bob@globex`,
	].join(','),
};
const writ = await startWrit(scope, {env});
const replica = await startWrit(scope, {env, dataDir: writ.dataDir});

function secret(): string {
	return randomBytes(20).toString('hex');
}

function as(token: string, init: RequestInit = {}): RequestInit {
	return {...init, headers: {...(init.headers as Record<string, string>), authorization: `Bearer ${token}`}};
}

const outcome = async (response: Response) => {
	const {error} = (await response.json()) as Partial<ErrorReply>;
	return error ? `${response.status} ${error.code}` : `${response.status}`;
};
const call = async (token: string, route: string, init: RequestInit = {}, server = writ) =>
	outcome(await server.request(route, as(token, init)));
const create = async (token: string, request: object) => {
	const reply = await writ.request('/api/v1/tokens', as(token, jsonPost(request)));
	const body = (await reply.json()) as Token & {token: string} & Partial<ErrorReply>;
	return {...body, status: reply.status};
};
const whoIs = async (token: string) => (await (await writ.request('/api/v1/me', as(token))).json()) as Me;
const SQL = jsonPost({dataset_id: 'support', query_type: 'sql', sql: 'SELECT 1 AS n'});

describe('a token', () => {
	test('is shown once and kept by its digest alone', async () => {
		const made = await create(keys.ann, {name: 'laptop', roles: ['viewer']});
		assert.equal(made.status, 201);
		assert.ok(isWellFormed(made.token));
		const listed = await (await writ.request('/api/v1/tokens', as(keys.ann))).text();
		assert.ok(listed.includes(made.tokenId) && !listed.includes(made.token));
		const db = new DatabaseSync(path.join(writ.dataDir, 'writ.db'), {readOnly: true});
		const tables = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all();
		const all = tables.map(({name}) => JSON.stringify(db.prepare(`SELECT * FROM "${name}"`).all())).join('\n');
		db.close();
		assert.ok(all.includes(made.tokenId) && !all.includes(made.token.slice(5)));
		assert.ok(!`${writ.log()}${replica.log()}`.includes(made.token.slice(5)));
	});

	test('does what its roles allow and nothing else', async () => {
		const {token} = await create(keys.ann, {name: 'reader', roles: ['viewer']});
		assert.equal(await call(keys.ann, '/runs', SQL), '200');
		assert.equal(await call(token, '/datasets'), '200');
		assert.equal(await call(token, '/runs', SQL), '403 forbidden');
		assert.equal(await call(token, '/api/v1/audit'), '403 forbidden');
	});

	test('that names tools is good for these alone', async () => {
		const run = async (token: string) => {
			const reply = await writ.request('/runs', as(token, SQL));
			return ((await reply.json()) as {status: string}).status;
		};
		assert.equal(
			await run((await create(keys.ann, {name: 'sql', roles: ['analyst'], tools: ['analyst.sql']})).token),
			'succeeded',
		);
		assert.equal(
			await run((await create(keys.ann, {name: 'py', roles: ['analyst'], tools: ['analyst.python']})).token),
			'rejected',
		);
	});

	test('opens nothing on any replica once it is revoked', async () => {
		const {token, tokenId} = await create(keys.ann, {name: 'lost', roles: ['viewer']});
		assert.equal(await call(token, '/datasets', {}, replica), '200');
		assert.equal(await call(keys.ann, `/api/v1/tokens/${tokenId}/revoke`, {method: 'POST'}), '200');
		assert.equal(await call(token, '/datasets', {}, replica), '401 unauthenticated');
		assert.equal(await call(token, '/datasets'), '401 unauthenticated');
	});

	test('opens nothing when it is over', async () => {
		const {token, tokenId, expiresAt, createdAt} = await create(keys.ann, {name: 'short', roles: ['viewer'], expiresInDays: 1});
		assert.equal(Date.parse(expiresAt) - Date.parse(createdAt), 86_400_000);
		assert.equal(await call(token, '/datasets'), '200');
		const db = new DatabaseSync(path.join(writ.dataDir, 'writ.db'), {timeout: 5_000});
		db.prepare('UPDATE tokens SET expires_at = ? WHERE token_id = ?').run(new Date(Date.now() - 1).toISOString(), tokenId);
		db.close();
		assert.equal(await call(token, '/datasets'), '401 unauthenticated');
	});

	test('lasts 90 days unless it is said otherwise, and never longer than a year', async () => {
		const {createdAt, expiresAt} = await create(keys.ann, {name: 'usual', roles: ['viewer']});
		assert.equal(Date.parse(expiresAt) - Date.parse(createdAt), 90 * 86_400_000);
		assert.equal((await create(keys.ann, {name: 'long', roles: ['viewer'], expiresInDays: 366})).status, 422);
	});

	test('is not taken from an address, where others would find it', async () => {
		const {token} = await create(keys.ann, {name: 'pasted', roles: ['viewer']});
		const refused = await writ.request(`/datasets?access_token=${token}`);
		assert.equal(await outcome(refused), '400 invalid_request');
		assert.equal(await call(keys.ann, `/datasets?token=${token}`), '400 invalid_request');
		assert.ok(!writ.log().includes(token));
	});

	test('with one character changed is none of ours, whoever guesses', async () => {
		const {token} = await create(keys.ann, {name: 'typo', roles: ['viewer']});
		const other = `${token.slice(0, 20)}${token[20] === 'a' ? 'b' : 'a'}${token.slice(21)}`;
		assert.equal(isWellFormed(other), false);
		assert.equal(await call(other, '/datasets'), '401 unauthenticated');
		assert.equal(await call(mintToken(), '/datasets'), '401 unauthenticated');
	});
});

describe('nobody gets more than they have', () => {
	test('a role that one lacks cannot be given away', async () => {
		const given = await create(keys.lea, {name: 'grab', roles: ['analyst', 'admin', 'approver']});
		assert.deepEqual([given.status, given.error?.message], [403, 'you cannot give a role you do not have: admin, approver']);
		assert.equal((await create(keys.ann, {name: 'grab', roles: ['analyst', 'admin']})).status, 201);
	});

	test('a token makes no token', async () => {
		const {token} = await create(keys.ann, {name: 'parent', roles: ['viewer', 'admin']});
		assert.equal((await create(token, {name: 'child', roles: ['viewer']})).status, 403);
	});

	test('a service takes an admin to make, and only a person approves', async () => {
		assert.equal((await create(keys.lea, {name: 'cron', kind: 'service', roles: ['analyst']})).status, 403);
		assert.equal((await create(keys.ann, {name: 'cron', kind: 'service', roles: ['analyst']})).status, 201);
		for (const kind of ['agent', 'service'])
			assert.equal((await create(keys.ann, {name: 'yes', kind, roles: ['approver']})).status, 422);
	});

	test('nobody ends, or sees, the token of another, and least of all of another tenant', async () => {
		const {tokenId, token} = await create(keys.ann, {name: 'mine', roles: ['viewer']});
		for (const other of [keys.bob, keys.lea])
			assert.equal(await call(other, `/api/v1/tokens/${tokenId}/revoke`, {method: 'POST'}), '404 not_found');
		const seen = await (await writ.request('/api/v1/tokens?all=true', as(keys.bob))).text();
		assert.ok(!seen.includes(tokenId));
		assert.equal(await call(keys.lea, '/api/v1/tokens?all=true'), '403 forbidden');
		assert.equal(await call(token, '/datasets'), '200');
	});

	test('a found token ends itself at most', async () => {
		const [one, other] = [
			await create(keys.lea, {name: 'one', roles: ['analyst']}),
			await create(keys.lea, {name: 'two', roles: ['analyst']}),
		];
		assert.equal(await call(one.token, `/api/v1/tokens/${other.tokenId}/revoke`, {method: 'POST'}), '404 not_found');
		assert.equal(await call(one.token, `/api/v1/tokens/${one.tokenId}/revoke`, {method: 'POST'}), '200');
		assert.equal(await call(other.token, '/datasets'), '200');
	});
});

describe('an agent', () => {
	test('has what its owner has too, under a name nobody else can take', async () => {
		const {token} = await create(keys.ann, {name: 'analyst', kind: 'agent', roles: ['viewer', 'analyst']});
		const {id, kind, onBehalfOf, roles, by} = await whoIs(token);
		assert.deepEqual(
			{id, kind, onBehalfOf, roles, by},
			{id: 'ann/analyst', kind: 'agent', onBehalfOf: 'ann', roles: ['viewer', 'analyst'], by: 'token'},
		);
	});

	test('that is stopped asks nothing through chat either', async () => {
		const {token} = await create(keys.ann, {name: 'bot5', kind: 'agent', roles: ['analyst']});
		const chat = jsonPost({dataset_id: 'support', message: 'total amount by name'});
		assert.equal(await call(token, '/chat', chat), '200');
		const stop = jsonPost({mode: 'observe', scope: {agent: 'ann/bot5'}});
		assert.equal(await call(keys.ann, '/api/v1/kill-switch', stop), '200');
		assert.equal(await call(token, '/runs', SQL), '503 stopped');
		assert.equal(await call(token, '/chat', chat), '503 stopped');
		assert.equal(await call(keys.ann, '/chat', chat), '200');
	});

	test('has no name that looks like a secret: nobody could stop what the record calls otherwise', async () => {
		const made = await create(keys.ann, {name: 'AKIAIOSFODNN7EXAMPLE', kind: 'agent', roles: ['analyst']});
		assert.deepEqual([made.status, made.error?.code], [422, 'validation_error']);
	});

	test('loses what its owner loses, at the next call', async () => {
		const {token} = await create(keys.lea, {name: 'bot', kind: 'agent', roles: ['analyst', 'operator']});
		assert.deepEqual((await whoIs(token)).roles, ['analyst', 'operator']);
		const less = await startWrit(scope, {
			env: {WRIT_AUTH_TOKENS: `${keys.lea}=lea@local:viewer+operator`},
			dataDir: writ.dataDir,
		});
		const now = (await (await less.request('/api/v1/me', as(token))).json()) as Me;
		assert.deepEqual(now.roles, ['operator']);
		await less.stop();
		const gone = await startWrit(scope, {env: {WRIT_AUTH_TOKENS: `${keys.bob}=bob@globex`}, dataDir: writ.dataDir});
		assert.equal(await call(token, '/datasets', {}, gone), '401 unauthenticated');
		await gone.stop();
	});

	test('is in the record with its owner, its roles and its token', async () => {
		const {token, tokenId} = await create(keys.ann, {name: 'nightly', kind: 'agent', roles: ['analyst']});
		const {run_id: runId} = (await (await writ.request('/runs', as(token, SQL))).json()) as {run_id: string};
		const reply = await writ.request(`/runs/${runId}/events`, as(keys.ann, {headers: {accept: 'application/json'}}));
		const {events} = (await reply.json()) as {events: {actor: object}[]};
		const actor = {
			kind: 'agent',
			id: 'ann/nightly',
			tenant: 'local',
			person: 'ann',
			roles: ['analyst'],
			token: tokenId,
			onBehalfOf: 'ann',
			via: {kind: 'user', id: 'ann', roles: [...ROLES]},
		};
		assert.deepEqual(events[0]?.actor, actor);
		const audit = await writ.request(`/api/v1/audit?run=${runId}`, as(keys.ann));
		const {entries} = (await audit.json()) as AuditReply;
		assert.ok(entries.length > 0);
		assert.deepEqual(
			new Set(entries.map(({actor: who, principal}) => `${who} for ${principal}`)),
			new Set(['ann/nightly for ann']),
		);
	});
});

test('tokens are made, listed and revoked from the terminal', async () => {
	const client = {WRIT_URL: writ.url, WRIT_TOKEN: keys.vic};
	const made = await runWrit(['tokens', 'create', 'laptop', '--role', 'viewer', '--days', '7'], {env: client});
	assert.equal(made.exit, 0, made.err);
	const token = made.out.trim();
	assert.ok(isWellFormed(token), made.out);
	assert.match(made.err, /shown only now/);
	const listed = await runWrit(['tokens', 'list', '--json'], {env: client});
	const [row] = (JSON.parse(listed.out) as {tokens: Token[]}).tokens;
	assert.deepEqual([row?.name, row?.roles, row?.state], ['laptop', ['viewer'], 'active']);
	assert.match((await runWrit(['tokens', 'list'], {env: client})).out, /laptop .*viewer/);
	const own = await runWrit(['tokens', 'whoami', '--json'], {env: {...client, WRIT_TOKEN: token}});
	assert.equal((JSON.parse(own.out) as Me).id, 'vic');
	assert.equal((await runWrit(['tokens', 'revoke', row?.tokenId ?? ''], {env: client})).exit, 0);
	const after = await runWrit(['tokens', 'whoami'], {env: {...client, WRIT_TOKEN: token}});
	assert.deepEqual([after.exit, /unauthenticated/.test(after.err)], [3, true]);
	const refused = await runWrit(['tokens', 'create', 'more', '--role', 'admin'], {env: client});
	assert.deepEqual([refused.exit, /a role you do not have: admin/.test(refused.err)], [3, true]);
});

test('a server that asks nobody takes a token at its word, and a dead one for nobody', async () => {
	const open = await startWrit(scope, {dataDir: writ.dataDir});
	const reply = await open.post<{token: string; tokenId: string}>('/api/v1/tokens', {
		name: 'bot',
		kind: 'agent',
		roles: ['viewer'],
	});
	assert.equal(reply.status, 201);
	const {token, tokenId} = reply.body;
	assert.equal(await call(token, '/datasets', {}, open), '200');
	assert.equal(await call(token, '/runs', SQL, open), '403 forbidden');
	assert.equal(await outcome(await open.request('/runs', SQL)), '200');
	assert.equal((await open.post(`/api/v1/tokens/${tokenId}/revoke`)).status, 200);
	assert.equal(await call(token, '/datasets', {}, open), '401 unauthenticated');
});
