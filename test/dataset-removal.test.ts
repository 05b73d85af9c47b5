/** A dataset is removed as a governed action: approved, on record, its room given back; what used it verifies, and what is held stays. */
import assert from 'node:assert/strict';
import {existsSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {after, test} from 'node:test';
import type {ErrorReply, WorkReply} from '#contract/api.ts';
import type {Approval} from '#contract/approval-api.ts';
import type {AuditReply} from '#contract/audit.ts';
import type {BudgetReply} from '#contract/budget.ts';
import type {Hold} from '#contract/retention.ts';
import {createDatasetHolds} from '../src/dataset-holds.ts';
import {verifyStored} from '../src/pack-evidence.ts';
import {createRetention} from '../src/retention.ts';
import {OWNER, wholePlatform} from './platform.ts';
import {eventually, runWrit, startWrit} from './server.ts';
import {pass} from './time.ts';

const directory = mkdtempSync(path.join(tmpdir(), 'writ-removal-'));
after(() => rmSync(directory, {recursive: true, force: true}));
const limited = path.join(directory, 'limited.yaml');
writeFileSync(limited, 'version: 1\nbudgets:\n  tenant: {storage: 1000000000}\n');

test('a dataset is removed once a person has approved it, and not while it is held', async (t) => {
	const writ = await startWrit(t, {env: {WRIT_POLICY_FILE: limited, WRIT_POOL_SIZE: '0'}});
	const cli = (...args: string[]) => runWrit(args, {env: {WRIT_URL: writ.url}});
	const {run_id: used} = await writ.ask('SQL: SELECT count(*) AS n FROM tickets');
	const stored = async () =>
		(await writ.get<BudgetReply>('/api/v1/budget')).body.budgets.find(({name}) => name === 'storage')?.used ?? 0;
	const before = await stored();
	const grant = async () => {
		const {approvals} = (await writ.get<{approvals: Approval[]}>('/api/v1/approvals?state=pending')).body;
		const [{approvalId, previewDigest, preview}] = approvals as [Approval];
		assert.match(preview, /remove the dataset support with all its snapshots/);
		assert.equal((await writ.post(`/api/v1/approvals/${approvalId}/grant`, {comment: 'old', previewDigest})).status, 200);
	};
	const ended = (runId: string) =>
		eventually('end of the removal', async () => {
			const {body} = await writ.get<WorkReply>(`/api/v1/code/${runId}`);
			return ['awaiting_approval', 'running'].includes(body.status) ? undefined : body;
		});

	const hold = (await writ.post<Hold>('/api/v1/holds', {kind: 'run', target: used, reason: 'case 14'})).body;
	const first = await cli('datasets', 'remove', 'support', '--json');
	const asked = JSON.parse(first.out) as WorkReply;
	assert.deepEqual([first.exit, asked.status], [0, 'awaiting_approval']);
	await grant();
	const refused = await ended(asked.runId);
	assert.deepEqual([refused.status, refused.error?.code], ['failed', 'conflict']);
	assert.match(refused.error?.message ?? '', /is held: run/);
	await writ.post(`/api/v1/holds/${hold.holdId}/release`, {reason: 'over'});

	const second = await cli('datasets', 'remove', 'support');
	assert.match(second.out, /^a person has to approve it: writ approvals grant apr_/);
	const [waiting] = (await writ.get<{approvals: Approval[]}>('/api/v1/approvals?state=pending')).body.approvals;
	await grant();
	const done = await ended(waiting?.runId ?? '');
	assert.deepEqual([done.status, done.verdict?.kind], ['succeeded', 'verified']);
	const {bytes} = done.output as {bytes: number};
	assert.ok(bytes > 10_000);
	assert.equal(await stored(), before - bytes);
	assert.equal(existsSync(path.join(writ.dataDir, 'datasets/local/support')), false);
	assert.equal((await writ.request('/datasets/support/schema')).status, 404);
	assert.equal((await writ.verify(used)).verdict, 'valid');
	const gone = await cli('datasets', 'remove', 'support');
	assert.deepEqual([gone.exit !== 0, /not_found: there is no dataset `support`/.test(gone.err)], [true, true], gone.err);
	const {entries} = (await writ.get<AuditReply>('/api/v1/audit?tool=dataset.remove')).body;
	assert.ok(entries.some(({type}) => type === 'action.outcome') || entries.length > 0, JSON.stringify(entries));
});

test('who may not change anything removes nothing', async (t) => {
	const tokens = 'vera-token-0123456789=vera@local:viewer,ann-token-0123456789=ann@local:analyst';
	const writ = await startWrit(t, {env: {WRIT_AUTH_TOKENS: tokens, WRIT_POOL_SIZE: '0'}, until: 'listening'});
	const remove = async (who: string) => {
		const headers = {authorization: `Bearer ${who}-token-0123456789`};
		const reply = await writ.request('/api/v1/datasets/support', {method: 'DELETE', headers});
		return {status: reply.status, body: (await reply.json()) as WorkReply & ErrorReply};
	};
	assert.equal((await remove('vera')).status, 403);
	const {status, body} = await remove('ann');
	assert.deepEqual([status, body.status, body.error.code], [200, 'rejected', 'policy_denied'], JSON.stringify(body));
	assert.ok(existsSync(path.join(writ.dataDir, 'datasets/local/support')));
});

test('a snapshot that was replaced goes when its time is over and no run with content used it, unless it is held', async (t) => {
	const {platform, add, run} = await wholePlatform(t);
	const {datasets, store, runs, kernel, files, recordAudit} = platform;
	const csv = path.join(directory, 'people.csv');
	const publish = async (text: string) => {
		writeFileSync(csv, text);
		return (await add('people', [{name: 'people.csv', path: csv}])).hash;
	};
	const unused = await publish('name\nCarla\n');
	const used = await publish('name\nDora\n');
	await run('people', 'sql', 'SELECT * FROM people');
	const runId = (await store.runs({tenant: 'local', mode: 'sql', limit: 1})).rows[0]?.runId ?? '';
	const current = await publish('name\nEmil\n');
	const listed: string[] = [];
	const retention = (days: number) => {
		pass(days);
		return createRetention({
			...{runs, kernel, store, software: 'writ test', files, datasets, recordAudit, holder: 'h', sweep: async () => 0},
			heldBy: createDatasetHolds({store, listed: () => listed}),
			clock: kernel.clock,
			policy: () => ({days: 30, rules: [], legalHold: [...listed]}),
		});
	};
	const left = async () => new Set((await datasets.past('local')).map(({hash}) => hash));

	assert.equal((await retention(29).run('local', OWNER)).snapshots, 0);
	listed.push('local');
	assert.equal((await retention(31).run('local', OWNER)).snapshots, 0);
	assert.deepEqual(await left(), new Set([unused, used]));
	listed.pop();
	await store.retention.holdListed([runId], 'replace');
	assert.equal((await retention(32).run('local', OWNER)).snapshots, 1, 'its run is kept');
	assert.deepEqual(await left(), new Set([used]));
	await store.retention.holdListed([], 'replace');
	assert.equal((await retention(33).run('local', OWNER)).snapshots, 1);
	assert.equal((await datasets.get('local', 'people')).hash, current);
	assert.equal((await verifyStored(platform, runId)).verdict, 'valid');
	assert.equal(await datasets.removePast('local', {id: 'people', hash: current}), false);
	const {rows} = await store.audit({tenant: 'local', text: 'snapshot', limit: 10});
	assert.equal(rows.length, 2);
});
