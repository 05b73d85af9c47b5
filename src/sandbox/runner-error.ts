import {type ErrorCode, WritError} from '#contract/errors.ts';
import type {Frame} from '#contract/sandbox.ts';

/** What a runner may say of itself. What a gate or the platform decides, it cannot say: the code inside may have taken it over. */
const RUNNER_CODES: ReadonlySet<string> = new Set<ErrorCode>([
	'sql_policy_violation',
	'sql_execution_error',
	'python_execution_error',
	'javascript_execution_error',
	'nothing_tested',
	'unreadable_file',
	'dataset_corrupt',
	'runner_resource_exceeded',
	'runner_internal_error',
]);

/** A runner's error under a code of the catalogue. */
export function toError({code, message, hint, details = {}}: Extract<Frame, {type: 'error'}>): WritError {
	const known = RUNNER_CODES.has(code) ? (code as ErrorCode) : 'runner_internal_error';
	return new WritError(known, message, {...(hint === undefined ? {} : {hint}), details});
}
