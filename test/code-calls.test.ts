/** A program in a real sandbox calls tools of the platform: each call passes every gate, and all of it is one run's evidence. */
import assert from 'node:assert/strict';
import {writeFileSync} from 'node:fs';
import path from 'node:path';
import {after, test} from 'node:test';
import type {ChatResponse, WorkReply} from '#contract/api.ts';
import type {Approval} from '#contract/approval-api.ts';
import type {Event} from '#contract/event.ts';
import {eventually, freshData, ingestedSamples, runWrit, type Scope, startWrit, type Writ} from './server.ts';

const scope: Scope = {after};
const POLICY = `
@id("python-asks")
@description("a person looks at Python over data before it runs")
@decision("ask")
permit (principal, action == Action::"analyst.python", resource);

@id("shop-asks")
@description("a person looks at queries of the shop before they run")
@decision("ask")
permit (principal, action == Action::"analyst.sql", resource == Dataset::"ecommerce");

@id("no-sensors")
@description("nobody queries the sensors here")
forbid (principal, action == Action::"analyst.sql", resource == Dataset::"sensors");
`;
const writ = await startWithPolicy();

async function startWithPolicy(env = {}, data?: string): Promise<Writ> {
	const dataDir = data ?? freshData(scope, await ingestedSamples());
	const file = path.join(dataDir, 'rules.cedar');
	writeFileSync(file, POLICY);
	return startWrit(scope, {dataDir, env: {WRIT_POLICY_FILE: file, WRIT_MAX_SANDBOXES: '1', RUN_TIMEOUT_SECONDS: '60', ...env}});
}

async function run(code: string, more: object = {}): Promise<WorkReply> {
	const {status, body} = await writ.post<WorkReply>('/api/v1/code', {language: 'javascript', code, ...more});
	assert.equal(status, 200, JSON.stringify(body));
	return body;
}

function resultOf({status, output, error}: WorkReply): unknown {
	assert.equal(status, 'succeeded', JSON.stringify(error));
	return (output as {value: unknown}).value;
}

/** Tool, effect of the decision and how it ended, for each action under `parent`. */
function children(events: readonly Event[], parent: string | undefined): unknown[] {
	const about = (id: string) => events.filter(({data}) => 'actionId' in data && data.actionId === id);
	return events
		.filter((event) => event.type === 'action.proposed')
		.filter(({data}) => data.parentActionId === parent)
		.map(({data}) => [
			data.tool,
			...about(data.actionId).flatMap((event) =>
				event.type === 'action.decided'
					? [event.data.decision.effect]
					: event.type === 'action.outcome'
						? [event.data.status]
						: [],
			),
		]);
}

const CALLS = `
const refusal = ({code, message, hint}) => ({code, message, hint});
const allowed = await writ.call('analyst.sql', {dataset_id: 'support', sql: 'SELECT count(*) AS n FROM tickets'});
const denied = await writ.call('analyst.sql', {dataset_id: 'sensors', sql: 'SELECT 1'}).catch(refusal);
const granted = await writ.call('analyst.python', {dataset_id: 'support', python_code: 'result = 1 + 1'}).then(() => 'done', refusal);
const rejected = await writ.call('analyst.python', {dataset_id: 'support', python_code: 'result = 2'}).catch(refusal);
export default {rows: allowed.table.rows, denied, granted, rejected};`;

/** What the code of a run waits for now. */
async function awaited(server = writ): Promise<Approval> {
	return eventually('question for a person', async () => {
		const {approvals} = (await server.get<{approvals: Approval[]}>('/api/v1/approvals?state=pending')).body;
		return approvals[0];
	});
}

function answer({approvalId, previewDigest}: Approval, verb: 'grant' | 'reject', server = writ) {
	return server.post<Approval>(`/api/v1/approvals/${approvalId}/${verb}`, {comment: 'seen', previewDigest});
}

test('code gets what a call returns, a denial, and what a person says, as values; all of it is on the record of its run', async () => {
	const running = run(CALLS);
	const first = await awaited();
	assert.deepEqual(
		[first.tool, first.preview, first.blastRadius?.target],
		['analyst.python', 'result = 1 + 1', {type: 'Dataset', id: 'support'}],
	);
	assert.ok(first.parentActionId);
	assert.equal((await writ.get<{status: string}>(`/runs/${first.runId}/status`)).body.status, 'running');
	assert.equal((await answer(first, 'grant')).status, 200);
	const second = await eventually('second question', async () => {
		const next = await awaited();
		return next.approvalId === first.approvalId ? undefined : next;
	});
	await answer(second, 'reject');
	const reply = await running;
	assert.deepEqual(resultOf(reply), {
		rows: [[6_417]],
		denied: {code: 'policy_denied', message: 'nobody queries the sensors here'},
		granted: 'done',
		rejected: {code: 'approval_rejected', message: 'local rejected it: seen'},
	});
	const events = await writ.events(reply.runId);
	assert.deepEqual(children(events, undefined), [['code.javascript', 'allow', 'succeeded']]);
	const parent = events.find((event) => event.type === 'action.proposed')?.data;
	assert.ok(parent && 'actionId' in parent);
	assert.deepEqual(children(events, String(parent.actionId)), [
		['analyst.sql', 'allow', 'succeeded'],
		['analyst.sql', 'deny'],
		['analyst.python', 'ask', 'ask', 'succeeded'],
		['analyst.python', 'ask', 'ask', 'rejected'],
	]);
	assert.deepEqual(
		reply.calls.map(({tool, state}) => [tool, state]),
		[
			['analyst.sql', 'verified'],
			['analyst.sql', 'denied'],
			['analyst.python', 'verified'],
			['analyst.python', 'rejected'],
		],
	);
	assert.equal((await writ.verify(reply.runId)).verdict, 'valid');
	const {approvals} = (await writ.get<{approvals: Approval[]}>('/api/v1/approvals')).body;
	assert.deepEqual(
		approvals.map(({state}) => state),
		['consumed', 'rejected'],
	);
});

const ASKS = `export default await writ.call('analyst.sql', {dataset_id: 'ecommerce', sql: 'SELECT 1 AS one'})
.then(() => 'done', ({code}) => code);`;

test('the time that code waits for a person is not counted against its limit', async () => {
	const quick = await startWithPolicy({RUN_TIMEOUT_SECONDS: '5'});
	const running = quick.post<WorkReply>('/api/v1/code', {language: 'javascript', code: ASKS});
	const approval = await awaited(quick);
	const limit = Date.parse(approval.requestedAt) + 7_000;
	await eventually('end of the time limit', () => (Date.now() > limit ? true : undefined));
	await answer(approval, 'grant', quick);
	const {body} = await running;
	assert.deepEqual([body.status, (body.output as {value: unknown} | null)?.value], ['succeeded', 'done']);
});

test('a run that is cancelled while its code waits ends, and what it waited for with it', async () => {
	const running = run(ASKS);
	const {runId, approvalId} = await awaited();
	assert.equal((await writ.post(`/runs/${runId}/cancel`)).status, 200);
	const reply = await running;
	assert.deepEqual([reply.status, reply.calls.map(({state}) => state)], ['cancelled', ['cancelled']]);
	assert.equal((await writ.get<Approval>(`/api/v1/approvals/${approvalId}`)).body.state, 'cancelled');
	assert.equal((await writ.verify(runId)).verdict, 'valid');
});

test('after a crash the code that waited is unknown and what it waited for is cancelled, soon', async () => {
	const dataDir = freshData(scope, await ingestedSamples());
	const first = await startWithPolicy({}, dataDir);
	const lost = first.post('/api/v1/code', {language: 'javascript', code: ASKS}).catch(() => null);
	const {runId, approvalId} = await awaited(first);
	await first.stop('SIGKILL');
	await lost;
	const second = await startWithPolicy({}, dataDir);
	const reply = await eventually('end of the run', async () => {
		const {body} = await second.get<WorkReply>(`/api/v1/code/${runId}`);
		return body.status === 'running' ? undefined : body;
	});
	assert.deepEqual([reply.status, reply.calls.map(({state}) => state)], ['unknown', ['cancelled']]);
	assert.equal((await second.get<Approval>(`/api/v1/approvals/${approvalId}`)).body.state, 'cancelled');
	assert.equal((await second.verify(runId)).verdict, 'valid');
});

test('a server with room for one sandbox runs code whose calls need sandboxes of their own', async () => {
	const inner = `export default (await writ.call('analyst.sql', {dataset_id: 'support', sql: 'SELECT 1 AS one'})).table.rows[0][0]`;
	const outer = `const many = await Promise.all([1, 2, 3].map(() => writ.call('code.javascript', {code: ${JSON.stringify(inner)}})));
export default many.map(({value}) => value)`;
	const replies = await Promise.all([run(outer), run(outer)]);
	assert.deepEqual(replies.map(resultOf), [
		[1, 1, 1],
		[1, 1, 1],
	]);
});

test('a call that runs longer than the code may is ended with it', async () => {
	const slow = `await writ.call('code.javascript', {code: 'await new Promise((r) => setTimeout(r, 120_000))'})`;
	const running = run(slow);
	const {runs} = await eventuallyRunning();
	const cancelled = await writ.post(`/runs/${runs[0]?.run_id}/cancel`);
	assert.equal(cancelled.status, 200);
	const reply = await running;
	assert.deepEqual(
		[reply.status, reply.error?.code, reply.calls.map(({state}) => state)],
		['cancelled', 'cancelled', ['cancelled']],
	);
	assert.equal((await writ.verify(reply.runId)).verdict, 'valid');
});

type Runs = {runs: {run_id: string; status: string}[]};

/** Until the code has called, and what it called has started. */
async function eventuallyRunning(): Promise<Runs> {
	for (;;) {
		const {body} = await writ.get<Runs>('/runs?status=running');
		const [first] = body.runs;
		const events = first ? await writ.events(first.run_id) : [];
		if (events.filter(({type}) => type === 'action.intent').length === 2) return body;
	}
}

test('files given to a program are found in /in, what it leaves in /out can be fetched, and both are in the evidence by hash', async () => {
	const code = `import {readFileSync, writeFileSync, symlinkSync} from 'node:fs';
writeFileSync('/out/copy.txt', readFileSync('/in/data/a.txt', 'utf8').toUpperCase());
symlinkSync('/etc/passwd', '/out/link');
export default 1;`;
	const reply = await run(code, {files: [{name: 'data/a.txt', content: 'hello'}], artifacts: true});
	const {artifacts} = reply.output as {artifacts: {name: string; sha256: string; bytes: number; mediaType: string}[]};
	assert.deepEqual(
		artifacts.map(({name, bytes, mediaType}) => [name, bytes, mediaType]),
		[['copy.txt', 5, 'text/plain']],
	);
	assert.deepEqual(
		reply.verdict?.checks.map(({name, passed}) => [name, passed]),
		[
			['size', true],
			['artifacts', true],
		],
	);
	const {body} = await writ.get<string>(`/api/v1/code/${reply.runId}/artifacts/${artifacts[0]?.sha256}`);
	assert.equal(Buffer.from(body).toString(), 'HELLO');
	const proposed = (await writ.events(reply.runId)).find((event) => event.type === 'action.proposed');
	assert.ok(proposed?.type === 'action.proposed');
	assert.deepEqual((proposed.data.input as {files: unknown}).files, [
		{name: 'data/a.txt', sha256: '2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824'},
	]);
	const other = await writ.get(`/api/v1/code/${reply.runId}/artifacts/${'0'.repeat(64)}`);
	assert.equal(other.status, 404);
});

test('a program that was started with a scope may call what the scope names, and no more', async () => {
	const code = `
const call = (sql) => writ.call('analyst.sql', {dataset_id: 'support', sql}).then(() => 'done', ({code}) => code);
export default [await call('SELECT 1'), await call('SELECT 2'), await call('SELECT 1')];`;
	const steps = [{id: 'count', tool: 'analyst.sql', input: {dataset_id: {is: 'support'}, sql: {is: 'SELECT 1'}}}];
	assert.deepEqual(resultOf(await run(code, {scope: {steps}})), ['done', 'policy_denied', 'policy_denied']);
	assert.deepEqual(resultOf(await run(code)), ['done', 'done', 'done']);
	const broken = await writ.post('/api/v1/code', {language: 'javascript', code, scope: {steps: [...steps, ...steps]}});
	assert.equal(broken.status, 422);
});

test('a question that was asked with a scope may use what the scope names, and no more', async () => {
	const over = {dataset_id: {is: 'support'}};
	const [plan, sql] = [
		{id: 'plan', tool: 'analyst.query_plan', input: {...over, plan: {json: 5_000}}},
		{id: 'sql', tool: 'analyst.sql', input: {...over, sql: {text: 5_000}}},
	];
	const asking = async (message: string, ...steps: object[]) => {
		const given = {dataset_id: 'support', message, ...(steps.length > 0 && {scope: {steps}})};
		const {body} = await writ.post<ChatResponse>('/chat', given);
		return body;
	};
	const QUESTION = 'how many tickets by priority?';
	assert.equal((await asking(QUESTION)).status, 'succeeded');
	assert.equal((await asking(QUESTION, plan)).status, 'succeeded');
	const denied = await asking(QUESTION, sql);
	assert.notEqual(denied.status, 'succeeded');
	assert.match(denied.assistant_message, /`analyst.query_plan` is not in the scope that this run was started with/);

	const typed = await asking('SQL: SELECT 1', plan);
	assert.equal(typed.status, 'succeeded');
	const scopeOf = async (runId: string) => {
		const [first] = await writ.events(runId);
		assert.ok(first?.type === 'run.started');
		return first.data.scope?.steps.map(({id, input}) => [id, input]);
	};
	const spelled = {...over, sql: {is: 'SELECT 1'}};
	assert.deepEqual(await scopeOf(typed.run_id), [
		['asked-for', spelled],
		['plan', plan.input],
	]);
	const again = await writ.post<ChatResponse>(`/runs/${typed.run_id}/rerun`);
	assert.deepEqual([again.body.status, await scopeOf(again.body.run_id)], ['succeeded', await scopeOf(typed.run_id)]);
});

test('the command line reads a scope from a file', async () => {
	const cwd = freshData(scope);
	writeFileSync(path.join(cwd, 'count.mjs'), "await writ.call('analyst.sql', {dataset_id: 'support', sql: 'SELECT 1'});");
	writeFileSync(path.join(cwd, 'scope.yaml'), 'steps: [{id: list, tool: analyst.list_datasets}]');
	writeFileSync(path.join(cwd, 'broken.yaml'), 'steps: [');
	const writing = (file: string) => runWrit(['code', 'count.mjs', '--scope', file, '--json'], {cwd, env: {WRIT_URL: writ.url}});
	const {out} = await writing('scope.yaml');
	const {error} = JSON.parse(out) as WorkReply;
	assert.match(error?.message ?? '', /`analyst.sql` is not in the scope that this run was started with/);
	const asked = await runWrit(['ask', 'how many tickets by priority?', '-d', 'support', '--scope', 'scope.yaml'], {
		cwd,
		env: {WRIT_URL: writ.url},
	});
	assert.match(asked.out + asked.err, /`analyst.query_plan` is not in the scope/);
	const broken = await writing('broken.yaml');
	assert.match(broken.err, /"invalid_request".*broken\.yaml/s);
});
