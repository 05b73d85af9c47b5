/** What a tenant may keep on disk: reserved before bytes are taken, settled to what was kept, counted again from the disk. */
import assert from 'node:assert/strict';
import {mkdtempSync, readdirSync, rmSync, writeFileSync} from 'node:fs';
import {rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {test} from 'node:test';
import {loadConfig} from '#config/config.ts';
import type {ErrorReply} from '#contract/api.ts';
import {type BudgetReply, budgetReplySchema} from '#contract/budget.ts';
import {policyDocumentSchema} from '#contract/policy.ts';
import type {Store} from '#kernel/ports.ts';
import type {LoadedPolicy} from '#policy/policy.ts';
import {eachSharedStore} from '#store/test-stores.ts';
import {createKept, type Kept} from '../src/kept.ts';
import {replayRun} from '../src/replay.ts';
import {OWNER, wholePlatform} from './platform.ts';
import {freshData, runWrit, type Scope, startWrit, type Writ} from './server.ts';

const KIB = 1_024;
const spent = {code: 'budget_exceeded', hint: /`budgets\.tenant\.storage`/};

/** What a server keeps in `directory`, under a policy with this limit or none. */
function keptIn(directory: string, store: Store, storage?: number): Kept {
	const {config} = loadConfig({file: null, env: {WRIT_DATA_DIR: directory}});
	const tenant = storage === undefined ? undefined : {storage};
	const document = policyDocumentSchema.parse({version: 1, budgets: {...(tenant && {tenant})}});
	const policy = {current: () => ({version: `p${storage}`, document}) as LoadedPolicy};
	const report = (problem: unknown) => {
		throw problem;
	};
	const redact = (value: unknown) => ({value, count: 0});
	return createKept({config, dataDir: directory, store, policy, clock: {now: () => new Date()}, redact, report});
}

function directoryFor(scope: Scope): string {
	const directory = mkdtempSync(path.join(tmpdir(), 'writ-kept-'));
	scope.after(() => rmSync(directory, {recursive: true, force: true}));
	return directory;
}

/** 64 different files of a KiB each, given at once to both; resolves to how many were refused. */
async function give64(servers: readonly Kept[]): Promise<number> {
	const given = Array.from({length: 64}, (_, index) => Buffer.alloc(KIB, index + 1));
	const results = await Promise.allSettled(
		given.map((bytes, index) => servers[index % servers.length]?.files.put('local', bytes)),
	);
	const refused = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
	for (const reason of refused) assert.equal(reason.code, 'budget_exceeded', String(reason));
	return refused.length;
}

eachSharedStore(process.env, ({place}) => {
	for (const [title, limit, kept] of [
		['without a limit all of 64 files that are given at once are kept', undefined, 64],
		['of 64 files that are given at once to two servers as many are kept as there is room for', 10 * KIB + 500, 10],
	] as const)
		test(title, async (t) => {
			const [directory, shared] = [directoryFor(t), await place()];
			const servers = [keptIn(directory, await shared.open(), limit), keptIn(directory, await shared.open(), limit)];
			assert.equal(await give64(servers), 64 - kept);
			assert.equal(await servers[0]?.files.bytes('local'), kept * KIB);
			assert.deepEqual(await servers[1]?.storage.use('local'), {used: kept * KIB, reserved: 0, limit: limit ?? null});
		});

	test('what is on disk counts, whatever the account says, and what a server that died held does not', async (t) => {
		const [directory, shared] = [directoryFor(t), await place()];
		const store = await shared.open();
		await keptIn(directory, store).files.put('local', Buffer.alloc(3 * KIB, 1));
		const gone = {holdId: 'h', holder: 'writ/elsewhere', until: '2020-01-01T00:00:00.000Z'};
		await store.quota.change({kind: 'hold', tenant: 'local', ...gone, bytes: 2 * KIB, limit: 8 * KIB});
		await store.quota.change({kind: 'settle', tenant: 'local', holdId: null, change: KIB});
		const {files, storage} = keptIn(directory, store, 4 * KIB);
		assert.deepEqual(await storage.use('local'), {used: 3 * KIB, reserved: 0, limit: 4 * KIB});
		await assert.rejects(files.put('local', Buffer.alloc(2 * KIB, 2)), spent);
		const hash = await files.put('local', Buffer.alloc(KIB, 3));
		await files
			.put('local', Buffer.alloc(KIB, 3))
			.catch((error: unknown) => assert.equal((error as {code?: unknown}).code, 'budget_exceeded'));
		await files.erase('local', hash);
		assert.deepEqual(await storage.use('local'), {used: 3 * KIB, reserved: 0, limit: 4 * KIB});
		// Removed by hand: found out before somebody is refused.
		await rm(await files.place('local'), {recursive: true});
		await files.put('local', Buffer.alloc(4 * KIB, 4));
	});
});

test('a dataset takes room for its snapshot, none for the same once more, and gives it back when it is removed', async (t) => {
	const directory = directoryFor(t);
	const policy = path.join(directory, 'policy.yaml');
	writeFileSync(policy, 'version: 1\nbudgets: {tenant: {storage: 20000}}\n');
	const csv = (name: string, rows: number) => {
		const place = path.join(directory, name);
		writeFileSync(place, `n,text\n${Array.from({length: rows}, (_, n) => `${n},row ${n}`).join('\n')}\n`);
		return {name, path: place};
	};
	const {platform, add} = await wholePlatform(t, {WRIT_POLICY_FILE: policy});
	const {storage, datasets} = platform;
	const small = csv('small.csv', 20);
	await add('small', [small]);
	const first = await storage.use('local');
	assert.equal(first.used, await datasets.bytes('local'));
	assert.ok(first.used > 0 && first.reserved === 0);
	await add('small', [small]);
	assert.equal((await storage.use('local')).used, await datasets.bytes('local'));
	await assert.rejects(add('large', [csv('large.csv', 4_000)]), {code: 'budget_exceeded'});
	assert.deepEqual([(await datasets.list('local')).length, (await storage.use('local')).reserved], [1, 0]);
	await datasets.remove('local', 'small');
	assert.deepEqual(await storage.use('local'), {used: 0, reserved: 0, limit: 20_000});
	await platform.files.put(OWNER.tenant, Buffer.alloc(20_000));
});

test('an export leaves its file for who asked for it, and doing it again leaves none', async (t) => {
	const {platform, directory, add, run} = await wholePlatform(t, {WRIT_POOL_SIZE: '0'});
	const file = path.join(directory, 'x.csv');
	writeFileSync(file, 'a,b\n1,2\n');
	await add('x', [{name: 'x.csv', path: file}]);
	await run('x', 'sql', 'SELECT * FROM x');
	const caller = {principal: OWNER, requestId: '', signal: new AbortController().signal};
	const [row] = (await platform.store.runs({tenant: 'local', mode: 'sql', limit: 1})).rows;
	const {runId} = await platform.analyst.export(row?.runId ?? '', 'csv', caller);
	assert.equal((await platform.analyst.rerun(runId, caller)).status, 'succeeded');
	await replayRun(platform, runId, caller);
	assert.equal(readdirSync(path.join(directory, 'data', 'exports')).length, 1);
});

for (const [why, rest] of [
	['the tool is stopped', 'budgets: {tenant: {storage: 60000}}\nmodes: [{tool: code.javascript, mode: observe}]'],
	['no run may start', 'budgets: {tenant: {storage: 60000, window: day, runs: 0}}'],
] as const)
	test(`files that come with code are not kept when ${why}`, async (t) => {
		const policy = path.join(directoryFor(t), 'policy.yaml');
		writeFileSync(policy, `version: 1\n${rest}\n`);
		const writ = await startWrit(t, {dataDir: freshData(t), env: {WRIT_POLICY_FILE: policy}, until: 'listening'});
		const used = async () => {
			const {budgets} = budgetReplySchema.parse((await writ.get<BudgetReply>('/api/v1/budget')).body);
			return budgets.find(({name}) => name === 'storage')?.used;
		};
		const files = [{name: 'a', content: 'x'.repeat(12_000)}];
		const {body} = await writ.post<{status?: string}>('/api/v1/code', {language: 'javascript', code: '1', files});
		assert.notEqual(body.status, 'succeeded');
		assert.equal(await used(), 0, JSON.stringify(body));
	});

test('a tenant sees by API and terminal what it keeps, an upload without room is refused, and a restart forgets nothing', async (t) => {
	const dataDir = freshData(t);
	const policy = path.join(directoryFor(t), 'policy.yaml');
	writeFileSync(policy, 'version: 1\nbudgets: {tenant: {runs: 50, storage: 4000}}\n');
	// Without samples, which would need room, it is never ready.
	const options = {dataDir, env: {WRIT_POLICY_FILE: policy}, until: 'listening'} as const;
	const budgetOf = async (writ: Writ, name: string) => {
		const {body} = await writ.get<BudgetReply>('/api/v1/budget');
		return budgetReplySchema.parse(body).budgets.find((budget) => budget.name === name);
	};
	const first = await startWrit(t, options);
	const given = (content: string) => ({language: 'javascript', code: '1', files: [{name: 'a.txt', content}]});
	assert.equal((await first.post('/api/v1/code', given('x'.repeat(3_000)))).status, 200);
	const stored = {name: 'storage', unit: 'bytes', limit: 4_000, used: 3_000, reserved: 0, renewsAt: null};
	assert.deepEqual(await budgetOf(first, 'storage'), stored);
	assert.equal((await budgetOf(first, 'runs'))?.used, 1);

	const refused = await first.post<ErrorReply>('/api/v1/code', given('y'.repeat(1_001)));
	assert.deepEqual([refused.status, refused.body.error.code], [429, 'budget_exceeded']);
	assert.match(refused.body.error.hint ?? '', /`budgets\.tenant\.storage`/);
	const form = new FormData();
	form.append('file', new Blob([`n\n${'1\n'.repeat(1_000)}`]), 'n.csv');
	const upload = await first.request('/datasets', {method: 'POST', body: form});
	assert.deepEqual([upload.status, ((await upload.json()) as ErrorReply).error.code], [429, 'budget_exceeded']);
	assert.deepEqual(await budgetOf(first, 'storage'), stored);

	await first.stop();
	const second = await startWrit(t, options);
	assert.deepEqual(await budgetOf(second, 'storage'), stored);
	const {exit, out} = await runWrit(['budget'], {env: {WRIT_URL: second.url}});
	assert.equal(exit, 0);
	assert.match(out, /storage\s+3000\s+0\s+4000\s+bytes/);
});
