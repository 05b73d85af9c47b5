/** A policy that asks, on a real server: the run waits for a person, and the answer covers exactly one action, once. */
import assert from 'node:assert/strict';
import {once} from 'node:events';
import {writeFileSync} from 'node:fs';
import {createServer} from 'node:http';
import type {AddressInfo} from 'node:net';
import path from 'node:path';
import {after, test} from 'node:test';
import type {ChatResponse, ErrorReply} from '#contract/api.ts';
import type {Approval} from '#contract/approval-api.ts';
import {
	eventually,
	freshData,
	ingestedSamples,
	jsonPost,
	runWrit,
	type Scope,
	startWrit,
	type Writ,
	type WritOptions,
} from './server.ts';

const ASK_FOR_SQL = `
@id("sql-asks")
@description("a person looks at SQL before it runs")
@decision("ask")
permit (principal, action == Action::"analyst.sql", resource);
`;

const writ = await startAsking({after});

test('what a policy asks about waits, with nothing done, until a person grants it; then the run goes on', async () => {
	const {approval, runId} = await ask(writ, 'SELECT count(*) AS n FROM tickets');
	assert.deepEqual(
		[approval.state, approval.tool, approval.preview, approval.risk],
		['pending', 'analyst.sql', 'SELECT count(*) AS n FROM tickets', 'low'],
	);
	assert.equal(typesOf(await writ.events(runId)).includes('action.intent'), false);

	const granted = await grant<Approval>(writ, approval, 'go ahead');
	assert.deepEqual(
		[granted.status, granted.body.state, granted.body.comment],
		[200, 'granted', 'go ahead (approved by its proposer: single-user server)'],
	);
	await ended(writ, runId);
	const capsule = await writ.capsule(runId);
	assert.deepEqual([capsule.status, capsule.result_json?.rows], ['succeeded', [[6_417]]]);
	const types = typesOf(await writ.events(runId));
	assert.deepEqual(
		types.filter((type) => /approval|intent|outcome/.test(type)),
		['approval.requested', 'approval.granted', 'action.intent', 'action.outcome'],
	);
	assert.equal((await writ.verify(runId)).verdict, 'valid');
});

test('a grant is used once: nothing can be granted or rejected again, and the same question asks anew', async () => {
	const {approval, runId} = await ask(writ, 'SELECT 1 AS one');
	await grant(writ, approval);
	await ended(writ, runId);
	for (const again of [await grant<ErrorReply>(writ, approval), await reject<ErrorReply>(writ, approval)])
		assert.deepEqual([again.status, again.body.error.code], [409, 'conflict']);
	const {approval: second} = await ask(writ, 'SELECT 1 AS one');
	assert.notEqual(second.approvalId, approval.approvalId);
	assert.equal(second.state, 'pending');
	await reject(writ, second);
});

test('two people who answer at the same moment: one answer counts', async () => {
	const {approval, runId} = await ask(writ, 'SELECT 2 AS two');
	const answers = await Promise.all([grant(writ, approval), reject(writ, approval), grant(writ, approval)]);
	assert.deepEqual(answers.map(({status}) => status).toSorted(), [200, 409, 409]);
	await ended(writ, runId);
	const types = typesOf(await writ.events(runId));
	assert.equal(types.filter((type) => type === 'approval.granted' || type === 'approval.rejected').length, 1);
	assert.ok(types.filter((type) => type === 'action.intent').length <= 1);
});

test('what a person rejects is not done, and the run says who rejected it', async () => {
	const {approval, runId} = await ask(writ, 'SELECT 3 AS three');
	const rejected = await reject<Approval>(writ, approval, 'not today');
	assert.deepEqual([rejected.status, rejected.body.state], [200, 'rejected']);
	await ended(writ, runId);
	const capsule = await writ.capsule(runId);
	assert.deepEqual([capsule.status, capsule.result_json?.rows], ['rejected', []]);
	assert.equal(typesOf(await writ.events(runId)).includes('action.intent'), false);
	assert.equal((await writ.verify(runId)).verdict, 'valid');
});

test('the command line lists what waits and grants it', async () => {
	const env = {WRIT_URL: writ.url};
	const {approval, runId} = await ask(writ, 'SELECT 4 AS four');
	const listed = await runWrit(['approvals', 'list', '--json'], {env});
	const {approvals} = JSON.parse(listed.out) as {approvals: Approval[]};
	assert.deepEqual(
		approvals.map(({approvalId}) => approvalId),
		[approval.approvalId],
	);
	const granted = await runWrit(['approvals', 'approve', approval.approvalId, '-m', 'fine'], {env});
	assert.deepEqual([granted.exit, granted.err], [0, '']);
	assert.equal(await ended(writ, runId), 'succeeded');
	assert.equal((await runWrit(['approvals', 'grant', approval.approvalId], {env})).exit, 1);
});

test('in a team, people look, comment, hand on, grant and take back from the command line; a webhook hears of it', async (t) => {
	const heard: string[] = [];
	const hook = createServer((request, response) => {
		request.on('data', (chunk) => heard.push(JSON.parse(String(chunk)).metadata.event_type));
		request.on('end', () => response.end());
	}).listen(0, '127.0.0.1');
	await once(hook, 'listening');
	t.after(() => hook.close());
	const dataDir = freshData(t);
	const file = path.join(dataDir, 'two.cedar');
	writeFileSync(file, TWO_FOR_CODE);
	const tokens = Object.fromEntries(['ada', 'bob', 'cy', 'dee'].map((who) => [who, `token-of-${who}-0000000000`]));
	const team = await startWrit(t, {
		dataDir,
		until: 'listening',
		env: {
			WRIT_POLICY_FILE: file,
			WRIT_POOL_SIZE: '0',
			WRIT_AUTH_TOKENS: Object.entries(tokens)
				.map(([who, token]) => `${token}=${who}@acme`)
				.join(','),
			WRIT_WEBHOOK_URL: `http://127.0.0.1:${(hook.address() as AddressInfo).port}/`,
			WRIT_WEBHOOK_SECRET: 'what both know',
		},
	});
	const as = (who: string, ...args: string[]) =>
		runWrit([...args, '--json'], {env: {WRIT_URL: team.url, WRIT_TOKEN: tokens[who] ?? ''}});
	const code = path.join(dataDir, 'code.js');
	writeFileSync(code, 'export default 1');
	await as('ada', 'code', code);
	const {approvals} = JSON.parse((await as('bob', 'approvals')).out) as {approvals: Approval[]};
	const id = approvals[0]?.approvalId ?? '';
	const stand = async (who: string, ...args: string[]) => {
		const {state, grantedBy, required} = JSON.parse((await as(who, 'approvals', ...args)).out) as Approval;
		return [state, grantedBy, required];
	};
	assert.deepEqual(await stand('bob', 'show', id), ['pending', [], 2]);
	await as('bob', 'approvals', 'comment', id, 'who wrote this?');
	assert.deepEqual(await stand('bob', 'delegate', id, 'dee'), ['pending', [], 2]);
	assert.equal((await as('bob', 'approvals', 'approve', id)).exit, 3);
	assert.equal((await as('ada', 'approvals', 'approve', id)).exit, 3);
	assert.equal((await as('cy', 'approvals', 'approve', id, '--digest', '0'.repeat(64))).exit, 1);
	assert.deepEqual(await stand('cy', 'approve', id, '-m', 'fine'), ['pending', ['cy'], 2]);
	assert.deepEqual(await stand('cy', 'revoke', id, '-m', 'wait'), ['pending', [], 2]);
	assert.deepEqual(await stand('dee', 'approve', id), ['pending', ['dee'], 2]);
	assert.deepEqual(await stand('dee', 'reject', id, '-m', 'not today'), ['rejected', ['dee'], 2]);
	const said = ['commented', 'delegated', 'granted', 'revoked', 'granted', 'rejected'];
	const {history} = JSON.parse((await as('dee', 'approvals', 'show', id)).out) as Approval;
	assert.deepEqual(
		history.map(({kind}) => kind),
		said,
	);
	const told = ['requested', ...said].map((kind) => `writ_approval_${kind}`);
	await eventually('last message', () => (heard.length >= told.length ? true : undefined));
	assert.deepEqual(heard, told);
});

const TWO_FOR_CODE = `
@id("two-look-at-code")
@description("two people look at code")
@decision("ask")
@quorum("2")
permit (principal, action == Action::"code.javascript", resource);
`;

test('an approval that nobody answers in time cannot be granted any more', async (t) => {
	const dataDir = freshData(t, await ingestedSamples());
	writeFileSync(path.join(dataDir, 'ask.cedar'), ASK_FOR_SQL);
	const file = path.join(dataDir, 'policy.yaml');
	writeFileSync(file, 'version: 1\napprovals: {approveWithinSeconds: 1}\ncedar: {files: [ask.cedar]}\n');
	const quick = await startAsking(t, {dataDir, policy: null, env: {WRIT_POLICY_FILE: file}});
	const {approval, runId} = await ask(quick, 'SELECT 5 AS five');
	await eventually('passing of the deadline', () => (Date.now() > Date.parse(approval.approveBy) ? true : undefined));
	const late = await grant<ErrorReply>(quick, approval);
	assert.deepEqual([late.status, late.body.error.code], [403, 'policy_denied']);
	assert.equal(typesOf(await quick.events(runId)).includes('action.intent'), false);
});

test('a waiting run survives a restart, and a policy that changed meanwhile asks again', async (t) => {
	const dataDir = freshData(t, await ingestedSamples());
	const first = await startAsking(t, {dataDir});
	const {approval, runId} = await ask(first, 'SELECT 6 AS six');
	await first.stop('SIGKILL');
	writeFileSync(path.join(dataDir, 'ask.cedar'), ASK_FOR_SQL.replaceAll('sql-asks', 'sql-asks-again'));

	const second = await startAsking(t, {dataDir, policy: null});
	await grant(second, approval);
	const status = await eventually('decision about the granted action', async () => {
		const waiting = (await second.get<{approvals: Approval[]}>('/api/v1/approvals?state=pending')).body.approvals;
		return waiting.find((other) => other.runId === runId && other.approvalId !== approval.approvalId)?.state;
	});
	assert.equal(status, 'pending', 'the grant was for another policy');
	assert.equal(typesOf(await second.events(runId)).includes('action.intent'), false);
});

test('a policy file that cannot be read or parsed never allows anything', async (t) => {
	const missing = await runWrit(['serve'], {
		env: {WRIT_POLICY_FILE: '/nowhere/at-all.cedar', WRIT_PORT: '0', WRIT_DATA_DIR: freshData(t)},
	});
	assert.equal(missing.exit, 2);
	assert.match(missing.err, /invalid_config: at-all.cedar: cannot be read: ENOENT/);

	const dataDir = freshData(t);
	const file = path.join(dataDir, 'broken.cedar');
	writeFileSync(file, '\npermit (everything);');
	const broken = await runWrit(['serve'], {env: {WRIT_POLICY_FILE: file, WRIT_PORT: '0', WRIT_DATA_DIR: dataDir}});
	assert.equal(broken.exit, 2);
	assert.match(broken.err, /invalid_config: broken.cedar:2:9: /);
});

type Asking = WritOptions & {
	/** null leaves the one that is there */
	readonly policy?: string | null;
};

/** A server with a policy file. */
async function startAsking(scope: Scope, {policy = ASK_FOR_SQL, ...options}: Asking = {}): Promise<Writ> {
	const dataDir = options.dataDir ?? freshData(scope, await ingestedSamples());
	const file = path.join(dataDir, 'ask.cedar');
	if (policy !== null) writeFileSync(file, policy);
	return startWrit(scope, {...options, dataDir, env: {WRIT_POOL_SIZE: '0', WRIT_POLICY_FILE: file, ...options.env}});
}

async function ask({request, get}: Writ, sql: string): Promise<{readonly runId: string; readonly approval: Approval}> {
	const response = await request('/chat', jsonPost({dataset_id: 'support', message: `SQL: ${sql}`}));
	const {status, run_id, details} = (await response.json()) as ChatResponse;
	assert.deepEqual([response.status, status], [200, 'awaiting_approval']);
	const {approvals} = (await get<{approvals: Approval[]}>('/api/v1/approvals')).body;
	const approval = approvals.find(({approvalId}) => approvalId === details.approval_id);
	assert.ok(approval);
	return {runId: run_id, approval};
}

/** Grants what was shown. */
function grant<Body = unknown>({post}: Writ, {approvalId, previewDigest}: Approval, comment = '') {
	return post<Body>(`/api/v1/approvals/${approvalId}/grant`, {comment, previewDigest});
}

function reject<Body = unknown>({post}: Writ, {approvalId}: Approval, comment = '') {
	return post<Body>(`/api/v1/approvals/${approvalId}/reject`, {comment});
}

async function ended({get}: Writ, runId: string): Promise<string> {
	return eventually('end of the run', async () => {
		const {status} = (await get<{status: string}>(`/runs/${runId}/status`)).body;
		return status === 'running' || status === 'awaiting_approval' ? undefined : status;
	});
}

function typesOf(events: readonly {readonly type: string}[]): readonly string[] {
	return events.map(({type}) => type);
}
