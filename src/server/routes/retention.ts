import {createRoute, z} from '@hono/zod-openapi';
import {
	holdRequestSchema,
	holdSchema,
	holdsReplySchema,
	releaseRequestSchema,
	retentionPreviewSchema,
	retentionReplySchema,
} from '#contract/retention.ts';
import {createRouter, jsonReply} from '../context.ts';
import type {ServerDeps} from '../deps.ts';
import {originOf} from '../origin.ts';

const tags = ['retention'];
const listHolds = createRoute({
	method: 'get',
	path: '/api/v1/holds',
	operationId: 'listHolds',
	tags,
	summary: 'What must not be erased, and what once was not to be',
	responses: {200: jsonReply(holdsReplySchema, 'newest first')},
});
const placeHold = createRoute({
	method: 'post',
	path: '/api/v1/holds',
	operationId: 'placeHold',
	tags,
	summary: 'Keep a run, a thread, what read a dataset, or all of the tenant from being erased',
	request: {body: {content: {'application/json': {schema: holdRequestSchema}}, required: true}},
	responses: {201: jsonReply(holdSchema, 'it holds from now on')},
});
const releaseHold = createRoute({
	method: 'post',
	path: '/api/v1/holds/{hold_id}/release',
	operationId: 'releaseHold',
	tags,
	summary: 'Release a hold; where there are several people this asks for it, and another person has to ask too',
	request: {
		params: z.object({hold_id: z.string().min(1).max(200)}),
		body: {content: {'application/json': {schema: releaseRequestSchema}}, required: true},
	},
	responses: {200: jsonReply(holdSchema, 'how it stands now')},
});
const preview = createRoute({
	method: 'get',
	path: '/api/v1/retention/preview',
	operationId: 'previewRetention',
	tags,
	summary: 'What would be erased now, by rule of the policy',
	responses: {200: jsonReply(retentionPreviewSchema, 'counts and bytes')},
});
const run = createRoute({
	method: 'post',
	path: '/api/v1/retention/run',
	operationId: 'runRetention',
	tags,
	summary: 'Erase now what is due by the policy',
	responses: {200: jsonReply(retentionReplySchema, 'what was erased')},
});

export function retentionRoutes({holds, retention, options}: Pick<ServerDeps, 'holds' | 'retention' | 'options'>) {
	return createRouter()
		.openapi(listHolds, async (c) => c.json({holds: [...(await holds.list(c.get('principal').tenant))]}, 200))
		.openapi(placeHold, async (c) =>
			c.json(await holds.place(c.req.valid('json'), c.get('principal'), originOf(c, options)), 201),
		)
		.openapi(releaseHold, async (c) => {
			const caller = {by: c.get('principal'), origin: originOf(c, options)};
			return c.json(await holds.release(c.req.valid('param').hold_id, c.req.valid('json').reason, caller), 200);
		})
		.openapi(preview, async (c) => c.json(await retention.preview(c.get('principal').tenant), 200))
		.openapi(run, async (c) => {
			const by = c.get('principal');
			return c.json(await retention.run(by.tenant, by), 200);
		});
}
