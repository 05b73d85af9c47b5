/** What a provider's double says, turn by turn, and the HTTP server that both doubles share. */
import {randomBytes} from 'node:crypto';
import {createServer, type IncomingMessage, type ServerResponse} from 'node:http';
import type {AddressInfo} from 'node:net';
import {text} from 'node:stream/consumers';

export type ScriptedCall = {
	readonly id?: string;
	readonly name: string;
	readonly args: string | Readonly<Record<string, unknown>>;
};

/** A response: text, tool calls, or both. */
export type Spoken = {
	readonly say?: string | readonly string[];
	readonly calls?: readonly ScriptedCall[];
	readonly usage?: readonly [input: number, output: number];
};

export type ScriptedTurn =
	| Spoken
	/** an error reply in the provider's own form */
	| {
			readonly status: number;
			readonly message?: string;
			readonly code?: string;
			readonly headers?: Readonly<Record<string, string>>;
	  }
	/** headers at once, then nothing */
	| {readonly hang: true}
	/** some text, then the connection is gone */
	| {readonly reset: true; readonly say?: string}
	/** some text, then a proper end of the stream without the provider's own end */
	| {readonly cut: true; readonly say?: string}
	/** bytes in place of events */
	| {readonly raw: string};

/** A list is said in order; a function reads the request, as a model would. */
export type Script = readonly ScriptedTurn[] | ((request: Body, n: number) => ScriptedTurn);
export type Body = Readonly<Record<string, unknown>>;

export type Received = {readonly path: string; readonly headers: IncomingMessage['headers']; readonly body: Body};

export type Double = AsyncDisposable & {
	/** with the version, as settings want it */
	readonly url: string;
	readonly requests: readonly Received[];
};

/** How one provider speaks. */
export type Protocol = {
	readonly path: string;
	/** why the real provider would refuse this request; null when it would not */
	readonly refuse: (received: Received) => string | null;
	readonly error: (message: string, status: number, code?: string) => unknown;
	/** the frames of a response, the last of them its end */
	readonly frames: (turn: Spoken, model: string) => readonly string[];
};

export async function startDouble(protocol: Protocol, script: Script): Promise<Double> {
	const requests: Received[] = [];
	const server = createServer((request, response) => {
		answer(request, response).catch((error: Error) => response.destroy(error));
	});
	const answer = async (request: IncomingMessage, response: ServerResponse) => {
		const body = JSON.parse(await text(request)) as Body;
		const received = {path: request.url ?? '', headers: request.headers, body};
		requests.push(received);
		const refusal = received.path === protocol.path ? protocol.refuse(received) : `no such path ${received.path}`;
		const turn: ScriptedTurn = refusal
			? {status: 400, message: refusal}
			: typeof script === 'function'
				? script(body, requests.length - 1)
				: (script[requests.length - 1] ?? {say: 'There is nothing more to say.'});
		await play(turn, protocol, String(body.model), response);
	};
	await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
	const {port} = server.address() as AddressInfo;
	return {
		url: `http://127.0.0.1:${port}/v1`,
		requests,
		async [Symbol.asyncDispose]() {
			server.closeAllConnections();
			await new Promise((resolve) => server.close(resolve));
		},
	};
}

async function play(turn: ScriptedTurn, protocol: Protocol, model: string, response: ServerResponse): Promise<void> {
	if ('status' in turn) {
		response.writeHead(turn.status, {'content-type': 'application/json', ...turn.headers});
		response.end(JSON.stringify(protocol.error(turn.message ?? 'scripted failure', turn.status, turn.code)));
		return;
	}
	response.writeHead(200, {'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache'});
	response.flushHeaders();
	if ('hang' in turn) return;
	if ('raw' in turn) {
		response.end(turn.raw);
		return;
	}
	const broken = 'reset' in turn || 'cut' in turn;
	const frames = protocol.frames(turn, model);
	for (const frame of broken ? frames.slice(0, 3) : frames) await write(response, frame);
	if ('reset' in turn) response.socket?.resetAndDestroy();
	else response.end();
}

/** In pieces that do not end where frames end, as networks deliver them. */
async function write(response: ServerResponse, frame: string): Promise<void> {
	const half = Math.floor(frame.length / 2);
	for (const piece of [frame.slice(0, half), frame.slice(half)])
		await new Promise<void>((resolve) => response.write(piece, () => resolve()));
}

export function pieces(say: string | readonly string[] | undefined): readonly string[] {
	if (say === undefined) return [];
	return typeof say === 'string' ? (say.match(/[\s\S]{1,7}/g) ?? []) : say;
}

export function argumentsOf({args}: ScriptedCall): string {
	return typeof args === 'string' ? args : JSON.stringify(args);
}

/** Unlike every other, as providers promise. */
export function newCallId(prefix: string): string {
	return `${prefix}_${randomBytes(9).toString('hex')}`;
}

export const TOOL_NAME = /^[a-zA-Z0-9_-]{1,64}$/;
