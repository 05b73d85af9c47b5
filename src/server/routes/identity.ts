import {createRoute, z} from '@hono/zod-openapi';
import {
	accountRequestSchema,
	accountsReplySchema,
	meSchema,
	newTokenSchema,
	ROLES,
	tokenRequestSchema,
	tokensReplySchema,
} from '#contract/identity.ts';
import {createRouter, jsonReply} from '../context.ts';
import type {ServerDeps} from '../deps.ts';

const tags = ['identity'];

const me = createRoute({
	method: 'get',
	path: '/api/v1/me',
	operationId: 'me',
	tags,
	summary: 'Who the caller is, and what they may do',
	responses: {200: jsonReply(meSchema, 'the caller')},
});
const list = createRoute({
	method: 'get',
	path: '/api/v1/tokens',
	operationId: 'listTokens',
	tags,
	summary: 'API tokens of the caller, or with `all` those of the tenant; never the tokens themselves',
	request: {query: z.object({all: z.enum(['true', 'false']).optional()})},
	responses: {200: jsonReply(tokensReplySchema, 'the tokens')},
});
const create = createRoute({
	method: 'post',
	path: '/api/v1/tokens',
	operationId: 'createToken',
	tags,
	summary: 'Make an API token; this reply is the only place it is ever shown',
	request: {body: {content: {'application/json': {schema: tokenRequestSchema}}, required: true}},
	responses: {201: jsonReply(newTokenSchema, 'the token')},
});
const revoke = createRoute({
	method: 'post',
	path: '/api/v1/tokens/{token_id}/revoke',
	operationId: 'revokeToken',
	tags,
	summary: 'End a token, on every replica at once',
	request: {params: z.object({token_id: z.string().max(200)})},
	responses: {200: jsonReply(z.object({tokenId: z.string()}), 'it opens nothing any more')},
});
const accounts = createRoute({
	method: 'get',
	path: '/api/v1/accounts',
	operationId: 'listAccounts',
	tags,
	summary: 'People of the tenant: accounts of the settings, and who signed in with the identity provider',
	responses: {200: jsonReply(accountsReplySchema, 'the accounts')},
});
const disable = createRoute({
	method: 'post',
	path: '/api/v1/accounts/{account}',
	operationId: 'disableAccount',
	tags,
	summary: 'Disable an account, with its sessions and all that acts for it, or enable it again',
	request: {
		params: z.object({account: z.string().max(200)}),
		body: {content: {'application/json': {schema: accountRequestSchema}}, required: true},
	},
	responses: {200: jsonReply(accountsReplySchema, 'the accounts now')},
});

export function identityRoutes({identity}: ServerDeps) {
	return createRouter()
		.openapi(me, (c) => {
			const {principal, by, name} = c.get('caller');
			const {kind, id, tenant, roles = ROLES, tools = null, onBehalfOf = null} = principal;
			return c.json({kind, id, tenant, name, roles: [...roles], tools, onBehalfOf, by}, 200);
		})
		.openapi(list, async (c) => {
			const tokens = await identity.tokens.list(c.get('caller'), c.req.valid('query').all === 'true');
			return c.json({tokens: [...tokens]}, 200);
		})
		.openapi(create, async (c) => c.json(await identity.tokens.create(c.req.valid('json'), c.get('caller')), 201))
		.openapi(revoke, async (c) => {
			const {token_id: tokenId} = c.req.valid('param');
			await identity.tokens.revoke(tokenId, c.get('caller'));
			return c.json({tokenId}, 200);
		})
		.openapi(accounts, async (c) => c.json({accounts: [...(await identity.accounts.list(c.get('caller')))]}, 200))
		.openapi(disable, async (c) => {
			const caller = c.get('caller');
			await identity.accounts.disable(c.req.valid('param').account, c.req.valid('json').disabled, caller);
			return c.json({accounts: [...(await identity.accounts.list(caller))]}, 200);
		});
}
