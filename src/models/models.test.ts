import assert from 'node:assert/strict';
import {test} from 'node:test';
import {WritError} from '#contract/errors.ts';
import {createBreaker} from './breaker.ts';
import {startAnthropic} from './doubles/anthropic.ts';
import {startOpenAi} from './doubles/openai.ts';
import type {Double, Script} from './doubles/script.ts';
import type {Model, ModelReply, ModelRequest} from './model.ts';
import {costOf, priceOf} from './prices.ts';
import {createModel, type ModelSettings} from './providers.ts';

const KEY = 'sk-canary-0123456789abcdef';

const SETTINGS: ModelSettings = {
	provider: 'auto',
	openaiApiKey: null,
	anthropicApiKey: null,
	openaiModel: 'gpt-4o-mini',
	anthropicModel: 'claude-sonnet-4-5',
	openaiBaseUrl: null,
	anthropicBaseUrl: null,
	price: null,
	timeoutSeconds: 30,
};

const QUICK = {backoffMs: 1, timeoutMs: 10_000};

type Provider = {
	readonly name: string;
	readonly start: (script: Script) => Promise<Double>;
	readonly settings: (url: string) => ModelSettings;
	/** the request as one text and the places where things stand in it */
	readonly system: (body: Readonly<Record<string, unknown>>) => unknown;
	/** a frame that is no event of the protocol */
	readonly nonsense: string;
};

const PROVIDERS: readonly Provider[] = [
	{
		name: 'an OpenAI-compatible server',
		start: startOpenAi,
		settings: (url) => ({...SETTINGS, openaiApiKey: KEY, openaiBaseUrl: url}),
		system: ({messages}) =>
			(messages as {role: string; content: unknown}[]).filter(({role}) => role === 'system').map(({content}) => content),
		nonsense: 'data: {"choices": "none"}\n\ndata: [DONE]\n\n',
	},
	{
		name: 'Anthropic',
		start: startAnthropic,
		settings: (url) => ({...SETTINGS, anthropicApiKey: KEY, anthropicBaseUrl: url.replace('/v1', '')}),
		system: ({system}) => (system as {text: string}[]).map(({text}) => text),
		nonsense: 'event: message_start\ndata: {"type":"message_start"\n\n',
	},
];

const REQUEST: ModelRequest = {
	system: 'Be exact.',
	messages: [
		{role: 'user', text: 'How many?'},
		{role: 'assistant', text: 'Let me see.', toolCalls: [{id: 'c1', name: 'count', input: {of: 'rows'}, malformed: null}]},
		{role: 'tool', results: [{id: 'c1', name: 'count', output: '{"rows":7}', failed: false}]},
	],
	tools: [{name: 'count', description: 'Counts.', inputSchema: {type: 'object', properties: {of: {type: 'string'}}}}],
};

type Asked = {
	readonly reply: ModelReply | null;
	readonly error: WritError | null;
	readonly texts: string[];
	readonly failures: (readonly [code: string, attempt: number, again: boolean])[];
};

async function ask(model: Model, signal = new AbortController().signal): Promise<Asked> {
	const asked = {texts: [] as string[], failures: [] as (readonly [string, number, boolean])[]};
	const watch = {
		signal,
		onText: (text: string) => void asked.texts.push(text),
		onFailure: async (error: WritError, attempt: number, retryInMs: number | null) =>
			void asked.failures.push([error.code, attempt, retryInMs !== null]),
	};
	try {
		return {...asked, reply: await model.respond(REQUEST, watch), error: null};
	} catch (error) {
		if (!(error instanceof WritError)) throw error;
		return {...asked, reply: null, error};
	}
}

function modelOf(settings: ModelSettings, patience: Parameters<typeof createModel>[1] = QUICK): Model {
	const model = createModel(settings, patience);
	assert.ok(model);
	return model;
}

for (const {name, start, settings, system, nonsense} of PROVIDERS) {
	test(`${name} streams text, counts tokens and knows its price`, async () => {
		await using double = await start([{say: ['There ', 'are ', 'seven.'], usage: [1_000, 10]}]);
		const model = modelOf(settings(double.url));
		const {reply, texts, failures} = await ask(model);
		assert.deepEqual(texts, ['There ', 'are ', 'seven.']);
		assert.deepEqual(failures, []);
		const {durationMs, ...rest} = reply ?? ({} as ModelReply);
		assert.ok(durationMs > 0);
		assert.deepEqual(rest, {
			text: 'There are seven.',
			toolCalls: [],
			finishReason: 'stop',
			inputTokens: 1_000,
			outputTokens: 10,
			costUsd: costOf(priceOf(model.id), 1_000, 10),
			priceKnown: true,
		});
	});

	test(`${name} is sent one system message, the conversation in order, the tools and temperature 0`, async () => {
		await using double = await start([{say: 'ok'}]);
		await ask(modelOf(settings(double.url)));
		const [received] = double.requests;
		assert.ok(received);
		assert.deepEqual(system(received.body), ['Be exact.']);
		assert.equal(received.body.temperature, 0);
		assert.equal((received.body.tools as unknown[]).length, 1);
		const text = JSON.stringify(received.body.messages);
		const places = ['How many?', 'Let me see.', 'c1', '\\"rows\\":7'].map((part) => text.indexOf(part));
		assert.deepEqual(
			places,
			[...places].sort((one, other) => one - other),
		);
		assert.ok(!places.includes(-1));
		assert.ok(!JSON.stringify(received.body).includes(KEY));
	});

	test(`${name} proposes several tool calls at once`, async () => {
		await using double = await start([
			{
				say: 'Both.',
				calls: [
					{id: 'a', name: 'count', args: {of: 'rows'}},
					{id: 'b', name: 'count', args: {}},
				],
			},
		]);
		const {reply} = await ask(modelOf(settings(double.url)));
		assert.equal(reply?.finishReason, 'tool_calls');
		assert.deepEqual(reply?.toolCalls, [
			{id: 'a', name: 'count', input: {of: 'rows'}, malformed: null},
			{id: 'b', name: 'count', input: {}, malformed: null},
		]);
	});

	test(`${name}: arguments that are not JSON are handed on as malformed`, async () => {
		await using double = await start([{calls: [{id: 'a', name: 'count', args: '{"of": "row'}]}]);
		const {reply} = await ask(modelOf(settings(double.url)));
		const [call] = reply?.toolCalls ?? [];
		assert.equal(call?.input, null);
		assert.match(call?.malformed ?? '', /JSON/);
	});

	test(`${name} is asked again after 429 with Retry-After and after 500`, async () => {
		await using double = await start([{status: 429, headers: {'retry-after': '0'}}, {status: 500}, {say: 'Seven.'}]);
		const {reply, failures} = await ask(modelOf(settings(double.url)));
		assert.equal(reply?.text, 'Seven.');
		assert.deepEqual(failures, [
			['model_unavailable', 1, true],
			['model_unavailable', 2, true],
		]);
	});

	test(`${name} is not waited for longer than bearable`, async () => {
		await using double = await start([{status: 429, headers: {'retry-after': '3600'}}]);
		const {error, failures} = await ask(modelOf(settings(double.url)));
		assert.equal(error?.code, 'model_unavailable');
		assert.deepEqual(failures, [['model_unavailable', 1, false]]);
	});

	test(`${name} that keeps failing is given up after the last attempt`, async () => {
		await using double = await start(() => ({status: 503}));
		const {error, failures} = await ask(modelOf(settings(double.url), {...QUICK, attempts: 3}));
		assert.equal(error?.code, 'model_unavailable');
		assert.equal(failures.length, 3);
		assert.equal(double.requests.length, 3);
	});

	test(`${name}: a refused key is not tried again and not repeated`, async () => {
		await using double = await start([{status: 401, message: `Incorrect API key provided: ${KEY}`}]);
		const {error} = await ask(modelOf(settings(double.url)));
		assert.equal(error?.code, 'model_rejected');
		assert.match(error?.hint ?? '', /_API_KEY/);
		assert.ok(!JSON.stringify(error).includes(KEY));
		assert.equal(double.requests.length, 1);
	});

	test(`${name}: a rejected request says why, without the key`, async () => {
		await using double = await start([{status: 400, message: `model not found for ${KEY}`}]);
		const {error} = await ask(modelOf(settings(double.url)));
		assert.equal(error?.code, 'model_rejected');
		assert.match(error?.message ?? '', /model not found for \[redacted:api-key\]/);
	});

	test(`${name}: a response that never ends is ended, and tried once more`, async () => {
		await using double = await start([{hang: true}, {hang: true}, {say: 'too late'}]);
		const {error, failures} = await ask(modelOf(settings(double.url), {...QUICK, timeoutMs: 150}));
		assert.equal(error?.code, 'model_unavailable');
		assert.match(error?.message ?? '', /within 150 ms/);
		assert.equal(failures.length, 2);
	});

	for (const [what, turn] of [
		['a connection that is reset in the middle', {reset: true, say: 'There are seven, I'}],
		['a stream that ends in the middle', {cut: true, say: 'There are seven, I'}],
		['bytes that are no events', {raw: nonsense}],
		['an empty stream', {raw: ''}],
	] as const) {
		test(`${name}: ${what} is tried again, and never taken for an answer`, async () => {
			await using double = await start([turn, {say: 'Seven.'}]);
			const {reply, failures} = await ask(modelOf(settings(double.url)));
			assert.equal(reply?.text, 'Seven.');
			assert.deepEqual(failures, [['model_unavailable', 1, true]]);
		});
	}

	test(`${name}: cancelling ends a response at once`, async () => {
		await using double = await start([{hang: true}]);
		const abort = new AbortController();
		const asked = ask(modelOf(settings(double.url)), abort.signal);
		while (double.requests.length === 0) await new Promise((resolve) => setImmediate(resolve));
		abort.abort();
		const {error, failures} = await asked;
		assert.equal(error?.code, 'cancelled');
		assert.deepEqual(failures, []);
	});
}

test('a server that is not there is a failure that can pass', async () => {
	const double = await startOpenAi([]);
	const url = double.url;
	await double[Symbol.asyncDispose]();
	const {error} = await ask(modelOf({...SETTINGS, openaiBaseUrl: url}, {...QUICK, attempts: 2}));
	assert.equal(error?.code, 'model_unavailable');
	assert.match(error?.message ?? '', /cannot be reached/);
});

test('a server of one’s own needs no key', async () => {
	await using double = await startOpenAi([{say: 'ok'}]);
	await ask(modelOf({...SETTINGS, openaiBaseUrl: double.url}));
	assert.equal(double.requests[0]?.headers.authorization, undefined);
});

test('the double refuses a conversation the real provider refuses', async () => {
	await using double = await startAnthropic([{say: 'ok'}]);
	const model = modelOf({...SETTINGS, anthropicApiKey: KEY, anthropicBaseUrl: double.url});
	const [, assistant] = REQUEST.messages;
	const unanswered: ModelRequest = {
		...REQUEST,
		messages: [{role: 'user', text: 'x'}, ...(assistant ? [assistant] : []), {role: 'user', text: 'y'}],
	};
	const watch = {signal: new AbortController().signal, onText: () => {}, onFailure: async () => {}};
	await assert.rejects(model.respond(unanswered, watch), {code: 'model_rejected'});
});

test('OpenAI is asked when both keys are there, and nobody when there are none', () => {
	const both = {...SETTINGS, openaiApiKey: 'a', anthropicApiKey: 'b'};
	assert.equal(createModel(both)?.provider, 'openai');
	assert.equal(createModel({...both, provider: 'anthropic'})?.provider, 'anthropic');
	assert.equal(createModel({...SETTINGS, anthropicApiKey: 'b'})?.provider, 'anthropic');
	assert.equal(createModel({...both, provider: 'none'}), null);
	assert.equal(createModel(SETTINGS), null);
});

test('a provider that is named needs its key', () => {
	assert.throws(() => createModel({...SETTINGS, provider: 'openai', anthropicApiKey: 'b'}), {
		code: 'invalid_config',
		message: /No LLM key configured/,
	});
	assert.throws(() => createModel({...SETTINGS, provider: 'anthropic', openaiApiKey: 'a'}), {
		code: 'invalid_config',
		message: /ANTHROPIC_API_KEY/,
	});
});

test('a price is that of the longest name, and unknown is unknown', () => {
	assert.equal(costOf(priceOf('gpt-4o-mini-2024-07-18'), 1_000_000, 1_000_000), 0.75);
	assert.equal(costOf(priceOf('gpt-4o'), 1_000_000, 0), 2.5);
	assert.equal(costOf(priceOf('claude-sonnet-4-5'), 0, 1_000_000), 15);
	assert.equal(costOf(priceOf('llama3'), 1, 1), null);
	assert.equal(costOf(priceOf('gpt-4omega'), 1, 1), null);
	assert.equal(costOf(priceOf('llama3', '1,2.5'), 1_000_000, 2_000_000), 6);
});

test('a provider that keeps failing is left alone for a while, then tried by one', () => {
	const clock = {ms: 0};
	const breaker = createBreaker({provider: 'openai', failures: 3, pauseMs: 1_000, now: () => clock.ms});
	for (const _failure of [1, 2, 3]) {
		breaker.enter();
		breaker.failed();
	}
	assert.throws(() => breaker.enter(), {code: 'model_unavailable', message: /failed 3 times in a row/});
	clock.ms = 1_001;
	breaker.enter();
	assert.throws(() => breaker.enter(), {code: 'model_unavailable'});
	breaker.succeeded();
	breaker.enter();
});
