import {createRoute, z} from '@hono/zod-openapi';
import {
	type Approval,
	type ApprovalDetail,
	approvalAnswerSchema,
	approvalCommentSchema,
	approvalDelegationSchema,
	approvalGrantSchema,
	approvalSchema,
	approvalsReplySchema,
} from '#contract/approval-api.ts';
import {WritError} from '#contract/errors.ts';
import type {ApprovalRow, Store} from '#kernel/ports.ts';
import {type AppContext, callerOf, createRouter, jsonReply} from '../context.ts';
import type {ApprovalAnswer} from '../deps.ts';
import type {TurnContext} from './chat.ts';

const tags = ['approvals'];
const params = z.object({approval_id: z.string().max(200)});
const responses = {200: jsonReply(approvalSchema, 'the approval as it stands now')};

const list = createRoute({
	method: 'get',
	path: '/api/v1/approvals',
	operationId: 'listApprovals',
	tags,
	summary: 'Actions of all runs that wait, or waited, for people; and how much the caller has granted lately',
	request: {query: z.object({state: approvalSchema.shape.state.optional()})},
	responses: {200: jsonReply(approvalsReplySchema, 'the approvals')},
});
const show = createRoute({
	method: 'get',
	path: '/api/v1/approvals/{approval_id}',
	operationId: 'showApproval',
	tags,
	summary: 'What would be done, how far it reaches, who has answered and what they said',
	request: {params},
	responses,
});

/** One answer, `POST …/{verb}`. */
function answering<Verb extends ApprovalAnswer['verb'], Schema extends z.ZodType>(verb: Verb, schema: Schema, summary: string) {
	const required = !schema.safeParse({}).success;
	return createRoute({
		method: 'post',
		path: `/api/v1/approvals/{approval_id}/${verb}` as const,
		operationId: `${verb}Approval`,
		tags,
		summary,
		request: {params, body: {content: {'application/json': {schema}}, required}},
		responses,
	});
}

const grant = answering('grant', approvalGrantSchema, 'Allow exactly this action, once; its run goes on when enough people have');
const reject = answering('reject', approvalAnswerSchema, 'Refuse the action; its run goes on without it');
const revoke = answering(
	'revoke',
	approvalAnswerSchema,
	'Take a grant back before it is used: your own, or all that an approval has',
);
const comment = answering('comment', approvalCommentSchema, 'Say something about it; kept with the run');
const delegate = answering('delegate', approvalDelegationSchema, 'Hand it on to another person, and not answer it oneself');

export function approvalRoutes(context: TurnContext) {
	const {store, approving} = context.deps;
	return createRouter()
		.openapi(list, async (c) => {
			const rows = await store.approvals(c.get('principal').tenant, c.req.valid('query').state);
			return c.json({approvals: rows.map(toApproval), rate: await approving.rate(c.get('principal'))}, 200);
		})
		.openapi(show, async (c) => c.json(toApproval(await own(c, store)), 200))
		.openapi(grant, async (c) => c.json(await answer(c, context, {verb: 'grant', ...withoutUndefined(c.req.valid('json'))}), 200))
		.openapi(reject, async (c) => c.json(await answer(c, context, {verb: 'reject', ...(await optional(c))}), 200))
		.openapi(revoke, async (c) => c.json(await answer(c, context, {verb: 'revoke', ...(await optional(c))}), 200))
		.openapi(comment, async (c) => c.json(await answer(c, context, {verb: 'comment', ...c.req.valid('json')}), 200))
		.openapi(delegate, async (c) => c.json(await answer(c, context, {verb: 'delegate', ...c.req.valid('json')}), 200));
}

type Given = ApprovalAnswer extends infer Each
	? Each extends ApprovalAnswer
		? Omit<Each, 'approvalId' | 'approver'>
		: never
	: never;

/** Records the answer, then lets the run go on if that has settled it; who answers does not wait for that. */
async function answer(c: AppContext, {deps, turns}: TurnContext, given: Given): Promise<Approval> {
	const caller = callerOf(c);
	const {runId, approvalId} = await own(c, deps.store);
	c.set('runId', runId);
	const answered = {...given, approvalId, approver: caller.principal} as ApprovalAnswer;
	const approval = toApproval(await deps.approving.answer(answered));
	if (settles(given.verb, approval))
		turns.resume(caller.principal.tenant, (hooks) => deps.analyst.resume(runId, {...caller, ...hooks}));
	return approval;
}

/** Code that waits in a sandbox goes on by itself; whatever else waited is taken up again. */
function settles(verb: ApprovalAnswer['verb'], {state, parentActionId}: Approval): boolean {
	const answered = verb === 'grant' ? state === 'granted' : (verb === 'reject' || verb === 'revoke') && state === 'rejected';
	return answered && parentActionId === null;
}

async function own(c: AppContext, store: Store): Promise<ApprovalRow> {
	const row = await store.approval(c.req.param('approval_id') ?? '');
	if (row?.tenant === c.get('principal').tenant) return row;
	throw new WritError('not_found', 'Approval not found', {hint: 'GET /api/v1/approvals lists them'});
}

async function optional(c: AppContext): Promise<{comment: string}> {
	return c.req.header('content-type') ? approvalAnswerSchema.parse(await c.req.json()) : {comment: ''};
}

function withoutUndefined({confirm, ...given}: z.infer<typeof approvalGrantSchema>) {
	return confirm === undefined ? given : {...given, confirm};
}

function toApproval({tenant: _, detail, ...row}: ApprovalRow): Approval {
	return {...row, ...(JSON.parse(detail) as ApprovalDetail)};
}
