/** Twelve ways to have something done that nobody approved. Each is tried on the real path; none works. */
import assert from 'node:assert/strict';
import {writeFileSync} from 'node:fs';
import path from 'node:path';
import {after, test} from 'node:test';
import {z} from 'zod';
import type {ErrorReply} from '#contract/api.ts';
import type {Approval} from '#contract/approval-api.ts';
import type {EventBody, Principal} from '#contract/event.ts';
import {openJournal} from '#evidence/journal.ts';
import {govern, type Outcome} from '#kernel/govern.ts';
import {createTool, policyOf, shownBy, type TestKernel, testKernel} from '#kernel/test-kernel.ts';
import type {AnyTool} from '#kernel/tool.ts';
import {freshData, type Scope, startWrit} from './server.ts';

const scope: Scope = {after};

/** A tool that changes something, and what it was made to change. */
function changing(parts: Partial<AnyTool> = {}) {
	const done: unknown[] = [];
	const run = async (input: unknown) => {
		done.push(input);
		return {};
	};
	const tool = createTool({...{name: 'ops.restart', effect: 'write', risk: 'medium'}, ...(parts as object), run});
	return {tool, done};
}

const RESTART = {text: 'web'};

/** A run whose action `act_1` was asked about and granted. */
async function granted(tool: AnyTool, input: unknown = RESTART, more: Parameters<typeof testKernel>[0] = {}) {
	const run = await testKernel({...more, tools: [tool, createTool()]});
	const approvalId = asked(await run.propose('ops.restart', input));
	await run.answer('grant', approvalId);
	return {...run, approvalId};
}

function asked(outcome: Outcome): string {
	assert.equal(outcome.kind, 'awaiting_approval', JSON.stringify(outcome));
	return outcome.kind === 'awaiting_approval' ? outcome.approvalId : '';
}

test('without an attack, what was granted happens once', async () => {
	const {tool, done} = changing();
	const run = await granted(tool);
	assert.equal((await run.propose('ops.restart', RESTART)).kind, 'succeeded');
	assert.deepEqual(done, [RESTART]);
});

test('attack 1, args swapped after approval: other arguments are another action, under the same id or a new one', async () => {
	const {tool, done} = changing();
	const run = await granted(tool);
	assert.equal((await run.propose('ops.restart', {text: 'everything'})).kind, 'denied');
	assert.notEqual(asked(await run.propose('ops.restart', {text: 'everything'}, {id: 'act_2'})), run.approvalId);
	assert.deepEqual(done, []);
});

test('attack 2, path traversal equivalence: another spelling of a path is another action, and it is what the approver reads', async () => {
	const {tool, done} = changing({preview: ({text}: {text: string}) => `remove ${text}`});
	const run = await granted(tool, {text: 'reports/a.txt'});
	const spellings = [
		'reports/../reports/a.txt',
		'./reports/a.txt',
		'reports//a.txt',
		'reports/a.txt/',
		'reports/%61.txt',
		'REPORTS/a.txt',
	];
	for (const [index, text] of spellings.entries()) {
		assert.equal((await run.propose('ops.restart', {text})).kind, 'denied', text);
		const approvalId = asked(await run.propose('ops.restart', {text}, {id: `act_${index + 2}`}));
		assert.equal((await run.store.approval(approvalId))?.preview, `remove ${text}`);
	}
	assert.deepEqual(done, []);
});

test('attack 3, unicode and number canonicalisation twins: what differs is asked for, what is approved is what is done', async () => {
	const {tool, done} = changing({input: z.unknown()});
	const twins = [
		['caf\u00e9', 'cafe\u0301'],
		['admin', '\u0430dmin'],
		['web', 'web\u200b'],
		['1', '\uff11'],
		[1, '1'],
		[1, 1.0000000000000002],
		[100, '1e2'],
	] as const;
	for (const [approved, twin] of twins) {
		const run = await granted(tool, approved);
		asked(await run.propose('ops.restart', twin, {id: 'act_2'}));
		assert.equal((await run.propose('ops.restart', approved)).kind, 'succeeded');
		assert.equal((await run.propose('ops.restart', twin)).kind, 'denied', JSON.stringify(twin));
		assert.deepEqual(done.splice(0), [approved]);
	}
	// The same value written in another way is the same action; in another order it reads differently, and is asked for again.
	const run = await granted(tool, JSON.parse('{"a": 1.0, "b": 1e2}'));
	asked(await run.propose('ops.restart', JSON.parse('{"b": 100, "a": 1}')));
	await run.answer('grant', asked(await run.propose('ops.restart', JSON.parse('{"a": 1, "b": 100}'))));
	assert.equal((await run.propose('ops.restart', JSON.parse('{"a": 1, "b": 100}'))).kind, 'succeeded');
	assert.deepEqual(done, [{a: 1, b: 100}]);
});

test('attack 4, approval reused: the next action like it asks for its own, and the store takes the approval once', async () => {
	const {tool, done} = changing();
	const run = await granted(tool);
	await run.propose('ops.restart', RESTART);
	asked(await run.propose('ops.restart', RESTART, {id: 'act_2'}));
	await assert.rejects(run.journal.append(await intentFor(run, 'act_2')), {code: 'conflict'});
	assert.deepEqual(done, [RESTART]);
});

test('attack 5, approval for agent A used by B: it is of no use to another run', async () => {
	const {tool, done} = changing();
	const run = await granted(tool);
	const other = await runOf({kind: 'agent', id: 'b', tenant: 'local'}, run);
	const outcome = await govern(
		{id: 'act_1', tool: 'ops.restart', input: RESTART},
		other,
		run.kernel,
		new AbortController().signal,
	);
	assert.notEqual(asked(outcome), run.approvalId);
	await assert.rejects(other.append(await intentFor(run, 'act_1')), {code: 'conflict'});
	assert.deepEqual(done, []);
});

test('attack 6, policy tightened between: the policy of the moment counts', async () => {
	for (const [decisions, kind] of [
		[{medium: 'deny', high: 'deny', critical: 'deny'}, 'denied'],
		[{medium: 'ask', high: 'ask', critical: 'ask'}, 'awaiting_approval'],
	] as const) {
		const {tool, done} = changing();
		const rules = {policy: policyOf({critical: 'deny'})};
		const run = await granted(tool, RESTART, {policy: () => rules.policy});
		rules.policy = policyOf(decisions);
		assert.equal((await run.propose('ops.restart', RESTART)).kind, kind);
		assert.deepEqual(done, []);
	}
});

test('attack 7, budget drained between: what is left counts, and another budget is another question', async () => {
	const {tool, done} = changing();
	const run = await granted(tool, RESTART, {budget: {actions: 2}});
	for (const id of ['act_2', 'act_3']) await run.propose('analyst.echo', {text: 'x'}, {id});
	const drained = await run.propose('ops.restart', RESTART);
	assert.equal(drained.kind === 'denied' && drained.decision.gates.find(({effect}) => effect === 'deny')?.gate, 'budget');

	const second = await granted(tool);
	const richer = {...second.kernel, budget: {...second.kernel.budget, costUsd: 1_000}};
	const outcome = await govern(
		{id: 'act_1', tool: 'ops.restart', input: RESTART},
		second.journal,
		richer,
		new AbortController().signal,
	);
	assert.notEqual(asked(outcome), second.approvalId);
	assert.deepEqual(done, []);
});

test('attack 8, target changed between: its state is part of what was approved', async () => {
	const target = {version: 'v1'};
	const {tool, done} = changing({fingerprint: async () => target.version});
	const run = await granted(tool);
	target.version = 'v2';
	assert.notEqual(asked(await run.propose('ops.restart', RESTART)), run.approvalId);
	await assert.rejects(run.answer('grant', run.approvalId), {code: 'conflict'});
	assert.deepEqual(done, []);
});

test('attack 9, clock moved back: time that the run has recorded does not come back', async () => {
	const {tool, done} = changing();
	const waiting = await testKernel({tools: [tool, createTool()]});
	const approvalId = asked(await waiting.propose('ops.restart', RESTART));
	waiting.advance(61_000);
	await waiting.propose('analyst.echo', {text: 'the time is on record'}, {id: 'act_2'});
	waiting.advance(-60_000);
	await assert.rejects(waiting.answer('grant', approvalId), {code: 'policy_denied'});
	assert.equal((await waiting.propose('ops.restart', RESTART)).kind, 'expired');

	const unused = await granted(tool);
	unused.advance(61_000);
	await unused.propose('analyst.echo', {text: 'the time is on record'}, {id: 'act_2'});
	unused.advance(-60_000);
	assert.equal((await unused.propose('ops.restart', RESTART)).kind, 'expired');
	assert.deepEqual(done, []);
});

test('attack 10, quorum by one person with two accounts: accounts of one person are one person', async () => {
	const dataDir = freshData(scope);
	const file = path.join(dataDir, 'two.cedar');
	writeFileSync(file, TWO_PEOPLE);
	const WRIT_AUTH_TOKENS = Object.entries(TOKENS)
		.map(([who, token]) => `${token}=${who}@acme`)
		.join(',');
	const env = {WRIT_POLICY_FILE: file, WRIT_AUTH_TOKENS, WRIT_POOL_SIZE: '0'};
	const {request} = await startWrit(scope, {dataDir, env, until: 'listening'});
	const as = async <Body>(who: keyof typeof TOKENS, route: string, body?: object) => {
		const headers = {authorization: `Bearer ${TOKENS[who]}`, 'content-type': 'application/json'};
		const response = await request(route, {headers, ...(body && {method: 'POST', body: JSON.stringify(body)})});
		return {status: response.status, body: (await response.json()) as Body};
	};
	await as('ada', '/api/v1/code', {language: 'javascript', code: 'export default 1'});
	const [approval] = (await as<{approvals: Approval[]}>('bob:bob', '/api/v1/approvals')).body.approvals;
	assert.ok(approval);
	assert.deepEqual([approval.required, approval.requestedBy], [2, 'ada']);
	const grant = (who: keyof typeof TOKENS) =>
		as<Approval & ErrorReply>(who, `/api/v1/approvals/${approval.approvalId}/grant`, {previewDigest: approval.previewDigest});

	assert.deepEqual([(await grant('ada')).status, (await grant('ada2:ada')).status], [403, 403], 'she proposed it');
	const first = await grant('bob:bob');
	assert.deepEqual([first.status, first.body.state, first.body.grantedBy], [200, 'pending', ['bob']]);
	assert.deepEqual([(await grant('bob:bob')).status, (await grant('robert:bob')).status], [409, 409]);
	const second = await grant('cy');
	assert.deepEqual([second.status, second.body.state, second.body.grantedBy], [200, 'granted', ['bob', 'cy']]);
});

const TWO_PEOPLE = `
@id("two-look-at-code")
@description("two people look at code")
@decision("ask")
@quorum("2")
permit (principal, action == Action::"code.javascript", resource);
`;

/** Accounts, each with its person where that has another name. */
const TOKENS = {
	ada: 'token-of-ada-0000000',
	'ada2:ada': 'token-of-ada-1111111',
	'bob:bob': 'token-of-bob-0000000',
	'robert:bob': 'token-of-bob-1111111',
	cy: 'token-of-cy-00000000',
};

test('attack 11, resume raced by two workers: one of them starts it', async () => {
	const {tool, done} = changing({fingerprint: async () => 'v1'});
	const run = await granted(tool);
	const journal = await run.resume();
	const outcomes = await Promise.allSettled([
		run.propose('ops.restart', RESTART),
		run.propose('ops.restart', RESTART, {journal}),
	]);
	assert.deepEqual(outcomes.map(({status}) => status).toSorted(), ['fulfilled', 'rejected']);
	assert.deepEqual(done, [RESTART]);
});

test('attack 12, crash between nonce consume and effect: it is unknown, and the approval is used up', async () => {
	const {tool, done} = changing();
	const crashing = {...tool, run: () => new Promise<never>(() => {})};
	const run = await granted(crashing);
	const abandoned = run.propose('ops.restart', RESTART);
	abandoned.catch(() => {}); // its process has died
	while (!(await run.recorded()).includes('action.intent')) await Promise.resolve();
	const journal = await run.resume();
	const after = {...run.kernel, tools: new Map([[tool.name, tool]])};
	for (const _ of [1, 2]) {
		const outcome = await govern(
			{id: 'act_1', tool: 'ops.restart', input: RESTART},
			journal,
			after,
			new AbortController().signal,
		);
		assert.equal(outcome.kind, 'unknown');
	}
	assert.equal((await run.store.approval(run.approvalId))?.state, 'consumed');
	const again = await govern({id: 'act_2', tool: 'ops.restart', input: RESTART}, journal, after, new AbortController().signal);
	assert.notEqual(asked(again), run.approvalId);
	assert.deepEqual(done, []);
});

test('an answer that repeats another preview than the one that was filed is refused', async () => {
	const {tool} = changing();
	const run = await testKernel({tools: [tool]});
	const approvalId = asked(await run.propose('ops.restart', RESTART));
	const approver: Principal = {kind: 'user', id: 'bob', tenant: 'local'};
	const now = run.kernel.clock.now();
	const answers = run.kernel.approvals as unknown as {
		grant(events: TestKernel['journal']['events'], answer: object, now: Date): EventBody;
	};
	const grant = (previewDigest: string) =>
		answers.grant(run.journal.events, {approvalId, approver, comment: '', previewDigest}, now);
	assert.throws(() => grant('0'.repeat(64)), {code: 'conflict'});
	assert.equal(grant(shownBy(approvalId, run.journal.events)).type, 'approval.granted');
});

/** The intent that a kernel without gates would write for an action, with an approval that was given for another. */
async function intentFor(
	{durable, approvalId}: TestKernel & {readonly approvalId: string},
	actionId: string,
): Promise<EventBody> {
	const request = (await durable()).find((event) => event.type === 'approval.requested' && event.data.approvalId === approvalId);
	assert.ok(request?.type === 'approval.requested');
	const {binding, requestedBy} = request.data;
	return {type: 'action.intent', actor: requestedBy, data: {actionId, permitId: 'pmt_x', approvalId, binding, limits: {}}};
}

function runOf(principal: Principal, {store, kernel}: TestKernel) {
	const started = {
		job: 'ops',
		mode: 'model',
		threadId: null,
		question: null,
		dataset: null,
		software: 'test',
		policyVersion: 'p1',
	} as const;
	const ports = {store, clock: kernel.clock, redact: kernel.redact, sign: () => assert.fail('it does not finish')};
	return openJournal({...ports, runId: 'run_2', principal, fence: {holder: 'h3', leaseMs: 1_000}, started});
}
