import {createRoute, z} from '@hono/zod-openapi';
import {type Check, readyReplySchema} from '#contract/api.ts';
import {createRouter} from '../context.ts';
import type {ServerDeps} from '../deps.ts';
import type {Metrics} from '../metrics.ts';

const tags = ['operation'];

const alive = createRoute({
	method: 'get',
	path: '/healthz',
	operationId: 'health',
	tags,
	summary: 'Whether the process answers; looks at nothing else',
	responses: {200: {description: 'it does', content: {'application/json': {schema: z.object({status: z.literal('ok')})}}}},
});
const ready = createRoute({
	method: 'get',
	path: '/readyz',
	operationId: 'ready',
	tags,
	summary: 'Whether it can serve, part by part, with what to do about a part that is not ready',
	responses: {
		200: {description: 'it can', content: {'application/json': {schema: readyReplySchema}}},
		503: {description: 'it cannot', content: {'application/json': {schema: readyReplySchema}}},
	},
});
const metricsRoute = createRoute({
	method: 'get',
	path: '/metrics',
	operationId: 'metrics',
	tags,
	summary: 'Counters for Prometheus',
	responses: {200: {description: 'the counters', content: {'text/plain': {schema: z.string()}}}},
});

/** A part that does not answer in this time is not ready. */
const CHECK_MS = 2_000;

export function operationRoutes(deps: ServerDeps, metrics: Metrics, isStopping: () => boolean) {
	return createRouter()
		.openapi(alive, (c) => c.json({status: 'ok' as const}, 200))
		.openapi(ready, async (c) => {
			const found = isStopping() ? [STOPPING] : [...(await withinTime(deps.ready()))];
			// Without a principal it is known that something is wrong, not what.
			const components = c.get('principal') ? found : found.map((check) => ({...check, why: '', fix: null, facts: {}}));
			const isReady = found.length > 0 && found.every((check) => check.ok || !check.required);
			if (isReady) return c.json({status: 'ready' as const, components}, 200);
			return c.json({status: 'not_ready' as const, components}, 503);
		})
		.openapi(metricsRoute, async (c) => c.text(await metrics.text(), 200, {'content-type': metrics.contentType}));
}

const STOPPING: Check = {name: 'server', ok: false, required: true, why: 'the server is stopping', fix: null};

async function withinTime(checks: Promise<readonly Check[]>): Promise<readonly Check[]> {
	const {promise: late, resolve} = Promise.withResolvers<readonly Check[]>();
	const why = `the checks did not answer within ${CHECK_MS} ms`;
	const timer = setTimeout(resolve, CHECK_MS, [{name: 'checks', ok: false, required: true, why, fix: 'see the server log'}]);
	try {
		return await Promise.race([checks, late]);
	} finally {
		clearTimeout(timer);
	}
}
