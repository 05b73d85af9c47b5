import {createMiddleware} from 'hono/factory';
import {WritError} from '#contract/errors.ts';
import type {AppContext, AppEnv} from './context.ts';
import type {ServerOptions} from './deps.ts';

/** Clients remembered at once; the one unseen for longest is forgotten, which only ever gives it a full bucket. */
const MAX_CLIENTS = 10_000;

type Limits = Pick<ServerOptions, 'requestsPerMinute' | 'burst'>;

/** Token buckets: takes one of the client's, or throws `rate_limited`. `now` is in milliseconds. */
function createBuckets({requestsPerMinute, burst}: Limits, now: () => number): (client: string) => void {
	const buckets = new Map<string, {tokens: number; at: number}>();
	const perMs = requestsPerMinute / 60_000;
	return (client) => {
		const at = now();
		const bucket = buckets.get(client) ?? {tokens: burst, at};
		const tokens = Math.min(burst, bucket.tokens + (at - bucket.at) * perMs);
		buckets.delete(client);
		buckets.set(client, {tokens: Math.max(0, tokens - 1), at});
		for (const oldest of buckets.keys()) {
			if (buckets.size <= MAX_CLIENTS) break;
			buckets.delete(oldest);
		}
		if (tokens < 1) {
			throw new WritError('rate_limited', `more than ${requestsPerMinute} requests a minute`, {
				hint: 'wait as long as Retry-After says, or raise WRIT_REQUESTS_PER_MINUTE',
				details: {limit: 'requestsPerMinute', value: requestsPerMinute, retryAfterMs: Math.ceil((1 - tokens) / perMs)},
			});
		}
	};
}

/** By who calls; agents share the bucket of their owner. Whoever is nobody here has that of an address. */
export function limitRate(limits: Limits, now: () => number) {
	const take = createBuckets(limits, now);
	return createMiddleware<AppEnv>(async (c, next) => {
		if (c.req.path === '/healthz') return next();
		const principal = c.get('principal');
		const client = principal ? JSON.stringify([principal.tenant, principal.onBehalfOf ?? principal.id]) : addressOf(c);
		take(client);
		return next();
	});
}

/** Whoever is nobody here is told so only so often. Of the same address others are served: it may be that of a proxy. */
export function limitStrangers(limits: Limits, now: () => number) {
	const take = createBuckets(limits, now);
	return createMiddleware<AppEnv>(async (c, next) => {
		await next();
		if (c.res.status === 401) take(addressOf(c));
	});
}

function addressOf(c: AppContext): string {
	return c.env?.incoming?.socket.remoteAddress ?? 'unknown';
}
