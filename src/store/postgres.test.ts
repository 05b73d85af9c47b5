import assert from 'node:assert/strict';
import {execFile} from 'node:child_process';
import {readdirSync} from 'node:fs';
import {join} from 'node:path';
import {after, before, describe, test} from 'node:test';
import {promisify} from 'node:util';
import {WritError} from '#contract/errors.ts';
import type {Store} from '#kernel/ports.ts';
import {openPostgres} from './postgres.ts';
import {batch, intent, started} from './sample-run.ts';
import {take} from './test-stores.ts';

const run = promisify(execFile);
const SCRIPT = join(import.meta.dirname, '../../scripts/postgres.sh');

test('a server that cannot be reached is reported, without the password', async () => {
	const error = await openPostgres('postgres://writ:hunter2@127.0.0.1:1/writ').then(
		() => assert.fail('it opened'),
		(reason: unknown) => reason,
	);
	assert.ok(error instanceof WritError);
	assert.deepEqual(error.toJSON(), {
		code: 'store_unavailable',
		message: 'the connection to PostgreSQL was lost',
		retry: 'later',
		hint: 'check that the server runs and can be reached; writ reconnects by itself',
		details: {},
	});
});

const required = Boolean(process.env.CI || process.env.REQUIRE_POSTGRES);
const skip = required || isInstalled() ? false : 'PostgreSQL is not installed: apt-get install postgresql';

function isInstalled(): boolean {
	try {
		return readdirSync('/usr/lib/postgresql').length > 0;
	} catch {
		return false;
	}
}

describe('a server of its own', {skip}, () => {
	const server = {url: '', dir: ''};
	before(async () => {
		const {stdout} = await run(SCRIPT, ['start']);
		server.url = /^DATABASE_URL=(.*)$/m.exec(stdout)?.[1] ?? '';
		server.dir = /^PGDIR=(.*)$/m.exec(stdout)?.[1] ?? '';
	});
	after(() => run(SCRIPT, ['stop', server.dir]));

	test('a database that does not exist is reported', async () => {
		const url = server.url.replace(/writ$/, 'nowhere');
		await assert.rejects(openPostgres(url), {code: 'store_unavailable', message: 'the database does not exist'});
	});

	test('a crash under load loses nothing acknowledged, writes nothing refused, and is recovered from without help', async (t) => {
		const store = await openPostgres(server.url);
		t.after(() => store.close());
		const runIds = Array.from({length: 8}, (_, n) => `crash${n}`);
		const progress = {restarted: false};
		const stop = new AbortController();
		const followed = follow(store, 'crash0', stop);
		const writers = runIds.map((runId) => writeThrough(store, runId, progress));
		await take(store.subscribe('crash7', 0, stop.signal)[Symbol.asyncIterator](), 3);
		await run(SCRIPT, ['restart', server.dir]);
		progress.restarted = true;

		const counts = await Promise.all(writers);
		for (const [n, runId] of runIds.entries()) assert.equal((await store.read(runId)).length, counts[n]);
		const last = counts[0] ?? 0;
		assert.deepEqual(
			await followed(last),
			Array.from({length: last}, (_, index) => index + 1),
		);
	});

	test('a server that is away refuses appends and reads, and is used again when it is back', async (t) => {
		const store = await openPostgres(server.url);
		t.after(() => store.close());
		await store.append(batch({runId: 'away', expectedSeq: 0}, started()));
		const ctl = (...words: string[]) => run(SCRIPT, [...words, server.dir]);
		await ctl('halt');
		const refused = {name: 'WritError', code: 'store_unavailable'};
		await assert.rejects(store.append(batch({runId: 'away', expectedSeq: 1}, intent())), refused);
		await assert.rejects(store.read('away'), refused);
		await assert.rejects(store.check(), refused);
		await assert.rejects(store.claim('two', new Date(), 1000), refused);

		await ctl('resume');
		await store.append(batch({runId: 'away', expectedSeq: 1}, intent()));
		assert.equal((await store.read('away')).length, 2);
	});
});

/** Appends until ten events after the restart; an append that was refused is tried again, and must have left nothing. */
async function writeThrough(store: Store, runId: string, progress: {readonly restarted: boolean}): Promise<number> {
	let seq = 0;
	for (let left = 10; left > 0; left -= progress.restarted ? 1 : 0) {
		try {
			await store.append(batch({runId, expectedSeq: seq, second: 0}, seq === 0 ? started() : intent()));
			seq += 1;
		} catch (error) {
			assert.ok(error instanceof WritError);
			assert.equal(error.code, 'store_unavailable');
			await new Promise((resolve) => setTimeout(resolve, 20));
		}
	}
	return seq;
}

/** Follows a run; the result waits for `count` events and gives all that came. */
function follow(store: Store, runId: string, stop: AbortController): (count: number) => Promise<number[]> {
	const seen: number[] = [];
	const wanted = {count: Number.POSITIVE_INFINITY};
	const done = (async () => {
		for await (const {seq} of store.subscribe(runId, 0, stop.signal)) {
			seen.push(seq);
			if (seen.length >= wanted.count) return;
		}
	})();
	return async (count) => {
		wanted.count = count;
		if (seen.length < count) await done;
		stop.abort();
		return seen;
	};
}
