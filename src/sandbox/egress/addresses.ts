/** Which addresses the proxy dials: global unicast ones that are not the host's own, and what an administrator excepted. */
import {BlockList, isIPv4} from 'node:net';
import {networkInterfaces} from 'node:os';

/** Lets the hosts that `host` names resolve into `cidr`, which would be refused. */
export type AddressException = {readonly host: string; readonly cidr: string};

/** IANA's special-purpose registries, and two addresses that clouds answer metadata on. */
const SPECIAL: Readonly<Record<string, readonly string[]>> = {
	unspecified: ['0.0.0.0/8'],
	private: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16'],
	'carrier-grade NAT': ['100.64.0.0/10'],
	loopback: ['127.0.0.0/8'],
	'link-local': ['169.254.0.0/16'],
	metadata: ['168.63.129.16/32'],
	reserved: [
		'192.0.0.0/24',
		'192.31.196.0/24',
		'192.52.193.0/24',
		'192.175.48.0/24',
		'240.0.0.0/4',
		'2001::/23',
		'2620:4f:8000::/48',
	],
	documentation: ['192.0.2.0/24', '198.51.100.0/24', '203.0.113.0/24', '2001:db8::/32', '3fff::/20'],
	benchmarking: ['198.18.0.0/15'],
	'6to4': ['192.88.99.0/24', '2002::/16'],
	multicast: ['224.0.0.0/4'],
};

/** All other IPv6 is loopback, local, mapped, translated, multicast or not assigned. */
const GLOBAL_IPV6 = listOf(['2000::/3']);
const LISTS = Object.entries(SPECIAL).map(([kind, cidrs]) => ({kind, list: listOf(cidrs)}));

/** Why `address` is never dialled, or undefined. */
export function whyNotPublic(address: string): string | undefined {
	const family = isIPv4(address) ? 'ipv4' : 'ipv6';
	if (family === 'ipv6' && !GLOBAL_IPV6.check(address, family)) return 'not a global address';
	const special = LISTS.find(({list}) => list.check(address, family));
	return special && `${special.kind} address`;
}

/** The addresses of this host's interfaces, as they are now. */
export function ownAddresses(): ReadonlySet<string> {
	return new Set(Object.values(networkInterfaces()).flatMap((each) => (each ?? []).map(({address}) => address)));
}

/**
 * Why none of the answers for a host is dialled. One bad address among them refuses all: a name that points inside and outside at once
 * is an attack or a mistake, and which address is tried would be chance.
 */
export function whyRefused(
	host: string,
	addresses: readonly string[],
	exceptions: readonly AddressException[],
	own: ReadonlySet<string>,
): {readonly address: string; readonly reason: string} | undefined {
	const excepted = listOf(exceptions.filter((exception) => exception.host === host).map(({cidr}) => cidr));
	for (const address of addresses) {
		if (excepted.check(address, isIPv4(address) ? 'ipv4' : 'ipv6')) continue;
		const reason = own.has(address) ? "one of this host's own addresses" : whyNotPublic(address);
		if (reason !== undefined) return {address, reason};
	}
	return undefined;
}

/** Throws when one is not a network in CIDR notation. */
export function listOf(cidrs: readonly string[]): BlockList {
	const list = new BlockList();
	for (const cidr of cidrs) {
		const [network = '', bits = ''] = cidr.split('/');
		list.addSubnet(network, Number(bits), isIPv4(network) ? 'ipv4' : 'ipv6');
	}
	return list;
}
