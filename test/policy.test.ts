import assert from 'node:assert/strict';
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {type TestContext, test} from 'node:test';
import type {Event} from '#contract/event.ts';
import {OWNER, wholePlatform} from './platform.ts';

const LONG_AGO = '2020-01-01T00:00:00.000Z';

/** A platform under a policy file, with a dataset that nine queries have read. */
async function governed(t: TestContext, policy = 'version: 1\n') {
	const directory = mkdtempSync(path.join(tmpdir(), 'writ-policy-'));
	const file = path.join(directory, 'policy.yaml');
	writeFileSync(file, policy);
	const csv = path.join(directory, 'people.csv');
	writeFileSync(csv, 'name,age\nada,36\nbob,41\n');
	const whole = await wholePlatform(t, {WRIT_POLICY_FILE: file});
	t.after(() => rmSync(directory, {recursive: true, force: true}));
	await whole.add('people', [{name: 'people.csv', path: csv}]);
	return {...whole, file, policies: whole.platform.policies};
}

async function systemRuns(store: {
	runs(filter: {tenant: string; job: string; limit: number}): Promise<{rows: readonly {runId: string}[]}>;
	read(runId: string): Promise<readonly Event[]>;
}) {
	const {rows} = await store.runs({tenant: 'local', job: 'system', limit: 50});
	return Promise.all(rows.map(async ({runId}) => (await store.read(runId)).map(({type}) => type)));
}

test('backtesting takes every recorded decision again, and lists those that would change with their number', async (t) => {
	const {run, policies} = await governed(t);
	for (const age of [1, 2, 3]) await run('people', 'sql', `SELECT count(*) FROM people WHERE age > ${age}`);

	const same = await policies.backtest({name: 'policy.yaml', text: 'version: 1\n', files: {}}, LONG_AGO, 'local');
	assert.deepEqual([same.examined, same.unchanged, same.changes], [4, 4, []]);

	const text = 'version: 1\ntools: {"*": {}, analyst.sql: {mode: propose}}\n';
	const {examined, unchanged, counts, changes} = await policies.backtest(
		{name: 'policy.yaml', text, files: {}},
		LONG_AGO,
		'local',
	);
	assert.deepEqual([examined, unchanged, counts], [4, 1, {'allow to ask': 3}]);
	assert.deepEqual(
		changes.map(({tool, before, after}) => [tool, before.effect, after.effect, after.rules]),
		[1, 2, 3].map(() => ['analyst.sql', 'allow', 'ask', ['mode:propose']]),
	);

	const elsewhere = await policies.backtest({name: 'policy.yaml', text, files: {}}, LONG_AGO, 'another tenant');
	assert.equal(elsewhere.examined, 0);
	const now = await policies.backtest({name: 'policy.yaml', text, files: {}}, '2999-01-01T00:00:00.000Z', 'local');
	assert.equal(now.examined, 0);
});

test('backtesting refuses a policy that is not sound, with the place', async (t) => {
	const {policies} = await governed(t);
	await assert.rejects(policies.backtest({name: 'policy.yaml', text: 'version: 1\ntols: {}\n', files: {}}, LONG_AGO, 'local'), {
		code: 'validation_error',
		message: 'policy.yaml:2:1: unknown key `tols`; did you mean `tools`?',
	});
	const text = 'version: 1\ncedar: {files: [/etc/passwd]}\n';
	await assert.rejects(policies.backtest({name: 'policy.yaml', text, files: {}}, LONG_AGO, 'local'), {
		message: 'policy.yaml:2: `/etc/passwd` cannot be read: it was not sent',
	});
});

test('a policy is checked without coming into force: its mistakes, what it changes, and its test cases', async (t) => {
	const {policies, platform} = await governed(t);
	const {version} = platform.policy.current();
	const policy = (text: string) => ({name: 'policy.yaml', text, files: {}});
	const broken = await policies.check({policy: policy('version: 1\ntols: {}\n'), cases: []});
	assert.deepEqual(broken, {
		version: null,
		problems: [{file: 'policy.yaml', line: 2, column: 1, message: 'unknown key `tols`; did you mean `tools`?'}],
		comparison: null,
		results: [],
	});
	const same = await policies.check({policy: policy('version: 1\n'), cases: []});
	assert.deepEqual([same.version, same.comparison?.same], [version, true]);
	assert.ok((same.comparison?.asked ?? 0) > 100);

	const [allow, deny] = ['allow', 'deny'].map((expect) => ({
		name: `${expect}.yaml`,
		text: `cases:\n  - {name: sql is ${expect}, tool: analyst.sql, expect: ${expect}, input: {dataset_id: people, sql: SELECT 1}}\n`,
	}));
	assert.ok(allow && deny);
	const stopped = await policies.check({
		policy: policy('version: 1\nmodes: [{mode: observe, tool: analyst.sql}]\n'),
		cases: [allow, deny, {name: 'none.yaml', text: 'cases: []\n'}],
	});
	assert.deepEqual(
		stopped.results.map(({file, passed}) => [file, passed]),
		[
			['allow.yaml', false],
			['deny.yaml', true],
		],
	);
	assert.deepEqual(
		stopped.problems.map(({file, line}) => [file, line]),
		[['none.yaml', 1]],
	);
	const {comparison} = stopped;
	assert.deepEqual([comparison?.looser, comparison?.rules, comparison?.values.map(({path}) => path)], [0, false, ['modes']]);
	assert.ok((comparison?.stricter ?? 0) > 0);
	assert.equal(platform.policy.current().version, version);
	assert.deepEqual(await systemRuns(platform.store), []);
});

test('a decision is explained by its gates as they were and as they would be now', async (t) => {
	const {run, policies, file, platform} = await governed(t);
	await run('people', 'sql', 'SELECT 1');
	const {rows} = await platform.store.runs({tenant: 'local', mode: 'sql', limit: 1});
	const runId = rows[0]?.runId ?? '';

	const before = await policies.explain({runId}, OWNER);
	assert.deepEqual([before.tool, before.recorded?.effect, before.now], ['analyst.sql', 'allow', before.recorded]);
	assert.deepEqual(
		before.recorded?.gates.map(({gate}) => gate),
		['permission', 'policy', 'budget', 'risk', 'flow'],
	);

	writeFileSync(file, 'version: 1\nrisk: {decisions: {low: deny, medium: deny, high: deny, critical: deny}}\n');
	assert.equal((await policies.reload(OWNER)).kind, 'changed');
	const after = await policies.explain({runId}, OWNER);
	assert.deepEqual([after.recorded, after.now?.effect], [before.recorded, 'deny']);
	assert.equal(after.now?.policyVersion, platform.policy.current().version);
	await assert.rejects(policies.explain({runId}, {...OWNER, tenant: 'another'}), {code: 'not_found'});
});

test('an action that nobody proposed is explained for whoever would', async (t) => {
	const {policies} = await governed(t);
	const input = {code: 'print(1)'};
	const effects = [];
	for (const as of ['user:ada', 'agent:analyst', 'schedule:nightly']) {
		const {now} = await policies.explain({tool: 'code.python', input, as}, OWNER);
		effects.push(now?.effect);
	}
	assert.deepEqual(effects, ['allow', 'ask', 'deny']);
	await assert.rejects(policies.explain({tool: 'code.pyton', input: {}}, OWNER), {code: 'not_found'});
});

test('a reload that counts, and one that is refused, are on record as runs', async (t) => {
	const {policies, file, platform} = await governed(t);
	writeFileSync(file, 'version: 1\nbudgets: {run: {actions: 20}}\n');
	assert.equal((await policies.reload(OWNER)).kind, 'changed');
	assert.equal((await policies.reload(OWNER)).kind, 'unchanged');
	assert.equal(platform.kernel.budget.actions, 20);
	writeFileSync(file, 'version: 1\nbudgets: {run: {actoins: 30}}\n');
	const {kind, problems} = await policies.reload(OWNER);
	assert.deepEqual([kind, problems.length, platform.kernel.budget.actions], ['refused', 1, 20]);
	assert.deepEqual((await systemRuns(platform.store)).toSorted(), [
		['run.started', 'policy.changed', 'run.finished'],
		['run.started', 'policy.refused', 'run.finished'],
	]);
});

test('a thread that read labelled data asks before anything leaves it, in a later run too', async (t) => {
	const policy = `version: 1
flow:
  labels: [{label: customer-data, tools: [analyst.sql], resources: [people]}]
  rules: [{id: customer-data-stays, after: {label: customer-data}, ask: {egress: true}}]
`;
	const {platform} = await governed(t, policy);
	const caller = {principal: OWNER, requestId: '', signal: new AbortController().signal};
	const ask = (thread: string) =>
		platform.analyst.run(
			{dataset_id: 'people', query_type: 'sql', thread_id: thread, sql: 'SELECT 1'} as Parameters<typeof platform.analyst.run>[0],
			caller,
		);
	const {run_id} = await ask('t1');
	const events = await platform.store.read(run_id);
	const [first] = events;
	assert.equal(first?.type === 'run.started' && first.data.threadId, 't1');
	assert.ok(first?.type === 'run.started');
	const next = {...first, runId: 'run_next'};
	const steps = (await platform.kernel.thread?.({runId: 'run_next', principal: OWNER, events: [next]})) ?? [];
	assert.deepEqual(
		steps.map(({runId, tool}) => [runId, tool]),
		[[run_id, 'analyst.sql']],
	);
	const elsewhere = {...next, data: {...first.data, threadId: 't2'}};
	assert.deepEqual(await platform.kernel.thread?.({runId: 'run_next', principal: OWNER, events: [elsewhere]}), []);
});

for (const thread of ['t1', null])
	test(`an export is judged by what led to its result, ${thread === null ? 'which has no thread' : 'and by its thread'}`, async (t) => {
		const policy = `version: 1
flow:
  labels: [{label: customer-data, tools: [analyst.sql], resources: [people]}]
  rules: [{id: customer-data-stays, after: {label: customer-data, within: run}, deny: {egress: true}}]
cedar:
  rules: |
    @id("strangers-stay")
    @description("what strangers wrote stays")
    forbid (principal, action == Action::"analyst.export", resource) when { context.untrusted };
`;
		const {platform} = await governed(t, policy);
		const {analyst, store} = platform;
		const caller = {principal: OWNER, requestId: '', signal: new AbortController().signal};
		const request = {dataset_id: 'people', query_type: 'sql', thread_id: thread, sql: 'SELECT * FROM people'};
		const {run_id} = await analyst.run(request as Parameters<typeof analyst.run>[0], caller);
		await assert.rejects(analyst.export(run_id, 'csv', caller), {code: 'policy_denied'});

		const {rows} = await store.runs({tenant: 'local', mode: 'export', limit: 10});
		const again = await analyst.rerun(rows[0]?.runId ?? '', caller);
		assert.equal(again.status, 'rejected');
		for (const runId of [rows[0]?.runId ?? '', again.run_id]) {
			const decided = (await store.read(runId)).find((event) => event.type === 'action.decided');
			const rules = decided?.data.decision.gates.flatMap((gate) => (gate.effect === 'deny' ? gate.rules : [])).sort();
			assert.deepEqual(rules, ['flow:customer-data-stays', 'strangers-stay']);
		}
	});

test('runs of a tenant that start at once spend no more than its budget, and are told which one ran out', async (t) => {
	const {platform, file, policies, run} = await governed(t);
	writeFileSync(file, 'version: 1\nbudgets: {tenant: {window: month, runs: 5}}\n');
	await policies.reload(OWNER);
	const asked = Array.from({length: 8}, (_, n) => run('people', 'sql', `SELECT ${n}`));
	const results = await Promise.allSettled(asked);
	const refused = results.flatMap((result) =>
		result.status === 'rejected' ? [result.reason as {code: string; hint: string}] : [],
	);
	assert.equal(refused.length, 3);
	assert.deepEqual(
		new Set(refused.map(({code, hint}) => `${code}: ${hint}`)),
		new Set(['budget_exceeded: wait, or ask whoever keeps policy.yaml to raise `budgets.tenant.runs`']),
	);

	writeFileSync(file, 'version: 1\nbudgets: {tenant: {window: month, concurrency: 1}}\n');
	await policies.reload(OWNER);
	await run('people', 'sql', 'SELECT 8'); // those that have ended hold nothing back
	assert.equal((await platform.store.runs({tenant: 'local', mode: 'sql', limit: 50})).rows.length, 6);
});
