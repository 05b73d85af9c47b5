import {isDeepStrictEqual} from 'node:util';
import {createRoute} from '@hono/zod-openapi';
import type {PolicyDocument} from '#contract/policy.ts';
import {
	backtestReplySchema,
	backtestRequestSchema,
	explainRequestSchema,
	explanationSchema,
	type PolicyCheckReply,
	type PolicyReply,
	policyCheckReplySchema,
	policyCheckSchema,
	policyReloadSchema,
	policyReplySchema,
} from '#contract/policy-api.ts';
import type {Caller} from '#identity/callers.ts';
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
const check = createRoute({
	method: 'post',
	path: '/api/v1/policy/check',
	operationId: 'checkPolicy',
	tags,
	summary: 'Whether a policy is sound, how it differs from the one in force, and which test cases pass under it',
	request: {body: {content: {'application/json': {schema: policyCheckSchema}}, required: true}},
	responses: {200: jsonReply(policyCheckReplySchema, 'each mistake with its place, each difference, each case')},
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
		.openapi(show, (c) => c.json(seenBy(deps.policy(), c.get('caller')), 200))
		.openapi(reload, async (c) => c.json(await deps.policies.reload(c.get('principal')), 200))
		.openapi(explain, async (c) => c.json(await deps.policies.explain(c.req.valid('json'), c.get('principal')), 200))
		.openapi(check, async (c) => {
			const reply = await deps.policies.check(c.req.valid('json'));
			return c.json(readsAll(c.get('caller')) ? reply : withoutTenants(reply), 200);
		})
		.openapi(backtest, async (c) => {
			const {policy, since} = c.req.valid('json');
			return c.json(await deps.policies.backtest(policy, since, c.get('principal').tenant), 200);
		});
}

/**
 * INVARIANT: nobody reads what is said of another tenant, neither in the document nor in the text it was read from: but the one user of
 * a server, and whoever was given the role `platform` by name. An account without roles, which may do all of it, is still of a tenant.
 */
function seenBy(reply: PolicyReply, caller: Caller): PolicyReply {
	if (readsAll(caller)) return reply;
	const document = ownPart(reply.document as Partial<PolicyDocument>, caller.principal.tenant);
	const isWhole = isDeepStrictEqual(document, reply.document);
	const shows = ({name, text}: PolicyReply['sources'][number]) =>
		name.endsWith('.cedar') ? !namesTenant(text) : isWhole || name === 'schema.cedarschema';
	return {...reply, document, sources: reply.sources.map((one) => (shows(one) ? one : {...one, text: NOT_SHOWN}))};
}

function readsAll({by, principal: {roles}}: Caller): boolean {
	return by === 'open' || roles?.includes('platform') === true;
}

/** Without the parts of the policy in force that may speak of tenants. */
function withoutTenants({comparison, ...reply}: PolicyCheckReply): PolicyCheckReply {
	const values = comparison?.values.filter(({path}) => !/^(modes|retention|cedar)\b/.test(path));
	return {...reply, comparison: comparison && {...comparison, values: values ?? []}};
}

const NOT_SHOWN = '# not shown: it says something of other tenants; the role `platform` reads it\n';

function ownPart({modes, retention, cedar, ...rest}: Partial<PolicyDocument>, tenant: string): PolicyReply['document'] {
	const rules = retention?.rules.filter(({tenants}) => tenants?.includes(tenant) ?? true);
	return {
		...rest,
		...(modes && {modes: modes.filter((rule) => rule.tenant === undefined || rule.tenant === tenant)}),
		...(cedar && {cedar: {...cedar, rules: namesTenant(cedar.rules) ? NOT_SHOWN : cedar.rules}}),
		...(retention && {
			retention: {
				...retention,
				rules: rules?.map((rule) => ({...rule, ...(rule.tenants && {tenants: [tenant]})})),
				legalHold: retention.legalHold.filter((held) => held === tenant), // whose runs and threads the others are is not known here
			},
		}),
	};
}

/** Whether a text of Cedar looks at tenants, and so may name one. */
function namesTenant(text: string): boolean {
	return /\btenant\b/i.test(text);
}
