/**
 * The calls of a container engine's API that a sandbox needs, over its unix socket. Every call has a limit: an engine that accepts and
 * never answers is as absent as one that is not there. An engine elsewhere is of no use, since it could not mount our files.
 */
import {Agent, type ClientRequest, type IncomingMessage, request} from 'node:http';
import type {Duplex} from 'node:stream';
import type {z} from 'zod';
import {WritError} from '#contract/errors.ts';
import {cancelled} from '../endings.ts';

type Method = 'GET' | 'POST' | 'DELETE';

export type CallOptions = {
	readonly query?: Readonly<Record<string, string>>;
	readonly body?: unknown;
	readonly signal?: AbortSignal | undefined;
	/** null waits for as long as the connection holds */
	readonly limitMs?: number | null;
};

export type DockerApi = {
	/** Parses the answer. Throws `sandbox_unavailable`, with the engine's status in `details.status` when it refused, or `cancelled`. */
	call<T extends z.ZodType>(method: Method, path: string, schema: T, options?: CallOptions): Promise<z.infer<T>>;
	/** The connection itself, once the engine has given it up. */
	hijack(path: string, options?: CallOptions): Promise<Duplex>;
};

const CALL_LIMIT_MS = 10_000;
/** No answer that we ask for comes near. */
const MAX_ANSWER_BYTES = 8 * 2 ** 20;

const DEFAULT_HOST = 'unix:///var/run/docker.sock';

/** `host` is as in DOCKER_HOST. */
export function createDockerApi(host: string | null): DockerApi {
	const address = host ?? DEFAULT_HOST;
	// A kept connection would outlive the engine at its other end, and fail the next call.
	const agent = new Agent({keepAlive: false});
	const send = (method: Method, path: string, {query, body}: CallOptions, headers: Record<string, string>) => {
		const text = body === undefined ? undefined : JSON.stringify(body);
		const sent = request({
			...{agent, socketPath: socketOf(address), method, host: 'docker'},
			path: query ? `${path}?${new URLSearchParams(query)}` : path,
			headers:
				text === undefined
					? headers
					: {...headers, 'content-type': 'application/json', 'content-length': Buffer.byteLength(text)},
		});
		sent.end(text);
		return sent;
	};
	return {
		async call(method, path, schema, options = {}) {
			const what = `${method} ${path}`;
			const {status, text} = await limited(send(method, path, options, {}), what, options, answerOf);
			if (status < 200 || status >= 300) throw refused(status, text, what);
			const parsed = schema.safeParse(parseJson(text));
			if (!parsed.success) throw unavailable(`it answered \`${what}\` with something else`, {cause: parsed.error});
			return parsed.data;
		},
		async hijack(path, options = {}) {
			const what = `POST ${path}`;
			return limited(send('POST', path, options, {connection: 'Upgrade', upgrade: 'tcp'}), what, options, connectionOf);
		},
	};
}

function socketOf(host: string): string {
	if (host.startsWith('unix://')) return host.slice('unix://'.length);
	if (host.startsWith('/')) return host;
	throw unavailable(`\`${host}\` is not on this machine, and could not mount what a run reads`, {
		hint: 'set DOCKER_HOST to a `unix://` address',
	});
}

/** Settles as `receive` does, unless the limit, the signal or the connection ends it first. */
async function limited<T>(
	sent: ClientRequest,
	what: string,
	{signal, limitMs = CALL_LIMIT_MS}: CallOptions,
	receive: (sent: ClientRequest, what: string) => Promise<T>,
): Promise<T> {
	const late = () => sent.destroy(unavailable(`it did not answer \`${what}\` within ${limitMs} ms`, {hint: HUNG}));
	const timer = limitMs === null ? undefined : setTimeout(late, limitMs);
	const onAbort = () => sent.destroy(cancelled());
	signal?.addEventListener('abort', onAbort, {once: true});
	if (signal?.aborted) onAbort();
	try {
		return await receive(sent, what);
	} catch (error) {
		throw error instanceof WritError ? error : unreachable(error as NodeJS.ErrnoException);
	} finally {
		clearTimeout(timer);
		signal?.removeEventListener('abort', onAbort);
	}
}

type Answer = {readonly status: number; readonly text: string};

function answerOf(sent: ClientRequest): Promise<Answer> {
	const {promise, resolve, reject} = Promise.withResolvers<Answer>();
	sent.once('error', reject);
	sent.once('response', (response) => readAnswer(response).then(resolve, (error) => reject(sent.errored ?? error)));
	return promise;
}

async function readAnswer(response: IncomingMessage): Promise<Answer> {
	const chunks: Buffer[] = [];
	let bytes = 0;
	for await (const chunk of response as AsyncIterable<Buffer>) {
		bytes += chunk.length;
		if (bytes > MAX_ANSWER_BYTES) throw unavailable(`it answered with more than ${MAX_ANSWER_BYTES} bytes`);
		chunks.push(chunk);
	}
	return {status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8')};
}

function connectionOf(sent: ClientRequest, what: string): Promise<Duplex> {
	const {promise, resolve, reject} = Promise.withResolvers<Duplex>();
	sent.once('error', reject);
	sent.once('upgrade', (_, socket, head) => {
		if (head.length > 0) socket.unshift(head);
		resolve(socket);
	});
	sent.once('response', (response) => {
		readAnswer(response).then(({status, text}) => reject(refused(status, text, what)), reject);
	});
	return promise;
}

/** An empty body is an answer too. */
function parseJson(text: string): unknown {
	if (text === '') return null;
	try {
		return JSON.parse(text);
	} catch {
		return text; // `OK`, for one: the schema decides
	}
}

function refused(status: number, text: string, what: string): WritError {
	const body = parseJson(text);
	const said = body !== null && typeof body === 'object' && 'message' in body ? String(body.message) : text;
	const known = REFUSALS.find(({pattern}) => pattern.test(said));
	const reason = said.trim().slice(0, 500) || `status ${status}`;
	return unavailable(`it refused \`${what}\`: ${reason}`, {details: {status}, ...(known ? {hint: known.hint} : {})});
}

const REFUSALS = [
	{
		pattern: /no space left on device|disk quota exceeded/i,
		hint: 'free some disk space, for instance with `docker system prune`',
	},
	{pattern: /no such image/i, hint: 'run `scripts/docker.sh image`, which builds the image of the runners'},
	{pattern: /unknown or invalid runtime|runtime.*not found/i, hint: 'register the runtime with the engine, or ask for another'},
	{pattern: /bind source path does not exist/i, hint: 'the engine must see the same files as the server: run both on one host'},
];

/** The status with which the engine refused, or undefined when it was no refusal. */
export function statusOf(error: unknown): number | undefined {
	const status = error instanceof WritError ? error.details.status : undefined;
	return typeof status === 'number' ? status : undefined;
}

const HUNG = 'restart the container engine, for instance with `sudo systemctl restart docker`';

function unreachable(cause: NodeJS.ErrnoException): WritError {
	const {code} = cause;
	if (code === 'ENOENT' || code === 'ECONNREFUSED')
		return unavailable('it is not running', {
			cause,
			hint: 'start it, for instance with `sudo systemctl start docker`, or set DOCKER_HOST to where it listens',
		});
	if (code === 'EACCES' || code === 'EPERM')
		return unavailable('this user may not use it', {cause, hint: 'add the user to the group `docker`, or run a rootless engine'});
	return unavailable(`the connection to it broke (${code ?? cause.message})`, {cause, hint: HUNG});
}

type Why = {readonly hint?: string; readonly cause?: unknown; readonly details?: Readonly<Record<string, unknown>>};

/** Nothing runs without the engine: what `reason` says of it is why. */
export function unavailable(reason: string, why: Why = {}): WritError {
	return new WritError('sandbox_unavailable', `the container engine: ${reason}`, {
		hint: 'run `writ doctor`, which says what the sandbox needs',
		...why,
	});
}
