import assert from 'node:assert/strict';
import {test} from 'node:test';
import type {Event, EventBody, Principal} from '#contract/event.ts';
import {runOf} from '#kernel/facts.ts';
import {govern} from '#kernel/govern.ts';
import type {Journal, Kernel} from '#kernel/ports.ts';
import {shownBy} from '#kernel/test-kernel.ts';
import {loadDefaultPolicy} from '#policy/policy.ts';
import {NOW, sampleAction, sampleDigest, sampleFacts, samplePolicy} from '#policy/sample-action.ts';
import {createApprovals} from './approvals.ts';

const AGENT: Principal = {kind: 'agent', id: 'analyst', tenant: 'local'};
const ADA: Principal = {kind: 'user', id: 'ada', tenant: 'local'};

/** A run whose agent wants to delete something, with real gates and approvals, in memory; `effects` counts what happened. */
function deletion() {
	const events: Event[] = [];
	const seen = {now: NOW, policy: samplePolicy(), effects: 0, ids: 0};
	const approvals = createApprovals({approveWithinMs: 60_000, executeWithinMs: 60_000, newId: () => `apr_${++seen.ids}`});
	const {tool} = sampleAction({}, {name: 'ops.delete', effect: 'destructive', run: async () => ++seen.effects});
	const journal: Journal = {
		changed: () => new Promise(() => {}),
		runId: 'run_1',
		principal: AGENT,
		events,
		async append(...bodies: readonly EventBody[]) {
			for (const body of bodies) {
				events.push({...body, v: 1, runId: 'run_1', seq: events.length + 1, at: seen.now.toISOString(), prev: '', hash: ''});
			}
		},
	};
	const kernel: Kernel = {
		tools: new Map([[tool.name, tool]]),
		policy: () => seen.policy,
		approvals,
		sandboxes: {level: async () => 'none', run: () => Promise.reject(new Error('this tool needs no sandbox'))},
		clock: {now: () => seen.now},
		redact: (value) => ({value, count: 0}),
		digest: sampleDigest,
		newId: (prefix) => `${prefix}_${++seen.ids}`,
		budget: sampleFacts().run.budget,
		progress: () => {},
		report: assert.ifError,
	};
	const propose = () => govern({id: 'act_1', tool: tool.name, input: {}}, journal, kernel, new AbortController().signal);
	const grant = (approvalId: string) =>
		journal.append(
			approvals.grant(events, {approvalId, approver: ADA, comment: '', previewDigest: shownBy(approvalId, events)}, seen.now),
		);
	const wait = (seconds: number) => {
		seen.now = new Date(seen.now.getTime() + seconds * 1_000);
	};
	return {seen, journal, kernel, propose, grant, wait};
}

test('an action that asks happens once, after a person approved it', async () => {
	const {seen, propose, grant} = deletion();
	assert.equal((await propose()).kind, 'awaiting_approval');
	assert.equal((await propose()).kind, 'awaiting_approval');
	assert.equal(seen.effects, 0);

	await grant('apr_1');
	assert.equal((await propose()).kind, 'succeeded');
	assert.equal((await propose()).kind, 'succeeded');
	assert.equal(seen.effects, 1);
});

test('an action that nobody approves in time does not happen, even if it is proposed again', async () => {
	const {seen, propose, wait} = deletion();
	await propose();
	wait(60);
	assert.deepEqual([(await propose()).kind, (await propose()).kind, seen.effects], ['expired', 'expired', 0]);
});

test('a policy that changed while a person was deciding asks again', async () => {
	const {seen, propose, grant} = deletion();
	await propose();
	await grant('apr_1');
	const {policies} = loadDefaultPolicy();
	seen.policy = samplePolicy({
		policies: `${policies} @id("later") permit (principal is Agent, action in Action::"write", resource);`,
	});
	const outcome = await propose();
	assert.deepEqual([outcome.kind === 'awaiting_approval' && outcome.approvalId, seen.effects], ['apr_2', 0]);
});

test('a policy that forbids the action meanwhile beats the approval', async () => {
	const {seen, propose, grant} = deletion();
	await propose();
	await grant('apr_1');
	const {policies} = loadDefaultPolicy();
	seen.policy = samplePolicy({
		policies: `${policies} @id("freeze") forbid (principal, action in Action::"destructive", resource);`,
	});
	assert.deepEqual([(await propose()).kind, seen.effects], ['denied', 0]);
});

test('the time a run waits for a person is not taken from its budget', async () => {
	const {journal, kernel, propose, grant, wait} = deletion();
	await propose();
	wait(30);
	assert.equal(runOf(journal, kernel).waitedMs, 30_000);
	await grant('apr_1');
	wait(5);
	assert.equal(runOf(journal, kernel).waitedMs, 30_000);
});
