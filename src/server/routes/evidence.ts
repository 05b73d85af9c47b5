import {createRoute, z} from '@hono/zod-openapi';
import {auditQuerySchema, auditReplySchema} from '#contract/audit.ts';
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

const audit = createRoute({
	method: 'get',
	path: '/api/v1/audit',
	operationId: 'searchAudit',
	tags,
	summary: 'What people and agents did, across runs, newest first, a page at a time',
	request: {query: auditQuerySchema},
	responses: {200: jsonReply(auditReplySchema, 'a page; `nextCursor` asks for the next')},
});

export function evidenceRoutes({deps, turns}: TurnContext) {
	return createRouter()
		.openapi(audit, async (c) => {
			const {tool, effect, run, ...rest} = c.req.valid('query');
			const {tenant} = c.get('principal');
			const named = deps.tools.filter((each) => effect === undefined || each.effect === effect).map(({name}) => name);
			// A tool that is gone has no effect any more, and is found by its name.
			const tools =
				effect === undefined ? (tool === undefined ? null : [tool]) : named.filter((name) => tool === undefined || name === tool);
			const given = Object.fromEntries(Object.entries({...rest, runId: run}).filter(([, value]) => value !== undefined));
			const page = await deps.store.audit({...given, ...(tools && {tools}), tenant, limit: rest.limit});
			return c.json({entries: [...page.rows], nextCursor: page.next}, 200);
		})
		.openapi(replay, async (c) => {
			const principal = c.get('principal');
			const {runId} = await ownRun(deps.store, principal.tenant, c.req.valid('param').run_id);
			c.set('runId', runId);
			const reply = await turns.occupy(c.req.raw.signal, (signal) => deps.evidence.replay(runId, {principal, signal}));
			return c.json(reply, 200);
		});
}
