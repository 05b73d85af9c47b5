/** Ends what waits for a person when nobody waits for it any more. */
import {type ErrorBody, WritError} from '#contract/errors.ts';
import type {Event, EventBody} from '#contract/event.ts';
import type {Journal, Kernel} from './ports.ts';

type Withdrawn = {readonly kind: 'cancelled'; readonly actionId: string; readonly error: ErrorBody};

/** Closes a waiting action as cancelled, because of `reason`. An answer that comes after it is too late. */
export async function withdraw(
	actionId: string,
	journal: Journal,
	kernel: Kernel,
	reason = new WritError('cancelled', 'cancelled while it waited for a person'),
): Promise<Withdrawn> {
	const error = reason.toJSON();
	await journal.append(...closing(actionId, error, journal, kernel));
	return {kind: 'cancelled', actionId, error};
}

/** The events that close every action that code of `parent` waits for. */
export function closeWaiting(parent: string, journal: Journal, kernel: Kernel): readonly EventBody[] {
	const error = new WritError('cancelled', 'the code that waited for this has ended').toJSON();
	return waitingFor(parent, journal.events).flatMap((actionId) => closing(actionId, error, journal, kernel));
}

function waitingFor(parent: string, events: readonly Event[]): readonly string[] {
	const over = (id: string) =>
		events.some(({type, data}) => (type === 'action.outcome' || type === 'action.intent') && data.actionId === id);
	const asked = events.flatMap((event) =>
		event.type === 'approval.requested' && event.data.parentActionId === parent ? [event.data.actionId] : [],
	);
	return [...new Set(asked)].filter((id) => !over(id));
}

/** The events that end earlier requests for an action: it is not what it was when they were made. */
export function supersede(actionId: string, journal: Journal): readonly EventBody[] {
	return cancelling(actionId, 'what it would do, or the rules for it, have changed', journal);
}

const ENDS: ReadonlySet<Event['type']> = new Set([
	'approval.rejected',
	'approval.expired',
	'approval.cancelled',
	'action.intent',
]);

function cancelling(actionId: string, reason: string, {events, principal: actor}: Journal): EventBody[] {
	const isOver = (approvalId: string) =>
		events.some(({type, data}) => ENDS.has(type) && 'approvalId' in data && data.approvalId === approvalId);
	return events.flatMap(({type, data}) =>
		type === 'approval.requested' && data.actionId === actionId && !isOver(data.approvalId)
			? [{type: 'approval.cancelled', actor, data: {approvalId: data.approvalId, actionId, reason}}]
			: [],
	);
}

function closing(actionId: string, error: ErrorBody, journal: Journal, kernel: Kernel): EventBody[] {
	const actor = journal.principal;
	const cancelled = cancelling(actionId, error.message, journal);
	const data = {...NO_EFFECT, outputDigest: kernel.digest(null), actionId, status: 'cancelled' as const, error};
	return [...cancelled, {type: 'action.outcome', actor, data}];
}

/** The outcome of what never started. */
export const NO_EFFECT = {output: null, labels: [], usage: null, isolation: null, durationMs: 0};
