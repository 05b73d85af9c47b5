import {createRoute} from '@hono/zod-openapi';
import {configReplySchema, doctorReplySchema, toolsReplySchema} from '#contract/api.ts';
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
		.openapi(config, (c) => c.json(deps.config(), 200));
}
