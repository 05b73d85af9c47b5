import assert from 'node:assert/strict';
import {test} from 'node:test';
import {exportBundle} from './bundle.ts';
import {finishedRun, sampleKey, startRun, testedBodies} from './sample-run.ts';
import {packTar} from './tar.ts';
import {verifyBundle} from './verify-bundle.ts';

const key = sampleKey();
const CASES = [
	{file: 'a.test.ts', name: ['suite', 'adds <up>'], status: 'passed', durationMs: 1},
	{file: 'a.test.ts', name: ['suite', 'is & was'], status: 'failed', durationMs: 2, message: 'expected "1"\nwas \u0000 2'},
	{file: 'a.test.ts', name: ['later'], status: 'skipped', durationMs: 0},
] as const;
const run = await finishedRun(key, 'run_1', testedBodies(CASES as never));
const files = await exportBundle('run_1', {store: run.store, key});
const text = (path: string) => String(files.get(path));
const stated = (path: string) => JSON.parse(Buffer.from(JSON.parse(text(path)).payload, 'base64').toString());

test('a bundle holds summary, statements, log, artifacts and reports', () => {
	const paths = [...files.keys()].filter((path) => !path.startsWith('artifacts/')).sort();
	assert.deepEqual(paths, [
		'evidence.json',
		'keys.json',
		'log/checkpoint',
		'log/events.jsonl',
		'log/head.json',
		'log/proofs.json',
		'log/tile/0/000.p/16',
		'log/tile/entries/000.p/16',
		'reports/junit.xml',
		'reports/results.sarif',
		'reports/summary.md',
		'statements/action-0001.dsse.json',
		'statements/action-0002.dsse.json',
		'statements/action-0003.dsse.json',
		'statements/bundle.dsse.json',
		'statements/test-0002.dsse.json',
		'statements/verdict.dsse.json',
	]);
});

test('the same run and key give the same bytes, in a directory and in an archive', async () => {
	const again = await exportBundle('run_1', {store: run.store, key});
	assert.deepEqual([...again], [...files]);
	assert.ok(packTar(again).equals(packTar(new Map([...files].reverse()))));
});

test('an action is stated with its decision, rules, approval, budget, risk, labels and outcome', () => {
	const {predicateType, subject, predicate} = stated('statements/action-0001.dsse.json');
	const [proposed] = run.store.rows.filter(({type}) => type === 'action.proposed');
	assert.equal(predicateType, 'urn:writ:action-decision/v1');
	assert.deepEqual(subject[0], {name: 'run/run_1/event/2', digest: {sha256: proposed?.hash}});
	const {ruleIds, risk, labels, approval, budget, outcome, verdict, end} = predicate;
	assert.deepEqual(
		[ruleIds, risk, labels, approval.digest, approval.used, budget.limits, outcome.status, verdict, end],
		[['r1'], 'high', ['untrusted'], {sha256: 'b1'}, true, {wallMs: 1_000}, 'succeeded', 'unverified', 'succeeded'],
	);
	assert.deepEqual(
		approval.answers.map(({answer, approver}: {answer: string; approver: {id: string}}) => [answer, approver.id]),
		[['granted', 'ada']],
	);
});

test('a suite that ran in a sandbox is stated as a test result, and reported as JUnit', () => {
	const {predicateType, predicate} = stated('statements/test-0002.dsse.json');
	assert.equal(predicateType, 'https://in-toto.io/attestation/test-result/v0.1');
	const {result, passedTests, warnedTests, failedTests, configuration} = predicate;
	assert.deepEqual(
		[result, passedTests, warnedTests, failedTests],
		['FAILED', ['a.test.ts › suite › adds <up>'], ['a.test.ts › later'], ['a.test.ts › suite › is & was']],
	);
	assert.deepEqual(
		configuration.map(({name}: {name: string}) => name),
		['ops.restart@1', 'policy', 'sandbox/process/kernel-shared'],
	);
	assert.match(text('reports/junit.xml'), /tests="3" failures="1" errors="0" skipped="1"/);
	assert.match(text('reports/junit.xml'), /<failure message="expected &quot;1&quot;&#10;was \ufffd 2"\/>/);
});

test('the verdict is a verification summary over every other statement', () => {
	const {predicateType, predicate} = stated('statements/verdict.dsse.json');
	assert.equal(predicateType, 'https://slsa.dev/verification_summary/v1');
	assert.deepEqual([predicate.verificationResult, predicate.refused], ['FAILED', ['act_3']]);
	assert.equal(predicate.inputAttestations.length, 4);
});

test('what was refused is in the SARIF report', () => {
	const [{results}] = JSON.parse(text('reports/results.sarif')).runs;
	assert.deepEqual(
		results.map(({ruleId, level}: {ruleId: string; level: string}) => [ruleId, level]),
		[['r1', 'warning']],
	);
});

test('a bundle is valid as files and as an archive', () => {
	for (const form of [files, packTar(files)]) {
		const {verdict, checks} = verifyBundle(form, {trustedKeyId: key.keyId});
		assert.deepEqual([verdict, checks.filter(({passed}) => !passed)], ['valid', []]);
	}
	assert.equal(verifyBundle(files, {trustedKeyId: sampleKey().keyId}).verdict, 'cannot_tell');
	for (const other of [Buffer.alloc(0), Buffer.from('{}'), new Map()]) assert.equal(verifyBundle(other).verdict, 'cannot_tell');
});

test('nothing is stated of a run that has not finished, is not there, or was changed', async () => {
	const {store} = await startRun(key);
	await assert.rejects(exportBundle('run_1', {store, key}), {code: 'conflict'});
	await assert.rejects(exportBundle('run_1', {store: {rawEvents: async () => [], head: async () => null}, key}), {
		code: 'not_found',
	});
	const rows = structuredClone(run.store.rows);
	Object.assign(rows[4] ?? {}, {at: '2026-03-01T12:00:01.000Z'});
	const damaged = {rawEvents: async () => rows, head: async () => run.head};
	await assert.rejects(exportBundle('run_1', {store: damaged, key}), {code: 'evidence_tampered'});
	const headless = {...run.store, head: async () => null};
	await assert.rejects(exportBundle('run_1', {store: headless, key}), {code: 'evidence_tampered'});
});
