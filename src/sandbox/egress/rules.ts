/** Which rule lets a request out. Everything no rule names is refused. */
import type {EgressRule, HostInjection} from '#contract/sandbox.ts';
import {type Authority, coversHost} from './host-name.ts';

/** A rule and its place in the list, by which evidence names it. */
export type Candidate = {readonly index: number; readonly rule: EgressRule};

export type RequestLine = {readonly method: string; readonly path: string};

export type Verdict =
	| {readonly kind: 'allowed'; readonly candidate: Candidate}
	| {readonly kind: 'refused'; readonly reason: string};

/** The rules about one host and port, or why there are none. */
export function candidatesFor(rules: readonly EgressRule[], {host, port}: Authority): readonly Candidate[] | string {
	const named = rules.map((rule, index) => ({rule, index})).filter(({rule}) => coversHost(rule.host, host));
	if (named.length === 0) return 'no rule names this host';
	const open = named.filter(({rule}) => rule.ports.includes(port));
	return open.length === 0 ? 'no rule opens this port' : open;
}

/** The first candidate that takes this request decides. */
export function decideRequest(candidates: readonly Candidate[], {method, path}: RequestLine): Verdict {
	const forMethod = candidates.filter(({rule}) => !rule.opaque && (rule.methods?.includes(method) ?? true));
	if (forMethod.length === 0) return {kind: 'refused', reason: 'no rule allows this method'};
	const candidate = forMethod.find(({rule}) => rule.paths === undefined || rule.paths.some((prefix) => liesBelow(path, prefix)));
	if (candidate === undefined) return {kind: 'refused', reason: 'no rule allows this path'};
	return {kind: 'allowed', candidate};
}

/** What a request to `host` gets on its way out: what its rule names, and what is configured for the host and puts no other in its header. */
export function injectionsFor(
	{rule}: Candidate,
	host: string,
	configured: readonly HostInjection[],
): readonly Pick<HostInjection, 'header' | 'prefix' | 'secret'>[] {
	const named = rule.inject ? [rule.inject] : [];
	const others = configured.filter(
		(each) => coversHost(each.host, host) && each.header.toLowerCase() !== rule.inject?.header.toLowerCase(),
	);
	return [...named, ...others];
}

/** `/v1` covers `/v1`, `/v1/x` and `/v1?x`, never `/v1x`; and nothing that a server could read as another path. */
export function liesBelow(path: string, prefix: string): boolean {
	const [plain = ''] = path.split('?', 1);
	if (AMBIGUOUS.test(plain)) return false;
	return plain === prefix || plain.startsWith(prefix.endsWith('/') ? prefix : `${prefix}/`);
}

/** Dot segments, empty segments, backslashes, path parameters and any of them in escapes, once or twice. */
const AMBIGUOUS = /\/\.{1,2}(?:\/|;|$)|\/\/|[\\;#]|%(?:25|2e|2f|5c|3b|23|3f|00)/i;
