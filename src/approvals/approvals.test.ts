import assert from 'node:assert/strict';
import {test} from 'node:test';
import {WritError} from '#contract/errors.ts';
import type {Decision, Event, EventBody, Principal} from '#contract/event.ts';
import {NOW, sampleAction, sampleFacts} from '#policy/sample-action.ts';
import {createApprovals} from './approvals.ts';

const ADA: Principal = {kind: 'user', id: 'ada', tenant: 'local'};
const BOB: Principal = {kind: 'user', id: 'bob', tenant: 'local'};
const AGENT: Principal = {kind: 'agent', id: 'analyst', tenant: 'local'};
const SECOND = 1_000;

const options = {approveWithinMs: 60 * SECOND, executeWithinMs: 30 * SECOND, newId: () => 'apr_1'};
const approvals = createApprovals(options);
const PREVIEW = 'd'.repeat(64);
const QUESTION = {binding: 'binding', preview: 'what would happen', previewDigest: PREVIEW};
const DECISION = {effect: 'ask', gates: [], risk: 'low', policyVersion: 'p1'} as const;

/** What a run asks for `by`, who acts for `owner`. */
function ask(by: Principal = AGENT, more: Partial<Decision> = {}, owner: Principal | null = null) {
	const grounds = {facts: sampleFacts({}, by), decision: {...DECISION, gates: [], ...more}, owner};
	return approvals.request(sampleAction(), QUESTION, grounds);
}

const later = (seconds: number) => new Date(NOW.getTime() + seconds * SECOND);

/** A run's events; each body is dated by the second it happened. */
function run(...bodies: readonly (readonly [seconds: number, body: EventBody])[]): readonly Event[] {
	return bodies.map(([seconds, body], index) => {
		const link = {v: 1, runId: 'run_1', seq: index + 1, at: later(seconds).toISOString(), prev: '', hash: ''} as const;
		return {...body, ...link};
	});
}

const requested = (by: Principal = AGENT): readonly [number, EventBody] => [
	0,
	{type: 'approval.requested', actor: by, data: ask(by)},
];
const granted = (seconds: number): readonly [number, EventBody] => [
	seconds,
	approvals.grant(run(requested()), {approvalId: 'apr_1', approver: ADA, comment: 'fine', previewDigest: PREVIEW}, later(0)),
];
const rejected: readonly [number, EventBody] = [
	5,
	approvals.reject(run(requested()), {approvalId: 'apr_1', approver: BOB, comment: 'too much'}, later(5)),
];
const intent: readonly [number, EventBody] = [
	6,
	{
		type: 'action.intent',
		actor: AGENT,
		data: {actionId: 'act_1', permitId: 'pmt_1', approvalId: 'apr_1', binding: 'binding', limits: {}},
	},
];
const outcome: readonly [number, EventBody] = [
	7,
	{
		type: 'action.outcome',
		actor: AGENT,
		data: {
			actionId: 'act_1',
			status: 'cancelled',
			output: null,
			outputDigest: '',
			error: null,
			labels: [],
			usage: null,
			isolation: null,
			durationMs: 0,
		},
	},
];

const state = (events: readonly Event[], seconds = 10, binding = 'binding', actionId = 'act_1') =>
	approvals.state(events, actionId, binding, later(seconds));

test('a run without a request has no approval', () => {
	assert.deepEqual(state([]), {kind: 'none'});
});

test('a request says what would run, for whom and until when', () => {
	const action = sampleAction({input: {sql: 'select 1'}, parent: 'act_0'});
	const asking = createApprovals({...options, approvers: ['bob', 'cy'], escalateTo: ['dee'], escalateAfter: 0.5});
	const grounds = {
		facts: sampleFacts({actions: 3}, AGENT),
		decision: {...DECISION, gates: [], risk: 'high' as const},
		owner: ADA,
	};
	assert.deepEqual(asking.request(action, QUESTION, grounds), {
		...QUESTION,
		approvalId: 'apr_1',
		actionId: 'act_1',
		tool: 'analyst.sql',
		risk: 'high',
		requestedBy: AGENT,
		owner: ADA,
		required: 1,
		approvers: ['bob', 'cy'],
		escalateAt: '2026-01-05T10:00:30.000Z',
		blastRadius: {
			effect: 'read',
			target: {type: 'Dataset', id: 'support'},
			hosts: [],
			budget: {actions: {limit: 12, used: 3}, tokens: {limit: 1_000, used: 0}, costUsd: {limit: 1, used: 0}},
		},
		parentActionId: 'act_0',
		approveBy: '2026-01-05T10:01:00.000Z',
		executeWithinMs: 30_000,
	});
	assert.equal(asking.preview(action), '{\n  "sql": "select 1"\n}');
});

for (const [title, events, seconds, kind] of [
	['waits until it is answered', run(requested()), 59, 'pending'],
	['expires when nobody answers in time', run(requested()), 60, 'expired'],
	['is granted by an answer in time', run(requested(), granted(5)), 10, 'granted'],
	['is granted as long as it may be executed', run(requested(), granted(5)), 29, 'granted'],
	['expires when it is not executed in time', run(requested(), granted(5)), 30, 'expired'],
	['is not granted by an answer that was recorded too late', run(requested(), granted(60)), 10, 'expired'],
	['stays rejected', run(requested(), rejected), 10, 'rejected'],
	['stays rejected beside a grant', run(requested(), granted(5), rejected), 10, 'rejected'],
	['is consumed by one intent', run(requested(), granted(5), intent), 10, 'consumed'],
	['stays expired once that is on record', run(requested(), granted(5), [6, expired()]), 10, 'expired'],
] as const) {
	test(`an approval ${title}`, () => {
		assert.equal(state(events, seconds).kind, kind);
	});
}

function expired(): EventBody {
	return {type: 'approval.expired', actor: AGENT, data: {approvalId: 'apr_1', actionId: 'act_1'}};
}

test('an approval covers its own binding and its own action only', () => {
	const events = run(requested(), granted(5));
	assert.deepEqual(state(events), {kind: 'granted', approvalId: 'apr_1'});
	assert.deepEqual(state(events, 10, 'another binding'), {kind: 'none'});
	assert.deepEqual(state(events, 10, 'binding', 'act_2'), {kind: 'none'});
});

test('a refusal says who refused and why, an expiry says when', () => {
	assert.deepEqual(state(run(requested(), rejected)), {
		kind: 'rejected',
		approvalId: 'apr_1',
		reason: 'bob rejected it: too much',
	});
	assert.deepEqual(state(run(requested()), 61), {
		kind: 'expired',
		approvalId: 'apr_1',
		reason: 'nobody approved it before 2026-01-05T10:01:00.000Z; propose it again',
	});
});

test('a grant is the event to append', () => {
	const answer = {approvalId: 'apr_1', approver: ADA, comment: 'fine', previewDigest: PREVIEW};
	assert.deepEqual(approvals.grant(run(requested()), answer, later(10)), {
		type: 'approval.granted',
		actor: ADA,
		data: {
			...{approvalId: 'apr_1', actionId: 'act_1', approver: ADA, comment: 'fine', previewDigest: PREVIEW},
			executeBy: '2026-01-05T10:00:40.000Z',
		},
	});
});

test('a rejection is the event to append', () => {
	const answer = {approvalId: 'apr_1', approver: ADA, comment: ''};
	assert.deepEqual(approvals.reject(run(requested()), answer, later(10)), {
		type: 'approval.rejected',
		actor: ADA,
		data: {approvalId: 'apr_1', actionId: 'act_1', approver: ADA, comment: ''},
	});
});

for (const verb of ['grant', 'reject'] as const) {
	for (const [title, events, approver, seconds, code] of [
		['that nobody requested', run(), ADA, 1, 'not_found'],
		['of another tenant', run(requested()), {...ADA, tenant: 'acme'}, 1, 'not_found'],
		['as an agent', run(requested()), AGENT, 1, 'forbidden'],
		['as a service', run(requested()), {...AGENT, kind: 'service'}, 1, 'forbidden'],
		['that was granted', run(requested(), granted(5)), BOB, 10, 'conflict'],
		['that was rejected', run(requested(), rejected), ADA, 10, 'conflict'],
		['that was used', run(requested(), granted(5), intent), BOB, 10, 'conflict'],
		['whose action is over', run(requested(), outcome), ADA, 10, 'conflict'],
		['when its time is up', run(requested()), ADA, 60, 'policy_denied'],
	] as const) {
		test(`nobody may ${verb} an approval ${title}`, () => {
			const answer = {approvalId: 'apr_1', approver, comment: '', previewDigest: PREVIEW};
			assert.throws(
				() => approvals[verb](events, answer, later(seconds)),
				(error) => error instanceof WritError && error.code === code,
			);
		});
	}
}

test('a person may not approve what they proposed themselves, but may take it back', () => {
	const answer = {approvalId: 'apr_1', approver: ADA, comment: '', previewDigest: PREVIEW};
	assert.throws(
		() => approvals.grant(run(requested(ADA)), answer, later(1)),
		(error) => error instanceof WritError && error.code === 'forbidden',
	);
	assert.equal(approvals.grant(run(requested(ADA)), {...answer, approver: BOB}, later(1)).data.approver, BOB);
	assert.equal(approvals.reject(run(requested(ADA)), answer, later(1)).type, 'approval.rejected');
});

test('the only user of a server may approve their own proposal, and the comment says so', () => {
	const single = createApprovals({...options, allowSelfApproval: true});
	const answer = {approvalId: 'apr_1', approver: ADA, comment: 'mine', previewDigest: PREVIEW};
	const {comment} = single.grant(run(requested(ADA)), answer, later(1)).data;
	assert.equal(comment, 'mine (approved by its proposer: single-user server)');
	assert.equal(single.grant(run(requested(AGENT)), answer, later(1)).data.comment, 'mine');
});

const previewOf = (preview: string) => approvals.preview(sampleAction({}, {preview: () => preview}));

test('a preview that is too long is cut to 4,000 characters, and says so', () => {
	const preview = previewOf('x'.repeat(10_000));
	assert.equal(preview.length, 4_000);
	assert.match(preview, /x\n… cut: this is the beginning of 10000 characters …$/);
	assert.equal(previewOf('x'.repeat(4_000)), 'x'.repeat(4_000));
});

test('a preview is cut between characters', () => {
	for (const before of ['', 'x']) {
		const preview = previewOf(`${before}${'😀'.repeat(5_000)}`);
		assert.ok(preview.isWellFormed() && !preview.includes('\uFFFD'));
	}
});

test('a preview shows characters that would hide or reorder its text', () => {
	assert.equal(
		previewOf('rm \u202Etxt.\u202C\u200B\rls\u001B[8m\n\tend'),
		'rm \\u{202e}txt.\\u{202c}\\u{200b}\\u{d}ls\\u{1b}[8m\n\tend',
	);
	// A name in JavaScript can be one of the first two.
	assert.equal(
		previewOf('\u3164\u115F\uFE0F\u034F\u17B4\u2800\u{E0100}\uE000'),
		'\\u{3164}\\u{115f}\\u{fe0f}\\u{34f}\\u{17b4}\\u{2800}\\u{e0100}\\u{e000}',
	);
});
