import type {Event} from '#contract/event.ts';
import {createFold} from './fold.ts';
import {count, isComplete, type Tally} from './tally.ts';

/** The time, in milliseconds, during which at least one approval was waiting for its answer. */
export function waitedMs(events: readonly Event[], now: Date): number {
	const {waiting, total, since} = waitsOf(events);
	return waiting.size === 0 ? total : total + now.getTime() - since;
}

type Waits = {
	readonly waiting: Set<string>;
	readonly tallies: Map<string, Tally | undefined>;
	total: number;
	/** when it began that something waits */
	since: number;
};

const waitsOf = createFold<Waits>(
	() => ({waiting: new Set(), tallies: new Map(), total: 0, since: 0}),
	(waits, event) => {
		const {waiting, tallies} = waits;
		const approvalId = approvalOf(event);
		if (approvalId === null) return;
		const tally = count(tallies.get(approvalId), event);
		tallies.set(approvalId, tally);
		const before = waiting.size;
		if (isOver(event, tally)) waiting.delete(approvalId);
		else if (isAsked(event)) waiting.add(approvalId);
		if (before === 0) waits.since = Date.parse(event.at);
		else if (waiting.size === 0) waits.total += Date.parse(event.at) - waits.since;
	},
);

function approvalOf({data}: Event): string | null {
	return 'approvalId' in data ? data.approvalId : null;
}

function isAsked(event: Event): boolean {
	return event.type === 'approval.requested' || (event.type === 'approval.revoked' && event.data.takesBack === 'own');
}

const ENDS: ReadonlySet<Event['type']> = new Set([
	'approval.rejected',
	'approval.expired',
	'approval.cancelled',
	'action.intent',
]);

function isOver(event: Event, tally: Tally | undefined): boolean {
	return ENDS.has(event.type) || isComplete(tally);
}
