/** The audit across runs, on a real server: what is found, and that each entry leads to its place in a chain. */
import assert from 'node:assert/strict';
import {readFileSync} from 'node:fs';
import path from 'node:path';
import {after, test} from 'node:test';
import type {ErrorReply} from '#contract/api.ts';
import type {AuditEntry, AuditReply} from '#contract/audit.ts';
import {runWrit, startWrit} from './server.ts';

const writ = await startWrit({after}, {env: {WRIT_POOL_SIZE: '1'}});
const env = {WRIT_URL: writ.url};
const {run_id: runId} = await writ.ask('SQL: SELECT count(*) AS n FROM tickets');
const search = async (query: string) => (await writ.get<AuditReply>(`/api/v1/audit?${query}`)).body.entries;

test('the decision of an action is found with who, what, why and its place', async () => {
	const entries = await search(`run=${runId}&decision=allow`);
	const decided = (await writ.events(runId)).find(({type}) => type === 'action.decided');
	const [entry] = entries;
	assert.equal(entries.length, 1);
	assert.deepEqual(
		[entry?.type, entry?.tool, entry?.actor, entry?.seq, entry?.hash],
		['action.decided', 'analyst.sql', decided?.actor.id, decided?.seq, decided?.hash],
	);
	assert.match(entry?.detail ?? '', /^permission allow \(\S+\): /);
});

test('filters of tool, effect, person, text and time narrow what is found', async () => {
	const ids = async (query: string) => new Set((await search(query)).map((entry) => entry.runId));
	assert.ok((await ids('tool=analyst.sql')).has(runId));
	assert.ok((await ids('effect=read')).has(runId));
	assert.equal((await ids('effect=write&tool=analyst.sql')).size, 0);
	assert.equal((await ids('principal=nobody')).size, 0);
	assert.ok((await ids('text=FROM%20tickets')).has(runId));
	assert.equal((await ids(`until=2020-01-01T00:00:00Z`)).size, 0);
	const wrong = await writ.get<ErrorReply>('/api/v1/audit?decision=perhaps');
	assert.deepEqual([wrong.status, wrong.body.error.code], [422, 'validation_error']);
});

test('all of it is exported as JSON lines that lead into the chains', async () => {
	const file = path.join(writ.dataDir, 'audit.jsonl');
	assert.equal((await runWrit(['audit', 'export', '-o', file], {env})).exit, 0);
	const lines = readFileSync(file, 'utf8')
		.trimEnd()
		.split('\n')
		.map((line) => JSON.parse(line) as AuditEntry);
	const own = lines.filter((entry) => entry.runId === runId);
	const events = new Map((await writ.events(runId)).map((event) => [event.seq, event.hash]));
	assert.ok(own.length >= 5, `only ${own.length} entries`);
	for (const {seq, hash} of own) assert.equal(hash, events.get(seq));
	assert.ok(lines.every((entry, index) => index === 0 || entry.at <= (lines[index - 1]?.at ?? '')));
	const printed = await runWrit(['audit', 'export', '--run', runId], {env});
	assert.deepEqual(
		printed.out
			.trimEnd()
			.split('\n')
			.map((line) => JSON.parse(line)),
		own,
	);
});

test('the terminal shows it as a table', async () => {
	const {exit, out} = await runWrit(['audit', 'search', '--run', runId, '--type', 'run.finished'], {env});
	assert.equal(exit, 0);
	assert.match(out, new RegExp(`run.finished .* ${runId}/\\d+ +succeeded`));
	assert.equal((await runWrit(['audit', '--principal', 'nobody'], {env})).out, 'nothing was found\n');
});

test('a run says from where it was asked, and is found by it', async () => {
	const [entry] = (await search(`run=${runId}&client=api&address=127.0.0.1`)).filter(({type}) => type === 'run.started');
	assert.deepEqual([entry?.client, entry?.address, Boolean(entry?.requestId)], ['api', '127.0.0.1', true]);
	assert.deepEqual(await search(`run=${runId}&address=192.0.2.1`), []);
	const csv = await (await writ.request(`/api/v1/audit/export?run=${runId}`)).text();
	assert.match(csv.split('\r\n')[0] ?? '', /^at,actor,.*,address,client,requestId,runId,seq,hash$/);
	assert.equal(csv.trimEnd().split('\r\n').length, 1 + (await search(`run=${runId}&limit=200`)).length);
});
