import {createRoute, z} from '@hono/zod-openapi';
import {type AuditEntry, auditExportSchema, auditQuerySchema, auditReplySchema} from '#contract/audit.ts';
import {replayReplySchema} from '#contract/reproducibility.ts';
import {toLines} from '../audit-export.ts';
import {createRouter, jsonReply} from '../context.ts';
import type {ServerDeps} from '../deps.ts';
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

const exportAudit = createRoute({
	method: 'get',
	path: '/api/v1/audit/export',
	operationId: 'exportAudit',
	tags,
	summary: 'All that is found of the audit, as a file; no cell of it is a formula',
	request: {query: auditExportSchema},
	responses: {
		200: {description: 'the file', content: {'text/csv': {schema: z.string()}, 'application/x-ndjson': {schema: z.string()}}},
	},
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

type Query = z.infer<typeof auditQuerySchema>;
type Deps = Pick<ServerDeps, 'tools' | 'store'>;

function findAudit({tool, effect, run, ...rest}: Query, tenant: string, {tools: known, store}: Deps) {
	const named = known.filter((each) => effect === undefined || each.effect === effect).map(({name}) => name);
	// A tool that is gone has no effect any more, and is found by its name.
	const tools =
		effect === undefined ? (tool === undefined ? null : [tool]) : named.filter((name) => tool === undefined || name === tool);
	const given = Object.fromEntries(Object.entries({...rest, runId: run}).filter(([, value]) => value !== undefined));
	return store.audit({...given, ...(tools && {tools}), tenant, limit: rest.limit});
}

async function* allEntries(query: Omit<Query, 'cursor' | 'limit'>, tenant: string, deps: Deps): AsyncGenerator<AuditEntry> {
	for (let cursor: string | null = ''; cursor !== null; ) {
		const page: Awaited<ReturnType<typeof findAudit>> = await findAudit(
			{...query, limit: 200, ...(cursor === '' ? {} : {cursor})},
			tenant,
			deps,
		);
		yield* page.rows;
		cursor = page.next;
	}
}

export function evidenceRoutes({deps, turns}: TurnContext) {
	return createRouter()
		.openapi(exportAudit, (c) => {
			const {format, ...query} = c.req.valid('query');
			const body = ReadableStream.from(toLines(allEntries(query, c.get('principal').tenant, deps), format));
			const type = format === 'csv' ? 'text/csv; charset=utf-8' : 'application/x-ndjson';
			return c.body(body as ReadableStream<Uint8Array>, 200, {
				'content-type': type,
				'content-disposition': `attachment; filename="audit.${format}"`,
			});
		})
		.openapi(audit, async (c) => {
			const page = await findAudit(c.req.valid('query'), c.get('principal').tenant, deps);
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
