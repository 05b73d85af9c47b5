import {ERRORS, type ErrorCode, WritError} from '#contract/errors.ts';
import type {Frame} from '#contract/sandbox.ts';

/** A runner's error under a code of the catalogue: it can only name codes there are. */
export function toError({code, message, hint, details = {}}: Extract<Frame, {type: 'error'}>): WritError {
	const known = Object.hasOwn(ERRORS, code) ? (code as ErrorCode) : 'runner_internal_error';
	return new WritError(known, message, {...(hint === undefined ? {} : {hint}), details});
}
