import {createHash, timingSafeEqual} from 'node:crypto';
import {createMiddleware} from 'hono/factory';
import {WritError} from '#contract/errors.ts';
import type {Principal} from '#contract/event.ts';
import type {AppEnv} from './context.ts';
import type {ServerOptions} from './deps.ts';

/** Whole addresses of 127.0.0.0/8: `127.0.0.1.evil.example` is a name like any other. */
const LOOPBACK = /^(localhost|\[?::1\]?|127(\.(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)){3})$/;
const LOCAL_USER: Principal = {kind: 'user', id: 'local', tenant: 'local'};

export function isLoopback(host: string): boolean {
	return LOOPBACK.test(host);
}

/** Throws `invalid_config`: without tokens, everyone who can reach the address could act. */
export function assertSafeAddress({host, authTokens}: ServerOptions): void {
	if (isLoopback(host) || authTokens.length > 0) return;
	throw new WritError('invalid_config', `refusing to listen on ${host} without authentication: anyone who reaches it could act`, {
		hint: 'set WRIT_AUTH_TOKENS to token=person@tenant, or listen on 127.0.0.1',
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
const PUBLIC = /^\/(healthz|readyz|docs|openapi\.json)$/;

/** Who asks. Tokens are compared in constant time, all of them, so that timing tells nothing. */
export function authenticate({authTokens}: ServerOptions) {
	const known = authTokens.map(({token, ...account}) => ({
		digest: digest(token),
		principal: {kind: 'user' as const, ...account},
	}));
	return createMiddleware<AppEnv>(async (c, next) => {
		if (known.length === 0) c.set('principal', LOCAL_USER);
		else {
			const given = digest(/^Bearer (\S+)$/i.exec(c.req.header('authorization') ?? '')?.[1] ?? '');
			const [match] = known.filter((entry) => timingSafeEqual(entry.digest, given));
			if (match) c.set('principal', match.principal);
			else if (c.req.method !== 'GET' || !PUBLIC.test(c.req.path)) {
				throw new WritError('unauthenticated', 'a valid bearer token is required', {hint: 'send Authorization: Bearer <token>'});
			}
		}
		return next();
	});
}

function digest(token: string): Buffer {
	return createHash('sha256').update(token).digest();
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
