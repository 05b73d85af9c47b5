/** Holds and erasures, on stores that several processes can share. */
import assert from 'node:assert/strict';
import {spawn} from 'node:child_process';
import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {createInterface} from 'node:readline';
import {test} from 'node:test';
import type {EventBody, EventData, Principal} from '#contract/event.ts';
import {verifyRun} from '#evidence/verify.ts';
import {BOB, erase, hold, KEEPER, key, SECRET, statedFor, system, work} from './sample-retention.ts';
import {ANN} from './sample-run.ts';
import {openSqlite} from './sqlite.ts';
import {eachSharedStore} from './test-stores.ts';

eachSharedStore(process.env, ({store: openStore, place: openPlace}) => {
	test('what was erased is gone from every row, and its chain verifies with the run that says so', async () => {
		const store = await openStore();
		await work(store, 'run_1');
		const seen = JSON.stringify([await store.rawEvents('run_1'), await store.audit({tenant: 'local', limit: 50})]);
		assert.ok(seen.includes(SECRET));
		assert.deepEqual(
			(await store.retention.erasable({tenant: null, before: '9999', after: null, limit: 10})).map(({runId}) => runId),
			['run_1'],
		);
		await erase(store, 'run_1');

		const events = await store.rawEvents('run_1');
		const left = [
			...[events, await store.run('run_1'), await store.messages('local', 't1', 10), await store.threads('local', 10)],
			...[await store.approvals('local'), await store.audit({tenant: 'local', limit: 50})],
		];
		assert.ok(!/Carla|restart web/.test(JSON.stringify(left)), JSON.stringify(left));
		assert.deepEqual((await store.audit({tenant: 'local', text: 'carla', limit: 10})).rows, []);
		const by = await store.retention.erasure('run_1');
		assert.deepEqual([by?.byRunId, by?.rule], ['erase_run_1', 'thirty-days']);
		const erasure = {events: await store.rawEvents('erase_run_1'), head: await store.head('erase_run_1')};
		const head = await store.head('run_1');
		const found = (beside?: {erasure: unknown}) =>
			verifyRun(events, head, key.publicKey, beside)
				.checks.filter(({name}) => ['chain', 'signature', 'erasure'].includes(name))
				.map(({name, passed}) => [name, passed]);
		assert.deepEqual(found({erasure}), [
			['chain', true],
			['signature', true],
			['erasure', true],
		]);
		assert.deepEqual(found(), [
			['chain', true],
			['signature', true],
			['erasure', false],
		]);
		assert.deepEqual(await store.retention.erasable({tenant: null, before: '9999', after: null, limit: 10}), []);
		assert.equal((await store.read('run_1')).length, events.length, 'readers find every event');
	});

	test('what is held is not erased, whatever holds it, until it is released; then it is', async () => {
		const store = await openStore();
		await work(store, 'run_1');
		const targets = [
			['run', 'run_1'],
			['thread', 't1'],
			['dataset', 'pay'],
			['tenant', 'local'],
		] as const;
		for (const [kind, target] of targets) {
			await hold(store, `hld_${kind}`, kind, target);
			assert.deepEqual(await store.retention.erasable({tenant: null, before: '9999', after: null, limit: 10}), []);
			await assert.rejects(erase(store, 'run_1', `try_${kind}`), {code: 'conflict', message: /it is held by hld_/});
			const data = {holdId: `hld_${kind}`, reason: 'settled', asked: null};
			await system(store, `free_${kind}`, {type: 'hold.released', actor: BOB, data}, BOB);
		}
		assert.ok(JSON.stringify(await store.rawEvents('run_1')).includes(SECRET));
		await erase(store, 'run_1');
		assert.ok(!JSON.stringify(await store.rawEvents('run_1')).includes(SECRET));
		assert.deepEqual(
			(await store.retention.holds('local')).map(({state, releasedBy}) => [state, releasedBy]),
			targets.map(() => ['released', 'bob']),
		);
		assert.deepEqual(await store.retention.holds('other'), []);
	});

	test('a release that takes two people is refused to the one who asked', async () => {
		const store = await openStore();
		await hold(store, 'hld_1', 'run', 'run_1');
		const released = (by: Principal, run: string) =>
			system(
				store,
				run,
				{type: 'hold.released', actor: by, data: {holdId: 'hld_1', reason: 'done', asked: {by: ANN, reason: 'over'}}},
				by,
			);
		await assert.rejects(released(BOB, 'too_early'), {code: 'conflict'});
		await system(store, 'asks', {type: 'hold.release-asked', actor: ANN, data: {holdId: 'hld_1', reason: 'over'}}, ANN);
		await assert.rejects(released(ANN, 'herself'), {code: 'conflict'});
		await assert.rejects(released({...BOB, id: 'ann-too', person: 'ann'}, 'same_person'), {code: 'conflict'});
		await released(BOB, 'second');
		const [row] = await store.retention.holds('local');
		assert.deepEqual([row?.state, row?.askedBy, row?.releasedBy], ['released', 'ann', 'bob']);
		await assert.rejects(released(BOB, 'again'), {code: 'conflict'});
	});

	test('an erasure of another tenant, of what changed, of a system run, or twice, writes nothing', async () => {
		const store = await openStore();
		await work(store, 'run_1');
		const body = await statedFor(store, 'run_1');
		const stranger = {...KEEPER, tenant: 'other'};
		await assert.rejects(system(store, 'foreign', {...body, actor: stranger}, stranger), {code: 'conflict'});
		const less = {...body, data: {...(body.data as EventData<'content.erased'>), events: [{seq: 1, hash: 'x'}]}} as EventBody;
		await assert.rejects(system(store, 'less', less), {code: 'conflict'});
		assert.ok(JSON.stringify(await store.rawEvents('run_1')).includes(SECRET));
		await erase(store, 'run_1');
		await assert.rejects(system(store, 'twice', body), {code: 'conflict'});
		await assert.rejects(
			system(store, 'system', {...body, data: {...(body.data as object), runId: 'erase_run_1'}} as EventBody),
			{code: 'conflict'},
		);
	});

	test('of a hold and an erasure at the same moment one comes first, and what is held by then is there', async () => {
		const store = await openStore();
		const runs = Array.from({length: 12}, (_, index) => `run_${index}`);
		for (const runId of runs) await work(store, runId);
		const stated = await Promise.all(runs.map((runId) => statedFor(store, runId)));
		const results = await Promise.all(
			runs.map(async (runId, index) => {
				const wipe = () =>
					system(store, `erase_${runId}`, stated[index] as EventBody).then(
						() => true,
						() => false,
					);
				const keep = () => hold(store, `hld_${runId}`, 'run', runId);
				const both = index % 2 ? [keep(), wipe()] : [wipe(), keep()];
				await Promise.all(both);
				const [erased, held] = [await store.headPosition(`erase_${runId}`), await store.headPosition(`by_hld_${runId}`)];
				const isHere = JSON.stringify(await store.rawEvents(runId)).includes(SECRET);
				return {isHere, isSound: erased === null ? isHere : !isHere && Number(erased) < Number(held)};
			}),
		);
		assert.deepEqual(
			results.filter(({isSound}) => !isSound),
			[],
		);
	});

	test('what the policy file of any server holds is not erased, until the list is another; adding to it takes nothing off', async () => {
		const store = await openStore();
		await work(store, 'run_1');
		for (const target of ['run_1', 't1', 'local']) {
			await store.retention.holdListed([target], 'replace');
			await store.retention.holdListed(['other'], 'add');
			await assert.rejects(erase(store, 'run_1', `try_${target}`), {code: 'conflict', message: /the policy file holds it/});
		}
		assert.ok(JSON.stringify(await store.rawEvents('run_1')).includes(SECRET));
		await store.retention.holdListed(['other'], 'replace');
		await erase(store, 'run_1');
		assert.ok(!JSON.stringify(await store.rawEvents('run_1')).includes(SECRET));
	});

	test('while runs are erased, two servers list one after the other: what was there when it was listed stays', async () => {
		const place = await openPlace();
		const [eraser, one, other] = [await place.open(), await place.open(), await place.open()];
		const runs = Array.from({length: 12}, (_, index) => `run_${index}`);
		for (const runId of runs) await work(eraser, runId);
		const stated = await Promise.all(runs.map((runId) => statedFor(eraser, runId)));
		const isHere = async (runId: string) => JSON.stringify(await eraser.rawEvents(runId)).includes(SECRET);
		const erasing = runs.map((runId, index) =>
			system(eraser, `erase_${runId}`, stated[index] as EventBody).then(
				() => true,
				() => false,
			),
		);
		const listing = runs.map(async (runId, index) => {
			await (index % 2 ? one : other).retention.holdListed([runId], 'add');
			return isHere(runId);
		});
		const whenListed = await Promise.all(listing);
		const erased = await Promise.all(erasing);
		assert.deepEqual(await Promise.all(runs.map(isHere)), whenListed);
		assert.deepEqual(
			erased,
			whenListed.map((here) => !here),
		);
	});

	test('one holder at a time has a lease, until it runs out', async () => {
		const {retention} = await openStore();
		const at = (seconds: number) => new Date(Date.UTC(2026, 2, 1, 12, 0, seconds));
		assert.deepEqual(
			[
				await retention.lease('retention', 'one', at(0), 10_000),
				await retention.lease('retention', 'two', at(5), 10_000),
				await retention.lease('retention', 'one', at(9), 10_000),
				await retention.lease('retention', 'two', at(12), 10_000),
				await retention.lease('retention', 'two', at(19), 10_000),
				await retention.lease('retention', 'one', at(20), 10_000),
			],
			[true, false, true, false, true, false],
		);
	});
});

test('a process killed in the middle of erasing leaves each run whole, or erased and on record', async (t) => {
	const directory = mkdtempSync(path.join(tmpdir(), 'writ-eraser-'));
	t.after(() => rmSync(directory, {recursive: true, force: true}));
	const file = path.join(directory, 'writ.db');
	const runs = Array.from({length: 24}, (_, index) => `run_${index}`);
	const before = await openSqlite(file);
	for (const runId of runs) await work(before, runId);
	await before.close();
	const eraser = path.join(import.meta.dirname, 'fixtures/eraser.ts');
	for (const after of [3, 2, 4]) {
		const child = spawn(process.execPath, [eraser, file, String(runs.length)], {stdio: ['ignore', 'pipe', 'ignore']});
		const gone = new Promise((resolve) => child.once('exit', resolve));
		let said = 0;
		for await (const line of createInterface({input: child.stdout})) {
			if (line.startsWith('erased') && ++said === after) child.kill('SIGKILL');
		}
		await gone;
	}
	const store = await openSqlite(file);
	const found = await Promise.all(
		runs.map(async (runId) => {
			const events = JSON.stringify(await store.rawEvents(runId));
			const record = await store.retention.erasure(runId);
			const isOnRecord = record !== null && (await store.head(record.byRunId)) !== null;
			return {isWhole: events.includes(SECRET) && !events.includes('"erased"'), isOnRecord};
		}),
	);
	await store.close();
	assert.deepEqual(
		found.filter(({isWhole, isOnRecord}) => isWhole === isOnRecord),
		[],
	);
	assert.ok(found.filter(({isOnRecord}) => isOnRecord).length >= 3 && found.some(({isWhole}) => isWhole));
});
