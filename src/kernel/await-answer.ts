import {setMaxListeners} from 'node:events';
import {WritError} from '#contract/errors.ts';
import type {Outcome} from './execute.ts';
import type {Journal, Kernel} from './ports.ts';
import type {Stopwatch} from './tool.ts';
import {withdraw} from './withdraw.ts';

type Waiting = {
	/** Proposes it, again: the gates judge it anew each time. */
	readonly propose: () => Promise<Outcome>;
	/** clocks that stand still meanwhile */
	readonly clock: Stopwatch;
	readonly signal: AbortSignal;
};

/**
 * Proposes until there is an outcome: while a person is awaited, again with every event of the run and when the time to approve is
 * over. Ended by `signal`, the action is closed as cancelled.
 */
export async function awaitAnswer({propose, clock, signal}: Waiting, journal: Journal, kernel: Kernel): Promise<Outcome> {
	for (let seen = journal.events.length; ; ) {
		const before = journal.events.length;
		const outcome = await propose();
		if (outcome.kind !== 'awaiting_approval') return outcome;
		const {actionId, approvalId, approveBy} = outcome;
		const asked = journal.events.findIndex(({type, data}) => type === 'approval.requested' && data.approvalId === approvalId);
		seen = Math.max(before, asked + 1);
		kernel.progress(journal.runId, {actionId, stage: 'awaiting_approval'});
		const refusal = pausing(clock);
		if (refusal) return withdraw(actionId, journal, kernel, refusal);
		try {
			await untilNews(seen, approveBy, journal, {signal, now: kernel.clock.now()});
		} finally {
			await clock.resume();
		}
		if (signal.aborted) return withdraw(actionId, journal, kernel);
	}
}

/** Why nothing may wait any more; undefined when the clock stands still. */
function pausing(clock: Stopwatch): WritError | undefined {
	try {
		clock.pause();
		return undefined;
	} catch (error) {
		if (error instanceof WritError) return error;
		throw error;
	}
}

/** The longest that a timer can wait. */
const MAX_TIMER_MS = 2 ** 31 - 1;

async function untilNews(
	seen: number,
	approveBy: string,
	journal: Journal,
	{signal, now}: {readonly signal: AbortSignal; readonly now: Date},
): Promise<void> {
	const over = new AbortController();
	const left = Math.max(1, Date.parse(approveBy) - now.getTime() + 1);
	const timer = setTimeout(() => over.abort(), Math.min(left, MAX_TIMER_MS));
	const either = AbortSignal.any([signal, over.signal]);
	setMaxListeners(0, either);
	try {
		await journal.changed(seen, either);
	} finally {
		clearTimeout(timer);
	}
}
