/** The parts of the Kubernetes API that a sandbox needs, over HTTPS. Every call has a limit; every failure says what it was. */
import {request as httpRequest, type IncomingMessage} from 'node:http';
import {request as httpsRequest} from 'node:https';
import {text as readText} from 'node:stream/consumers';
import {setTimeout as delay} from 'node:timers/promises';
import {z} from 'zod';
import {WritError} from '#contract/errors.ts';
import type {Cluster} from './cluster.ts';

type Query = Readonly<Record<string, string | number | boolean | readonly string[]>>;
type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

export type CallOptions = {
	readonly query?: Query;
	readonly body?: unknown;
	readonly signal?: AbortSignal | undefined;
	readonly limitMs?: number;
};

/** How to open a connection of our own, such as a WebSocket. */
export type Dial = {
	readonly url: URL;
	readonly headers: Readonly<Record<string, string>>;
	readonly tls: Readonly<Record<string, unknown>>;
};

export type KubernetesApi = {
	readonly namespace: string;
	readonly server: string;
	/** Parses the answer. Throws `sandbox_unavailable`; `statusOf` says with which status the server refused. */
	call<T extends z.ZodType>(method: Method, path: string, schema: T, options?: CallOptions): Promise<z.infer<T>>;
	/** The answer as it comes, for watches and logs. The limit is on its first byte. */
	open(path: string, options?: CallOptions): Promise<IncomingMessage>;
	dial(path: string, query: Query): Promise<Dial>;
};

/** A restarted or crowded API server is back in moments; more than these is an outage. */
const PAUSES_MS = [50, 250, 1_000];
const PASSING = new Set([429, 502, 503, 504]);

const statusSchema = z.looseObject({
	message: z.string().default(''),
	reason: z.string().default(''),
	details: z.looseObject({retryAfterSeconds: z.number().optional()}).optional(),
});

export function createKubernetesApi(cluster: Cluster, namespace: string, limitMs: number): KubernetesApi {
	const server = cluster.server.href.replace(/\/$/, '');
	const send = async (method: Method, path: string, options: CallOptions): Promise<IncomingMessage> => {
		const {url, headers, tls} = await dial(cluster, path, options.query ?? {});
		const response = await exchange({method, url, headers, tls}, {limitMs, ...options});
		const status = response.statusCode ?? 0;
		if (status >= 200 && status < 300) return response;
		throw refused(status, await readText(response), `${method} ${path}`);
	};
	const persist = async (method: Method, path: string, options: CallOptions): Promise<IncomingMessage> => {
		for (const pause of PAUSES_MS) {
			try {
				return await send(method, path, options);
			} catch (error) {
				if (!isPassing(error) || options.signal?.aborted) throw error;
				await delay(pause, undefined, {signal: options.signal}).catch(() => {}); // the next attempt says that it was cancelled
			}
		}
		return send(method, path, options);
	};
	return {
		namespace,
		server,
		async call(method, path, schema, options = {}) {
			const response = await persist(method, path, options);
			const body = await readText(response).catch((cause) => {
				throw unreachable(server, cause);
			});
			const parsed = schema.safeParse(parseJson(body));
			if (!parsed.success) throw new WritError('sandbox_unavailable', `${server} answered ${method} ${path} with something else`);
			return parsed.data;
		},
		open: (path, options = {}) => persist('GET', path, options),
		dial: (path, query) => dial(cluster, path, query),
	};
}

async function dial({server, ca, verify, serverName, credentials}: Cluster, path: string, query: Query): Promise<Dial> {
	const {token, cert, key} = await credentials();
	const url = new URL(`${server.pathname.replace(/\/$/, '')}${path}`, server);
	for (const [name, value] of Object.entries(query))
		for (const each of Array.isArray(value) ? value : [value]) url.searchParams.append(name, String(each));
	return {
		url,
		headers: {
			accept: 'application/json',
			'user-agent': 'writ',
			...(token === undefined ? {} : {authorization: `Bearer ${token}`}),
		},
		tls: {ca, cert, key, rejectUnauthorized: verify, ...(serverName === undefined ? {} : {servername: serverName})},
	};
}

function exchange(
	{method, url, headers, tls}: Dial & {method: Method},
	options: CallOptions & {limitMs: number},
): Promise<IncomingMessage> {
	const {body, signal, limitMs} = options;
	const {promise, resolve, reject} = Promise.withResolvers<IncomingMessage>();
	const bytes = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
	const send = url.protocol === 'http:' ? httpRequest : httpsRequest;
	const content = bytes ? {'content-type': 'application/json', 'content-length': bytes.length} : {};
	const request = send(url, {method, headers: {...headers, ...content}, ...tls});
	const timer = setTimeout(() => request.destroy(new Silence(`it did not answer within ${limitMs} ms`)), limitMs);
	const abort = () => request.destroy();
	signal?.addEventListener('abort', abort, {once: true});
	const settle = () => {
		clearTimeout(timer);
		signal?.removeEventListener('abort', abort);
	};
	request.on('response', (response) => {
		clearTimeout(timer);
		response.on('error', () => {}); // whoever reads it is told
		response.on('close', settle);
		resolve(response);
	});
	request.on('error', (cause) => {
		settle();
		reject(signal?.aborted ? new WritError('cancelled', 'cancelled before it finished') : unreachable(url.origin, cause));
	});
	request.end(bytes);
	if (signal?.aborted) abort();
	return promise;
}

/** A server that hangs is not asked again: whoever waits has waited long enough. */
class Silence extends Error {}

function unreachable(server: string, cause: unknown): WritError {
	const {message, code} = cause as NodeJS.ErrnoException;
	return new WritError('sandbox_unavailable', `the API server ${server} cannot be used: ${message || code}`, {
		hint: 'check that `kubectl version` answers with the same kubeconfig; the server may be restarting',
		details: cause instanceof Silence ? {reason: 'Silence'} : {status: 0},
		cause,
	});
}

const FORBIDDEN = /cannot (\S+) resource "([^"]+)"/;

/** Also for a WebSocket that was refused: the same Status object says why. */
export function refused(status: number, body: string, call: string): WritError {
	const parsed = statusSchema.safeParse(parseJson(body));
	const {message, reason} = parsed.success ? parsed.data : {message: body.slice(0, 500), reason: ''};
	const [, verb, resource] = FORBIDDEN.exec(message) ?? [];
	const missing = status === 403 && verb !== undefined ? {verb, resource} : {};
	return new WritError('sandbox_unavailable', `the API server refused ${call} (${status} ${reason}): ${message}`, {
		hint: hintFor(status, missing),
		details: {status, reason, ...missing},
	});
}

function hintFor(status: number, {verb, resource}: {verb?: string; resource?: string | undefined}): string {
	if (status === 401) return 'the credentials of the kubeconfig or service account are not accepted: renew them';
	if (verb !== undefined) return `grant \`${verb}\` on \`${resource}\`: \`kubectl apply -f charts/writ-runners/rbac.yaml\``;
	if (status === 403) return 'a quota or an admission policy of the namespace refuses runner pods: its message says which';
	return 'run `writ doctor`, which says what the sandbox needs';
}

/** With which HTTP status the server refused; 0 when it could not be reached, `undefined` for any other error. */
export function statusOf(error: unknown): number | undefined {
	const status = error instanceof WritError ? error.details.status : undefined;
	return typeof status === 'number' ? status : undefined;
}

function isPassing(error: unknown): boolean {
	const status = statusOf(error);
	return status === 0 || (status !== undefined && PASSING.has(status));
}

/** What is not JSON is `undefined`, which no schema accepts. */
export function parseJson(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch {
		return undefined;
	}
}
