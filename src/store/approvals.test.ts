import assert from 'node:assert/strict';
import {test} from 'node:test';
import type {EventBody, Principal} from '#contract/event.ts';
import {ANN, asked, at, batch, expired, finished, granted, intent, message, rejected, started} from './sample-run.ts';
import {conflict, eachStore, snapshot} from './test-stores.ts';

eachStore(process.env, ({store: fresh}) => {
	const row = {
		approvalId: 'apr_1',
		runId: 'r',
		actionId: 'act_1',
		tenant: 'local',
		tool: 'docker.restart',
		binding: 'b1',
		preview: 'restart web',
		risk: 'high',
		state: 'pending',
		requestedBy: 'ann',
		requestedAt: at(0),
		approveBy: at(600),
		executeBy: null,
		approver: null,
		comment: null,
		previewDigest: '',
		required: 1,
		escalateAt: null,
	};
	const detail = {owner: null, grantedBy: [] as string[], approvers: null, parentActionId: null, blastRadius: null};
	const answer = {approver: 'bob', comment: 'go ahead', executeBy: at(700)};
	const entry = (second: number, kind: string, by: string | null, comment: string) => ({
		at: at(second),
		kind,
		by,
		comment,
		to: [],
	});
	const wasGranted = entry(0, 'granted', 'bob', 'go ahead');
	const byBob = {grantedBy: ['bob'], history: [wasGranted]};
	for (const [what, bodies, change, more] of [
		['requested', [], {}, {}],
		['granted', [granted()], {...answer, state: 'granted'}, byBob],
		[
			'rejected',
			[rejected()],
			{approver: 'bob', comment: 'not now', state: 'rejected'},
			{history: [entry(0, 'rejected', 'bob', 'not now')]},
		],
		['expired', [expired()], {state: 'expired'}, {history: [entry(0, 'expired', null, '')]}],
		[
			'granted and expired',
			[granted(), expired()],
			{...answer, state: 'expired'},
			{...byBob, history: [wasGranted, entry(0, 'expired', null, '')]},
		],
		['consumed', [granted(), intent('apr_1')], {...answer, state: 'consumed'}, byBob],
		['left by a finished run', [finished()], {state: 'expired'}, {}],
	] as const)
		test(`an approval that was ${what} says so`, async () => {
			const store = await fresh();
			await store.append(batch({runId: 'r', expectedSeq: 0}, started(), asked(), ...bodies));
			const found = await store.approval('apr_1');
			assert.ok(found);
			const history = 'history' in more ? more.history.map((each) => ({...each, at: at(0)})) : [];
			assert.deepEqual({...found, detail: JSON.parse(found.detail)}, {...row, ...change, detail: {...detail, ...more, history}});
			assert.deepEqual(await store.approvals('local'), [found]);
			assert.deepEqual(await store.approvals('local', found.state), [found]);
			assert.deepEqual(await store.approvals('other'), []);
			assert.equal(await store.approval('apr_2'), null);
		});

	const twoPeople: EventBody = {...asked(), data: {...asked().data, required: 2, escalateAt: at(300)}} as EventBody;
	const by = (id: string, person?: string): Principal => ({kind: 'user', id, tenant: 'local', ...(person && {person})});
	const grantOf = (approver: Principal): EventBody => ({...granted(), data: {...granted().data, approver}}) as EventBody;
	const own = (approver: Principal): EventBody => ({
		type: 'approval.revoked',
		actor: approver,
		data: {approvalId: 'apr_1', actionId: 'act_1', approver, comment: '', takesBack: 'own'},
	});
	const setUp = async (...bodies: EventBody[]) => {
		const store = await fresh();
		await store.append(batch({runId: 'r', expectedSeq: 0}, started(), twoPeople, ...bodies));
		return {store, next: (...more: EventBody[]) => store.append(batch({runId: 'r', expectedSeq: 2 + bodies.length}, ...more))};
	};

	test('an approval of two people waits, and its run with it, until two have granted it', async () => {
		const {store, next} = await setUp(grantOf(by('bob')));
		assert.deepEqual([(await store.approval('apr_1'))?.state, (await store.run('r'))?.status], ['pending', 'awaiting_approval']);
		await next(grantOf(by('cy')));
		assert.deepEqual([(await store.approval('apr_1'))?.state, (await store.run('r'))?.status], ['granted', 'running']);
	});

	test('one person does not make two, with one account or with two', async () => {
		for (const again of [by('bob'), by('robert', 'bob')]) {
			const {next} = await setUp(grantOf(by('bob')));
			await assert.rejects(next(grantOf(again)), conflict);
		}
	});

	test('a grant that was taken back counts no more, and the run waits again', async () => {
		const {store, next} = await setUp(grantOf(by('bob')), grantOf(by('cy')), own(by('cy')));
		assert.deepEqual([(await store.approval('apr_1'))?.state, (await store.run('r'))?.status], ['pending', 'awaiting_approval']);
		await assert.rejects(next(intent('apr_1')), conflict);
	});

	test('grants are counted by person and time, and what is due for escalation is found once', async () => {
		const {store, next} = await setUp(grantOf(by('robert', 'bob')));
		const counts = [at(0), at(1)].map((since) => store.grants('local', 'bob', since));
		assert.deepEqual(await Promise.all(counts), [1, 0]);
		assert.deepEqual([await store.grants('local', 'robert', at(0)), await store.grants('other', 'bob', at(0))], [0, 0]);
		const due = async (second: number) => (await store.overdue(new Date(at(second)))).map(({approvalId}) => approvalId);
		assert.deepEqual([await due(299), await due(300)], [[], ['apr_1']]);
		await next({type: 'approval.escalated', actor: ANN, data: {approvalId: 'apr_1', actionId: 'act_1', notified: ['dee']}});
		assert.deepEqual(await due(300), []);
	});

	for (const [what, past, second, body] of [
		['granting a rejected approval', [asked(), rejected()], 3, granted()],
		['granting a granted approval', [asked(), granted()], 3, granted()],
		['granting a consumed approval', [asked(), granted(), intent('apr_1')], 3, granted()],
		['granting after the time to approve', [asked()], 601, granted()],
		['rejecting a granted approval', [asked(), granted()], 3, rejected()],
		['granting what nobody asked for', [asked()], 3, granted('apr_2')],
		['asking twice', [asked()], 3, asked()],
		['an action whose approval is pending', [asked()], 3, intent('apr_1')],
		['an action whose approval was rejected', [asked(), rejected()], 3, intent('apr_1')],
		['an action whose approval was used', [asked(), granted(), intent('apr_1')], 3, intent('apr_1')],
		['an action whose approval has run out', [asked(), granted()], 701, intent('apr_1')],
		['an action with the approval of another binding', [asked(), granted()], 3, intent('apr_1', 'b2')],
		['an action with an approval that does not exist', [asked(), granted()], 3, intent('apr_2')],
	] as const)
		test(`${what} is refused with all of its batch`, async () => {
			const store = await fresh();
			await store.append(batch({runId: 'r', expectedSeq: 0}, started(), ...past));
			const before = await snapshot(store, 'r');

			const refused = batch({runId: 'r', expectedSeq: past.length + 1, second}, message('user', 'hi'), body);
			await assert.rejects(store.append(refused), conflict);
			assert.deepEqual(await snapshot(store, 'r'), before);
		});

	test('the approval of one run is of no use to another', async () => {
		const store = await fresh();
		await store.append(batch({runId: 'r', expectedSeq: 0}, started(), asked(), granted()));
		await assert.rejects(store.append(batch({runId: 's', expectedSeq: 0}, started(), intent('apr_1'))), conflict);
		assert.equal(await store.run('s'), null);
	});
});
