import {Session} from 'node:inspector/promises';
import {setTimeout as pause} from 'node:timers/promises';
import {getHeapStatistics} from 'node:v8';

/** A look this often; what ran for less than this share of the time since was not at work. */
const LOOK_MS = 1_000;
const QUIET = 0.05;
/** A collection keeps everybody else waiting for some 50 ms, which less than this is not worth. */
const WORTHWHILE_BYTES = 16 * 2 ** 20;

/**
 * V8 keeps the room that work took, for the next: after a start that is more than what is in use. A server with nothing to do gives it
 * back, until `signal` aborts.
 */
export async function giveBackWhenIdle(signal: AbortSignal): Promise<void> {
	let needed = getHeapStatistics().used_heap_size;
	while (!signal.aborted) {
		const before = performance.eventLoopUtilization();
		await pause(LOOK_MS, undefined, {signal, ref: false}).catch(() => {});
		const {utilization} = performance.eventLoopUtilization(before);
		if (utilization > QUIET || getHeapStatistics().total_heap_size < needed + WORTHWHILE_BYTES) continue;
		await giveBack();
		needed = getHeapStatistics().total_heap_size;
	}
}

/** Collects all there is to collect. */
export async function giveBack(): Promise<void> {
	const session = new Session();
	session.connect();
	await session.post('HeapProfiler.collectGarbage');
	session.disconnect();
}
