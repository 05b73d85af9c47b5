import {createRoute, z} from '@hono/zod-openapi';
import {replayReplySchema} from '#contract/reproducibility.ts';
import {createRouter, jsonReply} from '../context.ts';
import {ownRun} from '../shapes.ts';
import type {TurnContext} from './chat.ts';

const tags = ['evidence'];

const replay = createRoute({
	method: 'post',
	path: '/api/v1/runs/{run_id}/replay',
	operationId: 'replayRun',
	tags,
	summary: 'Do again what a run did, as a new run through every gate, and compare the results',
	request: {params: z.object({run_id: z.string().min(1).max(200)})},
	responses: {200: jsonReply(replayReplySchema, 'what was the same and what was not')},
});

export function evidenceRoutes({deps, turns}: TurnContext) {
	return createRouter().openapi(replay, async (c) => {
		const principal = c.get('principal');
		const {runId} = await ownRun(deps.store, principal.tenant, c.req.valid('param').run_id);
		c.set('runId', runId);
		const reply = await turns.occupy(c.req.raw.signal, (signal) => deps.evidence.replay(runId, {principal, signal}));
		return c.json(reply, 200);
	});
}
