/** What a client wraps in CONNECT: TLS that we end and look into, TLS that a rule says to pass on unread, or a plain request. Nothing else. */
import type {Socket} from 'node:net';
import {pipeline} from 'node:stream';
import {TLSSocket} from 'node:tls';
import type {Authority as CertificateAuthority} from './certificates.ts';
import {type ClientHello, readClientHello} from './client-hello.ts';
import {type Carrier, counting, type Destination, USED_UP} from './forward.ts';
import {addressOf} from './host-name.ts';
import type {Candidate} from './rules.ts';

export type Digger = {
	readonly carrier: Carrier;
	readonly authority: CertificateAuthority;
	readonly headMs: number;
	/** off shows what the check of the server name stops */
	readonly matchesNames: boolean;
	/** takes the requests of a tunnel */
	serve(socket: Socket, to: Destination): void;
};

type Start = {readonly bytes: Buffer} & (
	| Extract<ClientHello, {kind: 'complete'}>
	| {readonly kind: 'http'}
	| {readonly kind: 'refused'; readonly reason: string}
);

/** Takes over `socket`, whose CONNECT was allowed; `head` is what came with it. */
export async function dig(socket: Socket, head: Buffer, to: Destination, digger: Digger): Promise<void> {
	const {ledger} = digger.carrier;
	const subject = {host: to.host, port: to.port, request: null};
	const opaque = to.candidates.find(({rule}) => rule.opaque);
	socket.setTimeout(digger.carrier.idleMs, () => socket.destroy());
	socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
	const start = await readStart(socket, head, digger.headMs);
	const problem = problemOf(start, to, opaque, digger.matchesNames);
	if (problem !== undefined) {
		ledger.refuse(subject, {reason: problem});
		// RFC 8446, section 6.2: unrecognized_name, which clients show by name
		if (start.bytes[0] === 22) socket.end(Buffer.of(21, 3, 3, 0, 2, 2, 112));
		else socket.destroy();
		return;
	}
	socket.unshift(start.bytes);
	if (opaque) return splice(socket, to, opaque, digger.carrier);
	if (start.kind === 'complete') return endTls(socket, to, digger);
	digger.serve(socket, {...to, encrypted: false});
	socket.resume();
}

function problemOf(start: Start, to: Destination, opaque: Candidate | undefined, matchesNames: boolean): string | undefined {
	if (start.kind === 'refused') return start.reason;
	if (start.kind === 'http') return opaque ? 'this tunnel is for TLS' : undefined;
	if (!matchesNames) return undefined;
	// Who ends TLS sees one name only, so that a hidden one leads nowhere.
	if (opaque && start.hidesName) return 'the server name may be another one, which is encrypted';
	// A client names no server when it knows it by its address only.
	if (addressOf(to.host) !== undefined)
		return start.serverName === null ? undefined : 'the server name differs from the host of CONNECT';
	if (start.serverName === null) return 'the client named no server';
	return start.serverName.toLowerCase() === to.host ? undefined : 'the server name differs from the host of CONNECT';
}

/** Reads until it is clear what the client speaks. */
async function readStart(socket: Socket, head: Buffer, ms: number): Promise<Start> {
	const {promise, resolve} = Promise.withResolvers<Start>();
	const state = {bytes: Buffer.alloc(0)};
	const refused = (reason: string) => resolve({kind: 'refused', reason, bytes: state.bytes});
	const take = (chunk: Buffer) => {
		state.bytes = Buffer.concat([state.bytes, chunk]);
		const start = startOf(state.bytes);
		if (start) resolve(start);
	};
	const onClose = () => refused('the client left before it said anything');
	const timer = setTimeout(() => refused('the client took too long to say what it wants'), ms);
	socket.on('close', onClose).on('data', take);
	take(head);
	try {
		return await promise;
	} finally {
		clearTimeout(timer);
		socket.pause();
		socket.off('data', take).off('close', onClose);
	}
}

const TLS_HANDSHAKE = 22;

function startOf(bytes: Buffer): Start | undefined {
	const [first] = bytes;
	if (first === undefined) return undefined;
	if (first !== TLS_HANDSHAKE)
		return isRequest(bytes) ? {kind: 'http', bytes} : {kind: 'refused', reason: 'neither TLS nor HTTP/1.1', bytes};
	const hello: ClientHello = readClientHello(bytes);
	if (hello.kind === 'incomplete') return undefined;
	if (hello.kind === 'refused') return {...hello, bytes};
	return {...hello, bytes};
}

/** A method begins with a capital letter; what follows is the parser's to judge. */
function isRequest([first = 0]: Buffer): boolean {
	return first >= 0x41 && first <= 0x5a;
}

function endTls(socket: Socket, to: Destination, {authority, serve, headMs, carrier}: Digger): void {
	const secureContext = authority.contextFor(to.host);
	const inner = new TLSSocket(socket, {isServer: true, secureContext, ALPNProtocols: ['http/1.1']});
	const state = {served: false};
	const timer = setTimeout(() => inner.destroy(), headMs);
	inner.once('secure', () => {
		clearTimeout(timer);
		state.served = true;
		serve(inner, to);
	});
	inner.on('error', () => inner.destroy());
	inner.on('close', () => {
		clearTimeout(timer);
		socket.destroy();
		if (!state.served)
			carrier.ledger.refuse(
				{host: to.host, port: to.port, request: null},
				{
					reason: "the client ended TLS: it may not trust the run's certificate authority, or speak HTTP/2 only",
					verdict: 'failed',
				},
			);
	});
}

async function splice(socket: Socket, to: Destination, {index}: Candidate, {dialer, ledger}: Carrier): Promise<void> {
	const subject = {host: to.host, port: to.port, request: null};
	const dialled = await dialer.connect(to);
	if (dialled.kind !== 'reached') {
		ledger.refuse(subject, {...dialled, verdict: dialled.kind});
		socket.destroy();
		return;
	}
	const upstream = dialled.value;
	const passage = ledger.pass(subject, index, upstream.remoteAddress ?? '');
	const used = () => passage.end({verdict: 'failed', reason: USED_UP});
	const close = () => {
		passage.end();
		socket.destroy();
		upstream.destroy();
	};
	socket.on('error', close).on('close', close);
	upstream.on('error', close).on('close', close);
	// What one end still has to say is delivered before both are closed.
	pipeline(socket, counting(passage.up, used), upstream, (error) => error && close());
	pipeline(upstream, counting(passage.down, used), socket, (error) => error && close());
}
