/** Retention and holds on a whole platform: real runs, gates and sandboxes; only the clock is moved on. */
import assert from 'node:assert/strict';
import {existsSync, globSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {DatabaseSync} from 'node:sqlite';
import {after, test} from 'node:test';
import type {Principal} from '#contract/event.ts';
import {rotateKey} from '#evidence/keyring.ts';
import {verifyBundle} from '#evidence/verify-bundle.ts';
import {createHolds} from '../src/holds.ts';
import {packEvidence, verifyStored} from '../src/pack-evidence.ts';
import {replayRun} from '../src/replay.ts';
import {createRetention} from '../src/retention.ts';
import {OWNER, wholePlatform} from './platform.ts';
import {ROOT} from './server.ts';
import {pass} from './time.ts';

/** Imported by a name that is not a literal: plain JavaScript has no types to check. */
const {verifyEvidence} = (await import(path.join(ROOT, 'scripts/verify-evidence.mjs'))) as {
	verifyEvidence(source: Buffer): {verdict: string};
};

const directory = mkdtempSync(path.join(tmpdir(), 'writ-retention-'));
after(() => rmSync(directory, {recursive: true, force: true}));
const policyFile = path.join(directory, 'policy.yaml');
writeFileSync(policyFile, 'version: 1\nretention:\n  days: 30\n  rules:\n    - {id: code, days: 400, jobs: [quality]}\n');
const whole = await wholePlatform({after}, {WRIT_POLICY_FILE: policyFile, POLICY_FILE: policyFile});
const {platform, add, run} = whole;
const csv = path.join(directory, 'people.csv');
writeFileSync(csv, 'name,salary\nCarla,4000\nDora,5000\n');
await add('people', [{name: 'people.csv', path: csv}]);
const {store, runs, kernel} = platform;
const SECRET = 'Carla';
const ask = async (sql = `SELECT salary FROM people WHERE name = '${SECRET}'`) => {
	await run('people', 'sql', sql);
	return (await store.runs({tenant: 'local', mode: 'sql', limit: 1})).rows[0]?.runId ?? '';
};
const text = async (runId: string) => JSON.stringify(await store.rawEvents(runId));

const {files, datasets, recordAudit} = platform;
const shared = {software: 'writ test', files, datasets, recordAudit, heldBy: async () => null};

/** Retention when so many more days have passed. */
const later = (days: number) => {
	pass(days);
	return createRetention({
		...{
			runs,
			kernel,
			store,
			...shared,
			holder: `h${days}`,
		},
		clock: kernel.clock,
		policy: () => platform.policy.current().document.retention,
		sweep: async () => 0,
	});
};

test('a run is erased when its time is over, not before, and verifies in the store and in a bundle', async () => {
	const runId = await ask();
	assert.ok((await text(runId)).includes(SECRET));
	assert.equal((await later(29).run('local', OWNER)).erased, 0);
	const preview = await later(31).preview('local');
	assert.deepEqual(
		[preview.rules.map(({rule, days}) => [rule, days]), preview.runs >= 1, preview.bytes > 500],
		[[['days', 30]], true, true],
	);
	assert.ok((await text(runId)).includes(SECRET), 'a preview erases nothing');
	const done = await later(31).run('local', OWNER);
	assert.ok(done.erased >= 1 && done.isDone && done.bytesAfter < done.bytesBefore);

	assert.ok(!(await text(runId)).includes(SECRET));
	const verified = await verifyStored(platform, runId);
	assert.deepEqual([verified.verdict, verified.checks.filter(({passed}) => !passed)], ['valid', []]);
	assert.match(
		verified.checks.find(({name}) => name === 'erasure')?.detail ?? '',
		/by owner at .*, by the rule days: finished more than 30 days ago/,
	);
	const bundle = await packEvidence(platform, runId, 'bundle', 'writ test');
	assert.equal(verifyBundle(bundle.body).verdict, 'valid');
	assert.ok(!Buffer.from(bundle.body).includes(SECRET));
	const caller = {principal: OWNER, signal: new AbortController().signal};
	await assert.rejects(replayRun(platform, runId, caller), {code: 'content_erased'});
	await assert.rejects(platform.analyst.rerun(runId, {...caller, requestId: ''}), {code: 'content_erased'});
	const {rows} = await store.audit({tenant: 'local', type: 'content.erased', text: runId, limit: 5});
	assert.deepEqual(
		rows.map(({actor, job, mode}) => [actor, job, mode]),
		[['owner', 'system', 'retention']],
	);
});

test('a run that the table says is old, and that its own signed end says is not, stays', async () => {
	const runId = await ask();
	const database = new DatabaseSync(path.join(whole.directory, 'data', 'writ.db'));
	database.prepare("UPDATE runs SET finished_at = '2020-01-01T00:00:00.000Z' WHERE run_id = ?").run(runId);
	database.close();
	assert.ok((await later(1).preview('local')).runs >= 1, 'lists believe their table');
	assert.equal((await later(1).run('local', OWNER)).erased, 0);
	assert.ok((await text(runId)).includes(SECRET));
	assert.equal((await verifyStored(platform, runId)).verdict, 'valid');
});

test('the scope of a run is erased with it, and with it the program that was asked for', async () => {
	const step = {id: 'tell', tool: 'mail.send', times: 1, after: [], input: {to: {is: 'carla@example.com'}}};
	const task = {tool: 'code.shell', mode: 'shell', input: {code: `echo ${SECRET}`}, scope: {steps: [step]}};
	const signal = new AbortController().signal;
	const {run_id: runId} = await platform.analyst.perform(task, {principal: OWNER, requestId: '', signal});
	const stated = JSON.stringify((await store.rawEvents(runId))[0]);
	assert.deepEqual([stated.includes(`echo ${SECRET}`), stated.includes('carla@example.com')], [true, true]);
	assert.ok((await later(32).run('local', OWNER)).erased >= 1);
	const left = await text(runId);
	assert.deepEqual([left.includes(SECRET), left.includes('carla@example.com')], [false, false]);
	assert.equal((await verifyStored(platform, runId)).verdict, 'valid');
	assert.equal((await store.read(runId))[0]?.erased?.length, 64);
});

test('what is erased is in no file of the data directory any more', async () => {
	const closing: (() => unknown)[] = [];
	const whole = await wholePlatform({after: (close: () => unknown) => closing.push(close)}, {WRIT_POLICY_FILE: policyFile});
	const needle = 'zebra-4711-needle';
	await whole.add('people', [{name: 'people.csv', path: csv}]);
	await whole.run('people', 'sql', `SELECT '${needle}' AS x FROM people`);
	const {store: own, runs: others, kernel: gates, files, recordAudit} = whole.platform;
	const database = path.join(whole.directory, 'data', 'writ.db');
	const isThere = () => ['', '-wal'].some((end) => existsSync(database + end) && readFileSync(database + end).includes(needle));
	assert.ok(isThere());
	pass(90);
	const retention = createRetention({
		...{
			runs: others,
			kernel: gates,
			store: own,
			software: 'writ test',
			files,
			datasets: platform.datasets,
			heldBy: async () => null,
			holder: 'h',
			recordAudit,
			sweep: async () => 0,
		},
		clock: gates.clock,
		policy: () => whole.platform.policy.current().document.retention,
	});
	assert.ok((await retention.run(null, OWNER)).erased > 0);
	assert.equal(isThere(), false);
	await whole.platform.close();
	rmSync(whole.directory, {recursive: true, force: true});
});

test('a run that the policy file comes to hold while a pass is under way stays, whoever erases', async () => {
	const held = await ask();
	const {document} = platform.policy.current();
	const list: string[] = [];
	pass(33);
	const passing = (policy: () => readonly string[]) =>
		createRetention({
			...{
				runs,
				kernel,
				...shared,
				holder: 'pass',
			},
			store: {
				retention: store.retention,
				async read(runId: string) {
					const events = await store.read(runId);
					// The file is changed when the run was looked at and is about to be erased.
					if (runId === held && list.push(held)) await store.retention.holdListed([held], 'replace');
					return events;
				},
			},
			clock: kernel.clock,
			policy: () => ({...document.retention, legalHold: [...policy()]}),
			sweep: async () => 0,
		});
	await passing(() => []).run('local', OWNER); // a server whose file is older
	await passing(() => list).run('local', OWNER);
	assert.ok((await text(held)).includes(SECRET));
	await store.retention.holdListed([], 'replace');
	await later(34).run('local', OWNER);
	assert.ok(!(await text(held)).includes(SECRET));
});

test('a policy file that is read again is judged in the store before the reply', async () => {
	const runId = await ask();
	const before = readFileSync(policyFile, 'utf8');
	writeFileSync(policyFile, before.replace('  rules:', `  legalHold: [${runId}]\n  rules:`));
	assert.equal((await platform.policies.reload(OWNER)).kind, 'changed');
	pass(35);
	const stale = createRetention({
		...{
			runs,
			kernel,
			store,
			...shared,
			holder: 'stale',
		},
		clock: kernel.clock,
		policy: () => ({...platform.policy.current().document.retention, legalHold: []}),
		sweep: async () => 0,
	});
	await stale.run('local', OWNER);
	assert.ok((await text(runId)).includes(SECRET));
	writeFileSync(policyFile, before);
	await platform.policies.reload(OWNER);
	await stale.run('local', OWNER);
	assert.ok(!(await text(runId)).includes(SECRET));
});

test('what a hold names is kept until two people have released it, and both are on record', async () => {
	const runId = await ask();
	const holds = createHolds({runs, kernel, store, software: 'writ test', needsSecond: () => true});
	const ann: Principal = {kind: 'user', id: 'ann', tenant: 'local'};
	const {holdId} = await holds.place({kind: 'run', target: runId, reason: 'case 14'}, ann);
	await assert.rejects(holds.place({kind: 'run', target: 'run_none', reason: 'x'}, ann), {code: 'not_found'});
	await assert.rejects(holds.place({kind: 'tenant', target: 'others', reason: 'x'}, ann), {code: 'not_found'});
	await assert.rejects(holds.place({kind: 'run', target: runId, reason: 'x'}, {...ann, kind: 'agent'}), {code: 'forbidden'});
	await later(40).run('local', OWNER);
	assert.ok((await text(runId)).includes(SECRET));
	assert.equal((await holds.release(holdId, 'over', {by: ann})).state, 'asked');
	assert.equal((await holds.release(holdId, 'over', {by: ann})).state, 'asked', 'nobody agrees with themselves');
	await later(41).run('local', OWNER);
	assert.ok((await text(runId)).includes(SECRET), 'a wish releases nothing');
	assert.equal((await holds.release(holdId, 'I agree', {by: OWNER})).state, 'released');
	await later(42).run('local', OWNER);
	assert.ok(!(await text(runId)).includes(SECRET));
	const {rows} = await store.audit({tenant: 'local', text: holdId, limit: 10});
	assert.deepEqual(rows.map(({type, actor}) => [type, actor]).reverse(), [
		['hold.placed', 'ann'],
		['hold.release-asked', 'ann'],
		['hold.released', 'owner'],
	]);
});

test('a record of what was erased tells nothing once the key that signed it is revoked', async () => {
	const keys = path.join(whole.directory, 'data', 'keys');
	const runId = await ask();
	await rotateKey(keys, {revoke: null, clock: kernel.clock});
	await later(43).run('local', OWNER);
	const verdicts = async () => {
		const {body} = await packEvidence(platform, runId, 'bundle', 'writ test');
		const bundle = Buffer.from(body);
		return [await verifyStored(platform, runId), verifyBundle(bundle), verifyEvidence(bundle)].map(({verdict}) => verdict);
	};
	assert.deepEqual(await verdicts(), ['valid', 'valid', 'valid']);
	await rotateKey(keys, {revoke: 'it was copied', clock: kernel.clock});
	assert.deepEqual(await verdicts(), ['cannot_tell', 'cannot_tell', 'cannot_tell']);
});

test('files that no run names are erased, and those that one names are kept', async () => {
	const kept = await platform.files.put('local', Buffer.from('named'));
	const loose = await platform.files.put('local', Buffer.from('loose'));
	const place = await platform.files.place('local');
	const old = new Date(Date.now() + 1_000);
	for (const name of [kept, loose]) utimesSync(path.join(place, name), old, old);
	const named = {...store.retention, isCited: async (_: string, sha256: string) => sha256 === kept};
	pass(800);
	const retention = createRetention({
		...{
			runs,
			kernel,
			...shared,
			holder: 'files',
		},
		store: {...store, read: store.read, retention: named},
		clock: kernel.clock,
		policy: () => platform.policy.current().document.retention,
		sweep: async () => 0,
	});
	assert.equal((await retention.run('local', OWNER)).files, 1);
	assert.deepEqual(globSync('*', {cwd: place}), [kept]);
	assert.ok((await store.audit({tenant: 'local', text: loose, limit: 5})).rows.length > 0);
});
