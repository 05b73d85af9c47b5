import assert from 'node:assert/strict';
import {test} from 'node:test';
import type {Event, EventBody} from '#contract/event.ts';
import {ANN, batch, finished, started} from '#store/sample-run.ts';
import {openCollector} from './doubles/collector.ts';
import {listening, testServer} from './doubles/test-server.ts';
import type {Log} from './log.ts';
import {noTracing, startTracing, type Tracing, type TracingOptions} from './tracing.ts';

const SILENT: Log = {debug() {}, info() {}, warn() {}, error() {}};
const OFF: TracingOptions = {otlpEndpoint: null, mlflow: null, version: '0.0.0', log: SILENT, delayMs: 5, timeoutMs: 200};

const RUN: readonly Event[] = batch(
	{runId: 'run_1', expectedSeq: 0, second: 10},
	started({threadId: 't1', mode: 'chat'}),
	{
		type: 'model.responded',
		actor: ANN,
		data: {
			provider: 'openai',
			model: 'gpt',
			requestDigest: 'd',
			text: '',
			toolCalls: [],
			inputTokens: 5,
			outputTokens: 7,
			costUsd: 0.5,
			durationMs: 40,
		},
	},
	{
		type: 'action.proposed',
		actor: ANN,
		data: {actionId: 'act_1', tool: 'analyst.sql', toolVersion: '1', input: 'a secret question', inputDigest: 'd', redactions: 0},
	},
	outcome(),
	finished(),
).events;

function outcome(): EventBody {
	return {
		type: 'action.outcome',
		actor: ANN,
		data: {
			actionId: 'act_1',
			status: 'timed_out',
			output: null,
			outputDigest: 'd',
			error: {code: 'runner_timeout', message: 'm', retry: 'later', details: {}},
			labels: [],
			usage: {wallMs: 20, cpuMs: 10, peakMemoryBytes: 1_000, outputBytes: 10},
			isolation: {
				provider: 'process',
				level: 'kernel-shared',
				namespaces: [],
				seccomp: true,
				limits: {},
				network: 'none',
				warm: true,
			},
			durationMs: 30,
		},
	};
}

async function trace(tracing: Tracing, traceparent?: string): Promise<void> {
	// The exporter is loaded in the background; what happens before is not traced.
	await import('./spans.ts');
	await new Promise((resolve) => setImmediate(resolve));
	const span = tracing.request({requestId: 'req-1', method: 'POST', traceparent});
	const [first, ...rest] = RUN;
	if (first) tracing.observe(first);
	span.accepted('run_1');
	for (const event of rest) tracing.observe(event);
	span.end({route: '/chat', status: 200});
	await tracing.close();
}

test('a turn becomes one trace: request, agent, model and tool, sandbox', async () => {
	const collector = await openCollector();
	await trace(startTracing({...OFF, otlpEndpoint: collector.url}));
	const {spans, requests} = collector;
	await collector.close();
	const nameOf = (id: string) => spans.find(({spanId}) => spanId === id)?.name ?? null;
	assert.deepEqual(spans.map(({name, parentId, failed}) => [name, nameOf(parentId), failed]).sort(), [
		['POST /chat', null, false],
		['chat gpt', 'invoke_agent analyst', false],
		['execute_tool analyst.sql', 'invoke_agent analyst', true],
		['invoke_agent analyst', 'POST /chat', false],
		['sandbox process', 'execute_tool analyst.sql', false],
	]);
	assert.equal(new Set(spans.map(({traceId}) => traceId)).size, 1);
	assert.deepEqual([...new Set(requests)], ['POST /v1/traces']);
	const attributes = Object.assign({}, ...spans.map((span) => span.attributes)) as Record<string, unknown>;
	assert.equal(attributes['gen_ai.tool.name'], 'analyst.sql');
	assert.equal(attributes['gen_ai.usage.output_tokens'], 7);
	assert.equal(attributes['gen_ai.conversation.id'], 't1');
	assert.equal(attributes['error.type'], 'runner_timeout');
	assert.equal(spans.find(({name}) => name === 'sandbox process')?.ms, 20);
	assert.ok(!JSON.stringify(spans).includes('secret question'), 'what was asked is not sent');
});

test('a trace goes on from that of the caller', async () => {
	const collector = await openCollector();
	await trace(startTracing({...OFF, otlpEndpoint: collector.url}), `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`);
	const request = collector.spans.find(({name}) => name === 'POST /chat');
	await collector.close();
	assert.deepEqual([request?.traceId, request?.parentId], ['a'.repeat(32), 'b'.repeat(16)]);
});

test('MLflow gets the same trace under the experiment of that name, which is made when there is none', async () => {
	const collector = await openCollector();
	await trace(startTracing({...OFF, mlflow: {uri: `${collector.url}/`, experimentId: null, experimentName: 'my runs'}}));
	await collector.close();
	assert.deepEqual(
		[...new Set(collector.requests)],
		[
			'GET /api/2.0/mlflow/experiments/get-by-name?experiment_name=my%20runs',
			'POST /api/2.0/mlflow/experiments/create',
			'POST /v1/traces 7',
		],
	);
	assert.equal(collector.spans.length, 5);
});

test('without an endpoint nothing is traced', () => {
	assert.equal(startTracing(OFF), noTracing);
});

for (const [behaviour, title] of [
	['refuse', 'refuses'],
	['hang', 'never answers'],
	['dead', 'is not there'],
] as const) {
	test(`requests do not notice a collector that ${title}`, async () => {
		const collector = await openCollector(behaviour === 'dead' ? 'take' : behaviour);
		if (behaviour === 'dead') await collector.close();
		const mlflow = {uri: collector.url, experimentId: null, experimentName: 'x'};
		const tracing = startTracing({...OFF, otlpEndpoint: collector.url, mlflow});
		await import('./spans.ts');
		const {server} = testServer({}, {tracing});
		const began = performance.now();
		await listening(server, async ({url}) => {
			const headers = {'content-type': 'application/json'};
			const body = JSON.stringify({dataset_id: 'support', message: 'q'});
			const replies = await Promise.all(Array.from({length: 8}, () => fetch(`${url}/chat`, {method: 'POST', headers, body})));
			assert.deepEqual(
				replies.map(({status}) => status),
				Array(8).fill(200),
			);
			for (let i = 0; i < 10_000; i += 1)
				tracing.request({requestId: 'r', method: 'GET', traceparent: undefined}).end({route: '/', status: 200});
		});
		assert.ok(performance.now() - began < 5_000, 'the server stopped in time');
		if (behaviour !== 'dead') await collector.close();
	});
}

test('a bug in tracing costs the trace, not the request', async () => {
	const warned: string[] = [];
	const tracing = startTracing({
		...OFF,
		otlpEndpoint: 'http://127.0.0.1:1',
		log: {...SILENT, warn: (message) => void warned.push(message)},
	});
	await import('./spans.ts');
	await new Promise((resolve) => setImmediate(resolve));
	const [first, last] = [RUN[0], RUN.at(-1)];
	if (first) tracing.observe(first);
	tracing.observe({...last, data: null} as unknown as Event);
	await tracing.close();
	assert.deepEqual(warned, ['tracing.failed']);
});
