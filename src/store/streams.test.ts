import assert from 'node:assert/strict';
import {test} from 'node:test';
import {asked, at, batch, expired, finished, granted, hash, intent, message, rejected, resumed, started} from './sample-run.ts';
import {ALL, appendAll, conflict, eachStore, snapshot} from './test-stores.ts';

eachStore(process.env, ({store: fresh}) => {
	test('events are read back as they were appended', async () => {
		const store = await fresh();
		const odd = message('user', 'a\0b \uD800 "%_\\ \u2028 😀 é', 't\0 %');
		const batches = [batch({runId: 'r', expectedSeq: 0}, started(), odd), batch({runId: 'r', expectedSeq: 2}, intent())];
		await appendAll(store, ...batches);

		const events = batches.flatMap((one) => one.events);
		assert.deepEqual(await store.read('r'), events);
		assert.deepEqual(await store.read('r', 2), events.slice(2));
		assert.deepEqual(await store.rawEvents('r'), events);
		assert.deepEqual(await store.read('r', 3), []);
		assert.deepEqual(await store.read('no\0run'), []);
	});

	test('the row of a run follows its events', async () => {
		const store = await fresh();
		const dataset = {id: 'd', hash: 'h'};
		await store.append(
			batch({runId: 'r', expectedSeq: 0}, started({threadId: 't', question: 'Wie viele?', mode: 'chat', dataset})),
		);
		const row = {
			runId: 'r',
			tenant: 'local',
			principal: 'ann',
			job: 'analyst',
			mode: 'chat',
			threadId: 't',
			datasetId: 'd',
			datasetHash: 'h',
			question: 'Wie viele?',
			status: 'running',
			createdAt: at(0),
			finishedAt: null,
			durationMs: null,
			errorCode: null,
			seq: 1,
		};
		assert.deepEqual(await store.run('r'), row);

		await store.append(batch({runId: 'r', expectedSeq: 1, second: 9}, finished('failed', 'runner_timeout')));
		const end = {status: 'failed', finishedAt: at(9), durationMs: 12.5, errorCode: 'runner_timeout', seq: 2};
		assert.deepEqual(await store.run('r'), {...row, ...end});
		assert.equal(await store.run('s'), null);
	});

	for (const [status, bodies] of Object.entries({
		running: [intent()],
		awaiting_approval: [asked()],
		'running again when granted': [asked(), granted()],
		'running again when rejected': [asked(), rejected()],
		'running again when expired': [asked(), expired()],
		'running again when resumed': [asked(), resumed()],
		succeeded: [finished()],
		unknown: [finished('unknown')],
		cancelled: [asked(), finished('cancelled')],
	}))
		test(`a run is ${status} after ${bodies.map(({type}) => type).join(', ')}`, async () => {
			const store = await fresh();
			await store.append(batch({runId: 'r', expectedSeq: 0}, started(), ...bodies));
			assert.equal((await store.run('r'))?.status, status.split(' ')[0]);
		});

	for (const [problem, expectedSeq] of Object.entries({'starts a run again': 0, 'repeats an event': 1, 'leaves a gap': 3}))
		test(`a batch that ${problem} is refused and leaves nothing`, async () => {
			const store = await fresh();
			await store.append(batch({runId: 'r', expectedSeq: 0}, started(), message('user', 'hi')));
			const past = await snapshot(store, 'r');

			const body = expectedSeq === 0 ? started() : message('user', 'again');
			await assert.rejects(store.append(batch({runId: 'r', expectedSeq}, body)), conflict);
			assert.deepEqual(await snapshot(store, 'r'), past);
		});

	test('a finished run takes no more events', async () => {
		const store = await fresh();
		await store.append(batch({runId: 'r', expectedSeq: 0}, started(), finished()));
		await assert.rejects(store.append(batch({runId: 'r', expectedSeq: 2}, resumed())), conflict);
		assert.equal((await store.read('r')).length, 2);
	});

	test('of concurrent appends only those that conflict or are malformed fail', async () => {
		const store = await fresh();
		await store.append(batch({runId: 'r0', expectedSeq: 0}, started()));
		const good = [1, 2, 3, 4, 5, 6, 7, 8].map((n) =>
			batch({runId: `r${n}`, expectedSeq: 0}, started(), message('user', `m${n}`)),
		);
		const same = [1, 2].map((second) => batch({runId: 'r0', expectedSeq: 1, second}, intent()));
		const malformed = {...batch({runId: 'r9', expectedSeq: 0}, started()), expectedSeq: 5};
		const results = await Promise.allSettled([...same, malformed, ...good].map((one) => store.append(one)));

		const kinds = results.map((result) => (result.status === 'fulfilled' ? 'written' : (result.reason.code ?? 'bug')));
		assert.deepEqual(kinds, ['written', 'conflict', 'bug', ...good.map(() => 'written')]);
		assert.equal((await store.runs(ALL)).rows.length, 9);
		assert.deepEqual(await store.read('r0', 1), same[0]?.events);
	});

	test('the signed head is stored with the end of its run', async () => {
		const store = await fresh();
		const head = {runId: 'r', seq: 2, hash: hash(2), at: at(0), keyId: 'k', signature: 's'};
		assert.equal(await store.head('r'), null);
		await store.append({...batch({runId: 'r', expectedSeq: 0}, started(), finished()), head});
		assert.deepEqual(await store.head('r'), head);
	});

	test('a check of a store that can be written to passes and leaves nothing', async () => {
		const store = await fresh();
		const past = await snapshot(store);
		await Promise.all([store.check(), store.check(), store.check()]);
		assert.deepEqual(await snapshot(store), past);
	});
});
