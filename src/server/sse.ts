import type {Redactor} from '#kernel/ports.ts';
import {toStreamError} from './reply-error.ts';

/** One server-sent event. `data` becomes a single line of JSON. */
export type SseFrame = {readonly event: string; readonly id: string; readonly data: unknown};

export type SseOptions = {
	readonly heartbeatMs: number;
	/** what an error says passes it; everything else did before it came here */
	readonly redact: Redactor;
	/** ends the stream from this side, as when the server stops */
	readonly signal?: AbortSignal;
	/** called once, when the reader has gone or the stream has ended */
	readonly closed?: () => void;
};

const HEADERS = {
	'content-type': 'text/event-stream; charset=utf-8',
	'cache-control': 'no-cache, no-transform',
	'x-accel-buffering': 'no',
};

/**
 * A reply that carries `frames`, which gets a signal that ends with the reader. A frame is asked for only when the reader has taken
 * the one before (back-pressure); silence is broken by comments, so that proxies and clients can tell a quiet stream from a dead one.
 */
export function eventStream(frames: (signal: AbortSignal) => AsyncIterable<SseFrame>, options: SseOptions): Response {
	const reader = new AbortController();
	const signal = options.signal ? AbortSignal.any([reader.signal, options.signal]) : reader.signal;
	const source = frames(signal)[Symbol.asyncIterator]();
	const encoder = new TextEncoder();
	const state: {next: Promise<IteratorResult<SseFrame, SseFrame | undefined>> | null} = {next: null};
	const end = () => {
		if (reader.signal.aborted) return;
		reader.abort();
		options.closed?.();
	};
	const body = new ReadableStream<Uint8Array>(
		{
			start: (controller) => controller.enqueue(encoder.encode('retry: 2000\n\n')),
			async pull(controller) {
				state.next ??= source.next().catch(toErrorFrame);
				const result = await within(state.next, options.heartbeatMs);
				if (result === 'quiet') return controller.enqueue(encoder.encode(': heartbeat\n\n'));
				state.next = null;
				if (result.value) controller.enqueue(encoder.encode(format(clean(result.value, options.redact))));
				if (!result.done) return;
				end();
				controller.close();
			},
			cancel: end,
		},
		{highWaterMark: 1},
	);
	return new Response(body, {headers: HEADERS});
}

function clean(frame: SseFrame, redact: Redactor): SseFrame {
	return frame.event === 'error' ? {...frame, data: redact(frame.data).value} : frame;
}

/** The headers are gone: a source that fails can only say so in the stream, and end it. */
function toErrorFrame(thrown: unknown): IteratorResult<SseFrame, SseFrame> {
	return {done: true, value: {event: 'error', id: '', data: toStreamError(thrown)}};
}

async function within<T>(next: Promise<T>, ms: number): Promise<T | 'quiet'> {
	const {promise: quiet, resolve} = Promise.withResolvers<'quiet'>();
	const timer = setTimeout(resolve, ms, 'quiet');
	try {
		return await Promise.race([next, quiet]);
	} finally {
		clearTimeout(timer);
	}
}

function format({event, id, data}: SseFrame): string {
	return `event: ${event}\n${id ? `id: ${id}\n` : ''}data: ${JSON.stringify(data)}\n\n`;
}
