import assert from 'node:assert/strict';
import {test} from 'node:test';
import type {Store} from '#kernel/ports.ts';
import {SQLITE_MIGRATIONS} from './migrations.ts';
import {batch, intent, started} from './sample-run.ts';
import {eachSharedStore, type Place} from './test-stores.ts';

eachSharedStore(process.env, ({place: make}) => {
	const setUp = async (): Promise<{place: Place; store: Store}> => {
		const place = await make();
		const store = await place.open();
		await store.append(batch({runId: 'r', expectedSeq: 0}, started(), intent(), intent()));
		return {place, store};
	};

	for (const [what, sql] of Object.entries({
		'is not JSON': "UPDATE events SET event = 'broken' WHERE seq = 2",
		'is JSON of another shape': "UPDATE events SET event = '{}' WHERE seq = 2",
		'is of a type nobody knows': "UPDATE events SET event = replace(event, 'action.intent', 'action.intend') WHERE seq = 2",
		'was deleted': 'DELETE FROM events WHERE seq = 2',
		'was overwritten with its neighbour': 'UPDATE events SET event = (SELECT event FROM events WHERE seq = 3) WHERE seq = 2',
	}))
		test(`an event that ${what} is named when it is read`, async () => {
			const {place, store} = await setUp();
			await place.damage(sql);
			const error = {name: 'WritError', code: 'evidence_tampered', details: {runId: 'r', seq: 2}};
			await assert.rejects(store.read('r'), error);
		});

	test('a verifier gets damaged events as they are', async () => {
		const {place, store} = await setUp();
		const [first, , third] = await store.read('r');
		await place.damage("UPDATE events SET event = 'broken' WHERE seq = 2");
		assert.deepEqual(await store.rawEvents('r'), [first, 'broken', third]);
	});

	test('a database of a newer version is not opened', async () => {
		const {place} = await setUp();
		await place.damage("INSERT INTO migrations (id, name, checksum, applied_at) VALUES (99, 'future', 'x', 'now')");
		await assert.rejects(place.open(), {
			code: 'store_unavailable',
			message: `the database was written by a newer version of writ: it has migration 99, this version knows ${SQLITE_MIGRATIONS.length}`,
			hint: 'upgrade writ, or point it at another database',
		});
	});

	test('a database whose past was edited is not opened', async () => {
		const {place} = await setUp();
		await place.damage("UPDATE migrations SET checksum = 'edited'");
		await assert.rejects(place.open(), {
			code: 'store_unavailable',
			message: 'migration 1 of the database is not the one this version knows',
		});
	});
});
