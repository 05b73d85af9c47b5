import assert from 'node:assert/strict';
import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {test} from 'node:test';
import type {EventBody} from '#contract/event.ts';
import {ANN, batch, started} from './sample-run.ts';
import {openSqlite} from './sqlite.ts';
import {openBell} from './sqlite-bell.ts';
import {take} from './test-stores.ts';

const changed: EventBody = {
	type: 'mode.changed',
	actor: ANN,
	data: {number: 1, mode: 'observe', reason: '', asked: null},
};

test('whoever watches the bell of a database hears it when another rings, and not when a run goes on', async (t) => {
	const directory = mkdtempSync(join(tmpdir(), 'writ-bell-'));
	t.after(() => rmSync(directory, {recursive: true}));
	const path = join(directory, 'writ.db');
	const heard = Promise.withResolvers<void>();
	const rings = {count: 0};
	const bell = openBell(path, () => {
		rings.count += 1;
		heard.resolve();
	});
	t.after(() => bell.close());
	const [one, other] = [await openSqlite(path), await openSqlite(path)];
	t.after(async () => void (await Promise.all([one.close(), other.close()])));

	await one.append(batch({runId: 'r', expectedSeq: 0}, started()));
	assert.deepEqual(await take(other.subscribe('r', 0, AbortSignal.abort())[Symbol.asyncIterator](), 1), []);
	assert.equal(rings.count, 0);

	const stop = new AbortController();
	const seen = take(other.subscribe('mode-1', 0, stop.signal)[Symbol.asyncIterator](), 2);
	await one.append(batch({runId: 'mode-1', expectedSeq: 0}, started(), changed));
	await heard.promise;
	assert.deepEqual(await seen, [1, 2]);
	stop.abort();
});
