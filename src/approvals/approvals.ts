/**
 * Approvals: a person's answer to one exact action. There is no state here: how an approval stands is read from the events of its
 * run, and answering it makes the next event. Whatever is doubtful or late is not an approval.
 */
import {WritError} from '#contract/errors.ts';
import type {Event, EventBody, EventData, Principal} from '#contract/event.ts';
import type {ApprovalState, Approvals, Facts} from '#kernel/ports.ts';
import {toPreview} from './preview.ts';

export type ApprovalOptions = {
	/** how long a person has to answer */
	readonly approveWithinMs: number;
	/** how long a granted approval may wait for its action to start */
	readonly executeWithinMs: number;
	/** a person may approve what they proposed themselves; only for a server with a single user */
	readonly allowSelfApproval?: boolean;
	readonly newId: (prefix: 'apr') => string;
};

type Answer = {readonly approvalId: string; readonly approver: Principal; readonly comment: string};

/** The event to append to the run. Throws `not_found`, `forbidden`, `conflict` (answered, used or over) or `policy_denied` (too late). */
type Answering<T extends 'approval.granted' | 'approval.rejected'> = (
	events: readonly Event[],
	answer: Answer,
	now: Date,
) => Extract<EventBody, {type: T}>;

export function createApprovals(
	options: ApprovalOptions,
): Approvals & {readonly grant: Answering<'approval.granted'>; readonly reject: Answering<'approval.rejected'>} {
	const {approveWithinMs, executeWithinMs, allowSelfApproval = false, newId} = options;
	return {
		state(events, actionId, binding, now) {
			const request = events.findLast(
				(event) => event.type === 'approval.requested' && event.data.actionId === actionId && event.data.binding === binding,
			);
			return request?.type === 'approval.requested' ? stateOf(request.data, events, now) : {kind: 'none'};
		},

		request(action, binding, {principal, now}: Facts) {
			return {
				approvalId: newId('apr'),
				actionId: action.id,
				binding,
				tool: action.tool.name,
				preview: toPreview(action),
				risk: action.risk,
				requestedBy: principal,
				approveBy: after(now, approveWithinMs),
				executeWithinMs,
			};
		},

		grant(events, answer, now) {
			const {approvalId, actionId, requestedBy, executeWithinMs: withinMs} = answerable(events, answer, now);
			const {approver} = answer;
			const own = isSame(approver, requestedBy);
			if (own && !allowSelfApproval) {
				throw new WritError('forbidden', 'nobody may approve what they proposed themselves', {
					hint: 'ask someone else of your tenant to approve it',
				});
			}
			const comment = own ? `${answer.comment} (approved by its proposer: single-user server)`.trimStart() : answer.comment;
			return {
				type: 'approval.granted',
				actor: approver,
				data: {approvalId, actionId, approver, comment, executeBy: after(now, withinMs)},
			};
		},

		/** Taking back one's own proposal harms nobody, so a requester may reject. */
		reject(events, answer, now) {
			const {approvalId, actionId} = answerable(events, answer, now);
			const {approver, comment} = answer;
			return {type: 'approval.rejected', actor: approver, data: {approvalId, actionId, approver, comment}};
		},
	};
}

type Requested = EventData<'approval.requested'>;

/** INVARIANT: `granted` needs an answer in time and a use in time; a rejection beats a grant, and use beats both. */
function stateOf({approvalId, approveBy}: Requested, events: readonly Event[], now: Date): ApprovalState {
	const mine = aboutApproval(approvalId, events);
	if (mine.some((event) => event.type === 'action.intent')) {
		return {kind: 'consumed', approvalId, reason: `the approval ${approvalId} was used already`};
	}
	const rejected = mine.find((event) => event.type === 'approval.rejected');
	if (rejected) {
		const {approver, comment} = rejected.data;
		return {kind: 'rejected', approvalId, reason: `${approver.id} rejected it${comment === '' ? '' : `: ${comment}`}`};
	}
	const granted = mine.find((event) => event.type === 'approval.granted');
	const answered = granted ? new Date(granted.at) : now;
	if (!isBefore(answered, approveBy) || mine.some((event) => event.type === 'approval.expired')) {
		return {kind: 'expired', approvalId, reason: `nobody approved it before ${approveBy}; propose it again`};
	}
	if (!granted) return {kind: 'pending', approvalId, approveBy};
	if (isBefore(now, granted.data.executeBy)) return {kind: 'granted', approvalId};
	return {
		kind: 'expired',
		approvalId,
		reason: `it was approved but not started before ${granted.data.executeBy}; propose it again`,
	};
}

/** The request, if this person may answer it now. */
function answerable(events: readonly Event[], {approvalId, approver}: Answer, now: Date): Requested {
	const request = events.find((event) => event.type === 'approval.requested' && event.data.approvalId === approvalId);
	// Another tenant's approval does not exist for this approver: its id alone must tell them nothing.
	if (request?.type !== 'approval.requested' || request.data.requestedBy.tenant !== approver.tenant) {
		throw new WritError('not_found', `there is no approval \`${approvalId}\``);
	}
	if (approver.kind !== 'user')
		throw new WritError('forbidden', `only a person may answer an approval, not ${AN[approver.kind]}`);
	const over = events.some((event) => event.type === 'action.outcome' && event.data.actionId === request.data.actionId);
	if (over || aboutApproval(approvalId, events).length > 0) {
		throw new WritError('conflict', `the approval \`${approvalId}\` was answered already, or its action is over`, {
			hint: 'reload it to see how it stands',
		});
	}
	if (isBefore(now, request.data.approveBy)) return request.data;
	throw new WritError('policy_denied', `the approval \`${approvalId}\` expired at ${request.data.approveBy}`, {
		hint: 'propose the action again',
		details: {approvalId, approveBy: request.data.approveBy},
	});
}

const AN = {agent: 'an agent', schedule: 'a schedule', service: 'a service', user: 'a user'} as const;

type About = Extract<Event, {type: 'approval.granted' | 'approval.rejected' | 'approval.expired' | 'action.intent'}>;

/** Everything that happened to an approval after it was requested. */
function aboutApproval(approvalId: string, events: readonly Event[]): readonly About[] {
	return events.filter(
		(event): event is About =>
			(event.type === 'approval.granted' ||
				event.type === 'approval.rejected' ||
				event.type === 'approval.expired' ||
				event.type === 'action.intent') &&
			event.data.approvalId === approvalId,
	);
}

function isSame(one: Principal, other: Principal): boolean {
	return one.kind === other.kind && one.id === other.id && one.tenant === other.tenant;
}

/** INVARIANT: false for a time that does not parse, so that a broken clock denies. */
function isBefore(time: Date, limit: string): boolean {
	return time.getTime() < Date.parse(limit);
}

function after(now: Date, ms: number): string {
	return new Date(now.getTime() + ms).toISOString();
}
