/**
 * Traces for whoever runs an OpenTelemetry collector or MLflow. Off unless an endpoint is configured; then loaded in the background.
 * A projection of the event stream: no other room knows of it, and no failure of it reaches a request.
 */
import type {Event} from '#contract/event.ts';
import type {Log} from './log.ts';

export type RequestSpan = {
	/** the request started this run: the run's spans belong under the request's */
	accepted(runId: string): void;
	end(reply: {readonly route: string; readonly status: number}): void;
};

export type Tracing = {
	request(request: {readonly requestId: string; readonly method: string; readonly traceparent: string | undefined}): RequestSpan;
	observe(event: Event): void;
	/** Sends what is left, for at most a moment. */
	close(): Promise<void>;
};

export type TracingOptions = {
	/** a collector that takes OTLP over HTTP, without `/v1/traces` */
	readonly otlpEndpoint: string | null;
	/** an MLflow server that takes traces; the experiment is found or created by name when there is no id */
	readonly mlflow: {readonly uri: string; readonly experimentId: string | null; readonly experimentName: string} | null;
	readonly version: string;
	readonly log: Log;
	/** the longest time between a span's end and its export */
	readonly delayMs?: number;
	/** the longest time one export may take */
	readonly timeoutMs?: number;
};

const NO_SPAN: RequestSpan = {accepted() {}, end() {}};

export const noTracing: Tracing = {request: () => NO_SPAN, observe() {}, close: async () => {}};

/** Returns at once: until the exporter has been loaded, and for good if it cannot be, nothing is traced. */
export function startTracing(options: TracingOptions): Tracing {
	if (options.otlpEndpoint === null && options.mlflow === null) return noTracing;
	const state = {tracing: noTracing};
	const loaded = import('./spans.ts').then(
		({exportSpans}) => {
			state.tracing = exportSpans(options);
		},
		(error: unknown) => options.log.warn('tracing.unavailable', {error}),
	);
	const guarded = <T>(work: () => T, otherwise: T): T => {
		try {
			return work();
		} catch (error) {
			// A bug in tracing costs its trace, never the request.
			options.log.warn('tracing.failed', {error});
			return otherwise;
		}
	};
	return {
		request: (request) => {
			const span = guarded(() => state.tracing.request(request), NO_SPAN);
			return {
				accepted: (runId) => guarded(() => span.accepted(runId), undefined),
				end: (reply) => guarded(() => span.end(reply), undefined),
			};
		},
		observe: (event) => guarded(() => state.tracing.observe(event), undefined),
		async close() {
			await loaded;
			await state.tracing.close();
		},
	};
}
