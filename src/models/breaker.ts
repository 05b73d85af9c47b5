import {WritError} from '#contract/errors.ts';

/** Stops asking a provider that keeps failing, for a while: who waits in line behind a dead provider is told at once. */
export type Breaker = {
	/** Throws `model_unavailable` while open. After the pause one caller is let through to try. */
	enter(): void;
	succeeded(): void;
	failed(): void;
};

export type BreakerOptions = {
	readonly provider: string;
	readonly failures: number;
	readonly pauseMs: number;
	readonly now: () => number;
};

export function createBreaker({provider, failures, pauseMs, now}: BreakerOptions): Breaker {
	const state = {failed: 0, openUntil: 0};
	return {
		enter() {
			if (state.failed < failures) return;
			const leftMs = state.openUntil - now();
			if (leftMs > 0) throw paused(provider, failures, leftMs);
			state.openUntil = now() + pauseMs;
		},
		succeeded() {
			state.failed = 0;
		},
		failed() {
			state.failed += 1;
			if (state.failed >= failures) state.openUntil = now() + pauseMs;
		},
	};
}

function paused(provider: string, failures: number, leftMs: number): WritError {
	const seconds = Math.ceil(leftMs / 1_000);
	return new WritError(
		'model_unavailable',
		`${provider} failed ${failures} times in a row, so it is left alone for ${seconds} s`,
		{
			hint: 'ask again then; `SQL: …` needs no model',
			details: {provider, retryAfterMs: Math.ceil(leftMs)},
		},
	);
}
