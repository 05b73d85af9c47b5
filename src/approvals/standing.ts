import type {Event, EventData} from '#contract/event.ts';
import {personOf} from '#kernel/tally.ts';

export type Requested = EventData<'approval.requested'>;
export type Granted = EventData<'approval.granted'>;

/** How an approval stands, folded from the events of its run. Clocks are for the caller to read. */
export type Standing = {
	readonly request: Requested;
	/** grants that count, one for each person, oldest first */
	readonly grants: readonly Granted[];
	readonly end: {readonly kind: 'consumed' | 'rejected' | 'expired' | 'cancelled'; readonly reason: string} | null;
	/** people who may answer; null when everybody of the tenant may */
	readonly approvers: readonly string[] | null;
	/** people who handed it on */
	readonly handedOn: readonly string[];
	readonly escalated: boolean;
};

/** Null when it was never requested. */
export function standingOf(approvalId: string, events: readonly Event[]): Standing | null {
	return events.reduce<Standing | null>((standing, event) => {
		if (!('approvalId' in event.data) || event.data.approvalId !== approvalId) return standing;
		if (event.type === 'approval.requested') return standing ?? begin(event.data);
		return standing && after(standing, event);
	}, null);
}

function begin(request: Requested): Standing {
	return {request, grants: [], end: null, approvers: request.approvers ?? null, handedOn: [], escalated: false};
}

/** INVARIANT: use ends an approval, and so do a rejection, a revocation of all and an expiry; what comes after an end changes nothing. */
function after(standing: Standing, event: Event): Standing {
	if (standing.end) return standing;
	const ended = (kind: 'consumed' | 'rejected' | 'expired' | 'cancelled', reason: string): Standing => ({
		...standing,
		end: {kind, reason},
	});
	const {approvalId, approveBy} = standing.request;
	switch (event.type) {
		case 'action.intent':
			return ended('consumed', `the approval ${approvalId} was used already`);
		case 'approval.granted':
			return isInTime(event.at, approveBy) ? {...standing, grants: withGrant(standing.grants, event.data)} : standing;
		case 'approval.rejected':
			return ended('rejected', `${event.data.approver.id} rejected it${because(event.data.comment)}`);
		case 'approval.revoked': {
			const {takesBack, approver, comment} = event.data;
			if (takesBack === 'all') return ended('rejected', `${approver.id} revoked it${because(comment)}`);
			const grants = standing.grants.filter((grant) => personOf(grant.approver) !== personOf(approver));
			return {...standing, grants};
		}
		case 'approval.delegated': {
			const {approver, to} = event.data;
			const handedOn = [...standing.handedOn.filter((person) => person !== to), personOf(approver)];
			return {...standing, handedOn, approvers: standing.approvers && [...standing.approvers, to]};
		}
		case 'approval.escalated':
			return {
				...standing,
				escalated: true,
				approvers: standing.approvers && [...standing.approvers, ...event.data.notified],
			};
		case 'approval.expired':
			return ended('expired', `nobody approved it before ${approveBy}; propose it again`);
		case 'approval.cancelled':
			return ended('cancelled', event.data.reason);
		default:
			return standing;
	}
}

function withGrant(grants: readonly Granted[], grant: Granted): readonly Granted[] {
	const person = personOf(grant.approver);
	return grants.some(({approver}) => personOf(approver) === person) ? grants : [...grants, grant];
}

function because(comment: string): string {
	return comment === '' ? '' : `: ${comment}`;
}

/** INVARIANT: false for a time that does not parse, so that a broken clock denies. */
export function isInTime(time: string, limit: string): boolean {
	return Date.parse(time) < Date.parse(limit);
}

/** A clock that was set back does not bring time back that the run has recorded. */
export function latest(events: readonly Event[], now: Date): string {
	const last = events.at(-1)?.at ?? '';
	return Date.parse(last) > now.getTime() ? last : now.toISOString();
}
