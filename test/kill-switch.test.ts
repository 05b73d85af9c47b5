/** One call stops every server that shares a store: what runs, what waits, and what would start. */
import assert from 'node:assert/strict';
import {randomUUID} from 'node:crypto';
import {writeFileSync} from 'node:fs';
import path from 'node:path';
import {test} from 'node:test';
import pg from 'pg';
import type {WorkReply} from '#contract/api.ts';
import type {Approval} from '#contract/approval-api.ts';
import type {Event} from '#contract/event.ts';
import type {ModeReply} from '#contract/mode.ts';
import {OWNER, wholePlatform} from './platform.ts';
import {atEnd, type Env, eventually, freshData, jsonPost, runWrit, type Scope, startWrit, type Writ} from './server.ts';

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
const ENDLESS = 'import time\ntime.sleep(3600)';
const TOKENS = 'ada-token-0123456789=ada@local,bob-token-0123456789=bob@local';

async function serve(scope: Scope, env: Env = {}): Promise<Writ> {
	const dataDir = freshData(scope);
	const file = path.join(dataDir, 'rules.cedar');
	writeFileSync(file, POLICY);
	const sandboxes = {SANDBOX_PROVIDER: 'process', WRIT_MAX_SANDBOXES: '64', WRIT_POOL_SIZE: '0', RUN_TIMEOUT_SECONDS: '600'};
	return startWrit(scope, {dataDir, until: 'listening', env: {...sandboxes, WRIT_POLICY_FILE: file, ...env}});
}

/** A place of its own in the database, for the time of a test. */
async function ownSchema(scope: Scope, url: string): Promise<string> {
	const schema = `kill_${randomUUID().replaceAll('-', '')}`;
	const execute = async (sql: string) => {
		const client = new pg.Client({connectionString: url});
		await client.connect();
		await client.query(sql).finally(() => client.end());
	};
	await execute(`CREATE SCHEMA ${schema}`);
	atEnd(scope, () => execute(`DROP SCHEMA ${schema} CASCADE`));
	const own = new URL(url);
	own.searchParams.set('options', `-c search_path=${schema}`);
	return own.href;
}

const as = (person: string, body: unknown): RequestInit => {
	const init = jsonPost(body);
	return {...init, headers: {...(init.headers as Record<string, string>), authorization: `Bearer ${person}-token-0123456789`}};
};

const busy = async (writ: Writ) =>
	Number(/writ_sandboxes\{[^}]*state="busy"[^}]*\} (\d+)/.exec(await (await writ.request('/metrics')).text())?.[1] ?? 0);

/** Starts programs that would run for an hour, and waits until each has its sandbox. */
async function occupy(writ: Writ, count: number): Promise<readonly Promise<Response>[]> {
	const init = () => jsonPost({language: 'python', code: ENDLESS});
	const runs = Array.from({length: count}, () => writ.request('/api/v1/code', init()));
	await eventually('sandboxes at work', async () => ((await busy(writ)) === count ? true : undefined), 120_000);
	return runs;
}

test('whatever runs is ended, whatever waits is cancelled, and nothing starts until somebody resumes', async (t) => {
	const writ = await serve(t);
	const running = await occupy(writ, 4);
	const {body: waiting} = await writ.post<WorkReply>('/api/v1/code', {language: 'shell', code: 'true'});
	assert.equal(waiting.status, 'awaiting_approval', JSON.stringify(waiting));

	const {exit, out} = await runWrit(['stop', '-m', 'a drill'], {env: {WRIT_URL: writ.url}});

	assert.equal(exit, 0);
	assert.match(out, /^observe, set by local at .*: a drill\n$/);
	const ended = await Promise.all(running.map(async (reply) => (await (await reply).json()) as WorkReply));
	assert.deepEqual(
		ended.map(({status}) => status),
		Array.from({length: 4}, () => 'cancelled'),
	);
	await eventually('end of every sandbox', async () => (await busy(writ)) === 0 || undefined);
	const {approvals} = (await writ.get<{approvals: Approval[]}>('/api/v1/approvals')).body;
	assert.deepEqual(
		approvals.map(({approvalId, state}) => [approvalId, state]),
		[[waiting.approvalId, 'cancelled']],
	);
	const refused = await writ.post<{error: {code: string; message: string}}>('/api/v1/code', {language: 'python', code: '1'});
	assert.deepEqual([refused.status, refused.body.error.code], [503, 'stopped']);
	assert.match(refused.body.error.message, /stopped by local: a drill/);
	assert.equal((await grant(writ, approvals[0])).status, 409);
	await isOnRecord(writ, 1, 'observe');

	assert.match((await runWrit(['resume'], {env: {WRIT_URL: writ.url}})).out, /^execute/);
	const again = await writ.post<WorkReply>('/api/v1/code', {language: 'python', code: 'result = 1'});
	assert.equal(again.body.status, 'succeeded');
});

const grant = (writ: Writ, approval: Approval | undefined) =>
	writ.post(`/api/v1/approvals/${approval?.approvalId}/grant`, {comment: 'fine', previewDigest: approval?.previewDigest});

async function isOnRecord(writ: Writ, number: number, mode: string): Promise<void> {
	const events: readonly Event[] = await writ.events(`mode-${number}`);
	assert.deepEqual(
		events.map(({type}) => type),
		['run.started', 'mode.changed', 'run.finished'],
	);
	assert.equal(events.find((event) => event.type === 'mode.changed')?.data.mode, mode);
	assert.equal((await writ.verify(`mode-${number}`)).verdict, 'valid');
}

test('a server that starts while the platform is stopped is stopped', async (t) => {
	const first = await serve(t);
	await first.post('/api/v1/kill-switch', {reason: 'for the night'});
	await first.stop();
	const second = await startWrit(t, {dataDir: first.dataDir, until: 'listening'});
	const {body} = await second.get<ModeReply>('/api/v1/kill-switch');
	assert.deepEqual([body.mode, body.number, body.reason], ['observe', 1, 'for the night']);
	assert.equal((await second.post('/api/v1/code', {language: 'python', code: '1'})).status, 503);
});

test('in the mode propose every action asks a person, and its run goes on when they agree', async (t) => {
	const writ = await serve(t);
	await writ.post('/api/v1/kill-switch', {mode: 'propose'});
	const {body} = await writ.post<WorkReply>('/api/v1/code', {language: 'python', code: 'result = 7'});
	assert.equal(body.status, 'awaiting_approval');
	const {approvals} = (await writ.get<{approvals: Approval[]}>('/api/v1/approvals?state=pending')).body;
	assert.equal((await grant(writ, approvals[0])).status, 200);
	await eventually(
		'run that went on',
		async () => (await writ.get<WorkReply>(`/api/v1/code/${body.runId}`)).body.status === 'succeeded' || undefined,
	);
});

test('where there are two people, letting it go on takes both; stopping takes one', async (t) => {
	const writ = await serve(t, {WRIT_AUTH_TOKENS: `${TOKENS},ada2-token-0123456789=ada@other`});
	const set = async (person: string, body: object) => {
		const reply = await writ.request('/api/v1/kill-switch', as(person, body));
		return {status: reply.status, state: (await reply.json()) as ModeReply};
	};
	const shown = ({state: {mode, by, asked}}: {state: ModeReply}) => [mode, by?.id, asked && [asked.by.id, asked.mode]];
	const stop = await set('bob', {reason: 'a fire'});
	const wish = await set('ada', {mode: 'execute', reason: 'it is out'});
	const said = ({state: {by, reason, since}}: typeof stop) => [by?.id, reason, since];
	assert.deepEqual(said(wish), said(stop), 'who wishes to let go did not stop it');
	const elsewhere = await set('ada2', {mode: 'execute'});
	assert.equal(elsewhere.state.mode, 'observe', 'a name in another tenant is nobody else');
	assert.deepEqual(shown(await set('bob', {mode: 'execute'})), ['execute', 'bob', null]);
	assert.deepEqual(shown(await set('ada', {})), ['observe', 'ada', null]);
	assert.equal((await set('bob', {})).status, 409);
	assert.deepEqual(shown(await set('ada', {mode: 'execute'})), ['observe', 'ada', ['ada', 'execute']]);
	assert.deepEqual(shown(await set('ada', {mode: 'execute'})), ['observe', 'ada', ['ada', 'execute']]);
	assert.deepEqual(shown(await set('bob', {mode: 'execute', reason: 'all is well'})), ['execute', 'bob', null]);
	assert.equal((await writ.request('/api/v1/code', as('ada', {language: 'python', code: '1'}))).status, 200);
});

test('a change whose server died before it was made keeps nobody from the next', async (t) => {
	const {platform} = await wholePlatform(t);
	const {kernel, runs, killSwitch} = platform;
	const started = {job: 'system', mode: 'kill-switch', threadId: null, question: null, dataset: null} as const;
	const half = {...started, principal: OWNER, software: 'writ test', policyVersion: kernel.policy().version};
	(await runs.open(half, OWNER, new AbortController().signal, 'mode-1')).park();

	const changing = killSwitch.change({mode: 'observe', reason: 'a drill'}, OWNER);
	await eventually('stop that is in force here', async () => killSwitch.state().mode === 'observe' || undefined);
	const {mode, number, reason} = await changing;
	assert.deepEqual([mode, number, reason], ['observe', 2, 'a drill']);
});

test('two servers on one PostgreSQL stop together: fifty programs, in both', {
	skip: !DATABASE && 'DATABASE_URL is not set',
}, async (t) => {
	const shared = {STORAGE_PROVIDER: 'postgres', DATABASE_URL: await ownSchema(t, DATABASE ?? '')};
	const [one, other] = await Promise.all([serve(t, shared), serve(t, shared)]);
	const before = (await one.get<ModeReply>('/api/v1/kill-switch')).body.number;
	const running = (await Promise.all([occupy(one, 25), occupy(other, 25)])).flat();

	await one.post('/api/v1/kill-switch', {reason: 'a drill'});

	const ended = await Promise.all(running.map(async (reply) => ((await (await reply).json()) as WorkReply).status));
	assert.deepEqual(
		ended,
		Array.from({length: 50}, () => 'cancelled'),
	);
	for (const writ of [one, other]) await eventually('end of every sandbox', async () => (await busy(writ)) === 0 || undefined);
	for (const writ of [one, other]) {
		assert.equal((await writ.get<ModeReply>('/api/v1/kill-switch')).body.number, before + 1);
		assert.equal((await writ.post('/api/v1/code', {language: 'python', code: '1'})).status, 503);
	}
	await other.post('/api/v1/kill-switch', {mode: 'execute'});
	await eventually(
		'server that goes on',
		async () => (await one.get<ModeReply>('/api/v1/kill-switch')).body.mode === 'execute' || undefined,
	);
});

test('two servers on one SQLite file stop together', async (t) => {
	const shared = {CAPSULE_DB_PATH: path.join(freshData(t), 'writ.db')};
	const [one, other] = [await serve(t, shared), await serve(t, shared)];
	const running = (await Promise.all([occupy(one, 2), occupy(other, 2)])).flat();
	await one.post('/api/v1/kill-switch', {reason: 'a drill'});
	const ended = await Promise.all(running.map(async (reply) => ((await (await reply).json()) as WorkReply).status));
	assert.deepEqual(ended, ['cancelled', 'cancelled', 'cancelled', 'cancelled']);
	assert.equal((await other.post('/api/v1/code', {language: 'python', code: '1'})).status, 503);
});
