/**
 * Approvals: people's answers to one exact action. There is no state here: how an approval stands is read from the events of its
 * run, and answering it makes the next event. Whatever is doubtful or late is not an approval.
 */
import type {ApprovalState, Approvals} from '#kernel/ports.ts';
import {type AnswerOptions, type Answers, createAnswers} from './answers.ts';
import {toPreview} from './preview.ts';
import {isInTime, latest, type Standing, standingOf} from './standing.ts';

export type ApprovalOptions = AnswerOptions & {
	/** how long people have to answer */
	readonly approveWithinMs: number;
	/** how long a granted approval may wait for its action to start */
	readonly executeWithinMs: number;
	/** people who may answer; without them everybody of the tenant may */
	readonly approvers?: readonly string[];
	/** part of the time to answer after which further people are asked; without it none are */
	readonly escalateAfter?: number;
	readonly newId: (prefix: 'apr') => string;
};

/** What is critical takes two people, whatever the rules say. */
const CRITICAL_QUORUM = 2;

export function createApprovals(options: ApprovalOptions): Approvals & Answers {
	const {approveWithinMs, executeWithinMs, approvers = [], escalateAfter, newId} = options;
	return {
		...createAnswers(options),

		state(events, actionId, binding, now) {
			const request = events.findLast(
				(event) => event.type === 'approval.requested' && event.data.actionId === actionId && event.data.binding === binding,
			);
			const standing = request?.type === 'approval.requested' ? standingOf(request.data.approvalId, events) : null;
			return standing ? stateOf(standing, latest(events, now)) : {kind: 'none'};
		},

		preview: toPreview,

		request(action, {binding, preview, previewDigest}, {facts, decision, owner}) {
			const {now, run} = facts;
			const {tool, input, resource, parent} = action;
			const {limits, ...used} = {limits: run.budget, actions: run.actions, tokens: run.tokens, costUsd: run.costUsd};
			const budget = Object.fromEntries(
				Object.entries(used).map(([name, value]) => [name, {limit: limits[name as keyof typeof used], used: value}]),
			);
			return {
				...{approvalId: newId('apr'), actionId: action.id, binding, tool: tool.name, preview, previewDigest, risk: decision.risk},
				requestedBy: facts.principal,
				...(owner === null ? {} : {owner}),
				required: Math.max(decision.quorum ?? 1, decision.risk === 'critical' ? CRITICAL_QUORUM : 1),
				...(approvers.length === 0 ? {} : {approvers: [...approvers]}),
				...(escalateAfter === undefined ? {} : {escalateAt: after(now, approveWithinMs * escalateAfter)}),
				blastRadius: {effect: tool.effect, target: {...resource}, hosts: [...(tool.destinations?.(input) ?? [])], budget},
				...(parent === undefined ? {} : {parentActionId: parent}),
				approveBy: after(now, approveWithinMs),
				executeWithinMs,
			};
		},
	};
}

/** INVARIANT: `granted` needs enough people in time and a use in time; a rejection beats a grant, and use beats both. */
function stateOf({request, grants, end}: Standing, now: string): ApprovalState {
	const {approvalId, approveBy, required = 1} = request;
	if (end?.kind === 'cancelled') return {kind: 'none'};
	if (end) return {kind: end.kind, approvalId, reason: end.reason};
	const last = grants[required - 1];
	if (!last && isInTime(now, approveBy)) return {kind: 'pending', approvalId, approveBy};
	if (!last)
		return {kind: 'expired', approvalId, reason: `${missing(grants.length, required)} before ${approveBy}; propose it again`};
	if (isInTime(now, last.executeBy)) return {kind: 'granted', approvalId};
	const reason = `it was approved but not started before ${last.executeBy}; propose it again`;
	return {kind: 'expired', approvalId, reason};
}

function missing(granted: number, required: number): string {
	return required === 1 ? 'nobody approved it' : `${granted} of ${required} people approved it`;
}

function after(now: Date, ms: number): string {
	return new Date(now.getTime() + ms).toISOString();
}
