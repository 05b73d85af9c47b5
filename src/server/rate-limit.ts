import {createMiddleware} from 'hono/factory';
import {WritError} from '#contract/errors.ts';
import type {AppEnv} from './context.ts';
import type {ServerOptions} from './deps.ts';

/** Clients remembered at once; the one unseen for longest is forgotten, which only ever gives it a full bucket. */
const MAX_CLIENTS = 10_000;

/** A token bucket for each client: a person where one is known, else an address. `now` is in milliseconds. */
export function limitRate({requestsPerMinute, burst}: ServerOptions, now: () => number) {
	const buckets = new Map<string, {tokens: number; at: number}>();
	const perMs = requestsPerMinute / 60_000;
	return createMiddleware<AppEnv>(async (c, next) => {
		if (c.req.path === '/healthz') return next();
		const {id, tenant} = c.get('principal') ?? {id: c.env?.incoming?.socket.remoteAddress ?? 'unknown', tenant: ''};
		const client = `${tenant} ${id}`;
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
		return next();
	});
}
