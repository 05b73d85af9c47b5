import {randomUUID} from 'node:crypto';
import {createMiddleware} from 'hono/factory';
import {matchedRoutes} from 'hono/route';
import type {AppContext, AppEnv} from './context.ts';
import type {Log} from './log.ts';
import type {Metrics} from './metrics.ts';
import type {Tracing} from './tracing.ts';

/** Up to 128 visible ASCII characters: what may be echoed and logged without thought. */
const SANE_ID = /^[\x21-\x7e]{1,128}$/;

/** Outermost: names the request, and when its reply starts leaves one line, one count and one span. */
export function accessLog({log, metrics, tracing}: {log: Log; metrics: Metrics; tracing: Tracing}) {
	return createMiddleware<AppEnv>(async (c, next) => {
		const started = performance.now();
		const given = c.req.header('x-request-id');
		const requestId = given && SANE_ID.test(given) ? given : `req-${randomUUID()}`;
		c.set('requestId', requestId);
		const span = tracing.request({requestId, method: c.req.method, traceparent: c.req.header('traceparent')});
		c.set('span', span);

		await next();

		c.res.headers.set('x-request-id', requestId);
		const {method} = c.req;
		const {status} = c.res;
		const endpoint = endpointOf(c);
		const durationMs = Math.round((performance.now() - started) * 1_000) / 1_000;
		metrics.request({method, endpoint, status, seconds: durationMs / 1_000});
		span.end({route: endpoint, status});
		const ids = {requestId, runId: c.get('runId') ?? null, threadId: c.get('threadId') ?? null};
		const fields = {...ids, method, endpoint, status, durationMs, principal: c.get('principal')?.id ?? null};
		if (endpoint === '/healthz' || endpoint === '/metrics') log.debug('http.request.completed', fields);
		else log.info('http.request.completed', fields);
	});
}

/** The template of the route that answered; paths a client makes up share one name. */
function endpointOf(c: AppContext): string {
	const route = matchedRoutes(c).findLast(({path}) => !path.endsWith('*'));
	return route ? route.path : 'unmatched';
}
