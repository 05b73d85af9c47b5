/** Carries one request to its host and the answer back, on a connection of its own: no two requests share one, so none can hide in another. */
import {type ClientRequest, type IncomingMessage, request as openRequest, type ServerResponse} from 'node:http';
import type {Socket} from 'node:net';
import {pipeline, Transform} from 'node:stream';
import {connect as connectTls, rootCertificates} from 'node:tls';
import type {HostInjection} from '#contract/sandbox.ts';
import type {Checked, Dialer} from './dial.ts';
import {type Injection, incomingHeaders, outgoingHeaders, responseProblem} from './head.ts';
import {addressOf} from './host-name.ts';
import type {Ledger, Passage, Subject} from './ledger.ts';
import {createMask} from './mask.ts';
import {type Candidate, decideRequest, injectionsFor} from './rules.ts';

/** Where a request goes: a host whose addresses are checked, and the rules about it. */
export type Destination = Checked & {
	readonly candidates: readonly Candidate[];
	/** TLS to the host, as there was to us */
	readonly encrypted: boolean;
	/** what the host is called in its Host header */
	readonly name: string;
};

/** `spellings` are what must not come back. */
export type Secret = {readonly value: string; readonly spellings: readonly string[]};

export type Carrier = {
	readonly dialer: Dialer;
	readonly ledger: Ledger;
	readonly secrets: Readonly<Record<string, Secret>>;
	readonly injections: readonly HostInjection[];
	/** certificate authorities besides the public ones, in PEM */
	readonly trust: readonly string[];
	readonly idleMs: number;
	readonly maxHeaderBytes: number;
	readonly masks: boolean;
};

export async function forward(
	request: IncomingMessage,
	response: ServerResponse,
	to: Destination,
	carrier: Carrier,
): Promise<void> {
	const {method = ''} = request;
	const path = pathOf(request);
	const subject: Subject = {host: to.host, port: to.port, request: `${method} ${path.split('?', 1)[0]}`};
	const verdict = decideRequest(to.candidates, {method, path});
	const injected = verdict.kind === 'allowed' ? injectionsFor(verdict.candidate, to.host, carrier.injections) : [];
	// A secret in clear text is everybody's.
	const refused = injected.length > 0 && !to.encrypted ? IN_CLEAR : verdict;
	if (refused.kind === 'refused') {
		carrier.ledger.refuse(subject, refused);
		return answer(response, 403, refused.reason);
	}
	const dialled = await carrier.dialer.connect(to);
	if (dialled.kind !== 'reached') {
		carrier.ledger.refuse(subject, {...dialled, verdict: dialled.kind});
		return answer(response, 502, dialled.reason);
	}
	const passage = carrier.ledger.pass(subject, refused.candidate.index, dialled.value.remoteAddress ?? '');
	exchange({request, response, method, path, socket: dialled.value, to, injected, passage, carrier});
}

const IN_CLEAR = {kind: 'refused', reason: 'a secret is sent over TLS only'} as const;

/** The path of a target in either form; the proxy has checked which one it is. */
function pathOf({url = ''}: IncomingMessage): string {
	return url.startsWith('/') ? url : url.replace(/^[a-z]+:\/\/[^/]*/i, '') || '/';
}

type Fail = (reason: string) => void;

export const USED_UP = 'the bytes of this run are used up';

type Exchange = {
	readonly request: IncomingMessage;
	readonly response: ServerResponse;
	readonly method: string;
	readonly path: string;
	readonly socket: Socket;
	readonly to: Destination;
	readonly injected: ReturnType<typeof injectionsFor>;
	readonly passage: Passage;
	readonly carrier: Carrier;
};

function exchange(each: Exchange): void {
	const {request, response, method, path, socket, to, injected, passage, carrier} = each;
	const injections = injected.map((each) => injectionOf(each, carrier.secrets));
	const secrets = carrier.masks ? injections.flatMap(({masked}) => masked) : [];
	const channel = to.encrypted ? encrypt(socket, to, carrier.trust) : socket;
	channel.setTimeout(carrier.idleMs, () => channel.destroy());
	const headers = outgoingHeaders(request, to.name, injections);
	const fail = (reason: string) => {
		passage.end({verdict: 'failed', reason});
		channel.destroy();
		if (response.headersSent) response.destroy();
		else answer(response, 502, reason);
	};
	if (!passage.up(method.length + path.length + sizeOf(headers))) {
		fail(USED_UP);
		return;
	}
	const outgoing = openRequest({
		...{method, path, headers, setHost: false, maxHeaderSize: carrier.maxHeaderBytes},
		createConnection: () => channel,
	});
	outgoing.on('error', (error: NodeJS.ErrnoException) => fail(`the exchange with the host failed: ${error.code ?? 'unknown'}`));
	outgoing.on('upgrade', () => fail('the host wants another protocol'));
	outgoing.on('response', (incoming) => deliver(incoming, secrets, each, fail));
	response.on('close', () => {
		passage.end(response.writableFinished ? {} : {reason: 'the code inside hung up'});
		channel.destroy();
	});
	sendBody(request, outgoing, passage, fail);
}

function sendBody(request: IncomingMessage, outgoing: ClientRequest, passage: Passage, fail: Fail): void {
	// An error of either end is reported where that end is watched.
	pipeline(
		request,
		counting(passage.up, () => fail(USED_UP)),
		outgoing,
		() => {},
	);
}

function deliver(incoming: IncomingMessage, secrets: readonly Buffer[], {response, passage}: Exchange, fail: Fail): void {
	const problem = responseProblem(incoming, secrets.length > 0);
	const headers = incomingHeaders(incoming.rawHeaders, secrets);
	// Whoever hangs up while the host answers leaves nothing to write to.
	if (response.destroyed) fail('the code inside hung up');
	else if (problem !== undefined) fail(problem);
	else if (!passage.down(sizeOf(headers))) fail(USED_UP);
	else {
		response.sendDate = false;
		response.writeHead(incoming.statusCode ?? 502, headers);
		const counter = counting(passage.down, () => fail(USED_UP));
		const masks = secrets.length > 0 ? [createMask(secrets)] : [];
		pipeline([incoming, counter, ...masks, response], (error) => error && fail('the answer was cut off'));
	}
}

/** Lets bytes by while there are some left. */
export function counting(take: (bytes: number) => boolean, onUsedUp: () => void): Transform {
	return new Transform({
		transform(chunk: Buffer, _encoding, done) {
			if (take(chunk.length)) return done(null, chunk);
			onUsedUp();
			done(new Error('the bytes are used up'));
		},
	});
}

type Injected = Exchange['injected'][number];

function injectionOf(
	{header, prefix, secret}: Injected,
	secrets: Carrier['secrets'],
): Injection & {readonly masked: readonly Buffer[]} {
	const {value = '', spellings = []} = secrets[secret] ?? {};
	return {header, value: `${prefix}${value}`, masked: spellings.map((text) => Buffer.from(text))};
}

function encrypt(socket: Socket, {host}: Destination, trust: readonly string[]): Socket {
	const address = addressOf(host);
	const named = address === undefined ? {servername: host} : {servername: '', host: address};
	const ca = trust.length > 0 ? [...rootCertificates, ...trust] : undefined;
	return connectTls({socket, ...named, ...(ca ? {ca} : {}), ALPNProtocols: ['http/1.1'], minVersion: 'TLSv1.2'});
}

function sizeOf(headers: readonly string[]): number {
	return headers.reduce((sum, text) => sum + text.length + 2, 0);
}

/** What the code inside is told; names what was wrong and never a value. */
export function answer(response: ServerResponse, status: number, reason: string): void {
	if (response.destroyed) return; // whoever asked has hung up
	response.writeHead(status, {'Content-Type': 'text/plain', 'X-Writ-Egress': 'refused', Connection: 'close'});
	response.end(`writ egress: ${reason}\n`);
}
