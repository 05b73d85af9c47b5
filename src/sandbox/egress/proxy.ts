/** The proxy itself: an HTTP/1.1 server on a Unix socket that takes requests for other hosts, and CONNECT. */
import {createServer, type IncomingMessage, type Server, type ServerResponse} from 'node:http';
import type {Socket} from 'node:net';
import type {EgressDecision, EgressRule, HostInjection} from '#contract/sandbox.ts';
import type {AddressException} from './addresses.ts';
import {createAuthority} from './certificates.ts';
import {createDialer} from './dial.ts';
import {answer, type Carrier, type Destination, forward, type Secret} from './forward.ts';
import {MAX_HEADERS, requestProblem} from './head.ts';
import {type Authority, parseAuthority} from './host-name.ts';
import {createLedger, type Ledger} from './ledger.ts';
import {candidatesFor} from './rules.ts';
import {type Digger, dig} from './tunnel.ts';

export type ProxyLimits = {
	readonly connections: number;
	readonly headerBytes: number;
	/** for the head of a request, and for the beginning of a tunnel */
	readonly headMs: number;
	/** for one look-up, and for one attempt to connect */
	readonly connectMs: number;
	readonly idleMs: number;
	/** for a connection from inside, whatever it carries */
	readonly totalMs: number;
};

/** Checks that can be left out, for the tests that show what each of them stops. */
export type Check = 'addresses' | 'pinning' | 'server-name' | 'host-header' | 'mask';

export type ProxyPolicy = {
	readonly rules: readonly EgressRule[];
	readonly maxBytes: number;
	/** values by the names that rules use */
	readonly secrets: Readonly<Record<string, Secret>>;
	readonly injections: readonly HostInjection[];
	readonly exceptions: readonly AddressException[];
	readonly resolvers: readonly string[];
	readonly trust: readonly string[];
	readonly limits: ProxyLimits;
	readonly without: readonly Check[];
};

export type ProxyEvents = {readonly onDecision: (decision: EgressDecision) => void; readonly onExceeded: () => void};

export type ProxyServer = {
	/** of the authority that the sandbox has to trust */
	readonly certificate: string;
	listen(path: string): Promise<void>;
	/** Ends every connection. */
	close(): void;
};

export function createProxy(policy: ProxyPolicy, events: ProxyEvents): ProxyServer {
	const {limits, without} = policy;
	const sockets = new Set<Socket>();
	const close = () => {
		server.close();
		for (const socket of sockets) socket.destroy();
		ledger.close();
	};
	const onExceeded = () => {
		events.onExceeded();
		setImmediate(close); // not before the passage that used up the last byte has ended
	};
	const ledger = createLedger({maxBytes: policy.maxBytes, onDecision: events.onDecision, onExceeded});
	const authority = createAuthority();
	const tunnels = new WeakMap<Socket, Destination>();
	const carrier: Carrier = {
		...{
			ledger,
			secrets: policy.secrets,
			injections: policy.injections,
			trust: policy.trust,
			idleMs: limits.idleMs,
			maxHeaderBytes: limits.headerBytes,
		},
		dialer: createDialer({...policy, connectMs: limits.connectMs, without: without.filter(isDialCheck)}),
		masks: !without.includes('mask'),
	};
	const server = createListener(limits);
	const digger: Digger = {
		...{carrier, authority, headMs: limits.headMs, matchesNames: !without.includes('server-name')},
		serve(socket, to) {
			tunnels.set(socket, to);
			server.emit('connection', socket);
		},
	};
	const way: Way = {policy, carrier, tunnels, digger};
	server.on('connection', (socket: Socket) => {
		if (tunnels.has(socket)) return;
		sockets.add(socket);
		const timer = setTimeout(() => socket.destroy(), limits.totalMs);
		socket.on('error', () => {}); // its close is what counts
		socket.once('close', () => {
			clearTimeout(timer);
			sockets.delete(socket);
		});
	});
	const answering = new WeakSet<Socket>();
	const refuseEarly = earlyRefusals(ledger);
	server.on('request', (request, response) => {
		// One connection has one exchange at a time, so `connections` bounds the exchanges too.
		if (answering.has(request.socket)) return refuseEarly(request, response);
		answering.add(request.socket);
		response.once('close', () => answering.delete(request.socket));
		void serveRequest(request, response, way);
	});
	server.on('connect', (request: IncomingMessage, socket: Socket, head: Buffer) => {
		if (!answering.has(socket)) return void serveConnect(request, socket, head, way);
		// Its answer and the tunnel would be one stream.
		ledger.refuse({...NOBODY, host: request.url ?? ''}, {reason: 'CONNECT before the answer to the request before it'});
		socket.destroy();
	});
	server.on('upgrade', (_request, socket: Socket) => endWith(socket, 400, 'a connection cannot be upgraded'));
	server.on('clientError', (error, socket) => malformed(error, socket as Socket, ledger));
	server.on('drop', () => ledger.refuse(NOBODY, {reason: 'too many connections at once'}));
	return {
		certificate: authority.certificate,
		async listen(path) {
			const {promise, resolve, reject} = Promise.withResolvers<void>();
			server.once('error', reject);
			// Whoever can reach the directory may connect: the sandbox runs as a user of its own.
			server.listen({path, readableAll: true, writableAll: true}, resolve);
			await promise;
		},
		close,
	};
}

type Way = {
	readonly policy: ProxyPolicy;
	readonly carrier: Carrier;
	readonly tunnels: WeakMap<Socket, Destination>;
	readonly digger: Digger;
};

/** A tunnel's host is checked already. */
type Target = Destination | (Authority & {readonly candidates?: undefined});

const NOBODY = {host: '', port: 0, request: null};

/** Refuses the first request of a connection that came too early, in its turn; another one ends the connection. */
function earlyRefusals(ledger: Ledger): (request: IncomingMessage, response: ServerResponse) => void {
	const refused = new WeakSet<Socket>();
	return ({method, url, socket}, response) => {
		if (refused.has(socket)) return void socket.destroy();
		refused.add(socket);
		const reason = 'a request before the answer to the request before it';
		ledger.refuse({...NOBODY, request: `${method} ${url}`}, {reason});
		answer(response, 400, reason);
	};
}

function isDialCheck(check: Check): check is 'addresses' | 'pinning' {
	return check === 'addresses' || check === 'pinning';
}

function createListener({connections, headerBytes, headMs, idleMs, totalMs}: ProxyLimits): Server {
	const server = createServer({
		...{maxHeaderSize: headerBytes, headersTimeout: Math.min(headMs, totalMs), requestTimeout: totalMs, keepAliveTimeout: idleMs},
		...{connectionsCheckingInterval: Math.min(1_000, headMs), insecureHTTPParser: false, requireHostHeader: false},
	});
	server.maxConnections = connections;
	server.maxHeadersCount = MAX_HEADERS + 1; // one more than is allowed, to see that there are more
	server.timeout = idleMs;
	return server;
}

async function serveRequest(request: IncomingMessage, response: ServerResponse, way: Way): Promise<void> {
	const {ledger} = way.carrier;
	const problem = requestProblem(request);
	const tunnel = way.tunnels.get(request.socket);
	const target: Target | string = problem ?? (tunnel ? inTunnel(request, tunnel) : absolute(request));
	if (typeof target === 'string') {
		ledger.refuse({...(tunnel ?? NOBODY), request: `${request.method} ${request.url}`}, {reason: target});
		return answer(response, 400, target);
	}
	const matches = way.policy.without.includes('host-header') || hostMatches(request, target);
	if (!matches) {
		const reason = 'the Host header differs from the host of the request';
		ledger.refuse({...target, request: `${request.method} ${request.url}`}, {reason});
		return answer(response, 400, reason);
	}
	const to = target.candidates ? target : await destinationOf(target, false, way);
	if (typeof to === 'string') return answer(response, 403, to);
	await forward(request, response, {...to, name: request.headers.host ?? ''}, way.carrier);
}

/** Inside a tunnel a request is for the tunnel's host and names a path only. */
function inTunnel({url = ''}: IncomingMessage, tunnel: Destination): Target | string {
	return url.startsWith('/') ? tunnel : 'inside a tunnel the target is a path';
}

function absolute({url = ''}: IncomingMessage): Target | string {
	const [, authority] = /^http:\/\/([^/?]+)(?:\/|$)/i.exec(url) ?? [];
	if (authority === undefined) return 'the target is an `http://` URL; for `https://`, use CONNECT';
	return parseAuthority(authority, HTTP_PORT) ?? 'the host is not written the way a host is written';
}

const HTTP_PORT = 80;
const HTTPS_PORT = 443;

function hostMatches({headers}: IncomingMessage, target: Target): boolean {
	const named = parseAuthority(headers.host ?? '', target.candidates && target.encrypted ? HTTPS_PORT : HTTP_PORT);
	return named?.host === target.host && named.port === target.port;
}

async function serveConnect(request: IncomingMessage, socket: Socket, head: Buffer, way: Way): Promise<void> {
	const {ledger} = way.carrier;
	const target = parseAuthority(request.url ?? '');
	const subject = {...(target ?? {...NOBODY, host: request.url ?? ''}), request: null};
	const problem =
		requestProblem(request) ??
		(way.tunnels.has(request.socket) ? 'a tunnel in a tunnel' : undefined) ??
		(target ? undefined : 'the target of CONNECT is `host:port`');
	if (problem !== undefined || target === undefined) {
		ledger.refuse(subject, {reason: problem ?? ''});
		return endWith(socket, 400, problem ?? '');
	}
	const named = parseAuthority(request.headers.host ?? request.url ?? '', target.port);
	if (named?.host !== target.host || named.port !== target.port) {
		const reason = 'the Host header differs from the target of CONNECT';
		ledger.refuse(subject, {reason});
		return endWith(socket, 400, reason);
	}
	const to = await destinationOf(target, true, way);
	if (typeof to === 'string') return endWith(socket, 403, to);
	await dig(socket, head, to, way.digger);
}

/** The rules about a target and its checked addresses, or why there is no way to it; that is then on record. */
async function destinationOf(target: Authority, isTunnel: boolean, {policy, carrier}: Way): Promise<Destination | string> {
	const {dialer, ledger} = carrier;
	const subject = {...target, request: null};
	const candidates = candidatesFor(policy.rules, target);
	if (typeof candidates === 'string') {
		ledger.refuse(subject, {reason: candidates});
		return candidates;
	}
	// Nothing is looked up for who may not go there: a look-up is a message too.
	const checked = await dialer.check(target);
	if (checked.kind !== 'reached') {
		ledger.refuse(subject, {...checked, verdict: checked.kind});
		return checked.reason;
	}
	return {...checked.value, candidates, encrypted: isTunnel, name: target.host};
}

function malformed(error: NodeJS.ErrnoException, socket: Socket, ledger: Ledger): void {
	if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
	const reason = error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 'the request took too long' : `not HTTP/1.1: ${error.code}`;
	ledger.refuse(NOBODY, {reason});
	endWith(socket, error.code === 'HPE_HEADER_OVERFLOW' ? 431 : error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400, reason);
}

const LINGER_MS = 1_000;

function endWith(socket: Socket, status: number, reason: string): void {
	const body = `writ egress: ${reason}\n`;
	const head = ['Content-Type: text/plain', 'X-Writ-Egress: refused', `Content-Length: ${body.length}`, 'Connection: close'];
	socket.on('error', () => {});
	// Read to its end, or it would never be over; but not for long.
	socket.resume().setTimeout(LINGER_MS, () => socket.destroy());
	socket.end(`HTTP/1.1 ${status} Refused\r\n${head.join('\r\n')}\r\n\r\n${body}`);
}
