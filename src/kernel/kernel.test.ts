import assert from 'node:assert/strict';
import {test} from 'node:test';
import {setImmediate} from 'node:timers/promises';
import {z} from 'zod';
import {WritError} from '#contract/errors.ts';
import type {EventData} from '#contract/event.ts';
import {verifyRun} from '#evidence/verify.ts';
import {openMemory} from '#store/memory.ts';
import {govern, type Outcome} from './govern.ts';
import {assertPermit, type Permit} from './permit.ts';
import type {Gate, Kernel, Policy} from './ports.ts';
import {ADA, createTool, createWriteTool, type Input, policyOf, type TestKernel, testKernel} from './test-kernel.ts';
import type {Tool, World} from './tool.ts';

const EFFECT = ['action.proposed', 'action.decided', 'action.intent', 'action.outcome', 'action.verified'];
const REFUSED = ['action.proposed', 'action.decided'];
const ASKED = ['action.proposed', 'action.decided', 'approval.requested'];

/** A tool that counts, and does what it is told to. */
function counting(parts: Partial<Tool<Input, unknown>> & {readonly run?: Tool<Input, unknown>['run']} = {}) {
	const calls: World[] = [];
	const run: Tool<Input, unknown>['run'] = (input, world) => {
		calls.push(world);
		return parts.run ? parts.run(input, world) : Promise.resolve(input.text);
	};
	return {calls, tool: createTool({...parts, run})};
}

const writing = {name: 'ops.restart', effect: 'write', risk: 'medium'} as const;

function asked(outcome: Outcome): string {
	assert.equal(outcome.kind, 'awaiting_approval');
	return outcome.kind === 'awaiting_approval' ? outcome.approvalId : '';
}

function reasons(outcome: Outcome): string[] {
	return outcome.kind === 'denied'
		? outcome.decision.gates.filter(({effect}) => effect === 'deny').map(({reason}) => reason)
		: [];
}

function codeOf(outcome: Outcome): string | undefined {
	return 'error' in outcome ? outcome.error.code : undefined;
}

async function lastOutcome(run: TestKernel): Promise<EventData<'action.outcome'> | undefined> {
	const event = (await run.durable()).findLast(({type}) => type === 'action.outcome');
	return event?.type === 'action.outcome' ? event.data : undefined;
}

/** Whatever a test did, the evidence it left must satisfy the verifier, which shares no code with the writer. */
async function assertSound({durable, journal, key, store}: TestKernel): Promise<void> {
	const finish = {status: 'succeeded', resultActionId: null, error: null, durationMs: 1} as const;
	await journal.append({type: 'run.finished', actor: journal.principal, data: finish});
	const result = verifyRun(await durable(), await store.head('run_1'), key.publicKey);
	assert.equal(result.verdict, 'valid', JSON.stringify(result.checks, null, 1));
}

test('an allowed action runs once, is recorded, and proposing it again returns its outcome', async () => {
	const {calls, tool} = counting();
	const run = await testKernel({tools: [tool]});
	const outcome = await run.propose('analyst.echo', {text: 'hi'});
	const {durationMs, ...rest} = outcome as Extract<Outcome, {kind: 'succeeded'}>;
	assert.deepEqual(rest, {
		kind: 'succeeded',
		actionId: 'act_1',
		output: 'hi',
		verdict: {kind: 'unverified', checks: []},
		usage: null,
	});
	assert.deepEqual(await run.propose('analyst.echo', {text: 'hi'}), outcome);
	assert.equal(calls.length, 1);
	assert.deepEqual(await run.recorded(), EFFECT);
	assert.equal(typeof durationMs, 'number');
	await assertSound(run);
});

test('a denied action is recorded and never reaches the tool', async () => {
	const {calls, tool} = counting({name: 'secret.read'});
	const run = await testKernel({tools: [tool]});
	const outcome = await run.propose('secret.read', {text: 'hi'});
	assert.equal(outcome.kind, 'denied');
	assert.equal(calls.length, 0);
	assert.deepEqual(await run.recorded(), REFUSED);
	assert.deepEqual(await run.propose('secret.read', {text: 'hi'}), outcome);
	await assertSound(run);
});

const permissive: Gate = {name: 'policy', decide: () => ({gate: 'policy', effect: 'allow', rules: ['r'], reason: 'ok'})};
const gateCases: Record<string, readonly Gate[]> = {
	'there is no gate': [],
	'a gate throws': [permissive, {name: 'risk', decide: () => assert.fail('broken')}],
	'a gate names no rule': [permissive, {name: 'risk', decide: () => ({gate: 'risk', effect: 'allow', rules: [], reason: ''})}],
	'a gate answers with a promise': [permissive, {name: 'risk', decide: (async () => permissive) as never}],
	'a gate answers nonsense': [
		permissive,
		{name: 'risk', decide: () => ({gate: 'risk', effect: 'yes' as never, rules: ['r'], reason: ''})},
	],
	'one gate of many denies': [
		permissive,
		{name: 'risk', decide: () => ({gate: 'risk', effect: 'deny', rules: ['r'], reason: 'no'})},
	],
};
for (const [name, gates] of Object.entries(gateCases)) {
	test(`an action is denied when ${name}`, async () => {
		const {calls, tool} = counting();
		const run = await testKernel({tools: [tool], policy: () => ({version: 'p', gates})});
		assert.equal((await run.propose('analyst.echo', {text: 'hi'})).kind, 'denied');
		assert.equal(calls.length, 0);
		assert.deepEqual(await run.recorded(), REFUSED);
		await assertSound(run);
	});
}

test('without the gate that denies, the same action would have run', async () => {
	const run = await testKernel({policy: () => ({version: 'p', gates: [permissive]})});
	assert.equal((await run.propose('analyst.echo', {text: 'hi'})).kind, 'succeeded');
});

const cyclic: unknown[] = [];
cyclic.push(cyclic);
for (const [name, input, reason] of [
	['does not fit the schema', {text: 1, extra: true}, /Unrecognized key: "extra"\n.*expected string/],
	['is not JSON', {text: 'x', when: 1n}, /not JSON at \$\.when/],
	['holds itself', cyclic, /the value contains itself/],
] as const) {
	test(`an input that ${name} is denied with the reason, and recorded`, async () => {
		const {calls, tool} = counting();
		const run = await testKernel({tools: [tool]});
		assert.match(reasons(await run.propose('analyst.echo', input)).join(), reason);
		assert.equal(calls.length, 0);
		assert.deepEqual(await run.recorded(), REFUSED);
		await assertSound(run);
	});
}

test('an unknown tool is denied, and the tools that exist are named', async () => {
	const run = await testKernel();
	const outcome = await run.propose('analyst.eco', {});
	assert.deepEqual(reasons(outcome), ['there is no tool `analyst.eco`; tools: analyst.echo, ops.restart']);
	await assertSound(run);
});

for (const [name, parts] of [
	['risk', {risk: () => assert.fail('no risk')}],
	['target', {resource: () => assert.fail('no resource')}],
	['state of its target', {fingerprint: () => Promise.reject(new Error('unreachable'))}],
] as const) {
	test(`an action is denied when its tool cannot tell the ${name}`, async () => {
		const {calls, tool} = counting(parts);
		const run = await testKernel({tools: [tool]});
		assert.equal((await run.propose('analyst.echo', {text: 'hi'})).kind, 'denied');
		assert.deepEqual([calls.length, run.reported.length], [0, 1]);
		await assertSound(run);
	});
}

test('an approved action runs once, however often it is resumed', async () => {
	const {calls, tool} = counting(writing);
	const run = await testKernel({tools: [tool]});
	const first = await run.propose('ops.restart', {text: 'web'});
	assert.deepEqual(await run.propose('ops.restart', {text: 'web'}), first);
	assert.deepEqual([calls.length, await run.recorded()], [0, ASKED]);
	await run.answer('grant', asked(first));
	const outcomes = await Promise.all([1, 2, 3].map(() => run.propose('ops.restart', {text: 'web'})));
	assert.deepEqual(
		outcomes.map(({kind}) => kind),
		['succeeded', 'succeeded', 'succeeded'],
	);
	assert.equal((await run.propose('ops.restart', {text: 'web'})).kind, 'succeeded');
	assert.equal(calls.length, 1);
	await assertSound(run);
});

test('proposals of one id at the same time run once, also while the target is looked at', async () => {
	const gate = Promise.withResolvers<string>();
	const {calls, tool} = counting({fingerprint: () => gate.promise});
	const run = await testKernel({tools: [tool]});
	const both = [run.propose('analyst.echo', {text: 'hi'}), run.propose('analyst.echo', {text: 'hi'})];
	gate.resolve('v1');
	const [one, two] = await Promise.all(both);
	assert.deepEqual(one, two);
	assert.deepEqual([calls.length, await run.recorded()], [1, EFFECT]);
});

test('an id stands for one proposal: another tool or input under it is denied, before, during and after', async () => {
	const {calls, tool} = counting();
	const run = await testKernel({tools: [tool, createWriteTool()]});
	const [first, during] = await Promise.all([
		run.propose('analyst.echo', {text: 'shown'}),
		run.propose('analyst.echo', {text: 'other'}),
	]);
	const after = await run.propose('ops.restart', {text: 'shown'});
	assert.deepEqual([first.kind, during.kind, after.kind, calls.length], ['succeeded', 'denied', 'denied', 1]);
	const parked = await run.propose('ops.restart', {text: 'web'}, {id: 'act_2'});
	assert.equal(parked.kind, 'awaiting_approval');
	assert.equal((await run.propose('analyst.echo', {text: 'web'}, {id: 'act_2'})).kind, 'denied');
	assert.equal(calls.length, 1);
	await assertSound(run);
});

test('a rejected action does not run, and stays rejected', async () => {
	const {calls, tool} = counting(writing);
	const run = await testKernel({tools: [tool]});
	await run.answer('reject', asked(await run.propose('ops.restart', {text: 'web'})));
	for (const _ of [1, 2]) {
		const outcome = await run.propose('ops.restart', {text: 'web'});
		assert.deepEqual([outcome.kind, codeOf(outcome)], ['rejected', 'policy_denied']);
	}
	assert.equal(calls.length, 0);
	await assertSound(run);
});

test('a policy that changes while a person decides asks again', async () => {
	const changing = {policy: policyOf({critical: 'deny'})};
	const {calls, tool} = counting(writing);
	const run = await testKernel({tools: [tool], policy: () => changing.policy});
	const first = asked(await run.propose('ops.restart', {text: 'web'}));
	await run.answer('grant', first);
	changing.policy = policyOf({high: 'deny', critical: 'deny'});
	const second = asked(await run.propose('ops.restart', {text: 'web'}));
	assert.notEqual(second, first);
	assert.equal(calls.length, 0);
	await run.answer('grant', second);
	assert.equal((await run.propose('ops.restart', {text: 'web'})).kind, 'succeeded');
	await assertSound(run);
});

test('a policy that denies what was approved meanwhile is the one that counts', async () => {
	const changing = {policy: policyOf({critical: 'deny'})};
	const {calls, tool} = counting(writing);
	const run = await testKernel({tools: [tool], policy: () => changing.policy});
	await run.answer('grant', asked(await run.propose('ops.restart', {text: 'web'})));
	changing.policy = policyOf({medium: 'deny', high: 'deny', critical: 'deny'});
	assert.equal((await run.propose('ops.restart', {text: 'web'})).kind, 'denied');
	assert.equal(calls.length, 0);
	await assertSound(run);
});

test('a target that changed after it was approved asks again', async () => {
	const state = {version: 'v1'};
	const {calls, tool} = counting({...writing, fingerprint: async () => state.version});
	const run = await testKernel({tools: [tool]});
	const first = asked(await run.propose('ops.restart', {text: 'web'}));
	await run.answer('grant', first);
	state.version = 'v2';
	const second = asked(await run.propose('ops.restart', {text: 'web'}));
	assert.notEqual(second, first);
	// What was asked before has been withdrawn: a target that is again what it was has not been looked at since.
	state.version = 'v1';
	const third = asked(await run.propose('ops.restart', {text: 'web'}));
	assert.ok(third !== first && third !== second);
	await run.answer('grant', third);
	assert.equal((await run.propose('ops.restart', {text: 'web'})).kind, 'succeeded');
	assert.equal(calls.length, 1);
	await assertSound(run);
});

test('an approval covers one action: the next one like it asks for its own', async () => {
	const run = await testKernel();
	await run.answer('grant', asked(await run.propose('ops.restart', {text: 'web'})));
	assert.equal((await run.propose('ops.restart', {text: 'web'})).kind, 'succeeded');
	assert.equal((await run.propose('ops.restart', {text: 'web'}, {id: 'act_2'})).kind, 'awaiting_approval');
	await assertSound(run);
});

for (const [name, grantAfter, useAfter] of [
	['that nobody answered in time', null, 61_000],
	['that was granted but not used in time', 1_000, 61_000],
] as const) {
	test(`an approval ${name} has expired`, async () => {
		const {calls, tool} = counting(writing);
		const run = await testKernel({tools: [tool]});
		const approvalId = asked(await run.propose('ops.restart', {text: 'web'}));
		if (grantAfter !== null) {
			run.advance(grantAfter);
			await run.answer('grant', approvalId);
		}
		run.advance(useAfter);
		const outcome = await run.propose('ops.restart', {text: 'web'});
		assert.deepEqual([outcome.kind, codeOf(outcome), calls.length], ['expired', 'policy_denied', 0]);
		await assertSound(run);
	});
}

test('no effect starts before its intent is durable', async () => {
	const store = openMemory();
	const {calls, tool} = counting();
	const run = await testKernel({tools: [tool], store});
	const write = Promise.withResolvers<void>();
	const append = store.append;
	Object.assign(store, {append: async (batch: Parameters<typeof append>[0]) => [await write.promise, await append(batch)]});
	const outcome = run.propose('analyst.echo', {text: 'hi'});
	await setImmediate();
	assert.equal(calls.length, 0);
	write.resolve();
	assert.equal((await outcome).kind, 'succeeded');
	assert.equal(calls.length, 1);
});

test('when the intent cannot be written, the action does not run, and neither does the next', async () => {
	const store = openMemory();
	const {calls, tool} = counting();
	const run = await testKernel({tools: [tool], store});
	Object.assign(store, {append: () => Promise.reject(new WritError('store_unavailable', 'the disk is full'))});
	await assert.rejects(run.propose('analyst.echo', {text: 'hi'}), {code: 'store_unavailable'});
	await assert.rejects(run.propose('analyst.echo', {text: 'hi'}, {id: 'act_2'}), {code: 'store_unavailable'});
	assert.equal(calls.length, 0);
});

test('a holder that was replaced starts nothing any more', async () => {
	const {calls, tool} = counting();
	const run = await testKernel({tools: [tool]});
	await run.resume();
	await assert.rejects(run.propose('analyst.echo', {text: 'hi'}), {code: 'conflict'});
	assert.equal(calls.length, 0);
});

for (const [name, run, kind, code] of [
	['throws a bug', () => Promise.reject(new Error('secret stack')), 'failed', 'internal_error'],
	['throws before it waits', () => assert.fail('at once'), 'failed', 'internal_error'],
	[
		'fails as it should',
		() => Promise.reject(new WritError('sql_execution_error', 'no such table')),
		'failed',
		'sql_execution_error',
	],
	[
		'runs out of memory',
		() => Promise.reject(new WritError('runner_resource_exceeded', 'memory')),
		'killed',
		'runner_resource_exceeded',
	],
	[
		'runs out of time in its sandbox',
		() => Promise.reject(new WritError('runner_timeout', '4 s')),
		'timed_out',
		'runner_timeout',
	],
	['returns what its schema forbids', async () => ({rows: 'none'}), 'failed', 'internal_error'],
	['returns what is not JSON', async () => ({rows: [Number.NaN]}), 'failed', 'validation_error'],
] as const) {
	test(`a tool that ${name} has ${kind}, and that is on record`, async () => {
		const {tool} = counting({run, output: z.object({rows: z.array(z.unknown())})});
		const kernel = await testKernel({tools: [tool]});
		const outcome = await kernel.propose('analyst.echo', {text: 'hi'});
		assert.deepEqual([outcome.kind, codeOf(outcome)], [kind, code]);
		assert.ok(!JSON.stringify([outcome, await kernel.durable()]).includes('secret stack'));
		assert.deepEqual(await kernel.recorded(), EFFECT.slice(0, 4));
		await assertSound(kernel);
	});
}

test('a tool that ignores its end does not keep its caller waiting, and starts nothing any more', async (context) => {
	context.mock.timers.enable({apis: ['setTimeout']});
	const {calls, tool} = counting({run: () => new Promise<never>(() => {})});
	const run = await testKernel({tools: [tool]});
	const pending = run.propose('analyst.echo', {text: 'hi'});
	await setImmediate();
	context.mock.timers.tick(61_001);
	const outcome = await pending;
	assert.deepEqual([outcome.kind, codeOf(outcome)], ['timed_out', 'runner_timeout']);
	const [world] = calls as [World];
	assert.equal(world.signal.aborted, true);
	await assert.rejects(world.sandbox({} as never, {} as never), {code: 'policy_denied'});
	assert.deepEqual(run.sandboxed, []);
	await assertSound(run);
});

test('the time that a run waits for a sandbox is not its own', async (context) => {
	context.mock.timers.enable({apis: ['setTimeout']});
	const tool = createTool({run: (_, world) => world.sandbox({} as never, {} as never)});
	const run = await testKernel({tools: [tool]});
	const started = Promise.withResolvers<void>();
	const sandboxes: Kernel['sandboxes'] = {
		...run.kernel.sandboxes,
		async run(_permit, {onStart}, signal) {
			await started.promise;
			onStart?.();
			return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
		},
	};
	const proposal = {id: 'act_1', tool: 'analyst.echo', input: {text: 'hi'}};
	const pending = govern(proposal, run.journal, {...run.kernel, sandboxes}, new AbortController().signal);
	await setImmediate();
	context.mock.timers.tick(600_000);
	assert.deepEqual((await run.recorded()).slice(-1), ['action.intent']);
	started.resolve();
	await setImmediate();
	context.mock.timers.tick(61_001);
	assert.equal((await pending).kind, 'timed_out');
	await assertSound(run);
});

test('what the platform can name is no bug, and denies all the same', async () => {
	const gone = () => Promise.reject(new WritError('not_found', 'there is no dataset `x`'));
	const run = await testKernel({tools: [createTool({fingerprint: gone})]});
	assert.equal((await run.propose('analyst.echo', {text: 'hi'})).kind, 'denied');
	assert.deepEqual(run.reported, []);
});

for (const [name, before] of [
	['while it runs', false],
	['before it starts', true],
] as const) {
	test(`an action cancelled ${name} is recorded as cancelled`, async () => {
		const {calls, tool} = counting({run: () => new Promise<never>(() => {})});
		const run = await testKernel({tools: [tool]});
		const controller = new AbortController();
		if (before) controller.abort();
		const pending = run.propose('analyst.echo', {text: 'hi'}, {signal: controller.signal});
		await setImmediate();
		controller.abort();
		const outcome = await pending;
		assert.deepEqual([outcome.kind, codeOf(outcome), calls.length], ['cancelled', 'cancelled', before ? 0 : 1]);
		await assertSound(run);
	});
}

test('an effect whose result was lost is unknown, and is not repeated', async () => {
	const {calls, tool} = counting({run: () => new Promise<never>(() => {})});
	const run = await testKernel({tools: [tool]});
	void run.propose('analyst.echo', {text: 'hi'}).catch(() => {});
	await setImmediate();
	const journal = await run.resume();
	for (const _ of [1, 2]) {
		const outcome = await run.propose('analyst.echo', {text: 'hi'}, {journal});
		assert.deepEqual([outcome.kind, codeOf(outcome)], ['unknown', 'interrupted']);
	}
	assert.equal(calls.length, 1);
	assert.deepEqual(await run.recorded(), EFFECT.slice(0, 4));
	await assertSound({...run, journal});
});

test('a permit is dead once its action is over, and a copy of a live one never lives', async () => {
	const copies: unknown[] = [];
	const {calls, tool} = counting({
		async run(_input, {permit, sandbox}) {
			await sandbox({} as never, {kind: 'x'} as never);
			for (const copy of [{...permit}, structuredClone({...permit}), Object.create(permit)] as Permit[]) {
				assert.throws(() => assertPermit(copy), {code: 'policy_denied'});
				copies.push(copy);
			}
			return null;
		},
	});
	const run = await testKernel({tools: [tool]});
	const outcome = await run.propose('analyst.echo', {text: 'hi'});
	assert.equal(outcome.kind === 'succeeded' && outcome.usage?.wallMs, 5);
	assert.equal(copies.length, 3);
	assert.deepEqual(run.sandboxed, [{kind: 'x'}]);
	const [world] = calls as [World];
	await assert.rejects(world.sandbox({} as never, {kind: 'y'} as never), {code: 'policy_denied'});
	assert.equal(run.sandboxed.length, 1);
	assert.equal((await lastOutcome(run))?.isolation?.provider, 'process');
});

const check = (passed: boolean) => ({name: 'rows', passed, detail: 'counted'});
for (const [name, parts, kind, checks] of [
	['its post-condition holds', {verify: async () => ({kind: 'verified', checks: [check(true)]})}, 'verified', [check(true)]],
	['it checks nothing', {verify: async () => ({kind: 'verified', checks: []})}, 'unverified', []],
	['a check fails', {verify: async () => ({kind: 'verified', checks: [check(false)]})}, 'unverified', [check(false)]],
	[
		'a check fails and it can undo',
		{verify: async () => ({kind: 'verified', checks: [check(false)]}), undo: async () => {}},
		'undone',
		[check(false), {name: 'undo', passed: true, detail: 'the effect was undone'}],
	],
	[
		'undoing fails',
		{verify: async () => ({kind: 'verified', checks: [check(false)]}), undo: () => Promise.reject(new Error('no'))},
		'unverified',
		[{name: 'undo', passed: false, detail: 'it failed to run'}],
	],
	[
		'its verifier throws',
		{verify: () => assert.fail('broken')},
		'unverified',
		[{name: 'post-condition', passed: false, detail: 'it failed to run'}],
	],
] as const) {
	test(`an effect is ${kind} when ${name}`, async () => {
		const run = await testKernel({tools: [createTool(parts as unknown as Partial<Tool<Input, unknown>>)]});
		const outcome = await run.propose('analyst.echo', {text: 'hi'});
		assert.deepEqual(outcome.kind === 'succeeded' && outcome.verdict, {kind, checks: [...checks]});
		assert.deepEqual(await run.recorded(), EFFECT);
		await assertSound(run);
	});
}

test('parallel actions cannot share what is left of a budget', async () => {
	const {calls, tool} = counting();
	const run = await testKernel({tools: [tool], budget: {actions: 1}});
	const outcomes = await Promise.all(['act_1', 'act_2', 'act_3'].map((id) => run.propose('analyst.echo', {text: id}, {id})));
	assert.deepEqual(outcomes.map(({kind}) => kind).sort(), ['denied', 'denied', 'succeeded']);
	assert.equal(calls.length, 1);
	await assertSound(run);
});

test('secrets in inputs, outputs, errors and verdicts are neither kept nor passed on', async () => {
	const secret = 'hunter2-and-more';
	const {tool} = counting({
		run: async ({text}) => ({text, token: `Bearer ${secret}`}),
		verify: async () => ({kind: 'verified', checks: [{name: secret, passed: true, detail: 'x'}]}),
	});
	const failing = createTool({
		name: 'analyst.fail',
		run: () => Promise.reject(new WritError('sql_execution_error', `no ${secret}`, {details: {secret, when: 1n}})),
	});
	const run = await testKernel({tools: [tool, failing], secrets: [secret]});
	const outcomes = [
		await run.propose('analyst.echo', {text: `a ${secret}`}),
		await run.propose('analyst.fail', {text: 'x'}, {id: 'act_2'}),
	];
	assert.ok(!JSON.stringify([outcomes, await run.durable()]).includes(secret));
	assert.deepEqual(outcomes[0]?.kind === 'succeeded' && outcomes[0].output, {
		text: 'a [redacted:configured-secret]',
		token: 'Bearer [redacted:configured-secret]',
	});
	const proposed = (await run.durable()).find(({type}) => type === 'action.proposed');
	assert.equal(proposed?.type === 'action.proposed' && proposed.data.redactions, 1);
	await assertSound(run);
});

test('labels of what was read add up, and bound what the run may do next', async () => {
	const seen = new Map<string, string[]>();
	const spy: Gate = {
		name: 'flow',
		decide({id}, {run: {labels}}) {
			seen.set(id, [...labels].sort());
			return {gate: 'flow', effect: 'allow', rules: ['spy'], reason: 'looked'};
		},
	};
	const policy: Policy = {version: 'p', gates: [spy]};
	const run = await testKernel({
		policy: () => policy,
		tools: [createTool({labels: ['untrusted']}), createTool({name: 'analyst.people', labels: ['personal', 'untrusted']})],
	});
	await run.propose('analyst.echo', {text: '1'});
	await run.propose('analyst.people', {text: '2'}, {id: 'act_2'});
	await run.propose('analyst.echo', {text: '3'}, {id: 'act_3'});
	assert.deepEqual([...seen.values()], [[], ['untrusted'], ['personal', 'untrusted']]);

	const real = await testKernel({principal: ADA, tools: [createTool({labels: ['secret']}), createWriteTool()]});
	assert.equal((await real.propose('analyst.echo', {text: '1'})).kind, 'succeeded');
	const after = await real.propose('ops.restart', {text: '2'}, {id: 'act_2'});
	assert.match(reasons(after).join(), /has read a secret/);
	await assertSound(real);
});

test('when more people are asked while an approval is pending, the answer to the old question is worth nothing', async () => {
	const {calls, tool} = counting(writing);
	const people = {quorum: 1};
	const gate: Gate = {
		name: 'policy',
		decide: () => ({gate: 'policy', effect: 'ask', rules: ['asks'], reason: 'people decide', quorum: people.quorum}),
	};
	const run = await testKernel({tools: [tool], policy: () => ({version: 'p1', gates: [gate]})});
	const first = asked(await run.propose(tool.name, {text: 'now'}));
	people.quorum = 2;
	await run.answer('grant', first);
	const second = asked(await run.propose(tool.name, {text: 'now'}));
	assert.notEqual(second, first);
	const requests = (await run.durable()).flatMap((event) => (event.type === 'approval.requested' ? [event.data.required] : []));
	assert.deepEqual([requests, calls.length], [[1, 2], 0]);
});
