import assert from 'node:assert/strict';
import {test} from 'node:test';
import {setImmediate} from 'node:timers/promises';
import type {Event} from '#contract/event.ts';
import type {CallReply, RunnerRequest, SandboxSpec} from '#contract/sandbox.ts';
import {verifyRun} from '#evidence/verify.ts';
import {CALL_LIMITS} from './calls.ts';
import {govern, type Outcome} from './govern.ts';
import type {Kernel} from './ports.ts';
import {ADA, createTool, createWriteTool, type TestKernel, testKernel} from './test-kernel.ts';
import type {AnswerCall, AnyTool, SandboxResult, World} from './tool.ts';

const REQUEST: RunnerRequest = {kind: 'javascript', code: '', tools: true, maxBytes: 1_000};
const SPEC: SandboxSpec = {
	runner: 'javascript',
	mounts: [],
	network: 'none',
	limits: {wallMs: 1, memoryBytes: 1, cpus: 1, processes: 1, openFiles: 1, scratchBytes: 1, outputBytes: 1},
};
const RESULT: SandboxResult = {
	frames: [],
	usage: {wallMs: 1, cpuMs: 1, peakMemoryBytes: 1, outputBytes: 1},
	isolation: {
		provider: 'process',
		level: 'kernel-shared',
		namespaces: [],
		seccomp: true,
		limits: {},
		network: 'none',
		warm: false,
	},
};

/** What the code inside a sandbox does with the tools it was given. */
type Code = (answer: (call: Parameters<AnswerCall>[0]) => Promise<CallReply>, signal: AbortSignal) => Promise<unknown>;

/** What the clock of the sandbox was told. */
function stopwatch() {
	const told: string[] = [];
	return {told, pause: () => void told.push('pause'), resume: () => void told.push('resume')};
}

/** A run whose tool `analyst.code` runs `code` in a sandbox that is made of nothing but its calls. */
async function running(code: Code, {tools = [] as readonly AnyTool[], request = REQUEST, budget = {}, egress = false} = {}) {
	const jobs: {nested: boolean | undefined; tools: boolean}[] = [];
	const replies: unknown[] = [];
	const clock = stopwatch();
	const run = async (_: unknown, world: World) => {
		await world.sandbox(SPEC, request);
		return replies.at(-1) ?? null;
	};
	const program = createTool({name: 'analyst.code', egress, run});
	const test = await testKernel({tools: [createTool(), createWriteTool(), program, ...tools], budget});
	const kernel: Kernel = {
		...test.kernel,
		sandboxes: {
			level: test.kernel.sandboxes.level,
			async run(_permit, job, signal) {
				jobs.push({nested: job.nested, tools: job.answerCall !== undefined});
				const {answerCall} = job;
				if (answerCall) replies.push(await code((made) => answerCall(made, clock), signal));
				return RESULT;
			},
		},
	};
	const propose = (signal = new AbortController().signal): Promise<Outcome> =>
		govern({id: 'act_1', tool: 'analyst.code', input: {text: ''}}, test.journal, kernel, signal);
	return {...test, propose, jobs, replies, clock};
}

function call(id: number, tool = 'analyst.echo', input: unknown = {text: 'x'}): Parameters<AnswerCall>[0] {
	return {type: 'call', id, tool, input: input as never};
}

/** Tool, parent and what became of it, for each action of a run. */
async function actions({durable}: Pick<TestKernel, 'durable'>): Promise<unknown[]> {
	const events = await durable();
	const ended = (actionId: string) =>
		events.flatMap((event: Event) => {
			if (!('actionId' in event.data) || event.data.actionId !== actionId) return [];
			if (event.type === 'action.outcome') return [event.data.status];
			return event.type === 'action.decided' && event.data.decision.effect === 'deny' ? ['denied'] : [];
		});
	return events.flatMap((event) =>
		event.type === 'action.proposed' ? [[event.data.tool, event.data.parentActionId ?? null, ...ended(event.data.actionId)]] : [],
	);
}

async function assertSound({durable, journal, key, store}: Omit<TestKernel, 'propose'>): Promise<void> {
	const finish = {status: 'succeeded', resultActionId: null, error: null, durationMs: 1} as const;
	await journal.append({type: 'run.finished', actor: journal.principal, data: finish});
	const result = verifyRun(await durable(), await store.head('run_1'), key.publicKey);
	assert.equal(result.verdict, 'valid', JSON.stringify(result.checks, null, 1));
}

test('a call is a proposal of its own in the same run, and names the action whose code made it', async () => {
	const run = await running((answer) => answer(call(1)));
	await run.propose();
	assert.deepEqual(run.replies, [{type: 'reply', id: 1, output: {said: 'x'}}]);
	assert.deepEqual(await actions(run), [
		['analyst.code', null, 'succeeded'],
		['analyst.echo', 'act_1', 'succeeded'],
	]);
	await assertSound(run);
});

for (const [title, made, refusal] of [
	['of a tool there is not', call(1, 'no.tool'), {code: 'validation_error', message: /there is no tool `no.tool`/}],
	['with an input that does not fit', call(1, 'analyst.echo', {}), {code: 'validation_error', message: /text/}],
	['that policy denies', call(1, 'elsewhere.read'), {code: 'policy_denied', message: /no rule permits/}],
] as const) {
	test(`a call ${title} is refused as a value, on record, and the code goes on`, async () => {
		const tools = [createTool({name: 'elsewhere.read'})];
		const run = await running(async (answer) => [await answer(made), await answer(call(2))], {tools});
		assert.equal((await run.propose()).kind, 'succeeded');
		const [[first, second]] = run.replies as [[CallReply, CallReply]];
		assert.deepEqual([first.type, first.id, second.type], ['refused', 1, 'reply']);
		assert.ok(first.type === 'refused');
		assert.equal(first.code, refusal.code);
		assert.match(first.message, refusal.message);
		assert.deepEqual((await actions(run))[1], [made.tool, 'act_1', 'denied']);
		assert.equal((await run.recorded()).includes('approval.requested'), false);
		await assertSound(run);
	});
}

test('an error of a called tool is a refusal with its code and its hint', async () => {
	const tools = [createTool({name: 'analyst.broken', run: () => Promise.reject(new Error('secret detail'))})];
	const run = await running((answer) => answer(call(1, 'analyst.broken')), {tools});
	await run.propose();
	const [reply] = run.replies;
	assert.deepEqual(reply, {
		type: 'refused',
		id: 1,
		code: 'internal_error',
		message: 'something went wrong inside writ',
		hint: 'look up the request id in the server log',
	});
});

test('a request that gives no tools gets none', async () => {
	const run = await running((answer) => answer(call(1)), {request: {...REQUEST, tools: false}});
	await run.propose();
	assert.deepEqual(run.jobs, [{nested: false, tools: false}]);
});

test('calls are counted against the budget of the run', async () => {
	const run = await running(async (answer) => [await answer(call(1)), await answer(call(2))], {budget: {actions: 2}});
	await run.propose();
	const [[first, second]] = run.replies as [[CallReply, CallReply]];
	assert.equal(first.type, 'reply');
	assert.equal(second.type === 'refused' && second.code, 'budget_exceeded');
});

test('labels of what a call returned join the outcome of the action that called, and the gates of the next call', async () => {
	const tools = [createTool({name: 'analyst.secret', labels: ['secret']})];
	const code: Code = async (answer) => [await answer(call(1, 'analyst.secret')), await answer(call(2, 'ops.restart'))];
	const run = await running(code, {tools});
	await run.propose();
	const [[, second]] = run.replies as [[CallReply, CallReply]];
	assert.match(second.type === 'refused' ? second.message : '', /this run has read a secret/);
	const outcome = (await run.durable()).findLast(({type}) => type === 'action.outcome');
	assert.deepEqual(outcome?.type === 'action.outcome' && outcome.data.labels, ['secret']);
});

test('a flood of calls ends at the limit without a flood of events', async () => {
	const flood: Code = async (answer) => {
		const replies: CallReply[] = [];
		for (let id = 1; id <= 10_000; id++) replies.push(await answer(call(id)));
		return replies.map((reply) => (reply.type === 'refused' ? reply.code : reply.type));
	};
	const run = await running(flood, {budget: {actions: 1_000}});
	await run.propose();
	const [replies] = run.replies as [string[]];
	assert.equal(replies.filter((reply) => reply === 'reply').length, CALL_LIMITS.calls);
	assert.equal(replies.filter((reply) => reply === 'budget_exceeded').length, 10_000 - CALL_LIMITS.calls);
	assert.equal((await actions(run)).length, CALL_LIMITS.calls + 1);
});

test('an input that is too large is refused before it is on record', async () => {
	const run = await running((answer) => answer(call(1, 'analyst.echo', {text: 'x'.repeat(30 << 20)})));
	await run.propose();
	assert.deepEqual(run.replies, [
		{
			type: 'refused',
			id: 1,
			code: 'request_too_large',
			message: `the input of the call has ${(30 << 20) + 11} bytes, more than the limit of ${CALL_LIMITS.inputBytes}`,
			hint: 'let the tool read the data itself',
		},
	]);
	assert.equal((await actions(run)).length, 1);
});

for (const [title, ids] of Object.entries({'used twice': [1, 1], 'that goes back': [2, 1], 'that is no number': [Number.NaN]})) {
	test(`an id ${title} ends the run of the sandbox`, async () => {
		const run = await running(async (answer) => {
			for (const id of ids) await answer(call(id));
		});
		const outcome = await run.propose();
		assert.equal('error' in outcome && outcome.error.code, 'runner_internal_error');
	});
}

test('code that calls code that calls code ends at the depth limit, and the pool knows who is nested', async () => {
	const run = await running((answer) => answer(call(1, 'analyst.code')));
	await run.propose();
	assert.deepEqual(
		run.jobs.map(({nested}) => nested),
		[false, true, true, true],
	);
	assert.deepEqual(run.replies[0], {
		type: 'refused',
		id: 1,
		code: 'budget_exceeded',
		message: `calls may be nested ${CALL_LIMITS.depth} deep at most`,
	});
	await assertSound(run);
});

test('a call that is under way when its code ends is cancelled, and on record before the action that made it', async () => {
	const endless = createTool({name: 'analyst.endless', run: () => new Promise(() => {})});
	const run = await running(
		async (answer) => {
			void answer(call(1, 'analyst.endless'));
			while (!(await run.recorded()).filter((type) => type === 'action.intent')[1]) await setImmediate();
		},
		{tools: [endless]},
	);
	assert.equal((await run.propose()).kind, 'succeeded');
	assert.deepEqual(await actions(run), [
		['analyst.code', null, 'succeeded'],
		['analyst.endless', 'act_1', 'cancelled'],
	]);
	const outcomes = (await run.durable()).flatMap((event) => (event.type === 'action.outcome' ? [event.data.actionId] : []));
	assert.equal(outcomes.at(-1), 'act_1');
	await assertSound(run);
});

test('cancelling an action cancels what its code called', async () => {
	const stop = new AbortController();
	const endless = createTool({
		name: 'analyst.endless',
		run: async () => {
			stop.abort();
			return new Promise(() => {});
		},
	});
	const run = await running((answer) => answer(call(1, 'analyst.endless')), {tools: [endless]});
	assert.equal((await run.propose(stop.signal)).kind, 'cancelled');
	assert.deepEqual(await actions(run), [
		['analyst.code', null, 'cancelled'],
		['analyst.endless', 'act_1', 'cancelled'],
	]);
	await assertSound(run);
});

/** A run whose code calls for something that a person has to approve; resolves when that is on record. */
async function asking(code?: Code) {
	const run = await running(code ?? ((answer) => answer(call(1, 'ops.restart'))));
	const stop = new AbortController();
	const outcome = run.propose(stop.signal);
	while (!(await run.recorded()).includes('approval.requested')) await setImmediate();
	const request = (await run.durable()).find((event) => event.type === 'approval.requested');
	assert.ok(request?.type === 'approval.requested');
	return {...run, outcome, stop, request: request.data};
}

test('code that calls for what a person has to approve waits, with its clocks standing, and goes on with the answer', async () => {
	const run = await asking();
	assert.deepEqual([run.request.parentActionId, run.request.tool, run.clock.told], ['act_1', 'ops.restart', ['pause']]);
	assert.equal((await run.store.run('run_1'))?.status, 'running');
	await run.answer('grant', run.request.approvalId);
	assert.equal((await run.outcome).kind, 'succeeded');
	assert.deepEqual(run.replies, [{type: 'reply', id: 1, output: {said: 'x'}}]);
	assert.deepEqual(run.clock.told, ['pause', 'resume']);
	await assertSound(run);
});

test('code learns that what it called for was rejected, by whom and why, and goes on', async () => {
	const run = await asking(async (answer) => [await answer(call(1, 'ops.restart')), await answer(call(2))]);
	await run.answer('reject', run.request.approvalId);
	await run.outcome;
	const [[first, second]] = run.replies as [[CallReply, CallReply]];
	assert.deepEqual(first, {type: 'refused', id: 1, code: 'approval_rejected', message: 'bob rejected it: seen'});
	assert.equal(second.type, 'reply');
	assert.deepEqual((await actions(run))[1], ['ops.restart', 'act_1', 'rejected']);
	await assertSound(run);
});

test('code learns that nobody answered in time', async () => {
	const run = await asking();
	run.advance(61_000);
	const data = {approvalId: run.request.approvalId, actionId: run.request.actionId, approver: ADA, comment: 'too late?'};
	await run.journal.append({type: 'approval.commented', actor: ADA, data});
	await run.outcome;
	const [reply] = run.replies as [CallReply];
	assert.equal(reply.type === 'refused' && reply.code, 'approval_expired');
	assert.equal((await run.store.approval(run.request.approvalId))?.state, 'expired');
	await assertSound(run);
});

for (const [title, code] of [
	['its run is cancelled', undefined],
	[
		'its code has ended',
		async (answer: Parameters<Code>[0]) => {
			void answer(call(1, 'ops.restart'));
			for (let turns = 0; turns < 50; turns += 1) await setImmediate();
		},
	],
] as const) {
	test(`what waits for a person is closed as cancelled when ${title}, and cannot be granted any more`, async () => {
		const run = await asking(code);
		if (!code) run.stop.abort();
		assert.equal((await run.outcome).kind, code ? 'succeeded' : 'cancelled');
		assert.deepEqual(await actions(run), [
			['analyst.code', null, code ? 'succeeded' : 'cancelled'],
			['ops.restart', 'act_1', 'cancelled'],
		]);
		assert.equal((await run.store.approval(run.request.approvalId))?.state, 'cancelled');
		await assert.rejects(run.answer('grant', run.request.approvalId), {code: 'conflict'});
		await assertSound(run);
	});
}

test('after a crash the code is unknown, and what it waited for was cancelled before', async () => {
	const run = await asking();
	const journal = await run.resume();
	const again = await govern(
		{id: 'act_1', tool: 'analyst.code', input: {text: ''}},
		journal,
		run.kernel,
		new AbortController().signal,
	);
	assert.equal(again.kind, 'unknown');
	assert.deepEqual(
		(await run.durable()).slice(-3).map((event) => [event.type, 'actionId' in event.data && event.data.actionId]),
		[
			['approval.cancelled', run.request.actionId],
			['action.outcome', run.request.actionId],
			['action.outcome', 'act_1'],
		],
	);
	assert.equal((await run.store.approval(run.request.approvalId))?.state, 'cancelled');
	await assertSound({...run, journal});
	run.stop.abort(); // the process that crashed has lost the run: it can record nothing
	await assert.rejects(run.outcome, {code: 'conflict'});
});

for (const egress of [true, false]) {
	test(`code ${egress ? 'with a way out is refused a secret' : 'without a way out is told a secret'}`, async () => {
		const secret = createTool({name: 'analyst.payroll', labels: ['secret'], run: async () => 'bob earns 1'});
		const run = await running((answer) => answer(call(1, secret.name)), {tools: [secret], egress});
		await run.propose();
		const [reply] = run.replies as CallReply[];
		assert.deepEqual([reply?.type, JSON.stringify(reply).includes('bob earns')], egress ? ['refused', false] : ['reply', true]);
	});
}
