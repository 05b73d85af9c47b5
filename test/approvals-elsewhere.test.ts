/** Code waits in a sandbox of one server, a person answers on another: the answer is recorded by the one that runs it, or not at all. */
import assert from 'node:assert/strict';
import {randomUUID} from 'node:crypto';
import {writeFileSync} from 'node:fs';
import path from 'node:path';
import {test} from 'node:test';
import pg from 'pg';
import type {ErrorReply, WorkReply} from '#contract/api.ts';
import type {Approval} from '#contract/approval-api.ts';
import type {Event} from '#contract/event.ts';
import {atEnd, type Env, eventually, freshData, jsonPost, type Scope, startWrit, type Writ} from './server.ts';

const POLICY = `
@id("shell-asks")
@description("a person looks at scripts before they run")
@decision("ask")
permit (principal is User, action == Action::"code.shell", resource);
@id("no-shell-else")
@description("and at no other way")
forbid (principal, action == Action::"code.shell", resource) unless { principal is User };
`;
const DATABASE = process.env.DATABASE_URL;
const TOKENS = 'ada-token-0123456789=ada@local,bob-token-0123456789=bob@local';
const ASKS = (n: number) =>
	`export default await writ.call('code.shell', {code: 'echo ${n}'}).then(() => 'done', ({code}) => code);`;

async function serve(scope: Scope, env: Env): Promise<Writ> {
	const dataDir = freshData(scope);
	const file = path.join(dataDir, 'rules.cedar');
	writeFileSync(file, POLICY);
	const sandboxes = {SANDBOX_PROVIDER: 'process', WRIT_POOL_SIZE: '0', WRIT_MAX_SANDBOXES: '32', RUN_TIMEOUT_SECONDS: '120'};
	return startWrit(scope, {
		dataDir,
		until: 'listening',
		env: {...sandboxes, WRIT_POLICY_FILE: file, WRIT_AUTH_TOKENS: TOKENS, ...env},
	});
}

async function sharedBy(scope: Scope, what: 'sqlite' | 'postgres'): Promise<Env> {
	if (what === 'sqlite') return {CAPSULE_DB_PATH: path.join(freshData(scope), 'writ.db')};
	const schema = `answers_${randomUUID().replaceAll('-', '')}`;
	const execute = async (sql: string) => {
		const client = new pg.Client({connectionString: DATABASE});
		await client.connect();
		await client.query(sql).finally(() => client.end());
	};
	await execute(`CREATE SCHEMA ${schema}`);
	atEnd(scope, () => execute(`DROP SCHEMA ${schema} CASCADE`));
	const own = new URL(DATABASE ?? '');
	own.searchParams.set('options', `-c search_path=${schema}`);
	return {STORAGE_PROVIDER: 'postgres', DATABASE_URL: own.href};
}

async function ask<T>(writ: Writ, person: 'ada' | 'bob', route: string, body?: unknown): Promise<{status: number; body: T}> {
	const init = body === undefined ? {} : jsonPost(body);
	const headers = {...(init.headers as Record<string, string>), authorization: `Bearer ${person}-token-0123456789`};
	const reply = await writ.request(route, {...init, headers});
	return {status: reply.status, body: (await reply.json()) as T};
}

const run = (writ: Writ, n: number) => ask<WorkReply>(writ, 'ada', '/api/v1/code', {language: 'javascript', code: ASKS(n)});
const pending = async (writ: Writ) =>
	(await ask<{approvals: Approval[]}>(writ, 'bob', '/api/v1/approvals?state=pending')).body.approvals;
const answer = (writ: Writ, {approvalId, previewDigest}: Approval, verb: 'grant' | 'reject') =>
	ask<Approval & ErrorReply>(writ, 'bob', `/api/v1/approvals/${approvalId}/${verb}`, {
		comment: 'seen',
		...(verb === 'grant' && {previewDigest}),
	});

for (const what of ['sqlite', 'postgres'] as const) {
	test(`what is answered on another server of one ${what} store reaches the code that waits`, {
		skip: what === 'postgres' && !DATABASE && 'DATABASE_URL is not set',
	}, async (t) => {
		const shared = await sharedBy(t, what);
		const [one, other] = [await serve(t, shared), await serve(t, shared)];
		for (const [verb, value] of [
			['grant', 'done'],
			['reject', 'approval_rejected'],
		] as const) {
			const running = run(one, 1);
			const [approval] = await eventually('question', async () =>
				(await pending(other)).length > 0 ? pending(other) : undefined,
			);
			assert.ok(approval);
			const {status, body} = await answer(other, approval, verb);
			assert.deepEqual([status, body.approver, body.comment], [200, 'bob', 'seen'], JSON.stringify(body));
			assert.equal((await answer(other, approval, verb)).status, 409, 'it is answered once');
			const reply = (await running).body;
			assert.deepEqual([reply.status, (reply.output as {value: unknown}).value], ['succeeded', value]);
			const headers = {accept: 'application/json', authorization: 'Bearer ada-token-0123456789'};
			const stored = await (await one.request(`/runs/${reply.runId}/events`, {headers})).json();
			const {events} = stored as {events: readonly Event[]};
			const said = events.find(({type}) => type === (verb === 'grant' ? 'approval.granted' : 'approval.rejected'));
			assert.ok(said && 'origin' in said.data && said.data.origin, 'from where it was answered is on record');
		}
	});

	test(`of sixteen grants of one person at once, on two servers of one ${what} store, as many succeed as the limit says`, {
		skip: what === 'postgres' && !DATABASE && 'DATABASE_URL is not set',
	}, async (t) => {
		const shared = {...(await sharedBy(t, what)), WRIT_GRANTS_IN_WINDOW: '5'};
		const servers = [await serve(t, shared), await serve(t, shared)] as const;
		const [one, other] = servers;
		const shell = (n: number) =>
			ask<WorkReply>(servers[n % 2 ? 1 : 0], 'ada', '/api/v1/code', {language: 'shell', code: `echo ${n}`});
		const asked = await Promise.all(Array.from({length: 16}, (_, n) => shell(n)));
		assert.deepEqual(new Set(asked.map(({body}) => body.status)), new Set(['awaiting_approval']));
		const approvals = await pending(one);
		assert.equal(approvals.length, 16);
		const answers = await Promise.all(approvals.map((approval, n) => answer(n % 2 ? one : other, approval, 'grant')));
		const granted = answers.filter(({status}) => status === 200);
		const refused = answers.filter(({status}) => status !== 200).map(({body}) => body.error.code);
		assert.equal(granted.length, 5, JSON.stringify(answers));
		assert.deepEqual(new Set(refused), new Set(['confirmation_required']));
	});
}
