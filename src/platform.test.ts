import assert from 'node:assert/strict';
import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {test} from 'node:test';
import {getHeapStatistics} from 'node:v8';
import {loadConfig} from '#config/config.ts';
import type {Decision, GateResult} from '#contract/event.ts';
import {verifyRun} from '#evidence/verify.ts';
import {sampleAction, sampleFacts} from '#policy/sample-action.ts';
import {giveBack} from './give-back.ts';
import {createPlatform, type Platform} from './platform.ts';

test('a policy file may call every tool by its name', async (t) => {
	const dir = await mkdtemp(path.join(tmpdir(), 'writ-platform-'));
	const plain = await platformIn(dir, {});
	const names = [...plain.kernel.tools.keys()];
	await plain.close();
	assert.equal(names.length > 0, true);

	const policyFile = path.join(dir, 'policy.cedar');
	await writeFile(policyFile, names.map((name) => `forbid (principal, action == Action::"${name}", resource);`).join('\n'));
	const governed = await platformIn(dir, {WRIT_POLICY_FILE: policyFile});
	t.after(async () => {
		await governed.close();
		await rm(dir, {recursive: true});
	});
	assert.deepEqual(governed.policy.current().problems, []);
});

test('what is riskier than the policy file allows is denied, with the place to change', async (t) => {
	const dir = await mkdtemp(path.join(tmpdir(), 'writ-platform-'));
	const medium = sampleAction({risk: 'medium'});
	const policyFile = path.join(dir, 'policy.yaml');
	await writeFile(policyFile, 'version: 1\nrisk:\n  decisions: {medium: deny, high: deny, critical: deny}\n');
	const verdicts: unknown[] = [];
	for (const env of [{}, {WRIT_POLICY_FILE: policyFile}]) {
		const {policy, close} = await platformIn(dir, env);
		const result = policy
			.current()
			.gates.find(({name}) => name === 'risk')
			?.decide(medium, sampleFacts());
		verdicts.push([result?.effect, result?.rules, result?.reason]);
		await close();
	}
	t.after(() => rm(dir, {recursive: true}));
	const reason = 'the risk is medium: `analyst.sql` says so of this input';
	assert.deepEqual(verdicts, [
		['allow', ['risk:medium'], reason],
		['deny', ['risk:medium'], `${reason}; to allow it, change \`risk.decisions.medium\` in policy.yaml`],
	]);
});

test('every action that was under way when a server died is on record as unknown', async (t) => {
	const dir = await mkdtemp(path.join(tmpdir(), 'writ-platform-'));
	const {runs, analyst, store, kernel, key, close} = await platformIn(dir, {});
	t.after(async () => {
		await close();
		await rm(dir, {recursive: true});
	});
	const actor = {kind: 'user', id: 'ada', tenant: 'local'} as const;
	const signal = new AbortController().signal;
	const started = {job: 'analyst', mode: 'chat', threadId: null, question: null, dataset: null} as const;
	const run = await runs.open({...started, principal: actor, software: 'writ', policyVersion: 'p'}, actor, signal);
	const input = {dataset_id: 'support', sql: 'SELECT 1'};
	const inputDigest = kernel.digest(input);
	const gate: GateResult = {gate: 'permission', effect: 'allow', rules: ['r'], reason: ''};
	const decision: Decision = {effect: 'allow', gates: [gate], risk: 'low', policyVersion: 'p'};
	for (const actionId of ['act_1', 'act_2', 'act_3']) {
		const proposal = {actionId, tool: 'analyst.sql', toolVersion: '1', input, inputDigest, redactions: 0};
		await run.journal.append(
			{type: 'action.proposed', actor, data: proposal},
			{type: 'action.decided', actor, data: {actionId, decision}},
			{type: 'action.intent', actor, data: {actionId, permitId: 'p', approvalId: null, binding: 'b', limits: {}}},
		);
	}
	run.park();

	await analyst.recover(await runs.take(run.id, signal));

	const outcomes = (await store.read(run.id)).filter((event) => event.type === 'action.outcome');
	assert.deepEqual(
		outcomes.map(({data}) => [data.actionId, data.status]),
		[
			['act_1', 'unknown'],
			['act_2', 'unknown'],
			['act_3', 'unknown'],
		],
	);
	assert.equal(verifyRun(await store.rawEvents(run.id), await store.head(run.id), key.publicKey).verdict, 'valid');
});

test('the room that work took is given back', async () => {
	const work = {left: Array.from({length: 500_000}, (_, index) => ({index}))};
	assert.equal(work.left.length, 500_000);
	const atWork = getHeapStatistics().total_heap_size;

	work.left = [];
	await giveBack();

	assert.ok(getHeapStatistics().total_heap_size < atWork - 8 * 2 ** 20);
});

function platformIn(dir: string, env: Readonly<Record<string, string>>): Promise<Platform> {
	return createPlatform({
		config: loadConfig({file: null, env: {WRIT_DATA_DIR: path.join(dir, 'data'), ...env}}).config,
		root: path.resolve(import.meta.dirname, '..'),
		software: 'writ test',
		report: () => {},
		answerer: () => () => assert.fail('nobody asks'),
	});
}
