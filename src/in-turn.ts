import {randomUUID} from 'node:crypto';
import {setTimeout as pause} from 'node:timers/promises';
import {createQueues} from '#agents/runs.ts';
import {WritError} from '#contract/errors.ts';
import type {Clock, Store} from '#kernel/ports.ts';

/** Longer than any one piece of work that a store takes, or refuses. */
const LEASE_MS = 60_000;
const AGAIN_MS = 20;

/**
 * Work of one name one after the other, on all servers that share a store. Throws `store_unavailable` when others are at it for longer
 * than a person waits.
 */
export function createTurns({lease}: Pick<Store['retention'], 'lease'>, clock: Clock): ReturnType<typeof createQueues> {
	const here = createQueues();
	return (name, work) =>
		here(name, async () => {
			const holder = randomUUID();
			const latest = clock.now().getTime() + LEASE_MS / 2;
			while (!(await lease(name, holder, clock.now(), LEASE_MS))) {
				if (clock.now().getTime() > latest)
					throw new WritError('store_unavailable', 'another server is busy with the same', {hint: 'try again in a minute'});
				await pause(AGAIN_MS);
			}
			try {
				return await work();
			} finally {
				await lease(name, holder, clock.now(), 0).catch(() => false); // it ends by itself
			}
		});
}
