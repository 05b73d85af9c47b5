import {cancelled} from './endings.ts';

/** Limits how much happens at once. Those who wait are served one per tenant in turn, so that nobody's backlog is another's delay. */
type FairQueue = {
	readonly waiting: number;
	readonly busy: number;
	/** Resolves with the function that gives the place back. Rejects with `cancelled` when `signal` aborts first. */
	enter(tenant: string, signal: AbortSignal): Promise<() => void>;
	/** Turns away everybody who waits. */
	refuse(reason: Error): void;
};

type Waiter = {admit(): void; refuse(reason: Error): void};

export function createFairQueue(places: number): FairQueue {
	// Insertion order is the order of turns: a tenant that was served goes to the end.
	const tenants = new Map<string, Set<Waiter>>();
	const state = {busy: 0, waiting: 0};
	const leaveOnce = () => {
		const place = {held: true};
		return () => {
			if (!place.held) return;
			place.held = false;
			state.busy -= 1;
			admitNext();
		};
	};
	const admitNext = () => {
		const [next] = tenants;
		if (!next || state.busy >= places) return;
		const [tenant, waiters] = next;
		const [first] = waiters;
		tenants.delete(tenant);
		if (waiters.size > 1) tenants.set(tenant, waiters);
		first?.admit();
	};
	const forget = (tenant: string, waiter: Waiter) => {
		const waiters = tenants.get(tenant);
		waiters?.delete(waiter);
		if (waiters?.size === 0) tenants.delete(tenant);
	};
	const wait = (tenant: string, signal: AbortSignal) =>
		new Promise<() => void>((resolve, reject) => {
			const leave = () => {
				state.waiting -= 1;
				waiters.delete(waiter);
				signal.removeEventListener('abort', onAbort);
			};
			const waiter: Waiter = {
				admit() {
					leave();
					state.busy += 1;
					resolve(leaveOnce());
				},
				refuse(reason) {
					leave();
					forget(tenant, waiter);
					reject(reason);
				},
			};
			const onAbort = () => waiter.refuse(cancelled());
			signal.addEventListener('abort', onAbort, {once: true});
			const waiters = tenants.get(tenant) ?? new Set();
			waiters.add(waiter);
			tenants.set(tenant, waiters);
			state.waiting += 1;
		});
	return {
		get waiting() {
			return state.waiting;
		},
		get busy() {
			return state.busy;
		},
		async enter(tenant, signal) {
			if (signal.aborted) throw cancelled();
			if (state.busy >= places || state.waiting > 0) return wait(tenant, signal);
			state.busy += 1;
			return leaveOnce();
		},
		refuse(reason) {
			for (const waiters of [...tenants.values()]) for (const waiter of [...waiters]) waiter.refuse(reason);
		},
	};
}
