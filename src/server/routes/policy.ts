import {createRoute} from '@hono/zod-openapi';
import {
	backtestReplySchema,
	backtestRequestSchema,
	explainRequestSchema,
	explanationSchema,
	type PolicyReply,
	policyReloadSchema,
	policyReplySchema,
} from '#contract/policy-api.ts';
import {createRouter, jsonReply} from '../context.ts';
import type {ServerDeps} from '../deps.ts';

const tags = ['governance'];

const show = createRoute({
	method: 'get',
	path: '/api/v1/policy',
	operationId: 'showPolicy',
	tags,
	summary: 'The policy in force',
	responses: {200: jsonReply(policyReplySchema, 'the policy')},
});
const reload = createRoute({
	method: 'post',
	path: '/api/v1/policy/reload',
	operationId: 'reloadPolicy',
	tags,
	summary: 'Read the policy file again; one that is broken changes nothing',
	responses: {200: jsonReply(policyReloadSchema, 'what came of it')},
});
const explain = createRoute({
	method: 'post',
	path: '/api/v1/policy/explain',
	operationId: 'explainDecision',
	tags,
	summary: 'Why an action was decided so, and what would be decided now',
	request: {body: {content: {'application/json': {schema: explainRequestSchema}}, required: true}},
	responses: {200: jsonReply(explanationSchema, 'each gate with its rules, reason and factors')},
});
const backtest = createRoute({
	method: 'post',
	path: '/api/v1/policy/backtest',
	operationId: 'backtestPolicy',
	tags,
	summary: 'Recorded actions decided again under another policy',
	request: {body: {content: {'application/json': {schema: backtestRequestSchema}}, required: true}},
	responses: {200: jsonReply(backtestReplySchema, 'every decision that would change')},
});

export function policyRoutes(deps: ServerDeps) {
	return createRouter()
		.openapi(show, (c) => c.json(seenBy(deps.policy(), c.get('principal').tenant), 200))
		.openapi(reload, async (c) => c.json(await deps.policies.reload(c.get('principal')), 200))
		.openapi(explain, async (c) => c.json(await deps.policies.explain(c.req.valid('json'), c.get('principal')), 200))
		.openapi(backtest, async (c) => {
			const {policy, since} = c.req.valid('json');
			return c.json(await deps.policies.backtest(policy, since, c.get('principal').tenant), 200);
		});
}

/** INVARIANT: nobody reads what is said of another tenant: neither in the document nor in the text it was read from. */
function seenBy({document, sources, ...reply}: PolicyReply, tenant: string): PolicyReply {
	const modes: readonly {tenant?: string}[] = Array.isArray(document.modes) ? document.modes : [];
	const own = modes.filter((rule) => rule.tenant === undefined || rule.tenant === tenant);
	if (own.length === modes.length) return {...reply, document, sources};
	const hidden = '# not shown: it says something of other tenants\n';
	const shown = sources.map(({name, text}) => ({name, text: name.endsWith('.cedar') ? text : hidden}));
	return {...reply, document: {...document, modes: own}, sources: shown};
}
