import type {ActionState, Event} from '#contract/event.ts';
import {count, isComplete, type Tally} from './tally.ts';

/**
 * The state of an action, folded from its run's events:
 * proposed → denied | awaiting_approval → rejected | expired | cancelled | authorized → executing → succeeded | failed | timed_out |
 * killed | cancelled | unknown, then verified | unverified | undone. `authorized` and `executing` share one event, the durable intent.
 */
export function actionState(actionId: string, events: readonly Event[]): ActionState | null {
	let state: ActionState | null = null;
	let tally: Tally | undefined;
	for (const event of events) {
		if (!('actionId' in event.data) || event.data.actionId !== actionId) continue;
		tally = count(tally, event);
		state = after(event, isComplete(tally)) ?? state;
	}
	return state;
}

function after(event: Event, granted: boolean): ActionState | null {
	switch (event.type) {
		case 'action.proposed':
			return 'proposed';
		case 'action.decided':
			return event.data.decision.effect === 'deny' ? 'denied' : null;
		case 'approval.requested':
			return 'awaiting_approval';
		case 'approval.granted':
			return granted ? 'authorized' : 'awaiting_approval';
		case 'approval.rejected':
			return 'rejected';
		case 'approval.revoked':
			return event.data.takesBack === 'all' ? 'rejected' : 'awaiting_approval';
		case 'approval.expired':
			return 'expired';
		case 'approval.cancelled':
			return 'cancelled';
		case 'action.intent':
			return 'executing';
		case 'action.outcome':
			return event.data.status;
		case 'action.verified':
			return event.data.verdict.kind;
		default:
			return null;
	}
}
