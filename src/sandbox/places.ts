import {WritError} from '#contract/errors.ts';
import type {Stopwatch} from '#kernel/tool.ts';
import {createFairQueue} from './fair-queue.ts';

/** A place among the sandboxes that work at once. */
type Place = {
	leave(): void;
	/** The clock of the code that has the place: while it stands still for a person, the place is another's. */
	givenBack(clock: Stopwatch): Stopwatch;
};

type Places = {
	readonly busy: number;
	readonly waiting: number;
	/** Resolves when a place is free, in the tenant's turn. Rejects with `cancelled` when `signal` aborts first. */
	enter(tenant: string, signal: AbortSignal): Promise<Place>;
	refuse(reason: Error): void;
};

/**
 * Sandboxes whose code waits for a person hold memory and no place, so they are limited too: fewer than there are places in all, and half
 * of the places for one tenant, but one at least. `pause` throws `sandbox_unavailable` when that many wait.
 */
export function createPlaces(places: number): Places {
	const queue = createFairQueue(places);
	const most = {all: Math.max(1, places - 1), tenant: Math.max(1, Math.floor(places / 2))};
	const asleep: string[] = [];
	const assertRoom = (tenant: string) => {
		if (asleep.filter((other) => other === tenant).length >= most.tenant) throw full('programs of this tenant', most.tenant);
		if (asleep.length >= most.all) throw full('programs', most.all);
	};
	return {
		get busy() {
			return queue.busy;
		},
		get waiting() {
			return queue.waiting;
		},
		refuse: queue.refuse,
		async enter(tenant, signal) {
			const state = {leave: await queue.enter(tenant, signal), isAsleep: false, isOver: false};
			const wake = () => {
				if (state.isAsleep) asleep.splice(asleep.indexOf(tenant), 1);
				state.isAsleep = false;
			};
			return {
				leave() {
					state.isOver = true;
					wake();
					state.leave();
				},
				givenBack: (clock) => ({
					pause() {
						assertRoom(tenant);
						asleep.push(tenant);
						state.isAsleep = true;
						state.leave();
						clock.pause();
					},
					async resume() {
						// Who is cancelled meanwhile, or turned away by the end of the server, needs no place to end.
						const leave = await queue.enter(tenant, signal).catch(() => () => {});
						wake();
						if (state.isOver) leave();
						else state.leave = leave;
						clock.resume();
					},
				}),
			};
		},
	};
}

function full(who: string, limit: number): WritError {
	return new WritError(
		'sandbox_unavailable',
		`as many ${who} as may, ${limit}, wait for a person already, each with its sandbox`,
		{
			hint: 'have what waits approved or rejected first, or raise WRIT_MAX_SANDBOXES',
			details: {limit: 'asleep', value: limit},
		},
	);
}
