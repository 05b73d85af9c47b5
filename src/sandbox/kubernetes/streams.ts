/** Attaching to a container and executing in one: streams multiplexed over a WebSocket, `v5.channel.k8s.io` or the older `v4`. */

import {once} from 'node:events';
import {Readable, Writable} from 'node:stream';
import {text as readText} from 'node:stream/consumers';
import type {WebSocket} from 'ws';
import {z} from 'zod';
import {WritError} from '#contract/errors.ts';
import {createCapturedText} from '../captured-text.ts';
import {type KubernetesApi, parseJson, refused} from './api.ts';

export type Channels = {
	/** ending it ends the standard input of the container, where the protocol can say so */
	readonly stdin: Writable;
	readonly stdout: Readable;
	readonly stderr: Readable;
	/** Settles when the connection is gone; `status` is what the server said of the command, if it came to that. */
	readonly closed: Promise<{readonly status: Ended | undefined}>;
	/** Cuts the connection. */
	cut(): void;
};

/** The exit code of an executed command; `null` when it could not be started. */
type Ended = {readonly exitCode: number | null; readonly message: string};

export type Target = {
	readonly pod: string;
	readonly container: string;
	/** absent to attach to the container's own process */
	readonly command?: readonly string[];
	readonly stdin: boolean;
};

/** v5 can close one stream; in v4 the standard input stays open until the connection ends. */
const PROTOCOLS = ['v5.channel.k8s.io', 'v4.channel.k8s.io'];
const [STDIN, STDOUT, STDERR, STATUS, CLOSE] = [0, 1, 2, 3, 255];
/** API servers copy in pieces of this size. */
const PIECE_BYTES = 32 * 1024;
const HANDSHAKE_LIMIT_MS = 10_000;
/** A connection whose other end is silent this long is dead: a host that vanished says nothing. */
const PING_MS = 5_000;

/** Throws `sandbox_unavailable` when the server refuses, or `cancelled`. */
export async function connect(api: KubernetesApi, target: Target, signal?: AbortSignal): Promise<Channels> {
	// Only here: a server without a cluster never loads it.
	const {WebSocket: Socket} = await import('ws');
	const {pod, container, command, stdin} = target;
	const path = `/api/v1/namespaces/${api.namespace}/pods/${pod}/${command ? 'exec' : 'attach'}`;
	const {url, headers, tls} = await api.dial(path, {
		container,
		stdin,
		stdout: true,
		stderr: true,
		tty: false,
		command: command ?? [],
	});
	url.protocol = url.protocol === 'http:' ? 'ws:' : 'wss:';
	const options = {headers, handshakeTimeout: HANDSHAKE_LIMIT_MS, perMessageDeflate: false, ...tls};
	const socket = new Socket(url, PROTOCOLS, options);
	const channels = multiplex(socket); // before the handshake ends: what comes with it must not be missed
	await opened(socket, `${command ? 'exec in' : 'attach to'} ${pod}`, signal).catch((error) => {
		channels.cut();
		throw error;
	});
	return channels;
}

function opened(socket: WebSocket, what: string, signal: AbortSignal | undefined): Promise<void> {
	const {promise, resolve, reject} = Promise.withResolvers<void>();
	const abort = () => reject(new WritError('cancelled', 'cancelled before it finished'));
	socket.once('open', resolve);
	socket.once('error', (cause) =>
		reject(new WritError('sandbox_unavailable', `${what} failed: ${cause.message}`, {details: {status: 0}, cause})),
	);
	socket.once('unexpected-response', (_, response) => {
		readText(response).then((body) => reject(refused(response.statusCode ?? 0, body, what)), reject);
	});
	signal?.addEventListener('abort', abort, {once: true});
	if (signal?.aborted) abort();
	return promise.finally(() => signal?.removeEventListener('abort', abort));
}

function multiplex(socket: WebSocket): Channels {
	const {promise: closed, resolve} = Promise.withResolvers<{status: Ended | undefined}>();
	const state: {status: Ended | undefined; alive: boolean} = {status: undefined, alive: true};
	const read = () => socket.isPaused && socket.resume();
	const [stdout, stderr] = [new Readable({read}), new Readable({read})];
	const stdin = writer(socket);
	const pinging = setInterval(() => {
		if (!state.alive) return socket.terminate();
		state.alive = false;
		if (socket.readyState === socket.OPEN) socket.ping();
	}, PING_MS);
	const alive = () => {
		state.alive = true;
	};
	socket.on('pong', alive);
	socket.on('message', (data: Buffer) => {
		alive();
		const [channel] = data;
		const payload = data.subarray(1);
		// The server opens each channel with an empty message, and may close one alone with its number.
		if (payload.length === 0 || channel === CLOSE) return;
		if (channel === STATUS) state.status = readStatus(payload);
		const stream = channel === STDOUT ? stdout : channel === STDERR ? stderr : undefined;
		if (stream && !stream.push(payload)) socket.pause();
	});
	socket.on('error', () => {}); // 'close' follows
	socket.once('close', () => {
		clearInterval(pinging);
		for (const stream of [stdout, stderr]) stream.push(null);
		stdin.destroy();
		resolve({status: state.status});
	});
	return {stdin, stdout, stderr, closed, cut: () => socket.terminate()};
}

function writer(socket: WebSocket): Writable {
	const send = (bytes: Buffer) =>
		new Promise<void>((done, fail) => socket.send(bytes, (error) => (error ? fail(error) : done())));
	const sendAll = async (bytes: Buffer) => {
		for (let at = 0; at < bytes.length; at += PIECE_BYTES)
			await send(Buffer.concat([Buffer.of(STDIN), bytes.subarray(at, at + PIECE_BYTES)]));
	};
	const stdin = new Writable({
		write: (bytes: Buffer, _, done) => void sendAll(bytes).then(() => done(), done),
		final: (done) => {
			if (socket.protocol === PROTOCOLS[0]) socket.send(Buffer.of(CLOSE, STDIN));
			done();
		},
	});
	stdin.on('error', () => {}); // a container that is gone cannot be written to; how it ended says more
	return stdin;
}

const statusSchema = z.looseObject({
	status: z.string(),
	message: z.string().default(''),
	details: z.looseObject({causes: z.array(z.looseObject({reason: z.string(), message: z.string()})).default([])}).optional(),
});

function readStatus(payload: Buffer): Ended {
	const text = payload.toString('utf8');
	const parsed = statusSchema.safeParse(parseJson(text));
	if (!parsed.success) return {exitCode: null, message: text};
	const {status, message, details} = parsed.data;
	const code = details?.causes.find(({reason}) => reason === 'ExitCode')?.message;
	if (status === 'Success') return {exitCode: 0, message};
	return {exitCode: code === undefined ? null : Number(code), message};
}

type Execution = {
	readonly input?: AsyncIterable<Buffer>;
	/** takes what the command prints; may throw to end it */
	readonly output?: (chunk: Buffer) => void;
	readonly limitMs: number;
	readonly signal?: AbortSignal;
};

const STDERR_CHARACTERS = 2_000;

/** Runs a command in a container to its end. Throws `sandbox_unavailable` unless it exits with 0, `cancelled`, or what `output` threw. */
export async function execute(
	api: KubernetesApi,
	target: Omit<Target, 'stdin'>,
	{input, output, limitMs, signal}: Execution,
): Promise<void> {
	const limit = AbortSignal.timeout(limitMs);
	const channels = await connect(api, {...target, stdin: input !== undefined}, signal);
	const {promise: failed, reject} = Promise.withResolvers<never>();
	const printed = createCapturedText();
	channels.stderr.on('data', printed.push);
	channels.stdout.on('data', (chunk: Buffer) => {
		try {
			output?.(chunk);
		} catch (error) {
			reject(error);
		}
	});
	limit.addEventListener('abort', () =>
		reject(new WritError('sandbox_unavailable', `${nameOf(target)} took over ${limitMs} ms`)),
	);
	signal?.addEventListener('abort', () => reject(new WritError('cancelled', 'cancelled before it finished')), {once: true});
	try {
		const fed = input ? feed(input, channels.stdin) : Promise.resolve();
		fed.catch(reject);
		const {status} = await Promise.race([channels.closed, failed]);
		if (status?.exitCode === 0) return;
		const why = printed.text().trim() || status?.message || 'the connection was lost';
		throw new WritError('sandbox_unavailable', `${nameOf(target)} failed: ${why.slice(0, STDERR_CHARACTERS)}`);
	} finally {
		channels.cut();
	}
}

/** A command that stops reading is found out by its end, not by waiting to be read. */
async function feed(input: AsyncIterable<Buffer>, stdin: Writable): Promise<void> {
	const gone = once(stdin, 'close');
	for await (const chunk of input) {
		if (stdin.destroyed) return;
		if (!stdin.write(chunk)) await Promise.race([once(stdin, 'drain'), gone]);
	}
	stdin.end();
}

function nameOf({pod, container, command}: Omit<Target, 'stdin'>): string {
	return `\`${command?.[0] ?? 'attach'}\` in container ${container} of ${pod}`;
}
