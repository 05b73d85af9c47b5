import type {HttpBindings} from '@hono/node-server';
import {OpenAPIHono} from '@hono/zod-openapi';
import type {Context} from 'hono';
import type {ZodError, ZodType} from 'zod';
import {WritError} from '#contract/errors.ts';
import type {Principal} from '#contract/event.ts';
import type {Caller} from '#identity/callers.ts';
import type {RequestSpan} from './tracing.ts';

/** What middleware leaves for routes. `incoming` is absent when the app is called without a socket. */
export type AppEnv = {
	Bindings: Partial<HttpBindings>;
	Variables: {
		requestId: string;
		principal: Principal;
		caller: Caller;
		span: RequestSpan;
		/** for the access log */
		runId?: string;
		threadId?: string;
	};
};
export type AppContext = Context<AppEnv>;

/** A router whose schemas answer with `validation_error`, the offending places in `details.issues`. */
export function createRouter() {
	return new OpenAPIHono<AppEnv>({
		defaultHook: (result) => {
			if (!result.success) throw invalidInput(result.target, result.error, 'data' in result ? result.data : undefined);
		},
	});
}

const PLACES: Record<string, string> = {json: 'body', form: 'body', param: 'path', query: 'query', header: 'header'};

function invalidInput(target: string, error: ZodError, value: unknown): WritError {
	const issues = error.issues.map((issue) => {
		const input = issue.path.reduce<unknown>((at, key) => (at as Record<PropertyKey, unknown> | undefined)?.[key], value);
		const missing = input === undefined && issue.code === 'invalid_type';
		return {
			type: missing ? 'missing' : issue.code,
			loc: [PLACES[target] ?? target, ...issue.path.map((key) => (typeof key === 'symbol' ? key.toString() : key))],
			msg: missing ? 'field required' : issue.message,
			input: short(input),
		};
	});
	const message = issues.map(({loc, msg}) => `${loc.join('.')}: ${msg}`).join('; ');
	return new WritError('validation_error', message, {hint: 'GET /openapi.json describes every request', details: {issues}});
}

/** Enough of a value to recognise it by. */
function short(value: unknown): unknown {
	if (typeof value === 'string') return value.length > 200 ? `${value.slice(0, 200)}…` : value;
	return typeof value === 'object' ? null : (value ?? null);
}

/** What an analyst call needs to know of its caller, apart from what its turn adds. */
export function callerOf(c: AppContext) {
	return {principal: c.get('principal'), requestId: c.get('requestId')};
}

/** A reply of a route, as its declaration wants it. */
export function jsonReply<T extends ZodType>(schema: T, description: string) {
	return {description, content: {'application/json': {schema}}};
}
