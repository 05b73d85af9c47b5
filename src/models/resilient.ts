import {setTimeout as pause} from 'node:timers/promises';
import type {LanguageModelV4} from '@ai-sdk/provider';
import {WritError} from '#contract/errors.ts';
import type {Breaker} from './breaker.ts';
import {type Failure, toFailure} from './failure.ts';
import type {Model, ModelReply, ModelRequest, ModelWatch} from './model.ts';
import {costOf, type Price} from './prices.ts';
import {type StreamedReply, streamReply} from './stream-reply.ts';

export type Patience = {
	/** how long one response may take */
	readonly timeoutMs: number;
	readonly attempts: number;
	/** before the second attempt; doubles each time */
	readonly backoffMs: number;
	/** a provider that asks for more than this is not waited for */
	readonly maxPauseMs: number;
};

export type ModelClient = {
	readonly provider: string;
	readonly id: string;
	readonly price: Price | null;
	readonly load: () => Promise<LanguageModelV4>;
	/** the setting a person checks when the key is refused */
	readonly keySetting: string;
	readonly secret: string | null;
	readonly patience: Patience;
	readonly breaker: Breaker;
};

/** A provider's model with bounded retries, a time limit for each response, and a breaker all its callers share. */
export function createResilientModel(client: ModelClient): Model {
	const {provider, id, price} = client;
	return {
		provider,
		id,
		price,
		async respond(request, watch) {
			for (let attempt = 1; ; attempt += 1) {
				const outcome = await tryOnce(client, request, watch);
				if ('reply' in outcome) return outcome.reply;
				const {failure} = outcome;
				const waitMs = pauseBefore(attempt + 1, failure, client.patience);
				await watch.onFailure(failure.error, attempt, waitMs);
				if (waitMs === null) throw failure.error;
				await pause(waitMs, undefined, {signal: watch.signal}).catch(() => {
					throw cancelled();
				});
			}
		},
	};
}

type Tried = {readonly reply: ModelReply} | {readonly failure: Failure};

async function tryOnce(
	client: ModelClient,
	request: ModelRequest,
	{onText, signal, maxOutputTokens}: ModelWatch,
): Promise<Tried> {
	const {provider, price, keySetting, secret, patience, breaker} = client;
	if (signal.aborted) throw cancelled();
	try {
		breaker.enter();
	} catch (error) {
		return {failure: {error: error as WritError, retry: 'never', retryAfterMs: null}};
	}
	const started = performance.now();
	const timeout = AbortSignal.timeout(patience.timeoutMs);
	try {
		const streamed = await streamReply(await client.load(), request, {
			onText,
			signal: AbortSignal.any([signal, timeout]),
			...(maxOutputTokens !== undefined && {maxOutputTokens}),
		});
		breaker.succeeded();
		return {reply: priced(price, streamed, performance.now() - started)};
	} catch (thrown) {
		if (signal.aborted) throw cancelled();
		const failure = toFailure(timeout.aborted ? timeout.reason : thrown, {
			provider,
			keySetting,
			secret,
			timeoutMs: patience.timeoutMs,
		});
		// A rejected request says nothing about the provider's health.
		if (failure.error.code === 'model_unavailable') breaker.failed();
		return {failure};
	}
}

function priced(price: Price | null, streamed: StreamedReply, elapsedMs: number): ModelReply {
	const cost = costOf(price, streamed.inputTokens, streamed.outputTokens);
	return {...streamed, costUsd: cost ?? 0, priceKnown: cost !== null, durationMs: Math.round(elapsedMs * 10) / 10};
}

/** Null when there is to be no such attempt. */
function pauseBefore(
	attempt: number,
	{retry, retryAfterMs}: Failure,
	{attempts, backoffMs, maxPauseMs}: Patience,
): number | null {
	if (retry === 'never' || attempt > (retry === 'once' ? Math.min(2, attempts) : attempts)) return null;
	if (retryAfterMs !== null) return retryAfterMs <= maxPauseMs ? retryAfterMs : null;
	const grown = Math.min(backoffMs * 2 ** (attempt - 2), maxPauseMs);
	return Math.round(grown * (0.75 + Math.random() / 2)); // spread, so that callers do not come back together
}

function cancelled(): WritError {
	return new WritError('cancelled', 'cancelled while the model was answering');
}
