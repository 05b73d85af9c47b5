/**
 * Heads of requests and responses, after Node's parser has taken them apart. It refuses what two servers could read in two ways (bare
 * line feeds, folded lines, two lengths, a length and chunks, a space before a colon); this refuses the rest, and what is passed on is
 * written anew from the parts, never copied.
 */
import type {IncomingMessage} from 'node:http';
import {maskText} from './mask.ts';

export const MAX_HEADERS = 100;

/** Headers of one connection, which end at the proxy: RFC 9110, section 7.6.1. */
const HOP_BY_HOP = new Set([
	...['connection', 'keep-alive', 'proxy-connection', 'proxy-authorization', 'proxy-authenticate', 'proxy-authentication-info'],
	...['te', 'trailer', 'upgrade', 'http2-settings', 'expect'],
]);

/** Methods that show a request to whoever sent it. */
const NEVER = new Set(['TRACE', 'TRACK']);
const MAX_TARGET = 8_192;
const VISIBLE = /^[\x21-\x7e]+$/;

type Head = Pick<IncomingMessage, 'httpVersion' | 'method' | 'url' | 'rawHeaders' | 'headers'>;

/** Why a request is not understood, or undefined. */
export function requestProblem(head: Head): string | undefined {
	const {method = '', url = '', rawHeaders, headers} = head;
	const coding = headers['transfer-encoding'];
	if (rawHeaders.length / 2 > MAX_HEADERS) return `more than ${MAX_HEADERS} headers`;
	if (!VISIBLE.test(url) || url.length > MAX_TARGET || url.includes('#')) return 'the target is not a plain URL';
	if (headers.upgrade !== undefined) return 'a connection cannot be upgraded';
	if (coding !== undefined && coding.toLowerCase() !== 'chunked') return 'the only transfer coding is `chunked`';
	return method === 'CONNECT' ? connectProblem(head) : messageProblem(head);
}

/** Python's own client opens tunnels in HTTP/1.0, and without a Host. */
function connectProblem({httpVersion, rawHeaders, headers}: Head): string | undefined {
	if (httpVersion !== '1.1' && httpVersion !== '1.0') return 'only HTTP/1.1 is spoken here';
	if (headersNamed(rawHeaders, 'host').length > 1) return 'there must be one Host header';
	const hasBody = headers['transfer-encoding'] !== undefined || headers['content-length'] !== undefined;
	return hasBody ? 'CONNECT has no body' : undefined;
}

function messageProblem({httpVersion, method = '', rawHeaders}: Head): string | undefined {
	if (httpVersion !== '1.1') return 'only HTTP/1.1 is spoken here';
	if (headersNamed(rawHeaders, 'host').length !== 1) return 'there must be one Host header';
	return NEVER.has(method) ? 'this method is never passed on' : undefined;
}

export function headersNamed(rawHeaders: readonly string[], name: string): readonly string[] {
	return pairsOf(rawHeaders).flatMap(([key, value]) => (key.toLowerCase() === name ? [value] : []));
}

export type Injection = {readonly header: string; readonly value: string};

/** The headers to send to a host. A secret's own header is ours alone, and its answer must come whole and in clear, to be masked. */
export function outgoingHeaders(
	{method = '', rawHeaders, headers}: Head,
	host: string,
	injections: readonly Injection[],
): string[] {
	const dropped = new Set([...hopByHop(rawHeaders), 'host']);
	for (const {header} of injections) for (const name of [header.toLowerCase(), ...PARTIAL]) dropped.add(name);
	const kept = pairsOf(rawHeaders).filter(([name]) => !dropped.has(name.toLowerCase()));
	const plain = injections.length > 0 ? ['Accept-Encoding', 'identity'] : [];
	const added = [...injections.flatMap(({header, value}) => [header, value]), ...plain];
	const isBodiless = headers['content-length'] === undefined && headers['transfer-encoding'] === undefined;
	// Said aloud where Node would otherwise send an empty body in chunks.
	const length = isBodiless && !WITHOUT_BODY.has(method) ? ['Content-Length', '0'] : [];
	return ['Host', host, ...kept.flat(), ...added, ...length, 'Connection', 'close'];
}

const WITHOUT_BODY = new Set(['GET', 'HEAD', 'DELETE', 'OPTIONS']);
const PARTIAL = ['accept-encoding', 'range', 'if-range'];

/** Why a response cannot be passed on, or undefined. */
export function responseProblem(
	{headers, rawHeaders, statusCode = 0}: IncomingMessage,
	mustBePlain: boolean,
): string | undefined {
	if (statusCode < 200 || statusCode > 599) return 'the host answered with an unknown status';
	if (rawHeaders.length / 2 > MAX_HEADERS) return `the host answered with more than ${MAX_HEADERS} headers`;
	const coding = headers['transfer-encoding'];
	if (coding !== undefined && coding.toLowerCase() !== 'chunked') return 'the host used an unknown transfer coding';
	if (mustBePlain && (headers['content-encoding'] ?? 'identity') !== 'identity') return 'the host encoded what must be searched';
	return undefined;
}

/** The headers to send inside; chunks are made anew where there are any. `Alt-Svc` would invite to a way around the proxy. */
export function incomingHeaders(rawHeaders: readonly string[], secrets: readonly Buffer[]): string[] {
	const dropped = new Set([...hopByHop(rawHeaders), 'transfer-encoding', 'alt-svc']);
	return pairsOf(rawHeaders)
		.filter(([name]) => !dropped.has(name.toLowerCase()))
		.flatMap(([name, value]) => [maskText(name, secrets), maskText(value, secrets)]);
}

/** Also what the sender declared to be for this connection only, unless the body could not be read without it. */
function hopByHop(rawHeaders: readonly string[]): ReadonlySet<string> {
	const declared = headersNamed(rawHeaders, 'connection').flatMap((value) => value.toLowerCase().split(','));
	const names = declared.map((name) => name.trim()).filter((name) => name !== 'content-length' && name !== 'transfer-encoding');
	return new Set([...HOP_BY_HOP, ...names]);
}

function pairsOf(rawHeaders: readonly string[]): readonly (readonly [string, string])[] {
	return rawHeaders.flatMap((name, index) => (index % 2 === 0 ? [[name, rawHeaders[index + 1] ?? ''] as const] : []));
}
