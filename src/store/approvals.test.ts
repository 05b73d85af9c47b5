import assert from 'node:assert/strict';
import {test} from 'node:test';
import {asked, at, batch, expired, finished, granted, intent, message, rejected, started} from './sample-run.ts';
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
	};
	const answer = {approver: 'bob', comment: 'go ahead', executeBy: at(700)};
	for (const [what, bodies, change] of [
		['requested', [], {}],
		['granted', [granted()], {...answer, state: 'granted'}],
		['rejected', [rejected()], {approver: 'bob', comment: 'not now', state: 'rejected'}],
		['expired', [expired()], {state: 'expired'}],
		['granted and expired', [granted(), expired()], {...answer, state: 'expired'}],
		['consumed', [granted(), intent('apr_1')], {...answer, state: 'consumed'}],
		['left by a finished run', [finished()], {state: 'expired'}],
	] as const)
		test(`an approval that was ${what} says so`, async () => {
			const store = await fresh();
			await store.append(batch({runId: 'r', expectedSeq: 0}, started(), asked(), ...bodies));
			const expected = {...row, ...change};
			assert.deepEqual(await store.approval('apr_1'), expected);
			assert.deepEqual(await store.approvals('local'), [expected]);
			assert.deepEqual(await store.approvals('local', expected.state as 'pending'), [expected]);
			assert.deepEqual(await store.approvals('other'), []);
			assert.equal(await store.approval('apr_2'), null);
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
