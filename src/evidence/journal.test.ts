import assert from 'node:assert/strict';
import {chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {test} from 'node:test';
import {WritError} from '#contract/errors.ts';
import type {EventBody} from '#contract/event.ts';
import {resumeJournal} from './journal.ts';
import {keyIdOf, loadOrCreateKey, signHead} from './keys.ts';
import {createRedactor} from './redact.ts';
import {ADA, createTestClock, finishedRun, sampleBodies, startRun} from './sample-run.ts';
import {verifyRun} from './verify.ts';

const home = mkdtempSync(join(tmpdir(), 'writ-key-'));
test.after(() => rmSync(home, {recursive: true}));
const path = join(home, 'keys', 'signing.pem');
const key = await loadOrCreateKey(path);

const note = (content: string): EventBody => ({
	type: 'message.added',
	actor: ADA,
	data: {role: 'user', content, threadId: 't1', datasetId: 'd1'},
});
const ports = {redact: createRedactor([]), sign: (end: Parameters<typeof signHead>[1]) => signHead(key, end)};
const fence = {holder: 'h2', token: 2, leaseMs: 1_000};

test('a run starts with run.started and ends with a signed head', async () => {
	const {store, head} = await finishedRun(key);
	assert.equal(store.rows[0]?.type, 'run.started');
	assert.deepEqual(
		head,
		signHead(key, {runId: 'run_1', seq: 16, hash: store.rows[15]?.hash ?? '', at: store.rows[15]?.at ?? ''}),
	);
	assert.deepEqual(
		store.batches.map(({expectedSeq, head: end}) => [expectedSeq, end !== undefined]),
		store.rows.map((_, index) => [index, index === 15]),
	);
});

test('secrets are out of the evidence before it is hashed', async () => {
	const {store, journal} = await startRun(key);
	await journal.append(note('use AKIAIOSFODNN7EXAMPLE'));
	assert.deepEqual(store.rows[1]?.data, {role: 'user', content: 'use [redacted:aws-key]', threadId: 't1', datasetId: 'd1'});
	assert.deepEqual(journal.events, store.rows);
	assert.equal(verifyRun(store.rows, null, key.publicKey).checks[0]?.passed, true);
});

test('what is appended during a write is one later write, and each append waits for its own', async () => {
	const {store, journal} = await startRun(key);
	const gate = Promise.withResolvers<void>();
	const append = store.append;
	Object.assign(store, {append: async (batch: Parameters<typeof append>[0]) => [await gate.promise, await append(batch)]});
	const settled: string[] = [];
	const writes = ['a', 'b', 'c'].map((content) => journal.append(note(content)).then(() => settled.push(content)));
	assert.equal(journal.events.length, 4);
	gate.resolve();
	await Promise.all(writes);
	assert.deepEqual(settled, ['a', 'b', 'c']);
	assert.deepEqual(
		store.batches.map(({expectedSeq, events}) => [expectedSeq, events.length]),
		[
			[0, 1],
			[1, 1],
			[2, 2],
		],
	);
});

test('a write that fails poisons the journal: waiting and later appends fail with the same error', async () => {
	const {store, journal} = await startRun(key);
	const failure = new WritError('store_unavailable', 'the disk is full');
	Object.assign(store, {append: () => Promise.reject(failure)});
	const results = await Promise.allSettled([journal.append(note('a')), journal.append(note('b'))]);
	results.push(...(await Promise.allSettled([journal.append(note('c'))])));
	assert.deepEqual(
		results.map((result) => result.status === 'rejected' && result.reason === failure),
		[true, true, true],
	);
	assert.equal(store.rows.length, 1);
});

test('an event that is not of its type is refused whole, and the journal goes on', async () => {
	const {store, journal} = await startRun(key);
	const wrong = {...note('x'), data: {role: 'nobody'}} as unknown as EventBody;
	await assert.rejects(journal.append(note('a'), wrong), {name: 'ZodError'});
	await journal.append(note('b'));
	assert.deepEqual(
		store.rows.map(({seq, data}) => [seq, 'content' in data && data.content]),
		[
			[1, false],
			[2, 'b'],
		],
	);
});

test('nothing follows the end of a run', async () => {
	const {journal} = await finishedRun(key);
	await assert.rejects(journal.append(note('late')), {code: 'conflict'});
});

test('a clock that is set back does not break the order', async () => {
	const times = ['2026-03-01T12:00:05.000Z', '2026-03-01T12:00:01.000Z'];
	const {store, journal} = await startRun(key, 'run_1', {
		now: () => new Date((times.length > 1 ? times.shift() : times[0]) as string),
	});
	await journal.append(note('a'));
	assert.deepEqual([store.rows[1]?.at, store.rows[0]?.at], ['2026-03-01T12:00:05.000Z', '2026-03-01T12:00:05.000Z']);
});

test('a resumed run goes on where it was, as the same principal, and verifies', async () => {
	const {store} = await startRun(key);
	const journal = await resumeJournal({...ports, store, runId: 'run_1', clock: createTestClock(), fence});
	assert.deepEqual(journal.principal, {kind: 'agent', id: 'bot', tenant: 'local'});
	await journal.append({type: 'run.resumed', actor: ADA, data: {reason: 'the process died'}}, ...sampleBodies());
	assert.equal(verifyRun(store.rows, await store.head('run_1'), key.publicKey).verdict, 'valid');
	assert.equal(store.batches.at(-1)?.fence.token, 2);
});

test('a changed chain is not extended, and a run that does not exist is not resumed', async () => {
	const resume = (store: Awaited<ReturnType<typeof startRun>>['store'], runId = 'run_1') =>
		resumeJournal({...ports, store, runId, clock: createTestClock(), fence});
	for (let at = 0; at < 15; at += 1) {
		const {store} = await finishedRun(key);
		Object.assign(store.rows[at] ?? {}, {at: '2026-01-01T00:00:00.000Z'});
		await assert.rejects(resume(store), {code: 'evidence_tampered', details: {runId: 'run_1', seq: at + 1}});
	}
	const {store} = await finishedRun(key, 'run_2');
	await assert.rejects(resume(store), {code: 'evidence_tampered'});
	store.rows.length = 0;
	await assert.rejects(resume(store), {code: 'not_found'});
});

test('a lost lease ends the writing', async () => {
	const {store, journal} = await startRun(key);
	assert.equal(await journal.renew(), true);
	Object.assign(store, {renew: async () => false});
	assert.equal(await journal.renew(), false);
	await assert.rejects(journal.append(note('a')), {code: 'conflict'});
});

test('a signing key is made once, readable by its owner alone, with its public half beside it', async () => {
	assert.equal((statSync(path).mode & 0o777).toString(8), '600');
	assert.equal(keyIdOf(readFileSync(`${path}.pub`, 'utf8')), key.keyId);
	const again = await loadOrCreateKey(path);
	assert.deepEqual([again.keyId, again.publicKey], [key.keyId, key.publicKey]);
	const both = await Promise.all([loadOrCreateKey(join(home, 'b.pem')), loadOrCreateKey(join(home, 'b.pem'))]);
	assert.equal(both[0].keyId, both[1].keyId);
});

test('a signing key that others can read, or that is none, is refused with the way out', async () => {
	const open = join(home, 'open.pem');
	writeFileSync(open, readFileSync(path));
	chmodSync(open, 0o640);
	await assert.rejects(loadOrCreateKey(open), {code: 'invalid_config', hint: new RegExp(`chmod 600 ${open}`)});
	const garbage = join(home, 'garbage.pem');
	writeFileSync(garbage, 'SECRET-ish text', {mode: 0o600});
	await assert.rejects(loadOrCreateKey(garbage), (error: WritError) => {
		return error.code === 'invalid_config' && !error.message.includes('SECRET') && error.cause === undefined;
	});
});
