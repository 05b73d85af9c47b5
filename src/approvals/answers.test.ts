import assert from 'node:assert/strict';
import {test} from 'node:test';
import {type ErrorCode, WritError} from '#contract/errors.ts';
import type {Event, EventBody, Principal} from '#contract/event.ts';
import {NOW, sampleAction, sampleFacts} from '#policy/sample-action.ts';
import type {Answers} from './answers.ts';
import {type ApprovalOptions, createApprovals} from './approvals.ts';

const AGENT: Principal = {kind: 'agent', id: 'ops', tenant: 'local'};
const SHOWN = 'd'.repeat(64);

function person(id: string, human?: string): Principal {
	return {kind: 'user', id, tenant: 'local', ...(human === undefined ? {} : {person: human})};
}

/** A run of an agent, which acts for Ada, that asks; answers are given by name, a second apart. */
type Asking = Partial<ApprovalOptions> & {readonly required?: number; readonly requester?: Principal; readonly owner?: Principal};

function asking({required = 1, requester = AGENT, owner = person('ada'), ...options}: Asking = {}) {
	const approvals = createApprovals({approveWithinMs: 60_000, executeWithinMs: 30_000, newId: () => 'apr_1', ...options});
	const events: Event[] = [];
	const clock = {seconds: 0};
	const now = () => new Date(NOW.getTime() + clock.seconds * 1_000);
	const add = (body: EventBody) => {
		events.push({...body, v: 1, runId: 'run_1', seq: events.length + 1, at: now().toISOString(), prev: '', hash: ''});
		clock.seconds += 1;
	};
	const question = {binding: 'b', preview: 'what would happen', previewDigest: SHOWN};
	const decision = {effect: 'ask' as const, gates: [], risk: 'low' as const, policyVersion: 'p', quorum: required};
	const request = approvals.request(sampleAction(), question, {facts: sampleFacts({}, requester), decision, owner});
	add({type: 'approval.requested', actor: AGENT, data: request});
	const base = (approver: Principal) => ({approvalId: 'apr_1', approver, comment: ''});
	return {
		events,
		clock,
		approvals,
		grant: (by: Principal, more: Partial<Parameters<Answers['grant']>[1]> = {}) =>
			add(approvals.grant(events, {...base(by), previewDigest: SHOWN, ...more}, now())),
		revoke: (by: Principal) => add(approvals.revoke(events, base(by), now())),
		reject: (by: Principal) => add(approvals.reject(events, base(by), now())),
		delegate: (by: Principal, to: string) => add(approvals.delegate(events, {...base(by), to}, now())),
		comment: (by: Principal, comment: string) => add(approvals.comment(events, {...base(by), comment}, now())),
		escalate: () => {
			const body = approvals.escalate(events, 'apr_1', now());
			if (body) add(body);
			return body;
		},
		state: () => approvals.state(events, 'act_1', 'b', now()).kind,
	};
}

function refused(code: ErrorCode, message: RegExp) {
	return (error: unknown) => error instanceof WritError && error.code === code && message.test(error.message);
}

const TOKEN_OF_ADA: Principal = {kind: 'agent', id: 'nightly', tenant: 'local', person: 'ada', onBehalfOf: 'ada'};

const [ADA, BOB, CY, DEE] = [person('ada'), person('bob'), person('cy'), person('dee')];

test('it takes as many different people as it asks for', () => {
	const run = asking({required: 2});
	run.grant(BOB);
	assert.equal(run.state(), 'pending');
	assert.throws(() => run.grant(BOB), refused('conflict', /you have granted it already; it takes 2 different people/));
	assert.throws(() => run.grant(person('robert', 'bob')), refused('conflict', /granted it already/));
	run.grant(CY);
	assert.equal(run.state(), 'granted');
	assert.throws(() => run.grant(DEE), refused('conflict', /answered already/));
});

test('what is critical takes two people whatever the rules say, and rules can ask for more', () => {
	const approvals = createApprovals({approveWithinMs: 1, executeWithinMs: 1, newId: () => 'apr_1'});
	const required = (risk: 'high' | 'critical', quorum?: number) => {
		const decision = {effect: 'ask' as const, gates: [], risk, policyVersion: 'p', ...(quorum === undefined ? {} : {quorum})};
		const question = {binding: 'b', preview: '', previewDigest: SHOWN};
		return approvals.request(sampleAction(), question, {facts: sampleFacts(), decision, owner: null}).required;
	};
	assert.deepEqual([required('high'), required('high', 2), required('critical'), required('critical', 3)], [1, 2, 2, 3]);
});

test('neither the owner of an agent nor another account of theirs counts, and they may reject', () => {
	const run = asking();
	assert.throws(() => run.grant(ADA), refused('forbidden', /nobody may approve what their own agent proposed/));
	assert.throws(() => run.grant(person('ada-at-work', 'ada')), refused('forbidden', /their own agent/));
	run.reject(ADA);
	assert.equal(run.state(), 'rejected');
});

test('a server with a single user says that two people cannot be reached there', () => {
	const run = asking({required: 2, allowSelfApproval: true});
	assert.throws(() => run.grant(ADA), refused('forbidden', /this takes 2 different people, and this server knows only one/));
	const alone = asking({allowSelfApproval: true});
	alone.grant(ADA);
	assert.equal(alone.state(), 'granted');
});

test('a grant repeats the digest of what was shown, or is refused', () => {
	const run = asking();
	for (const previewDigest of ['', 'e'.repeat(64)])
		assert.throws(() => run.grant(BOB, {previewDigest}), refused('conflict', /what you were shown is not what/));
	assert.equal(run.state(), 'pending');
});

test('a person takes their own grant back, and it waits again', () => {
	const run = asking({required: 2});
	run.grant(BOB);
	run.grant(CY);
	run.revoke(CY);
	assert.equal(run.state(), 'pending');
	run.grant(DEE);
	assert.equal(run.state(), 'granted');
});

test('another person revokes what was granted, and that is the end of it', () => {
	const run = asking();
	assert.throws(() => run.revoke(CY), refused('conflict', /is not granted, so there is nothing to revoke/));
	run.grant(BOB);
	run.revoke(CY);
	assert.equal(run.state(), 'rejected');
	assert.throws(() => run.grant(DEE), refused('conflict', /answered already/));
});

test('a grant that is taken back when nobody can answer any more ends it', () => {
	const run = asking({executeWithinMs: 600_000});
	run.grant(BOB);
	run.clock.seconds = 61;
	run.revoke(BOB);
	assert.equal(run.state(), 'rejected');
});

test('an approval that was used cannot be revoked', () => {
	const run = asking();
	run.grant(BOB);
	const data = {actionId: 'act_1', permitId: 'pmt_1', approvalId: 'apr_1', binding: 'b', limits: {}};
	run.events.push({
		...{type: 'action.intent', actor: AGENT, data, v: 1, runId: 'run_1'},
		...{seq: 3, at: new Date(NOW.getTime() + 2_000).toISOString(), prev: '', hash: ''},
	});
	assert.throws(() => run.revoke(BOB), refused('conflict', /answered already/));
});

test('who hands an approval on answers it no more, and whom they name may', () => {
	const run = asking({approvers: ['bob']});
	assert.throws(() => run.grant(CY), refused('forbidden', /not among the people who may answer/));
	assert.throws(() => run.delegate(BOB, 'ada'), refused('forbidden', /has proposed this/));
	assert.throws(() => run.delegate(BOB, 'bob'), refused('validation_error', /somebody else/));
	assert.throws(() => run.delegate(CY, 'dee'), refused('forbidden', /not among/));
	run.delegate(BOB, 'cy');
	assert.throws(() => run.grant(BOB), refused('forbidden', /you handed this on/));
	run.grant(CY);
	assert.equal(run.state(), 'granted');
});

test('when nobody has answered for a while further people are asked, once, and may answer', () => {
	const run = asking({approvers: ['bob'], escalateTo: ['dee'], escalateAfter: 0.5});
	run.clock.seconds = 29;
	assert.equal(run.escalate(), null);
	assert.throws(() => run.grant(DEE), refused('forbidden', /not among/));
	run.clock.seconds = 30;
	assert.deepEqual(run.escalate()?.data, {approvalId: 'apr_1', actionId: 'act_1', notified: ['dee']});
	assert.equal(run.escalate(), null);
	run.grant(DEE);
	assert.equal(run.state(), 'granted');
});

test('who granted much lately gives a reason and types the id of the action', () => {
	const run = asking({fatigue: {grants: 3, windowSeconds: 600}});
	const tired = {recently: 3};
	for (const given of [
		tired,
		{...tired, comment: 'because'},
		{...tired, confirm: 'act_1'},
		{...tired, comment: ' ', confirm: 'act_1'},
	])
		assert.throws(
			() => run.grant(BOB, given),
			refused('confirmation_required', /you have granted 3 approvals in the last 600 s/),
		);
	run.grant(BOB, {...tired, comment: 'because', confirm: 'act_1'});
	assert.equal(run.state(), 'granted');
	const fresh = asking({fatigue: {grants: 3, windowSeconds: 600}});
	fresh.grant(BOB, {recently: 2});
	assert.equal(fresh.state(), 'granted');
});

test('a comment changes nothing but the record, and a clock that goes back brings no time back', () => {
	const run = asking();
	run.clock.seconds = 61;
	run.comment(CY, 'too late?');
	run.clock.seconds = 1;
	assert.equal(run.state(), 'expired');
	assert.throws(() => run.grant(BOB), refused('policy_denied', /expired/));
});

for (const [what, asked] of [
	['proposed with their token', {requester: TOKEN_OF_ADA, owner: TOKEN_OF_ADA}],
	['was proposed by an agent that their token set to work', {owner: TOKEN_OF_ADA}],
	['is proposed by a service they made a token for', {requester: {...TOKEN_OF_ADA, kind: 'service'}, owner: BOB}],
] as const)
	test(`nobody approves what ${what}, nor is it handed to them`, () => {
		const run = asking(asked);
		assert.throws(() => run.grant(ADA), refused('forbidden', /nobody may approve/));
		assert.throws(() => run.grant(person('ada2', 'ada')), refused('forbidden', /nobody may approve/));
		assert.throws(() => run.delegate(CY, 'ada'), refused('forbidden', /nobody may approve/));
		run.grant(CY);
		assert.equal(run.state(), 'granted');
	});
