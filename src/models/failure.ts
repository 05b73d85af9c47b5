import {APICallError} from '@ai-sdk/provider';
import {WritError} from '#contract/errors.ts';

/** A failed attempt: what its reader is told, and whether trying again can help. */
export type Failure = {
	readonly error: WritError;
	readonly retry: 'never' | 'once' | 'often';
	/** what the provider asked for */
	readonly retryAfterMs: number | null;
};

type Asked = {readonly provider: string; readonly keySetting: string; readonly secret: string | null; readonly timeoutMs: number};

export function toFailure(thrown: unknown, asked: Asked): Failure {
	const {provider, secret, timeoutMs} = asked;
	if (thrown instanceof DOMException && thrown.name === 'TimeoutError') {
		const message = `${provider} did not finish a response within ${timeoutMs} ms`;
		const hint = 'try again, or raise LLM_TIMEOUT_SECONDS';
		return {
			error: unavailable(message, thrown, {hint, provider, limit: 'timeoutMs', value: timeoutMs}),
			retry: 'once',
			retryAfterMs: null,
		};
	}
	if (!APICallError.isInstance(thrown)) {
		const message = `the response of ${provider} broke off or could not be read: ${firstLine(textOf(thrown), secret)}`;
		return {error: unavailable(message, thrown, {provider}), retry: 'often', retryAfterMs: null};
	}
	const {statusCode: status} = thrown;
	const said = firstLine(thrown.message, secret);
	if (status === undefined)
		return {error: unavailable(`${provider} cannot be reached: ${said}`, thrown, {provider}), retry: 'often', retryAfterMs: null};
	if (status === 401 || status === 403) {
		return {
			error: rejected(`${provider} refused the key (${status})`, thrown, {hint: `check ${asked.keySetting}`, provider, status}),
			retry: 'never',
			retryAfterMs: null,
		};
	}
	if (isOutOfCredit(thrown)) {
		return {
			error: rejected(`${provider} says the account has no credit left`, thrown, {
				hint: `check the billing of the account`,
				provider,
				status,
			}),
			retry: 'never',
			retryAfterMs: null,
		};
	}
	if (thrown.isRetryable || status === 529) {
		const what = status === 429 ? 'is limiting requests' : 'is failing';
		return {
			error: unavailable(`${provider} ${what} (${status}): ${said}`, thrown, {provider, status}),
			retry: 'often',
			retryAfterMs: retryAfter(thrown),
		};
	}
	return {
		error: rejected(`${provider} rejected the request (${status}): ${said}`, thrown, {provider, status}),
		retry: 'never',
		retryAfterMs: null,
	};
}

type Facts = {readonly hint?: string; readonly provider: string; readonly [detail: string]: unknown};

function unavailable(message: string, cause: unknown, {hint = 'try again in a moment', ...details}: Facts): WritError {
	return new WritError('model_unavailable', message, {hint, cause, details});
}

function rejected(
	message: string,
	cause: unknown,
	{hint = 'check the model name and the settings of the provider', ...details}: Facts,
): WritError {
	return new WritError('model_rejected', message, {hint, cause, details});
}

/** `429` with this code means that waiting does not help. */
function isOutOfCredit({statusCode, responseBody = ''}: APICallError): boolean {
	return statusCode === 402 || (statusCode === 429 && responseBody.includes('insufficient_quota'));
}

function retryAfter({responseHeaders = {}}: APICallError): number | null {
	const ms = Number.parseFloat(responseHeaders['retry-after-ms'] ?? '');
	if (Number.isFinite(ms) && ms >= 0) return ms;
	const given = responseHeaders['retry-after'];
	if (given === undefined) return null;
	const seconds = Number(given);
	const until = Number.isFinite(seconds) ? seconds * 1_000 : Date.parse(given) - Date.now();
	return Number.isFinite(until) ? Math.max(0, until) : null;
}

function textOf(thrown: unknown): string {
	if (typeof thrown === 'string') return thrown;
	if (thrown instanceof Error) return thrown.message;
	const {message} = (thrown ?? {}) as {message?: unknown};
	return typeof message === 'string' ? message : 'no reason was given';
}

/** A provider's words, short and without the key some of them repeat. */
function firstLine(text: string, secret: string | null): string {
	const [line = ''] = text.split('\n');
	return (secret ? line.replaceAll(secret, '[redacted:api-key]') : line).slice(0, 300);
}
