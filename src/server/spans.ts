/** Events as OpenTelemetry spans, named by the GenAI conventions. Loaded only when tracing is on. */
import {
	type Context,
	ROOT_CONTEXT,
	type Span,
	SpanKind,
	SpanStatusCode,
	TraceFlags,
	type Tracer,
	trace,
} from '@opentelemetry/api';
import {OTLPTraceExporter} from '@opentelemetry/exporter-trace-otlp-proto';
import {resourceFromAttributes} from '@opentelemetry/resources';
import {BatchSpanProcessor, TracerProvider} from '@opentelemetry/sdk-trace';
import type {Event, EventData} from '#contract/event.ts';
import type {RequestSpan, Tracing, TracingOptions} from './tracing.ts';

/** Beyond these, spans and runs are left out rather than memory filled. */
const MAX_QUEUE = 4_096;
const MAX_OPEN_RUNS = 2_000;

type OpenRun = {
	readonly started: EventData<'run.started'>;
	readonly at: number;
	span: Span | null;
	readonly tools: Map<string, string>;
};

export function exportSpans(options: TracingOptions): Tracing {
	const provider = createProvider(options);
	const tracer = provider.getTracer('writ', options.version);
	const parents = new Map<string, Context>();
	const runs = new Map<string, OpenRun>();
	return {
		request: ({requestId, method, traceparent}) => startRequest(tracer, {requestId, method, traceparent}, parents),
		observe: (event) => project(event, {tracer, parents, runs}),
		close: () => provider.shutdown().catch((error: unknown) => options.log.warn('tracing.failed', {error})),
	};
}

function createProvider({otlpEndpoint, mlflow, version, delayMs = 1_000, timeoutMs = 5_000}: TracingOptions): TracerProvider {
	const targets: {url: string; headers?: () => Promise<Record<string, string>>}[] = [];
	if (otlpEndpoint !== null) targets.push({url: tracesUrl(otlpEndpoint)});
	if (mlflow !== null) targets.push({url: tracesUrl(mlflow.uri), headers: experimentHeader(mlflow, timeoutMs)});
	return new TracerProvider({
		resource: resourceFromAttributes({'service.name': 'writ', 'service.version': version}),
		spanProcessors: targets.map(
			(target) =>
				new BatchSpanProcessor({
					exporter: new OTLPTraceExporter({...target, timeoutMillis: timeoutMs}),
					maxQueueSize: MAX_QUEUE,
					scheduledDelayMillis: delayMs,
					exportTimeoutMillis: timeoutMs,
				}),
		),
	});
}

function tracesUrl(endpoint: string): string {
	return `${endpoint.replace(/\/+$/, '')}/v1/traces`;
}

/** MLflow files a trace under the experiment its header names by id. The id is looked up with the first export that succeeds in it. */
function experimentHeader(
	mlflow: NonNullable<TracingOptions['mlflow']>,
	timeoutMs: number,
): () => Promise<Record<string, string>> {
	const state = {id: mlflow.experimentId};
	return async () => {
		state.id ??= await findExperiment(mlflow.uri, mlflow.experimentName, timeoutMs);
		return {'x-mlflow-experiment-id': state.id};
	};
}

async function findExperiment(uri: string, name: string, timeoutMs: number): Promise<string> {
	const api = `${uri.replace(/\/+$/, '')}/api/2.0/mlflow/experiments`;
	const signal = AbortSignal.timeout(timeoutMs);
	const found = await fetch(`${api}/get-by-name?experiment_name=${encodeURIComponent(name)}`, {signal});
	if (found.ok) return ((await found.json()) as {experiment: {experiment_id: string}}).experiment.experiment_id;
	const headers = {'content-type': 'application/json'};
	const created = await fetch(`${api}/create`, {method: 'POST', headers, body: JSON.stringify({name}), signal});
	if (!created.ok) throw new Error(`MLflow has no experiment ${name} and did not create it: ${created.status}`);
	return ((await created.json()) as {experiment_id: string}).experiment_id;
}

type AskedRequest = Parameters<Tracing['request']>[0];

function startRequest(
	tracer: Tracer,
	{requestId, method, traceparent}: AskedRequest,
	parents: Map<string, Context>,
): RequestSpan {
	const attributes = {'http.request.method': method, 'writ.request.id': requestId};
	const span = tracer.startSpan(method, {kind: SpanKind.SERVER, attributes}, remoteParent(traceparent));
	return {
		accepted(runId) {
			if (parents.size < MAX_OPEN_RUNS) parents.set(runId, trace.setSpan(ROOT_CONTEXT, span));
		},
		end({route, status}) {
			span.updateName(`${method} ${route}`);
			span.setAttributes({'http.route': route, 'http.response.status_code': status});
			if (status >= 500) span.setStatus({code: SpanStatusCode.ERROR});
			span.end();
		},
	};
}

/** W3C trace context of a caller that traces as well. */
function remoteParent(traceparent: string | undefined): Context {
	const [, traceId, spanId, flags] = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/.exec(traceparent ?? '') ?? [];
	if (!traceId || !spanId || !flags) return ROOT_CONTEXT;
	const traceFlags = Number.parseInt(flags, 16) & TraceFlags.SAMPLED;
	return trace.setSpanContext(ROOT_CONTEXT, {traceId, spanId, traceFlags, isRemote: true});
}

type Projection = {readonly tracer: Tracer; readonly parents: Map<string, Context>; readonly runs: Map<string, OpenRun>};

function project(event: Event, {tracer, parents, runs}: Projection): void {
	const at = Date.parse(event.at);
	if (event.type === 'run.started') {
		if (runs.size < MAX_OPEN_RUNS) runs.set(event.runId, {started: event.data, at, span: null, tools: new Map()});
		return;
	}
	const run = runs.get(event.runId);
	if (!run) return;
	if (event.type === 'action.proposed') return void run.tools.set(event.data.actionId, event.data.tool);
	if (!SPANNED.has(event.type)) return;
	// Not before this: only now is it certain that the request has said which run it started.
	run.span ??= startRun(tracer, event.runId, run, parents.get(event.runId) ?? ROOT_CONTEXT);
	const context = trace.setSpan(ROOT_CONTEXT, run.span);
	if (event.type === 'model.responded') spanModel(tracer, event.data, at, context);
	if (event.type === 'model.failed') spanModelFailure(tracer, event.data, at, context);
	if (event.type === 'action.outcome') {
		spanAction(tracer, {data: event.data, tool: run.tools.get(event.data.actionId) ?? 'unknown', at}, context);
	}
	if (event.type !== 'run.finished') return;
	run.span.setAttribute('writ.run.status', event.data.status);
	if (event.data.error) fail(run.span, event.data.error.code);
	run.span.end(at);
	runs.delete(event.runId);
	parents.delete(event.runId);
}

const SPANNED: ReadonlySet<Event['type']> = new Set(['model.responded', 'model.failed', 'action.outcome', 'run.finished']);

function startRun(tracer: Tracer, runId: string, {started, at}: OpenRun, parent: Context): Span {
	const {job, mode, threadId, principal, dataset} = started;
	const attributes = {
		'gen_ai.operation.name': 'invoke_agent',
		'gen_ai.agent.name': job,
		'writ.run.id': runId,
		'writ.run.mode': mode,
		'mlflow.trace.user': principal.id,
		...(threadId === null ? {} : {'gen_ai.conversation.id': threadId, 'mlflow.trace.session': threadId}),
		...(dataset === null ? {} : {'writ.dataset.id': dataset.id, 'writ.dataset.hash': dataset.hash}),
	};
	return tracer.startSpan(`invoke_agent ${job}`, {kind: SpanKind.INTERNAL, startTime: at, attributes}, parent);
}

function spanModel(tracer: Tracer, data: EventData<'model.responded'>, at: number, context: Context): void {
	const attributes = {
		...modelAttributes(data),
		'gen_ai.usage.input_tokens': data.inputTokens,
		'gen_ai.usage.output_tokens': data.outputTokens,
		'writ.model.cost_usd': data.costUsd,
	};
	const startTime = at - data.durationMs;
	tracer.startSpan(`chat ${data.model}`, {kind: SpanKind.CLIENT, startTime, attributes}, context).end(at);
}

function spanModelFailure(tracer: Tracer, data: EventData<'model.failed'>, at: number, context: Context): void {
	const options = {kind: SpanKind.CLIENT, startTime: at, attributes: modelAttributes(data)};
	const span = tracer.startSpan(`chat ${data.model}`, options, context);
	fail(span, data.error.code);
	span.end(at);
}

function modelAttributes({provider, model}: {readonly provider: string; readonly model: string}) {
	return {'gen_ai.operation.name': 'chat', 'gen_ai.provider.name': provider, 'gen_ai.request.model': model};
}

type Acted = {readonly data: EventData<'action.outcome'>; readonly tool: string; readonly at: number};

function spanAction(tracer: Tracer, {data, tool, at}: Acted, context: Context): void {
	const attributes = {
		'gen_ai.operation.name': 'execute_tool',
		'gen_ai.tool.name': tool,
		'gen_ai.tool.call.id': data.actionId,
		'gen_ai.tool.type': 'function',
		'writ.action.status': data.status,
	};
	const span = tracer.startSpan(`execute_tool ${tool}`, {startTime: at - data.durationMs, attributes}, context);
	if (data.error) fail(span, data.error.code);
	if (data.isolation && data.usage) {
		const {provider, level, warm} = data.isolation;
		const {wallMs, cpuMs, peakMemoryBytes, outputBytes} = data.usage;
		const facts = {
			'writ.sandbox.provider': provider,
			'writ.sandbox.isolation': level,
			'writ.sandbox.warm': warm,
			'writ.sandbox.output_bytes': outputBytes,
			...(cpuMs === null ? {} : {'writ.sandbox.cpu_ms': cpuMs}),
			...(peakMemoryBytes === null ? {} : {'writ.sandbox.peak_memory_bytes': peakMemoryBytes}),
		};
		// The sandbox works inside the action; rounding must not make it start before.
		const startTime = at - Math.min(wallMs, data.durationMs);
		tracer.startSpan(`sandbox ${provider}`, {startTime, attributes: facts}, trace.setSpan(ROOT_CONTEXT, span)).end(at);
	}
	span.end(at);
}

function fail(span: Span, code: string): void {
	span.setAttribute('error.type', code);
	span.setStatus({code: SpanStatusCode.ERROR, message: code});
}
