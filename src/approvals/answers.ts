/** What people do about an approval, each as the event to append to its run. */
import {WritError} from '#contract/errors.ts';
import type {Event, EventBody, Principal} from '#contract/event.ts';
import {isBehind} from '#kernel/delegate.ts';
import {personOf} from '#kernel/tally.ts';
import {isInTime, latest, type Standing, standingOf} from './standing.ts';

export type AnswerOptions = {
	/** a person may approve what they proposed themselves; only for a server with a single user */
	readonly allowSelfApproval?: boolean;
	/** people who are asked too, when nobody has answered for a while */
	readonly escalateTo?: readonly string[];
	/** from so many grants in the window on, a person gives a reason and types the id of the action */
	readonly fatigue?: {readonly grants: number; readonly windowSeconds: number};
};

type Answer = {readonly approvalId: string; readonly approver: Principal; readonly comment: string};

/** `previewDigest` is of what the approver was shown; `recently` how much they granted in the window. */
export type Grant = Answer & {readonly previewDigest: string; readonly confirm?: string; readonly recently?: number};

/**
 * Each returns the event to append. They throw `not_found`, `forbidden` (not theirs to answer), `conflict` (answered, used, over, or
 * not what was shown), `policy_denied` (too late) or `confirmation_required`.
 */
export type Answers = {
	grant(events: readonly Event[], answer: Grant, now: Date): Body<'approval.granted'>;
	reject(events: readonly Event[], answer: Answer, now: Date): Body<'approval.rejected'>;
	revoke(events: readonly Event[], answer: Answer, now: Date): Body<'approval.revoked'>;
	comment(events: readonly Event[], answer: Answer, now: Date): Body<'approval.commented'>;
	delegate(events: readonly Event[], answer: Answer & {readonly to: string}, now: Date): Body<'approval.delegated'>;
	/** Null when it is not due, or not needed any more. */
	escalate(events: readonly Event[], approvalId: string, now: Date): Body<'approval.escalated'> | null;
};

type Body<T extends EventBody['type']> = Extract<EventBody, {type: T}>;

export function createAnswers({allowSelfApproval = false, escalateTo = [], fatigue}: AnswerOptions): Answers {
	return {
		grant(events, {approvalId, approver, comment, ...given}, now) {
			const standing = open(events, {approvalId, approver}, now);
			const {request, grants} = standing;
			const {actionId, required = 1, executeWithinMs} = request;
			const own = isInvolved(approver, standing);
			if (own && !allowSelfApproval) throw ownProposal(standing);
			if (allowSelfApproval && required > 1) throw noQuorum(required);
			assertMayAnswer(approver, standing);
			if (grants.length >= required) throw settled(approvalId);
			if (grants.some((grant) => isSamePerson(grant.approver, approver))) throw twice(required);
			if ((request.previewDigest ?? '') !== given.previewDigest) throw notShown(approvalId);
			assertAwake(actionId, {comment, ...given}, fatigue);
			const note = own ? `${comment} (approved by its proposer: single-user server)`.trimStart() : comment;
			const executeBy = new Date(Date.parse(latest(events, now)) + executeWithinMs).toISOString();
			const data = {approvalId, actionId, approver, comment: note, executeBy, previewDigest: given.previewDigest};
			return {type: 'approval.granted', actor: approver, data};
		},

		/** Taking back one's own proposal harms nobody, so a requester may reject. */
		reject(events, {approvalId, approver, comment}, now) {
			const standing = open(events, {approvalId, approver}, now);
			const {required = 1, actionId} = standing.request;
			if (!isInvolved(approver, standing)) assertMayAnswer(approver, standing);
			if (standing.grants.length >= required) throw settled(approvalId);
			return {type: 'approval.rejected', actor: approver, data: {approvalId, actionId, approver, comment}};
		},

		revoke(events, {approvalId, approver, comment}, now) {
			const {standing} = found(events, {approvalId, approver});
			const {actionId, required = 1} = standing.request;
			if (standing.end) throw settled(approvalId);
			const own = standing.grants.some((grant) => isSamePerson(grant.approver, approver));
			if (!own && standing.grants.length < required)
				throw new WritError('conflict', `the approval \`${approvalId}\` is not granted, so there is nothing to revoke`, {
					hint: 'reject it instead',
				});
			if (!own && !isInvolved(approver, standing)) assertMayAnswer(approver, standing);
			// Back to waiting only as long as somebody may still answer; after that there is nothing to go back to.
			const takesBack = own && isInTime(latest(events, now), standing.request.approveBy) ? 'own' : 'all';
			return {type: 'approval.revoked', actor: approver, data: {approvalId, actionId, approver, comment, takesBack}};
		},

		comment(events, {approvalId, approver, comment}) {
			const {actionId} = found(events, {approvalId, approver}).standing.request;
			return {type: 'approval.commented', actor: approver, data: {approvalId, actionId, approver, comment}};
		},

		delegate(events, {approvalId, approver, comment, to}, now) {
			const standing = open(events, {approvalId, approver}, now);
			const {request} = standing;
			if (isInvolved(approver, standing)) throw ownProposal(standing);
			assertMayAnswer(approver, standing);
			if (standing.grants.some((grant) => isSamePerson(grant.approver, approver)))
				throw new WritError('conflict', 'you have granted it; revoke that first to hand it on');
			if (to === personOf(approver)) throw new WritError('validation_error', 'name somebody else to hand it on to');
			if (isInvolved({kind: 'user', id: to, tenant: approver.tenant}, standing))
				throw new WritError('forbidden', `\`${to}\` has proposed this, and nobody may approve what they proposed themselves`);
			return {
				type: 'approval.delegated',
				actor: approver,
				data: {approvalId, actionId: request.actionId, approver, to, comment},
			};
		},

		escalate(events, approvalId, now) {
			const standing = standingOf(approvalId, events);
			const {actionId, escalateAt, requestedBy, required = 1, approveBy} = standing?.request ?? {};
			if (!standing || standing.end || standing.escalated || !actionId || !escalateAt || !requestedBy || !approveBy) return null;
			const time = latest(events, now);
			const isDue = !isInTime(time, escalateAt) && isInTime(time, approveBy) && standing.grants.length < required;
			const data = {approvalId, actionId, notified: [...escalateTo]};
			return isDue && escalateTo.length > 0 ? {type: 'approval.escalated', actor: requestedBy, data} : null;
		},
	};
}

type Asking = {readonly approvalId: string; readonly approver: Principal};

function found(events: readonly Event[], {approvalId, approver}: Asking): {readonly standing: Standing} {
	const standing = standingOf(approvalId, events);
	// Another tenant's approval does not exist for this approver: its id alone must tell them nothing.
	if (standing?.request.requestedBy.tenant !== approver.tenant)
		throw new WritError('not_found', `there is no approval \`${approvalId}\``);
	if (approver.kind !== 'user')
		throw new WritError('forbidden', `only a person may answer an approval, not ${AN[approver.kind]}`);
	return {standing: standing as Standing};
}

const AN = {agent: 'an agent', schedule: 'a schedule', service: 'a service', user: 'a user'} as const;

/** The approval, if it can be answered now. */
function open(events: readonly Event[], asking: Asking, now: Date): Standing {
	const {standing} = found(events, asking);
	const {approvalId, actionId, approveBy} = standing.request;
	const over = events.some((event) => event.type === 'action.outcome' && event.data.actionId === actionId);
	if (over || standing.end) throw settled(approvalId);
	if (isInTime(latest(events, now), approveBy)) return standing;
	if (standing.grants.length >= (standing.request.required ?? 1)) throw settled(approvalId);
	throw new WritError('policy_denied', `the approval \`${approvalId}\` expired at ${approveBy}`, {
		hint: 'propose the action again',
		details: {approvalId, approveBy},
	});
}

function isSamePerson(one: Principal, other: Principal): boolean {
	return one.kind === other.kind && one.tenant === other.tenant && personOf(one) === personOf(other);
}

/** Whether it is their own proposal, or that of an agent which acts for them. */
function isInvolved(person: Principal, {request}: Standing): boolean {
	return [request.requestedBy, request.owner].some((each) => each !== undefined && isBehind(person, each));
}

function assertMayAnswer(approver: Principal, {approvers, handedOn}: Standing): void {
	const person = personOf(approver);
	if (handedOn.includes(person)) throw new WritError('forbidden', 'you handed this on to somebody else');
	if (approvers === null || approvers.includes(person)) return;
	throw new WritError('forbidden', 'you are not among the people who may answer this', {
		hint: `ask one of: ${approvers.join(', ')}`,
	});
}

function assertAwake(
	actionId: string,
	{comment, confirm, recently = 0}: Pick<Grant, 'comment' | 'confirm' | 'recently'>,
	fatigue: AnswerOptions['fatigue'],
): void {
	if (!fatigue || recently < fatigue.grants || (comment.trim() !== '' && confirm === actionId)) return;
	const {windowSeconds, grants} = fatigue;
	throw new WritError('confirmation_required', `you have granted ${recently} approvals in the last ${windowSeconds} s`, {
		hint: `look at this one again; then give a reason, and type the id of its action to confirm: ${actionId}`,
		details: {actionId, granted: recently, limit: grants, windowSeconds},
	});
}

function settled(approvalId: string): WritError {
	return new WritError('conflict', `the approval \`${approvalId}\` was answered already, or its action is over`, {
		hint: 'reload it to see how it stands',
	});
}

function twice(required: number): WritError {
	return new WritError('conflict', `you have granted it already; it takes ${required} different people`, {
		hint: 'ask somebody else of your tenant',
	});
}

function notShown(approvalId: string): WritError {
	return new WritError('conflict', `what you were shown is not what the approval \`${approvalId}\` would allow`, {
		hint: 'load it again, read its preview, and answer with the digest of that',
	});
}

function ownProposal({request}: Standing): WritError {
	const whose = request.owner ? 'what their own agent proposed' : 'what they proposed themselves';
	return new WritError('forbidden', `nobody may approve ${whose}`, {hint: 'ask someone else of your tenant to approve it'});
}

function noQuorum(required: number): WritError {
	return new WritError('forbidden', `this takes ${required} different people, and this server knows only one`, {
		hint: 'give each person a token of their own with WRIT_AUTH_TOKENS',
		details: {required},
	});
}
