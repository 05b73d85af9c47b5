/** Edits to the real database of a real run: each is detected, and where there is a place, it is named. */
import assert from 'node:assert/strict';
import {writeFileSync} from 'node:fs';
import path from 'node:path';
import {DatabaseSync} from 'node:sqlite';
import {after, beforeEach, test} from 'node:test';
import type {Verification} from '#contract/api.ts';
import type {Event} from '#contract/event.ts';
import {hashOf} from '#evidence/content.ts';
import {runWrit, startWrit} from './server.ts';

const writ = await startWrit({after}, {env: {WRIT_POOL_SIZE: '1'}});
const {run_id: runId} = await writ.ask('SQL: SELECT priority, count(*) AS n FROM tickets GROUP BY 1 ORDER BY 1');
const database = path.join(writ.dataDir, 'writ.db');
const whole = readRun();

beforeEach(() => edit(() => whole.rows));

test('the run as it was written is valid', async () => {
	assert.deepEqual(await verdicts(), {api: ['valid', null], cli: [0, 'valid', null]});
});

test('any event that is changed is found and named', async () => {
	await eachPlace(whole.rows.length, (seq) => {
		edit((rows) => rows.map((row, index) => (index === seq - 1 ? flip(row) : row)));
		return seq;
	});
});

test('any event that is changed together with its own hash is found at the next link, the last by the signed head', async () => {
	await eachPlace(whole.rows.length, (seq) => {
		edit((rows) => rows.map((row, index) => (index === seq - 1 ? rehash(flip(row)) : row)));
		return Math.min(seq + 1, whole.rows.length);
	});
});

test('any event that is dropped is found and named', async () => {
	await eachPlace(whole.rows.length, (seq) => {
		edit((rows) => rows.filter((_, index) => index !== seq - 1));
		return seq;
	});
});

test('any event that is there twice is found and named', async () => {
	await eachPlace(whole.rows.length, (seq) => {
		edit((rows) => rows.flatMap((row, index) => (index === seq - 1 ? [row, row] : [row])));
		return seq + 1;
	});
});

test('any two neighbours that are exchanged are found and named', async () => {
	await eachPlace(whole.rows.length - 1, (seq) => {
		edit((rows) => rows.toSpliced(seq - 1, 2, rows[seq] ?? '', rows[seq - 1] ?? ''));
		return seq;
	});
});

test('a run that lost its end is found, wherever it was cut', async () => {
	await eachPlace(whole.rows.length - 1, (seq) => {
		edit((rows) => rows.slice(0, seq));
		return seq + 1;
	});
});

test('a finished run whose signed head was deleted is found', async () => {
	edit((rows) => rows, null);
	const {api, cli} = await verdicts();
	assert.deepEqual([api[0], cli[0]], ['tampered', 1]);
});

test('a signed head of other bytes is found', async () => {
	edit(
		(rows) => rows,
		whole.head.replace(/"hash":"./, (start) => start.replace(/.$/, (hex) => (hex === '0' ? '1' : '0'))),
	);
	assert.deepEqual((await verdicts()).api[0], 'tampered');
});

test('text that is no event is found and named', async () => {
	for (const nonsense of ['', 'null', '{}', '{"seq":2', whole.rows[1]?.replace('"v":2', '"v":3') ?? '']) {
		edit((rows) => rows.with(1, nonsense));
		assert.deepEqual(await verdicts(), tamperedAt(2), nonsense);
	}
});

test('a run that is tampered with is not exported as if it were whole', async () => {
	edit((rows) => rows.map((row, index) => (index === 4 ? flip(row) : row)));
	const response = await writ.request(`/runs/${runId}/evidence`);
	if (response.status === 200) {
		const {verdict} = await offline(Buffer.from(await response.arrayBuffer()));
		assert.equal(verdict, 'tampered');
	} else {
		assert.equal(response.status, 409);
	}
});

test('an exported file is checked without a server, and any byte of it counts', async () => {
	const bytes = Buffer.from(await (await writ.request(`/runs/${runId}/evidence`)).arrayBuffer());
	assert.deepEqual((await offline(bytes)).verdict, 'valid');
	const step = Math.ceil(bytes.length / 12);
	for (let at = 1; at < bytes.length; at += step) {
		const changed = Buffer.from(bytes);
		changed[at] = (changed[at] ?? 0) ^ 1;
		const {verdict} = await offline(changed);
		assert.notEqual(verdict, 'valid', `byte ${at}`);
	}
	assert.equal((await offline(bytes.subarray(0, bytes.length - 10))).verdict, 'cannot_tell');
});

async function verdicts() {
	const api = await writ.verify(runId);
	const {exit, out} = await runWrit(['evidence', 'verify', runId, '--json'], {env: {WRIT_URL: writ.url}});
	const cli = JSON.parse(out) as Verification;
	return {api: [api.verdict, api.position], cli: [exit, cli.verdict, cli.position]};
}

async function offline(bytes: Uint8Array): Promise<Verification> {
	const file = path.join(writ.dataDir, 'evidence.json');
	writeFileSync(file, bytes);
	const {exit, out} = await runWrit(['evidence', 'verify', file, '--json']);
	const verification = JSON.parse(out) as Verification;
	assert.equal(exit, {valid: 0, tampered: 1, cannot_tell: 2}[verification.verdict]);
	return verification;
}

function tamperedAt(position: number) {
	return {api: ['tampered', position], cli: [1, 'tampered', position]};
}

/** Damages each of the first `count` places in turn; `damage` returns where that has to be found. The command line looks once. */
async function eachPlace(count: number, damage: (seq: number) => number): Promise<void> {
	for (let seq = 1; seq <= count; seq += 1) {
		const position = damage(seq);
		const {verdict, position: found} = await writ.verify(runId);
		assert.deepEqual([verdict, found], ['tampered', position], `place ${seq}`);
	}
	const position = damage(1);
	assert.deepEqual(await verdicts(), tamperedAt(position));
}

/** Rewrites the rows of the run behind the platform's back; sequence numbers of rows follow their order, as a careful forger's would. */
function edit(change: (rows: readonly string[]) => readonly string[], head: string | null = whole.head): void {
	const db = new DatabaseSync(database);
	db.exec('BEGIN IMMEDIATE');
	db.prepare('DELETE FROM events WHERE run_id = ?').run(runId);
	db.prepare('DELETE FROM heads WHERE run_id = ?').run(runId);
	const insert = db.prepare('INSERT INTO events (run_id, seq, event) VALUES (?, ?, ?)');
	for (const [index, row] of change(whole.rows).entries()) insert.run(runId, index + 1, row);
	if (head !== null) db.prepare('INSERT INTO heads (run_id, head) VALUES (?, ?)').run(runId, head);
	db.exec('COMMIT');
	db.close();
}

/** One character of what the event says, changed to another that parses. */
function flip(row: string): string {
	const event = JSON.parse(row) as Event;
	const at = new Date(Date.parse(event.at) + 1).toISOString();
	return JSON.stringify({...event, at});
}

/** With the hash that the changed event would have had: what a forger who has read the documentation writes. */
function rehash(row: string): string {
	const event = JSON.parse(row) as Event;
	return JSON.stringify({...event, hash: hashOf(event)});
}

function readRun(): {readonly rows: readonly string[]; readonly head: string} {
	const db = new DatabaseSync(database, {readOnly: true});
	const rows = db.prepare('SELECT event FROM events WHERE run_id = ? ORDER BY seq').all(runId);
	const head = String(db.prepare('SELECT head FROM heads WHERE run_id = ?').get(runId)?.head);
	db.close();
	assert.ok(rows.length >= 8, `only ${rows.length} events to tamper with`);
	return {rows: rows.map(({event}) => String(event)), head};
}
