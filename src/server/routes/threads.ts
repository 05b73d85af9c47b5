import {createRoute, z} from '@hono/zod-openapi';
import {messagesReplySchema, threadsReplySchema} from '#contract/api.ts';
import {WritError} from '#contract/errors.ts';
import {strict} from '#contract/strict.ts';
import {createRouter} from '../context.ts';
import type {ServerDeps} from '../deps.ts';
import {toMessage, toThread} from '../shapes.ts';

const limit = z.coerce.number().int().default(50).describe('clamped to 1..200');

const list = createRoute({
	method: 'get',
	path: '/threads',
	operationId: 'listThreads',
	tags: ['threads'],
	summary: 'Conversations, the latest first',
	request: {query: strict({limit})},
	responses: {200: {description: 'the threads', content: {'application/json': {schema: threadsReplySchema}}}},
});

const messages = createRoute({
	method: 'get',
	path: '/threads/{thread_id}/messages',
	operationId: 'listMessages',
	tags: ['threads'],
	summary: 'The latest messages of a conversation, oldest first',
	request: {params: z.object({thread_id: z.string().max(200)}), query: strict({limit})},
	responses: {200: {description: 'the messages', content: {'application/json': {schema: messagesReplySchema}}}},
});

export function threadRoutes({store}: ServerDeps) {
	const clamp = (asked: number) => Math.min(200, Math.max(1, asked));
	return createRouter()
		.openapi(list, async (c) => {
			const rows = await store.threads(c.get('principal').tenant, clamp(c.req.valid('query').limit));
			return c.json({threads: rows.map(toThread)}, 200);
		})
		.openapi(messages, async (c) => {
			const {thread_id} = c.req.valid('param');
			c.set('threadId', thread_id);
			const rows = await store.messages(c.get('principal').tenant, thread_id, clamp(c.req.valid('query').limit));
			if (rows.length === 0) throw new WritError('not_found', 'Thread not found', {hint: 'GET /threads lists them'});
			return c.json({thread_id, messages: rows.map(toMessage)}, 200);
		});
}
