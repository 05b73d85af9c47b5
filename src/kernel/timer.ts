import type {Stopwatch} from './tool.ts';

/**
 * Calls `expire` after `ms`, pauses not counted. One timer, cleared at the end: a thousand quick actions must not leave a thousand
 * behind. It does not keep the process alive.
 */
export function startTimer(ms: number, expire: () => void): Disposable & Stopwatch {
	const state = {closed: false, leftMs: ms, since: 0, timer: undefined as NodeJS.Timeout | undefined};
	const resume = () => {
		if (state.timer || state.closed) return;
		state.since = performance.now();
		state.timer = setTimeout(expire, state.leftMs).unref();
	};
	const pause = () => {
		if (!state.timer) return;
		clearTimeout(state.timer);
		state.timer = undefined;
		state.leftMs -= performance.now() - state.since;
	};
	resume();
	return {
		pause,
		resume,
		[Symbol.dispose]() {
			state.closed = true;
			clearTimeout(state.timer);
		},
	};
}
