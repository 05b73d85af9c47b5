/** From a name to a connection: one look-up, one check, and then only the addresses that were checked. */
import {lookup, Resolver} from 'node:dns/promises';
import {connect, isIP, type Socket} from 'node:net';
import {type AddressException, ownAddresses, whyRefused} from './addresses.ts';
import {type Authority, addressOf} from './host-name.ts';

export type DialOptions = {
	/** `address:port` of DNS servers to ask; those of the host unless given */
	readonly resolvers: readonly string[];
	readonly exceptions: readonly AddressException[];
	/** for one look-up, and for one attempt to connect */
	readonly connectMs: number;
	/** checks to leave out, for the tests that show what they stop */
	readonly without: readonly ('addresses' | 'pinning')[];
};

/** A host whose addresses were looked up and checked, once. */
export type Checked = Authority & {readonly addresses: readonly string[]};

export type Reached<T> =
	| {readonly kind: 'reached'; readonly value: T}
	| {readonly kind: 'refused' | 'failed'; readonly reason: string; readonly address: string | null};

export type Dialer = {
	check(target: Authority): Promise<Reached<Checked>>;
	connect(target: Checked): Promise<Reached<Socket>>;
};

export function createDialer(options: DialOptions): Dialer {
	const look = lookUpWith(options);
	return {
		async check(target) {
			const addresses = await addressesOf(target.host, look);
			if (addresses.length === 0) return {kind: 'failed', reason: 'the host has no address', address: null};
			const bad = whyRefused(target.host, addresses, options.exceptions, ownAddresses());
			if (bad && !options.without.includes('addresses')) return {kind: 'refused', ...bad};
			return {kind: 'reached', value: {...target, addresses}};
		},
		async connect({host, port, addresses}) {
			const again = options.without.includes('pinning') ? await addressesOf(host, look) : addresses;
			for (const address of again) {
				const socket = await attempt(address, port, options.connectMs);
				if (socket) return {kind: 'reached', value: socket};
			}
			return {kind: 'failed', reason: 'the host could not be connected to', address: again[0] ?? null};
		},
	};
}

async function addressesOf(host: string, look: (host: string) => Promise<string[]>): Promise<string[]> {
	const address = addressOf(host);
	if (address !== undefined) return [address];
	const found = await look(host).catch(() => []); // whatever the reason: there is nothing to dial
	return found.filter((each) => isIP(each) > 0);
}

function lookUpWith({resolvers, connectMs}: DialOptions): (host: string) => Promise<string[]> {
	if (resolvers.length === 0) return (host) => within(connectMs, lookUpAsHost(host));
	const resolver = new Resolver({timeout: connectMs, tries: 1});
	resolver.setServers(resolvers);
	return async (host) => {
		const answers = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)]);
		return answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []));
	};
}

async function lookUpAsHost(host: string): Promise<string[]> {
	const answers = await lookup(host, {all: true, order: 'ipv4first'});
	return answers.map(({address}) => address);
}

async function within<T>(ms: number, work: Promise<T>): Promise<T> {
	const {promise, reject} = Promise.withResolvers<never>();
	const timer = setTimeout(() => reject(new Error('the look-up took too long')), ms);
	return Promise.race([work, promise]).finally(() => clearTimeout(timer));
}

async function attempt(address: string, port: number, ms: number): Promise<Socket | undefined> {
	const {promise, resolve} = Promise.withResolvers<Socket | undefined>();
	const socket = connect({host: address, port, noDelay: true});
	const timer = setTimeout(() => socket.destroy(), ms);
	socket.once('connect', () => resolve(socket)).once('close', () => resolve(undefined));
	socket.on('error', () => {}); // its close says that there is no connection
	return promise.finally(() => clearTimeout(timer));
}
