/** Evidence as a person handles it: exported, checked elsewhere, kept across a change of keys, and done again. */
import assert from 'node:assert/strict';
import {spawnSync} from 'node:child_process';
import {existsSync, mkdtempSync, readFileSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {after, test} from 'node:test';
import type {ReplayReply} from '#contract/reproducibility.ts';
import {ROOT, runWrit, startWrit} from './server.ts';

const elsewhere = mkdtempSync(path.join(tmpdir(), 'writ-elsewhere-'));
after(() => rmSync(elsewhere, {recursive: true}));
const at = (name: string) => path.join(elsewhere, name);
const anchor = at('anchor/checkpoints');
const writ = await startWrit({after}, {env: {WRIT_POOL_SIZE: '1', WRIT_ANCHOR: anchor}});
const env = {WRIT_URL: writ.url, WRIT_DATA_DIR: writ.dataDir};
const evidence = (...args: string[]) => runWrit(['evidence', ...args], {env});
const second = (...args: string[]) =>
	spawnSync(process.execPath, [path.join(ROOT, 'scripts/verify-evidence.mjs'), ...args]).status;
const {run_id: runId} = await writ.ask('SQL: SELECT priority, count(*) AS n FROM tickets GROUP BY 1 ORDER BY 1');

test('a bundle is exported as a directory and as an archive, and both verifiers accept it with key and anchor', async () => {
	const key = path.join(writ.dataDir, 'keys/signing.pem.pub');
	for (const place of [at('bundle'), at('bundle.tar')]) {
		assert.equal((await evidence('export', runId, '--bundle', place)).exit, 0);
		const {exit, out} = await evidence('verify', place, '--key', key, '--anchor', anchor);
		assert.equal(exit, 0, out);
		assert.equal(second(place, '--key', key, '--anchor', anchor), 0);
	}
	const again = at('again.tar');
	await evidence('export', runId, '--bundle', again);
	assert.ok(readFileSync(again).equals(readFileSync(at('bundle.tar'))));
	assert.match(readFileSync(at('bundle/reports/summary.md'), 'utf8'), /analyst.sql \| allow/);
	assert.ok(existsSync(at('bundle/statements/test-0001.dsse.json')));
});

test('the report is shown of a run and of a bundle', async () => {
	const [run, bundle] = [await evidence('show', runId), await evidence('show', at('bundle.tar'))];
	assert.equal(run.exit, 0, run.err);
	assert.equal(run.out, bundle.out);
	assert.match(run.out, new RegExp(`^# Run ${runId}`));
	assert.equal(JSON.parse((await evidence('show', runId, '--json')).out).format, 'writ-bundle/1');
});

test('the log of all runs is checked on disk, a run against its anchor, and what is missing cannot be told', async () => {
	const log = path.join(writ.dataDir, 'log');
	assert.equal((await evidence('verify', log, '--anchor', anchor)).exit, 0);
	assert.equal((await evidence('verify', runId, '--anchor', anchor)).exit, 0);
	assert.equal((await evidence('verify', at('nothing.tar'))).exit, 2);
	const {body} = await writ.get<{checks: {name: string; ok: boolean}[]}>('/api/v1/doctor');
	assert.deepEqual(body.checks.find(({name}) => name === 'anchor')?.ok, true);
});

test('a run states what it depends on, and doing it again gives the same result', async () => {
	const [started] = await writ.events(runId);
	assert.ok(started?.type === 'run.started' && started.data.facts);
	const {code, dependencies, runner, datasets, seeds} = started.data.facts;
	for (const digest of [code.digest, dependencies, runner.digest]) assert.match(String(digest), /^[0-9a-f]{64}$/);
	assert.deepEqual([datasets, seeds], [[started.data.dataset], {}]);
	const {exit, out} = await runWrit(['replay', runId, '--json'], {env});
	const reply = JSON.parse(out) as ReplayReply;
	assert.deepEqual([exit, reply.verdict, reply.changed], [0, 'same', []], out);
	const [again] = await writ.events(reply.runId);
	assert.ok(again?.type === 'run.started' && again.data.replayOf === runId);
	assert.equal((await writ.verify(reply.runId)).verdict, 'valid');
});

test('a result that is another each time is said to differ, and where', async () => {
	const drawn = await writ.ask('SQL: SELECT random() AS drawn');
	const {exit, out} = await runWrit(['replay', drawn.run_id, '--json'], {env});
	const reply = JSON.parse(out) as ReplayReply;
	assert.deepEqual([exit, reply.verdict, reply.actions[0]?.difference], [1, 'different', 'output.table.rows[0][0]'], out);
	assert.equal((await runWrit(['replay', 'run_gone'], {env})).exit, 4);
});

test('a run that changed the world is not done again', async () => {
	const {body} = await writ.get<{runs: {run_id: string}[]}>('/runs?mode=ingest');
	const {exit, out} = await runWrit(['replay', body.runs[0]?.run_id ?? '', '--json'], {env});
	const {verdict, reason} = JSON.parse(out) as ReplayReply;
	assert.deepEqual(
		[exit, verdict, reason],
		[2, 'could_not', '`dataset.add` changes the world, which is not done twice to see what happens'],
	);
});

test('keys are rotated under a server that runs: what the old one signed stays valid, and the new one signs', async () => {
	const old = at('old.pub');
	const pub = path.join(writ.dataDir, 'keys/signing.pem.pub');
	spawnSync('cp', [pub, old]);
	const {exit, out, err} = await runWrit(['keys', 'rotate', '--json'], {env});
	assert.equal(exit, 0, err);
	const {keyId, previous} = JSON.parse(out) as {keyId: string; previous: string};
	const later = await writ.ask('SQL: SELECT 1 AS one');
	assert.equal((await writ.capsule(later.run_id)).head?.key_id, keyId);
	assert.equal((await writ.capsule(runId)).head?.key_id, previous);
	for (const run of [runId, later.run_id]) {
		assert.equal((await writ.verify(run)).verdict, 'valid');
		const place = at(`${run}.tar`);
		await evidence('export', run, '--bundle', place);
		for (const key of [old, pub]) {
			const verified = await evidence('verify', place, '--key', key, '--anchor', anchor);
			assert.equal(verified.exit, 0, verified.out);
			assert.equal(second(place, '--key', key, '--anchor', anchor), 0);
		}
	}
	assert.match((await runWrit(['keys', 'list'], {env})).out, new RegExp(`${previous} since the beginning\\n${keyId} since 20`));
});
