import {createRoute, z} from '@hono/zod-openapi';
import {
	approvalAnswerSchema,
	approvalSchema,
	approvalsReplySchema,
	configReplySchema,
	doctorReplySchema,
	toolsReplySchema,
} from '#contract/api.ts';
import {WritError} from '#contract/errors.ts';
import type {ApprovalRow, Store} from '#kernel/ports.ts';
import {type AppContext, callerOf, createRouter, jsonReply} from '../context.ts';
import {toTool} from '../shapes.ts';
import type {TurnContext} from './chat.ts';

const tags = ['governance'];
const answering = {
	params: z.object({approval_id: z.string().max(200)}),
	body: {content: {'application/json': {schema: approvalAnswerSchema}}, required: false},
};

const tools = createRoute({
	method: 'get',
	path: '/api/v1/tools',
	operationId: 'listTools',
	tags,
	summary: 'What agents may propose',
	responses: {200: jsonReply(toolsReplySchema, 'the tools')},
});
const approvals = createRoute({
	method: 'get',
	path: '/api/v1/approvals',
	operationId: 'listApprovals',
	tags,
	summary: 'Actions that wait, or waited, for a person',
	request: {query: z.object({state: approvalSchema.shape.state.optional()})},
	responses: {200: jsonReply(approvalsReplySchema, 'the approvals')},
});
const grant = createRoute({
	method: 'post',
	path: '/api/v1/approvals/{approval_id}/grant',
	operationId: 'grantApproval',
	tags,
	summary: 'Allow exactly this action, once; its run goes on',
	request: answering,
	responses: {200: jsonReply(approvalSchema, 'the approval')},
});
const reject = createRoute({
	method: 'post',
	path: '/api/v1/approvals/{approval_id}/reject',
	operationId: 'rejectApproval',
	tags,
	summary: 'Refuse the action; its run goes on without it',
	request: answering,
	responses: {200: jsonReply(approvalSchema, 'the approval')},
});
const doctor = createRoute({
	method: 'get',
	path: '/api/v1/doctor',
	operationId: 'doctor',
	tags: ['operation'],
	summary: 'What is here, what is missing, and how to get it',
	responses: {200: jsonReply(doctorReplySchema, 'the checks')},
});
const config = createRoute({
	method: 'get',
	path: '/api/v1/config',
	operationId: 'showConfig',
	tags: ['operation'],
	summary: 'Settings in force and where each came from, without secrets',
	responses: {200: jsonReply(configReplySchema, 'the settings')},
});

export function governanceRoutes(context: TurnContext) {
	const {deps} = context;
	return createRouter()
		.openapi(tools, (c) => c.json({tools: deps.tools.map(toTool)}, 200))
		.openapi(approvals, async (c) => {
			const rows = await deps.store.approvals(c.get('principal').tenant, c.req.valid('query').state);
			return c.json({approvals: rows.map(toApproval)}, 200);
		})
		.openapi(grant, async (c) => c.json(await answer(c, context, true), 200))
		.openapi(reject, async (c) => c.json(await answer(c, context, false), 200))
		.openapi(doctor, async (c) => {
			const checks = [...(await deps.doctor())];
			return c.json({ok: checks.every((check) => check.ok || !check.required), version: deps.version, checks}, 200);
		})
		.openapi(config, (c) => c.json(deps.config(), 200));
}

/** Records the answer, then lets the run go on; who answers does not wait for that. */
async function answer(c: AppContext, {deps, turns}: TurnContext, granted: boolean) {
	const caller = callerOf(c);
	const approvalId = c.req.param('approval_id') ?? '';
	const {runId} = await ownApproval(deps.store, caller.principal.tenant, approvalId);
	const {comment} = c.req.header('content-type') ? approvalAnswerSchema.parse(await c.req.json()) : {comment: ''};
	c.set('runId', runId);
	const row = await deps.answer({approvalId, granted, approver: caller.principal, comment});
	turns.resume(caller.principal.tenant, (hooks) => deps.analyst.resume(runId, {...caller, ...hooks}));
	return toApproval(row);
}

async function ownApproval(store: Store, tenant: string, approvalId: string): Promise<ApprovalRow> {
	const row = await store.approval(approvalId);
	if (row?.tenant === tenant) return row;
	throw new WritError('not_found', 'Approval not found', {hint: 'GET /api/v1/approvals lists them'});
}

function toApproval({tenant: _, ...row}: ApprovalRow) {
	return row;
}
