import assert from 'node:assert/strict';
import {test} from 'node:test';
import {WritError} from '#contract/errors.ts';
import type {TurnEvent} from '#contract/stream.ts';
import type {Outcome} from '#kernel/govern.ts';
import {createTool, createWriteTool, type TestKernel, testKernel} from '#kernel/test-kernel.ts';
import type {Model, ModelReply, ModelRequest, ModelWatch} from '#models/model.ts';
import {type AgentTool, runTurn, TURN_LIMITS, type TurnEnd, type TurnLimits} from './turn.ts';

type Say = (request: ModelRequest, watch: ModelWatch) => Partial<ModelReply> | Promise<Partial<ModelReply>>;

/** The port itself, scripted: what providers do to it is tested in the models room. */
function scripted(...script: readonly Say[]): Model & {readonly requests: ModelRequest[]} {
	const requests: ModelRequest[] = [];
	return {
		price: null,
		provider: 'scripted',
		id: 'm1',
		requests,
		async respond(request, watch) {
			requests.push(structuredClone(request) as ModelRequest);
			const said = await (script[requests.length - 1] ?? script.at(-1))?.(request, watch);
			const {text = ''} = said ?? {};
			if (text !== '') watch.onText(text);
			return {
				text,
				toolCalls: [],
				inputTokens: 10,
				outputTokens: 5,
				costUsd: 0.001,
				priceKnown: true,
				durationMs: 1,
				finishReason: 'stop',
				...said,
			};
		},
	};
}

const call = (name: string, input: unknown, id = 'c1') => ({id, name, input, malformed: null});

const TOOLS: readonly AgentTool[] = ['echo', 'restart'].map((name) => ({
	name,
	description: 'Says what it was given.',
	inputSchema: {type: 'object'},
	toProposal: (input) => ({tool: name === 'echo' ? 'analyst.echo' : 'ops.restart', input}),
	toReply: (outcome) => ({text: JSON.stringify(outcome), shown: {kind: outcome.kind}}),
}));

type Ran = {readonly end: TurnEnd; readonly emitted: TurnEvent[]; readonly k: TestKernel};
type Parts = {
	readonly limits?: Partial<TurnLimits>;
	readonly k?: TestKernel;
	readonly signal?: AbortSignal;
	readonly act?: (tool: string, input: unknown) => Promise<Outcome>;
};

async function run(model: Model, {limits = {}, k, signal = new AbortController().signal, act}: Parts = {}): Promise<Ran> {
	const kernel = k ?? (await testKernel({budget: {tokens: 100_000}}));
	const emitted: TurnEvent[] = [];
	const ids = {next: 0};
	const end = await runTurn({
		model,
		system: 'Be exact.',
		messages: [{role: 'user', text: 'Say hello.'}],
		tools: TOOLS,
		act:
			act ??
			((tool, input) => {
				ids.next += 1;
				return kernel.propose(tool, input, {id: `act_t${ids.next}`, signal});
			}),
		journal: kernel.journal,
		kernel: kernel.kernel,
		limits: {...TURN_LIMITS, toolCalls: 12, ...limits},
		emit: (event) => emitted.push(event),
		signal,
	});
	return {end, emitted, k: kernel};
}

function stoppedBy({end}: Ran): string {
	assert.equal(end.kind, 'stopped');
	return end.kind === 'stopped' ? `${end.error.code}: ${end.error.message}` : '';
}

test('a model acts, reads what became of it, and answers', async () => {
	const model = scripted(
		() => ({text: 'Let me see.', toolCalls: [call('echo', {text: 'hi'})]}),
		({messages}) => ({
			text: `It said ${JSON.parse(messages.at(-1)?.role === 'tool' ? ((messages.at(-1) as unknown as {results: {output: string}[]}).results[0]?.output ?? '') : '').output.said}.`,
		}),
	);
	const {end, emitted, k} = await run(model);
	assert.deepEqual([end.kind, end.kind === 'answered' && end.text, end.acted.length], ['answered', 'It said hi.', 1]);
	assert.deepEqual(await k.recorded(), [
		'model.responded',
		'action.proposed',
		'action.decided',
		'action.intent',
		'action.outcome',
		'action.verified',
		'model.responded',
	]);
	assert.deepEqual(emitted, [
		{event: 'status', data: {stage: 'answering'}},
		{event: 'token', data: {content: 'Let me '}},
		{event: 'token', data: {content: 'see.'}},
		{event: 'tool_call', data: {id: 'c1', name: 'echo', input: {text: 'hi'}}},
		{event: 'tool_result', data: {id: 'c1', name: 'echo', status: 'succeeded', output: {kind: 'succeeded'}}},
		{event: 'status', data: {stage: 'planning'}},
		{event: 'status', data: {stage: 'answering'}},
		{event: 'token', data: {content: '\n\n'}},
		{event: 'token', data: {content: 'It said '}},
		{event: 'token', data: {content: 'hi.'}},
	]);
});

test('a response is durable, with the digest of its request, before anything acts on it', async () => {
	const k = await testKernel();
	const seen: string[][] = [];
	const model = scripted(
		() => ({toolCalls: [call('echo', {text: 'hi'})]}),
		() => ({text: 'Done.'}),
	);
	await run(model, {
		k,
		async act(tool, input) {
			seen.push(await k.recorded());
			return k.propose(tool, input);
		},
	});
	assert.deepEqual(seen, [['model.responded']]);
	const [, responded] = await k.durable();
	const [request] = model.requests;
	assert.equal(responded?.type === 'model.responded' && responded.data.requestDigest, k.kernel.digest(request));
});

test('the calls of one response run side by side, no more at once than allowed, and answer in order', async () => {
	const state = {now: 0, most: 0};
	const act = async (_tool: string, input: unknown): Promise<Outcome> => {
		state.now += 1;
		state.most = Math.max(state.most, state.now);
		for (let turns = 0; turns < 5; turns += 1) await new Promise((resolve) => setImmediate(resolve));
		state.now -= 1;
		return {
			kind: 'succeeded',
			actionId: 'a',
			output: input,
			verdict: {kind: 'unverified', checks: []},
			usage: null,
			durationMs: 1,
		};
	};
	const calls = [1, 2, 3, 4, 5, 6].map((n) => call('echo', {n}, `c${n}`));
	const model = scripted(
		() => ({toolCalls: calls}),
		() => ({text: 'Done.'}),
	);
	const {end} = await run(model, {act, limits: {parallel: 3}});
	assert.equal(state.most, 3);
	assert.deepEqual(
		end.acted.map((acted) => acted.call.id),
		calls.map(({id}) => id),
	);
	const answered = model.requests[1]?.messages.at(-1);
	assert.deepEqual(
		answered?.role === 'tool' && answered.results.map(({id}) => id),
		calls.map(({id}) => id),
	);
});

test('malformed and unknown calls go back to the model, which may do better', async () => {
	const model = scripted(
		() => ({
			toolCalls: [
				{id: 'c1', name: 'echo', input: null, malformed: 'Unexpected end of JSON input'},
				call('dataset.add', {}, 'c2'),
			],
		}),
		() => ({text: 'I cannot.'}),
	);
	const {end, k} = await run(model);
	assert.equal(end.kind, 'answered');
	const answered = model.requests[1]?.messages.at(-1);
	assert.deepEqual(answered?.role === 'tool' && answered.results.map(({failed}) => failed), [true, true]);
	assert.match(JSON.stringify(answered), /no tool .*dataset\.add.*tools: echo, restart/);
	assert.deepEqual(await k.recorded(), ['model.responded', 'model.responded']);
});

test('a model that makes nothing but mistakes reaches its reasoning limit', async () => {
	const ran = await run(scripted(() => ({toolCalls: [call('nothing', {})]})));
	assert.match(stoppedBy(ran), /^agent_recursion_limit: .*reasoning limit after 5 unusable tool calls/);
});

test('an empty response is asked for again, a bounded number of times', async () => {
	const model = scripted(() => ({}));
	const ran = await run(model, {limits: {mistakes: 2}});
	assert.match(stoppedBy(ran), /^agent_recursion_limit/);
	assert.equal(model.requests.length, 3);
});

test('a model that never answers is stopped after so many responses', async () => {
	const ran = await run(
		scripted(() => ({toolCalls: [call('echo', {text: 'x'})]})),
		{limits: {responses: 3}},
	);
	assert.match(stoppedBy(ran), /^agent_recursion_limit: .*reasoning limit after 3 responses/);
	assert.equal(ran.end.acted.length, 3);
});

test('tool calls beyond the limit are not done', async () => {
	const calls = [1, 2, 3].map((n) => call('echo', {text: `${n}`}, `c${n}`));
	const ran = await run(
		scripted(() => ({toolCalls: calls})),
		{limits: {toolCalls: 2}},
	);
	assert.match(stoppedBy(ran), /^agent_recursion_limit: .*reasoning limit of 2 tool calls/);
	assert.equal(ran.end.acted.length, 2);
});

for (const [limit, budget, setting] of [
	['tokens', {tokens: 15}, 'budgets.run.tokens'],
	['money', {costUsd: 0.001}, 'budgets.run.money'],
	['calls of the model', {calls: 1}, 'budgets.run.calls'],
] as const) {
	test(`a turn that has used up its ${limit} ends and names its place in the policy`, async () => {
		const k = await testKernel({budget});
		const ran = await run(
			scripted(() => ({toolCalls: [call('echo', {text: 'x'})]})),
			{k},
		);
		const said = stoppedBy(ran);
		assert.match(said, /^budget_exceeded: .*reasoning limit/);
		assert.match(said + JSON.stringify(ran.end), new RegExp(setting));
	});
}

test('a run never takes more tokens than its budget has, however much the model says', async () => {
	for (const tokens of [400, 700, 1_000, 3_000]) {
		const k = await testKernel({budget: {tokens}});
		const model = scripted((request, {maxOutputTokens = Number.POSITIVE_INFINITY}) => ({
			toolCalls: [call('echo', {text: 'x'})],
			inputTokens: Buffer.byteLength(JSON.stringify(request)), // a token for every byte: more there cannot be
			outputTokens: Math.min(maxOutputTokens, 500),
		}));
		const ran = await run(model, {k});
		assert.match(stoppedBy(ran), /^budget_exceeded: .*tokens/);
		const used = k.journal.events.reduce(
			(sum, event) => sum + (event.type === 'model.responded' ? event.data.inputTokens + event.data.outputTokens : 0),
			0,
		);
		assert.ok(used <= tokens, `${used} of ${tokens}`);
	}
});

test('a turn that has used up its time ends before the next response', async () => {
	const k = await testKernel({budget: {wallMs: 1_000}});
	k.advance(1_001);
	const model = scripted(() => ({text: 'Too late.'}));
	assert.match(stoppedBy(await run(model, {k})), /^budget_exceeded: .*reasoning limit/);
	assert.equal(model.requests.length, 0);
});

test('a response may take no longer than what is left of the run', async () => {
	const k = await testKernel({budget: {wallMs: 30}});
	const model = scripted(async (_request, {signal}) => {
		await new Promise((resolve) => signal.addEventListener('abort', resolve, {once: true}));
		throw new WritError('cancelled', 'cancelled while the model was answering');
	});
	const waiting = setTimeout(() => {}, 60_000); // a timer of a signal alone does not keep the process awake
	assert.match(stoppedBy(await run(model, {k})), /^budget_exceeded: .*reasoning limit/);
	clearTimeout(waiting);
});

test('an action that the budget denies ends the turn', async () => {
	const k = await testKernel({budget: {actions: 1}});
	const ran = await run(
		scripted(() => ({toolCalls: [call('echo', {text: 'x'})]})),
		{k},
	);
	assert.match(stoppedBy(ran), /^budget_exceeded: .*reasoning limit.*budgets\.run\.actions/);
});

test('an action that waits for a person ends the turn', async () => {
	const k = await testKernel({tools: [createTool(), createWriteTool()]});
	const {end} = await run(
		scripted(() => ({toolCalls: [call('restart', {text: 'x'})]})),
		{k},
	);
	assert.equal(end.kind, 'awaiting_approval');
});

test('cancelling ends the turn without another response', async () => {
	const abort = new AbortController();
	const model = scripted(() => {
		abort.abort();
		throw new WritError('cancelled', 'cancelled while the model was answering');
	});
	assert.match(stoppedBy(await run(model, {signal: abort.signal})), /^cancelled/);
});

test('every failed attempt is on record and watchers hear that it is tried again', async () => {
	const failure = new WritError('model_unavailable', 'openai is failing (500): oops');
	const model = scripted(async (_request, {onText, onFailure}) => {
		onText('There are sev');
		await onFailure(failure, 1, 900);
		return {text: 'There are seven.'};
	});
	const {end, emitted, k} = await run(model);
	assert.equal(end.kind, 'answered');
	assert.deepEqual(await k.recorded(), ['model.failed', 'model.responded']);
	assert.deepEqual(
		emitted.filter(({event}) => event === 'status').map(({data}) => data),
		[{stage: 'answering'}, {stage: 'planning', note: 'openai is failing (500): oops; trying again in 1 s'}, {stage: 'answering'}],
	);
});

test('a provider that fails for good ends the turn, and nothing done is lost', async () => {
	const model = scripted(
		() => ({toolCalls: [call('echo', {text: 'x'})]}),
		() => {
			throw new WritError('model_unavailable', 'openai cannot be reached');
		},
	);
	const ran = await run(model);
	assert.match(stoppedBy(ran), /^model_unavailable/);
	assert.equal(ran.end.acted.length, 1);
});

test('a bug is not an ending', async () => {
	const model = scripted(() => {
		throw new TypeError('x is not a function');
	});
	await assert.rejects(run(model), TypeError);
});

test('neither the model nor watchers nor the record get a secret', async () => {
	const secret = 'correct-horse-battery-staple-0042';
	const k = await testKernel({secrets: [secret]});
	const model = scripted(
		() => ({text: `The key is ${secret} indeed.`, toolCalls: [call('echo', {text: secret})]}),
		() => ({text: 'Done.'}),
	);
	const {emitted} = await run(model, {k});
	for (const [what, value] of Object.entries({emitted, requests: model.requests.slice(1), durable: await k.durable()})) {
		assert.ok(!JSON.stringify(value).includes(secret), `${what} has the secret`);
	}
});
