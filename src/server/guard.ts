import {createMiddleware} from 'hono/factory';
import {WritError} from '#contract/errors.ts';
import type {AppContext, AppEnv} from './context.ts';
import type {ServerDeps, ServerOptions} from './deps.ts';
import {sessionCookie} from './sign-in.ts';

/** Whole addresses of 127.0.0.0/8: `127.0.0.1.evil.example` is a name like any other. */
const LOOPBACK = /^(localhost|\[?::1\]?|127(\.(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)){3})$/;

export function isLoopback(host: string): boolean {
	return LOOPBACK.test(host);
}

/** Throws `invalid_config`: without tokens or sign-in, everyone who can reach the address could act. */
export function assertSafeAddress({options, identity}: Pick<ServerDeps, 'options' | 'identity'>): void {
	const {host, authTokens, publicUrl} = options;
	if (!isLoopback(host) && identity.signIn && publicUrl === null) {
		throw new WritError('invalid_config', 'signing in needs to know the address that browsers use for this server', {
			hint: 'set WRIT_PUBLIC_URL, as in https://writ.example.com',
		});
	}
	if (isLoopback(host) || authTokens.length > 0 || identity.signIn) return;
	throw new WritError('invalid_config', `refusing to listen on ${host} without authentication: anyone who reaches it could act`, {
		hint: 'set WRIT_AUTH_TOKENS to token=person@tenant, or OIDC_ISSUER, or listen on 127.0.0.1',
	});
}

/**
 * A page of another site must not reach a loopback server: not under its own name that was re-pointed at this machine (Host),
 * not by posting across origins (Origin), not by embedding (Sec-Fetch-Site). On other addresses the bearer token does this.
 */
export function guardHost({host, allowedHosts}: ServerOptions, port: () => number | null) {
	const loopback = isLoopback(host);
	return createMiddleware<AppEnv>(async (c, next) => {
		const asked = (c.req.header('host') ?? new URL(c.req.url).host).toLowerCase();
		if (loopback && !isOwnHost(asked, port()) && !allowedHosts.includes(asked)) {
			throw new WritError('forbidden_host', `this server does not answer to the host \`${printable(asked)}\``, {
				hint: 'open it as http://127.0.0.1 with its port, or add the host to WRIT_ALLOWED_HOSTS',
			});
		}
		const origin = c.req.header('origin');
		if (origin !== undefined && !isSameOrigin(origin, asked)) {
			throw new WritError('forbidden_host', `requests from the origin \`${printable(origin)}\` are not accepted`);
		}
		if (c.req.header('sec-fetch-site') === 'cross-site' && c.req.header('sec-fetch-mode') !== 'navigate') {
			throw new WritError('forbidden_host', 'requests from other sites are not accepted');
		}
		return next();
	});
}

function isOwnHost(asked: string, port: number | null): boolean {
	const [, name = '', given] = /^(\[[^\]]*\]|[^:]*)(?::(\d+))?$/.exec(asked) ?? [];
	if (!isLoopback(name)) return false;
	return port === null || Number(given ?? 80) === port;
}

function isSameOrigin(origin: string, host: string): boolean {
	return URL.canParse(origin) && new URL(origin).host.toLowerCase() === host;
}

function printable(value: string): string {
	return value.slice(0, 100).replace(/[^\x20-\x7e]|`/g, '?');
}

/** What anyone may see: whether the server is alive, and how to talk to it. (The page, which holds no data, comes before.) */
const PUBLIC = /^\/(healthz|readyz|docs|openapi\.json|auth\/(sign-in|callback))$/;

/** A token in an address is in histories, logs and referrers by now. */
const TOKEN_IN_ADDRESS = /[?&][^=&#]*=writ_[A-Za-z0-9]{20}/;

/** Every octet that is escaped; what is no escape stays. */
function unescaped(address: string): string {
	return address.replaceAll(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

/** Who asks. A request that a browser would send for any site is taken from a session only when it says that it came from our own page. */
export function authenticate({identity, options}: Pick<ServerDeps, 'identity' | 'options'>) {
	return createMiddleware<AppEnv>(async (c, next) => {
		if (TOKEN_IN_ADDRESS.test(unescaped(c.req.url))) {
			throw new WritError('invalid_request', 'a token does not belong into an address', {
				hint: 'revoke it, make another, and send it as Authorization: Bearer',
			});
		}
		const header = c.req.header('authorization');
		const bearer = header === undefined ? null : (/^Bearer (\S+)$/i.exec(header)?.[1] ?? '');
		const caller = await identity.identify(bearer, sessionCookie(c, options));
		if (caller) {
			if (caller.by === 'session') assertOwnPage(c);
			c.set('caller', caller);
			c.set('principal', caller.principal);
		} else if (c.req.method !== 'GET' || !PUBLIC.test(c.req.path)) {
			throw new WritError('unauthenticated', 'a valid bearer token or session is required', {
				hint: 'send a token in the header Authorization, or sign in with the page',
				details: {provider: identity.signIn?.label ?? null},
			});
		}
		return next();
	});
}

/** INVARIANT: a wrong Origin was refused before; here one that is absent is, too. */
function assertOwnPage(c: AppContext): void {
	if (c.req.method === 'GET' || c.req.method === 'HEAD') return;
	const site = c.req.header('sec-fetch-site');
	if (site === 'same-origin' || (site === undefined && c.req.header('origin') !== undefined)) return;
	throw new WritError(
		'forbidden_host',
		'with a session, requests that change something come from the page of this server alone',
		{
			hint: 'programs use an API token',
		},
	);
}

/** A form of another site cannot send these types without the browser asking first. */
export const requireJson = createMiddleware<AppEnv>(async (c, next) => {
	const type = c.req.header('content-type')?.split(';')[0]?.trim().toLowerCase();
	// A body is announced by one of these headers; `curl -X POST` without data sends none.
	const length = c.req.header('content-length');
	const announced = length !== '0' && (type ?? length ?? c.req.header('transfer-encoding')) !== undefined;
	const hasBody = announced && c.req.method !== 'GET' && c.req.method !== 'HEAD';
	const accepted = type === 'application/json' || (type === 'multipart/form-data' && c.req.path === '/datasets');
	if (hasBody && !accepted) {
		throw new WritError('unsupported_media_type', `expected a body of type application/json, got ${printable(type ?? 'none')}`);
	}
	return next();
});

const API_CSP = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'";

export const secureHeaders = createMiddleware<AppEnv>(async (c, next) => {
	await next();
	const {headers} = c.res;
	headers.set('x-content-type-options', 'nosniff');
	headers.set('x-frame-options', 'DENY');
	headers.set('referrer-policy', 'no-referrer');
	headers.set('cross-origin-opener-policy', 'same-origin');
	headers.set('cross-origin-resource-policy', 'same-origin');
	if (!headers.has('content-security-policy')) headers.set('content-security-policy', API_CSP);
	if (!headers.has('cache-control')) headers.set('cache-control', 'no-store');
});
