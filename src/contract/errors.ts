/**
 * Every failure the platform can name. `status` is its HTTP status, `retry` says whether the same call can succeed later,
 * `exit` is the exit code of the command line. `docs/errors.md` is compared with this table by a test.
 * Refusals (denied, awaiting approval) are outcomes, not errors.
 */
export const ERRORS = {
	// the caller's request
	invalid_request: {status: 400, retry: 'never', exit: 2},
	validation_error: {status: 422, retry: 'never', exit: 2},
	not_found: {status: 404, retry: 'never', exit: 4},
	conflict: {status: 409, retry: 'now', exit: 1},
	unauthenticated: {status: 401, retry: 'never', exit: 3},
	identity_unavailable: {status: 503, retry: 'later', exit: 1},
	forbidden: {status: 403, retry: 'never', exit: 3},
	forbidden_host: {status: 403, retry: 'never', exit: 3},
	confirmation_required: {status: 428, retry: 'never', exit: 3},
	request_too_large: {status: 413, retry: 'never', exit: 2},
	unsupported_media_type: {status: 415, retry: 'never', exit: 2},
	rate_limited: {status: 429, retry: 'later', exit: 1},
	cancelled: {status: 499, retry: 'now', exit: 130},
	// what a run was asked to compute
	invalid_plan: {status: 400, retry: 'never', exit: 2},
	sql_policy_violation: {status: 400, retry: 'never', exit: 3},
	sql_execution_error: {status: 400, retry: 'never', exit: 1},
	python_execution_error: {status: 400, retry: 'never', exit: 1},
	javascript_execution_error: {status: 400, retry: 'never', exit: 1},
	nothing_tested: {status: 400, retry: 'never', exit: 2},
	feature_disabled: {status: 403, retry: 'never', exit: 3},
	policy_denied: {status: 403, retry: 'never', exit: 3},
	budget_exceeded: {status: 429, retry: 'never', exit: 3},
	// datasets
	unreadable_file: {status: 400, retry: 'never', exit: 2},
	dataset_corrupt: {status: 500, retry: 'never', exit: 1},
	// the sandbox
	runner_timeout: {status: 504, retry: 'later', exit: 1},
	runner_resource_exceeded: {status: 507, retry: 'never', exit: 1},
	runner_internal_error: {status: 500, retry: 'later', exit: 1},
	sandbox_unavailable: {status: 503, retry: 'later', exit: 1},
	// models
	model_unavailable: {status: 503, retry: 'later', exit: 1},
	model_rejected: {status: 502, retry: 'never', exit: 1},
	agent_recursion_limit: {status: 429, retry: 'never', exit: 1},
	// evidence and state
	content_erased: {status: 410, retry: 'never', exit: 1},
	evidence_tampered: {status: 409, retry: 'never', exit: 1},
	store_unavailable: {status: 503, retry: 'later', exit: 1},
	interrupted: {status: 503, retry: 'now', exit: 1},
	// the server itself
	stopped: {status: 503, retry: 'later', exit: 3},
	secrets_unreadable: {status: 500, retry: 'never', exit: 1},
	invalid_config: {status: 500, retry: 'never', exit: 2},
	not_ready: {status: 503, retry: 'later', exit: 1},
	internal_error: {status: 500, retry: 'later', exit: 70},
} as const satisfies Record<string, {status: number; retry: 'never' | 'now' | 'later'; exit: number}>;

export type ErrorCode = keyof typeof ERRORS;

export type ErrorBody = {
	readonly code: ErrorCode;
	readonly message: string;
	readonly retry: 'never' | 'now' | 'later';
	readonly hint?: string;
	readonly details: Readonly<Record<string, unknown>>;
};

type WritErrorOptions = {readonly hint?: string; readonly cause?: unknown; readonly details?: Readonly<Record<string, unknown>>};

/** A failure with a stable code, a message for its reader and, where there is one, the next thing to do. `details` never holds secrets. */
export class WritError extends Error {
	override readonly name = 'WritError';
	readonly code: ErrorCode;
	readonly hint: string | undefined;
	readonly details: Readonly<Record<string, unknown>>;

	constructor(code: ErrorCode, message: string, {hint, cause, details = {}}: WritErrorOptions = {}) {
		super(message, {cause});
		this.code = code;
		this.hint = hint;
		this.details = details;
	}

	toJSON(): ErrorBody {
		const {code, message, hint, details} = this;
		return {code, message, retry: ERRORS[code].retry, ...(hint === undefined ? {} : {hint}), details};
	}
}

/** The error as its wire form. Anything that is not a `WritError` is a bug: its text stays out of the reply. */
export function toErrorBody(error: unknown): ErrorBody {
	if (error instanceof WritError) return error.toJSON();
	return new WritError('internal_error', 'something went wrong inside writ', {
		hint: 'look up the request id in the server log',
	}).toJSON();
}
