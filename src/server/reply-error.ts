import type {ErrorHandler, NotFoundHandler} from 'hono';
import {HTTPException} from 'hono/http-exception';
import type {ContentfulStatusCode} from 'hono/utils/http-status';
import type {ErrorReply} from '#contract/api.ts';
import {ERRORS, type ErrorBody, toErrorBody, WritError} from '#contract/errors.ts';
import type {Redactor} from '#kernel/ports.ts';
import type {AppContext, AppEnv} from './context.ts';
import type {Log} from './log.ts';

/** The one place that turns a failure into a reply. A bug is logged with its stack and answered without it. */
export function replyError(log: Log, redact: Redactor): ErrorHandler<AppEnv> {
	return (thrown, c) => {
		const error = thrown instanceof HTTPException ? fromHono(thrown) : thrown;
		if (!(error instanceof WritError)) log.error('http.request.exception', {requestId: c.get('requestId'), error});
		return sendError(c, redact(toErrorBody(error)).value as ErrorBody);
	};
}

export function replyUnknownRoute(redact: Redactor): NotFoundHandler<AppEnv> {
	return (c) => {
		const message = `there is no ${c.req.method} ${c.req.path}`;
		const error = new WritError('not_found', message, {hint: 'GET /docs lists every route'}).toJSON();
		return sendError(c, redact(error).value as ErrorBody);
	};
}

function sendError(c: AppContext, error: ErrorBody): Response {
	const {status} = ERRORS[error.code];
	const {issues, retryAfterMs} = error.details;
	if (status === 429 || status === 503)
		c.header('retry-after', String(Math.max(1, Math.ceil(Number(retryAfterMs ?? 1_000) / 1_000))));
	if (status === 401) c.header('www-authenticate', 'Bearer realm="writ"');
	// A cancelled request's client is gone; 499 is what proxies log for it, and beyond what Hono's type knows.
	return c.json(toReply(error, c.get('requestId'), issues), status as ContentfulStatusCode);
}

function toReply(error: ErrorBody, requestId: string, issues: unknown): ErrorReply {
	return {detail: issues ?? error.message, error: {...error, requestId}};
}

function fromHono(thrown: HTTPException): WritError {
	return new WritError('invalid_request', thrown.message || 'the request cannot be read', {cause: thrown});
}

/** Names of errors inside event streams and results, as clients of the reference know them. */
export function toStreamError(thrown: unknown): {type: string; message: string; hint?: string} {
	const {code, message, hint} = toErrorBody(thrown);
	const type = code === 'internal_error' ? 'AGENT_ERROR' : code.toUpperCase();
	return {type, message, ...(hint === undefined ? {} : {hint})};
}
