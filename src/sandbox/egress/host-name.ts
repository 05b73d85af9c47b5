/** How the proxy reads a host name: one spelling per host, and nothing that another parser could read as another host. */
import {isIPv4, isIPv6} from 'node:net';

/** Printable ASCII without space: lower-casing what lies beyond can produce ASCII letters. */
const PRINTABLE = /^[\x21-\x7e]{1,253}$/;
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
/** What a URL parser takes for the last part of an IPv4 address, in any base. */
const NUMERIC = /^(?:[0-9]+|0x[0-9a-f]*)$/;
const PORT = /^[1-9][0-9]{0,4}$/;
const MAX_PORT = 65_535;

export type Authority = {readonly host: string; readonly port: number};

/**
 * The one spelling of a host: a DNS name in lower case, four decimal numbers, or an IPv6 address in brackets as a URL would show it.
 * Undefined for anything else, such as a trailing dot, an octal address, an escape or a character that is not ASCII.
 */
export function canonicalHost(text: string): string | undefined {
	if (!PRINTABLE.test(text)) return undefined;
	const host = text.toLowerCase();
	if (host.startsWith('[')) return canonicalIPv6(host);
	const labels = host.split('.');
	if (NUMERIC.test(labels.at(-1) ?? '')) return isIPv4(host) ? host : undefined;
	return labels.every((label) => LABEL.test(label)) ? host : undefined;
}

function canonicalIPv6(host: string): string | undefined {
	const inner = host.slice(1, -1);
	if (!host.endsWith(']') || !isIPv6(inner) || inner.includes('%')) return undefined;
	return URL.parse(`http://${host}/`)?.hostname === host ? host : undefined;
}

/** The address that a canonical host is, or undefined when it is a name. */
export function addressOf(host: string): string | undefined {
	if (host.startsWith('[')) return host.slice(1, -1);
	return isIPv4(host) ? host : undefined;
}

/** `host:port`; the port may be missing only where there is a default. */
export function parseAuthority(text: string, defaultPort?: number): Authority | undefined {
	const colon = text.lastIndexOf(':');
	const hasPort = colon > text.lastIndexOf(']');
	const host = canonicalHost(hasPort ? text.slice(0, colon) : text);
	const port = hasPort ? toPort(text.slice(colon + 1)) : defaultPort;
	return host === undefined || port === undefined ? undefined : {host, port};
}

function toPort(text: string): number | undefined {
	const port = PORT.test(text) ? Number(text) : 0;
	return port > 0 && port <= MAX_PORT ? port : undefined;
}

/** Whether a rule may name `pattern`: a canonical host, or `*.` before a name of at least two labels. */
export function isHostPattern(pattern: string): boolean {
	if (!pattern.startsWith('*.')) return canonicalHost(pattern) === pattern;
	const base = pattern.slice(2);
	return base.includes('.') && canonicalHost(base) === base && addressOf(base) === undefined;
}

/** Whether `pattern` covers a canonical host. A wildcard covers no encoded label: what it looks like is in the eye of the reader. */
export function coversHost(pattern: string, host: string): boolean {
	if (!pattern.startsWith('*.')) return pattern === host;
	const base = pattern.slice(1);
	return host.length > base.length && host.endsWith(base) && !host.slice(0, -base.length).includes('xn--');
}

/** Whether there is a host that both patterns cover. */
export function mayMeet(one: string, other: string): boolean {
	return coversHost(one, other) || coversHost(other, one);
}
