import {hc} from 'hono/client';
import type {ErrorReply} from '#contract/api.ts';
import {ERRORS, type ErrorCode, WritError} from '#contract/errors.ts';
import type {Api} from './server.ts';

export type ClientOptions = {
	readonly url: string;
	readonly token?: string | null;
	/** default: the network; a server in this process hands in its own */
	readonly fetch?: (request: Request) => Promise<Response> | Response;
	readonly close?: () => Promise<void>;
};

/** The API, typed by its own routes. Every error reply is thrown as the `WritError` it describes. */
export type Client = {
	readonly url: string;
	readonly api: ReturnType<typeof hc<Api>>;
	/** for uploads, downloads and streams */
	fetch(path: string, init?: RequestInit): Promise<Response>;
	close(): Promise<void>;
};

export function createClient({url, token, fetch: send = globalThis.fetch, close = async () => {}}: ClientOptions): Client {
	const request = async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
		const headers = new Headers(init?.headers);
		headers.set('user-agent', 'writ/cli');
		if (token) headers.set('authorization', `Bearer ${token}`);
		const response = await answer(send, new Request(input, {...init, headers}), url);
		if (!response.ok) throw await toError(response);
		return response;
	};
	return {url, api: hc<Api>(url, {fetch: request}), fetch: (path, init) => request(new URL(path, url), init), close};
}

async function answer(send: NonNullable<ClientOptions['fetch']>, request: Request, url: string): Promise<Response> {
	try {
		return abortable(await orAborted((async () => send(request))(), request.signal), request.signal);
	} catch (cause) {
		if (request.signal.aborted) throw new WritError('cancelled', 'cancelled', {cause});
		throw new WritError('not_ready', `no server answers at ${url}`, {
			hint: 'start one with `writ serve`, or check WRIT_URL',
			cause,
		});
	}
}

/** A server in this process does not see its client go away; these two make it so. */
async function orAborted(reply: Promise<Response>, signal: AbortSignal): Promise<Response> {
	const {promise: aborted, reject} = Promise.withResolvers<never>();
	const onAbort = () => {
		reject(signal.reason);
		// Whoever answers after all learns that nobody reads it.
		reply.then((late) => late.body?.cancel()).catch(() => {});
	};
	signal.addEventListener('abort', onAbort, {once: true});
	try {
		return await Promise.race([reply, aborted]);
	} finally {
		signal.removeEventListener('abort', onAbort);
	}
}

function abortable(response: Response, signal: AbortSignal): Response {
	if (!response.body) return response;
	const {status, statusText, headers} = response;
	return new Response(response.body.pipeThrough(new TransformStream(), {signal}), {status, statusText, headers});
}

async function toError(response: Response): Promise<WritError> {
	const body = (await response.json().catch(() => null)) as Partial<ErrorReply> | null;
	const error = body?.error;
	if (!error) return new WritError('internal_error', `the server answered ${response.status}`);
	const code = Object.hasOwn(ERRORS, error.code) ? (error.code as ErrorCode) : 'internal_error';
	const details = {...error.details, requestId: error.requestId};
	return new WritError(code, error.message, {...(error.hint !== undefined && {hint: error.hint}), details});
}

/** Parses a stream of server-sent events. Comments, which are heartbeats, are skipped. */
export async function* readEvents(response: Response): AsyncIterable<{event: string; id: string; data: unknown}> {
	const decoder = new TextDecoder();
	let buffer = '';
	for await (const chunk of response.body ?? []) {
		buffer += decoder.decode(chunk, {stream: true});
		const blocks = buffer.split('\n\n');
		buffer = blocks.pop() ?? '';
		for (const block of blocks) {
			const fields = new Map(
				block.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]),
			);
			const data = fields.get('data');
			if (data !== undefined) yield {event: fields.get('event') ?? 'message', id: fields.get('id') ?? '', data: JSON.parse(data)};
		}
	}
}
