import type {Clock} from '#kernel/ports.ts';

/** Never goes back, whatever happens to the clock of the machine while this process lives: deadlines that have passed stay passed. */
export function createClock(): Clock {
	const started = Date.now() - performance.now();
	const latest = {ms: 0};
	return {
		now() {
			latest.ms = Math.max(latest.ms, Date.now(), Math.floor(started + performance.now()));
			return new Date(latest.ms);
		},
	};
}
