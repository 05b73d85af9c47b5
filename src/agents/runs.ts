/**
 * Agents: what every job shares. Here are runs in the making: each has one journal, one holder with a lease, and one way to end.
 * Nothing in this room has an effect: a model's wishes go through `govern`.
 */
import {type ErrorBody, WritError} from '#contract/errors.ts';
import type {Event, EventBody, EventData, Principal, RunStatus} from '#contract/event.ts';
import type {Clock, Journal, Store} from '#kernel/ports.ts';

export type Ending = {
	readonly status: Exclude<RunStatus, 'running' | 'awaiting_approval'>;
	/** the action whose output is the run's result */
	readonly resultActionId: string | null;
	readonly error: ErrorBody | null;
};

export type OpenRun = {
	readonly id: string;
	readonly journal: Journal;
	/** aborted when its caller cancels or leaves, another server takes the run over, or the platform stops */
	readonly signal: AbortSignal;
	/** Records `last` and the end in one transaction; nothing is recorded after it. */
	finish(ending: Ending, ...last: readonly EventBody[]): Promise<void>;
	/** Lets go of a run that waits for a person; whoever answers takes it up again. */
	park(): void;
};

export type Runs = {
	/**
	 * Resolves when the run is durable: from then on it is not lost. `actor` is who proposes its actions: an agent acts for the
	 * principal that `started` names, and is judged as an agent.
	 */
	open(started: EventData<'run.started'>, actor: Principal, caller: AbortSignal, ownId?: string): Promise<OpenRun>;
	/** A whole run of no actions, under an id of its own, in one transaction. Throws `conflict` when there is one already. */
	record(started: EventData<'run.started'>, actor: Principal, ownId: string, ...last: readonly EventBody[]): Promise<void>;
	/** Takes up a run that waits or was abandoned. Throws `not_found`, or `conflict` when somebody else holds it. */
	take(runId: string, caller: AbortSignal): Promise<OpenRun>;
	/**
	 * Adds the event that `decide` makes of a run's events: through the journal of whoever works on the run here, else by taking the
	 * run up for that moment. Throws what `decide` throws, `not_found`, or `conflict` when another server holds it.
	 */
	write(runId: string, decide: (events: readonly Event[]) => EventBody): Promise<void>;
	/** Whether a run is worked on here. */
	has(runId: string): boolean;
	/** Takes over abandoned runs, some at a time, hands each to `continueRun`, and says how many there were. What failed for one is thrown last. */
	recover(continueRun: (run: OpenRun) => Promise<void>): Promise<number>;
	/**
	 * Cancels what is running, or those of it that `which` picks, and waits until each run has recorded its end; not those that were
	 * opened under an id of their own.
	 */
	abortAll(reason: WritError, which?: (journal: Journal) => boolean): Promise<void>;
	/** Cancels what is running and waits until each run has recorded its end. */
	close(): Promise<void>;
};

export type RunsOptions = {
	readonly store: Store;
	readonly clock: Clock;
	readonly holder: string;
	readonly leaseMs: number;
	readonly newRunId: () => string;
	/** Whether a holder is known to be no more; without it everybody is waited for until their lease has run out. */
	readonly isGone?: (holder: string) => boolean;
	/** Throws while this principal's runs may not start, or without one while none may be recovered. One with an id of its own starts all the same. */
	readonly assertMayStart?: (principal?: Principal) => void;
	readonly journals: {
		open(runId: string, started: EventData<'run.started'>, actor: Principal, rest?: readonly EventBody[]): Promise<Journal>;
		resume(runId: string, token: number): Promise<Journal>;
	};
};

/** Enough to share their commits; what runs in a sandbox waits for its place there. */
const RECOVERED_AT_ONCE = 16;

type Live = {
	readonly isExempt: boolean;
	readonly journal: Journal;
	readonly cancel: AbortController;
	readonly ended: Promise<void>;
	renew(): Promise<void>;
};

export function createRuns({store, clock, holder, leaseMs, newRunId, isGone, assertMayStart, journals}: RunsOptions): Runs {
	const live = new Map<string, Live>();
	const inTurn = createQueues();

	const hold = holding({store, clock, holder, leaseMs}, live);

	const take = async (runId: string, caller: AbortSignal): Promise<OpenRun> => {
		if (!(await store.run(runId))) throw new WritError('not_found', `there is no run \`${runId}\``);
		const claim = await store.claim(holder, clock.now(), leaseMs, runId);
		if (!claim)
			throw new WritError('conflict', `run \`${runId}\` is finished or is being worked on`, {details: {runId, isHeld: true}});
		return hold(await journals.resume(runId, claim.token), caller, claim.token);
	};

	return {
		async open(started, actor, caller, ownId) {
			if (ownId !== undefined) return hold(await journals.open(ownId, started, actor), caller, 1, true);
			// What the platform does for itself, such as recording that its policy changed, is no work that could be stopped; reading data is.
			const mayStart = started.job === 'system' && started.dataset === null ? undefined : assertMayStart;
			mayStart?.(actor);
			const run = hold(await journals.open(newRunId(), started, actor), caller, 1);
			// What was stopped while this became durable does not go on: its own signal tells it.
			const refusal = refusalOf(mayStart, actor);
			if (refusal) live.get(run.id)?.cancel.abort(refusal);
			return run;
		},
		async record(started, actor, ownId, ...last) {
			const data = {status: 'succeeded', resultActionId: null, error: null, durationMs: 0} as const;
			await journals.open(ownId, started, actor, [...last, {type: 'run.finished', actor, data}]);
		},
		async abortAll(reason, which = () => true) {
			const running = [...live.values()].filter((run) => !run.isExempt && which(run.journal));
			for (const run of running) run.cancel.abort(reason);
			await Promise.all(running.map((run) => run.ended));
		},
		async take(runId, caller) {
			for (;;) {
				await live.get(runId)?.ended; // its holder here would lose it in the middle of something
				const run = await inTurn(runId, async () => (live.has(runId) ? null : take(runId, caller)));
				if (run) return run;
			}
		},
		has: (runId) => live.has(runId),
		write: (runId, decide) =>
			inTurn(runId, async () => {
				const open = live.get(runId);
				if (open) return open.journal.append(decide(open.journal.events));
				const run = await take(runId, new AbortController().signal);
				const append = async () => run.journal.append(decide(run.journal.events));
				return append().finally(run.park);
			}),
		async recover(continueRun) {
			if (refusalOf(assertMayStart)) return 0;
			// A machine that slept wakes up to leases that have run out, its own among them: those are not abandoned.
			await Promise.all([...live.values()].map((run) => run.renew()));
			if (isGone) for (const other of (await store.holders()).filter(isGone)) await store.abandon(other);
			const claim = () => store.claim(holder, clock.now(), leaseMs);
			const first = await claim();
			const counts = {recovered: 0};
			const takeUp = async (one: typeof first): Promise<void> => {
				for (let next = one; next; next = await claim()) {
					const run = hold(await journals.resume(next.runId, next.token), new AbortController().signal, next.token);
					await continueRun(run).finally(run.park);
					counts.recovered += 1;
				}
			};
			const others = Array.from({length: first ? RECOVERED_AT_ONCE - 1 : 0}, async () => takeUp(await claim()));
			const ended = await Promise.allSettled([takeUp(first), ...others]);
			for (const one of ended) if (one.status === 'rejected') throw one.reason;
			return counts.recovered;
		},
		async close() {
			const stopping = new WritError('cancelled', 'the server is stopping');
			for (const run of live.values()) run.cancel.abort(stopping);
			await Promise.all([...live.values()].map((run) => run.ended));
		},
	};
}

type Holding = Pick<RunsOptions, 'store' | 'clock' | 'holder' | 'leaseMs'>;

/** How a run is held: it is among the live ones, and its lease is renewed, until it ends or is let go. */
function holding({store, clock, holder, leaseMs}: Holding, live: Map<string, Live>) {
	return (journal: Journal, caller: AbortSignal, token: number, isExempt = false): OpenRun => {
		const cancel = new AbortController();
		const {promise: ended, resolve: end} = Promise.withResolvers<void>();
		const startedAt = performance.now();
		const until = () => new Date(clock.now().getTime() + leaseMs).toISOString();
		const renew = () =>
			store.renew(journal.runId, {holder, token, until: until()}).then(
				(kept) => kept || cancel.abort(new WritError('conflict', 'another server took this run over')),
				() => {}, // a store that is away for a moment is met again at the next append, which says so
			) as Promise<void>;
		const heartbeat = setInterval(renew, leaseMs / 3);
		const release = () => {
			clearInterval(heartbeat);
			if (live.get(journal.runId)?.journal === journal) live.delete(journal.runId);
			end();
		};
		live.set(journal.runId, {isExempt, journal, cancel, ended, renew});
		return {
			id: journal.runId,
			journal,
			signal: AbortSignal.any([cancel.signal, caller]),
			park: release,
			async finish(ending, ...last) {
				const durationMs = Math.round(performance.now() - startedAt);
				try {
					await journal.append(...last, {type: 'run.finished', actor: journal.principal, data: {...ending, durationMs}});
				} finally {
					release();
				}
			},
		};
	};
}

function refusalOf(assertMayStart: RunsOptions['assertMayStart'], principal?: Principal): unknown {
	try {
		assertMayStart?.(principal);
		return null;
	} catch (refusal) {
		return refusal;
	}
}

/** Work on a run, one after the other: whoever takes a run up would else put out who did just before. */
export function createQueues(): <T>(runId: string, work: () => Promise<T>) => Promise<T> {
	const last = new Map<string, Promise<unknown>>();
	return async (runId, work) => {
		const before = last.get(runId);
		const done = (async () => {
			await before?.catch(() => {}); // its own caller hears of its failure
			return work();
		})();
		last.set(runId, done);
		try {
			return await done;
		} finally {
			if (last.get(runId) === done) last.delete(runId);
		}
	};
}
