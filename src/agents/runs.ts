/**
 * Agents: what every job shares. Here are runs in the making: each has one journal, one holder with a lease, and one way to end.
 * Nothing in this room has an effect: a model's wishes go through `govern`.
 */
import {type ErrorBody, WritError} from '#contract/errors.ts';
import type {EventBody, EventData, Principal, RunStatus} from '#contract/event.ts';
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
	open(started: EventData<'run.started'>, actor: Principal, caller: AbortSignal): Promise<OpenRun>;
	/** Takes up a run that waits or was abandoned. Throws `not_found`, or `conflict` when somebody else holds it. */
	take(runId: string, caller: AbortSignal): Promise<OpenRun>;
	/** Takes over abandoned runs one after another, hands each to `continueRun`, and says how many there were. */
	recover(continueRun: (run: OpenRun) => Promise<void>): Promise<number>;
	/** Cancels what is running and waits until each run has recorded its end. */
	close(): Promise<void>;
};

export type RunsOptions = {
	readonly store: Store;
	readonly clock: Clock;
	readonly holder: string;
	readonly leaseMs: number;
	readonly newRunId: () => string;
	readonly journals: {
		open(runId: string, started: EventData<'run.started'>, actor: Principal): Promise<Journal>;
		resume(runId: string, token: number): Promise<Journal>;
	};
};

type Live = {readonly cancel: AbortController; readonly ended: Promise<void>; renew(): Promise<void>};

export function createRuns({store, clock, holder, leaseMs, newRunId, journals}: RunsOptions): Runs {
	const live = new Map<string, Live>();

	const hold = (journal: Journal, caller: AbortSignal, token: number): OpenRun => {
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
			live.delete(journal.runId);
			end();
		};
		live.set(journal.runId, {cancel, ended, renew});
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

	return {
		async open(started, actor, caller) {
			return hold(await journals.open(newRunId(), started, actor), caller, 1);
		},
		async take(runId, caller) {
			if (!(await store.run(runId))) throw new WritError('not_found', `there is no run \`${runId}\``);
			const claim = await store.claim(holder, clock.now(), leaseMs, runId);
			if (!claim) throw new WritError('conflict', `run \`${runId}\` is finished or is being worked on`);
			return hold(await journals.resume(runId, claim.token), caller, claim.token);
		},
		async recover(continueRun) {
			// A machine that slept wakes up to leases that have run out, its own among them: those are not abandoned.
			await Promise.all([...live.values()].map((run) => run.renew()));
			for (let recovered = 0; ; recovered += 1) {
				const claim = await store.claim(holder, clock.now(), leaseMs);
				if (!claim) return recovered;
				const run = hold(await journals.resume(claim.runId, claim.token), new AbortController().signal, claim.token);
				await continueRun(run).finally(run.park);
			}
		},
		async close() {
			const stopping = new WritError('cancelled', 'the server is stopping');
			for (const run of live.values()) run.cancel.abort(stopping);
			await Promise.all([...live.values()].map((run) => run.ended));
		},
	};
}
