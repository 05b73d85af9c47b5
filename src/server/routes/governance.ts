import {createRoute} from '@hono/zod-openapi';
import {configReplySchema, doctorReplySchema, toolsReplySchema} from '#contract/api.ts';
import {budgetReplySchema} from '#contract/budget.ts';
import {WritError} from '#contract/errors.ts';
import type {Principal} from '#contract/event.ts';
import {ROLES, type Role} from '#contract/identity.ts';
import {modeReplySchema, modeRequestSchema} from '#contract/mode.ts';
import {createRouter, jsonReply} from '../context.ts';
import {toTool} from '../shapes.ts';
import type {TurnContext} from './chat.ts';

const tags = ['governance'];
const tools = createRoute({
	method: 'get',
	path: '/api/v1/tools',
	operationId: 'listTools',
	tags,
	summary: 'What agents may propose',
	responses: {200: jsonReply(toolsReplySchema, 'the tools')},
});
const doctor = createRoute({
	method: 'get',
	path: '/api/v1/doctor',
	operationId: 'doctor',
	tags: ['operation'],
	summary: 'What is here, what is missing, and how to get it',
	responses: {200: jsonReply(doctorReplySchema, 'the checks')},
});
const showMode = createRoute({
	method: 'get',
	path: '/api/v1/kill-switch',
	operationId: 'showMode',
	tags,
	summary: 'The mode of the platform and of parts of the tenant, and who set each',
	responses: {200: jsonReply(modeReplySchema, 'the mode')},
});
const setMode = createRoute({
	method: 'post',
	path: '/api/v1/kill-switch',
	operationId: 'setMode',
	tags,
	summary:
		'Stop everything, a tenant, an agent or a tool at once, everywhere; or ask to let it go on, which another person has to agree to',
	request: {body: {content: {'application/json': {schema: modeRequestSchema}}, required: true}},
	responses: {200: jsonReply(modeReplySchema, 'the mode now')},
});
const budget = createRoute({
	method: 'get',
	path: '/api/v1/budget',
	operationId: 'showBudget',
	tags,
	summary: 'What your tenant may use, what it has used and reserved, and when that starts anew',
	responses: {200: jsonReply(budgetReplySchema, 'the budgets')},
});
const config = createRoute({
	method: 'get',
	path: '/api/v1/config',
	operationId: 'showConfig',
	tags: ['operation'],
	summary: 'Settings in force and where each came from, without secrets',
	responses: {200: jsonReply(configReplySchema, 'the settings')},
});

export function governanceRoutes({deps}: TurnContext) {
	return createRouter()
		.openapi(tools, (c) => c.json({tools: deps.tools.map(toTool)}, 200))
		.openapi(doctor, async (c) => {
			const checks = [...(await deps.doctor())];
			return c.json({ok: checks.every((check) => check.ok || !check.required), version: deps.version, checks}, 200);
		})
		.openapi(budget, async (c) => c.json(await deps.budget(c.get('principal').tenant), 200))
		.openapi(showMode, (c) => c.json(deps.killSwitch.state(c.get('principal')), 200))
		.openapi(setMode, async (c) => {
			const wanted = c.req.valid('json');
			assertRole(c.get('principal'), wanted.scope === undefined ? 'platform' : 'admin');
			return c.json(await deps.killSwitch.change(wanted, c.get('principal')), 200);
		})
		.openapi(config, (c) => c.json(deps.config(), 200));
}

/** What is one tenant's is for its admins; what is everybody's is not. */
function assertRole({roles}: Principal, role: Role): void {
	const has = roles ?? ROLES;
	if (has.includes(role)) return;
	throw new WritError('forbidden', `this takes the role \`${role}\``, {
		hint: role === 'platform' ? 'stop your tenant with `writ mode observe --tenant NAME`' : 'ask an admin of your tenant',
		details: {roles: [role], has: [...has]},
	});
}
