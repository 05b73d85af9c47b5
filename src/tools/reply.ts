import type {WorkReply} from '#contract/api.ts';
import type {ErrorBody} from '#contract/errors.ts';
import type {Event, EventData, EventType} from '#contract/event.ts';
import {actionState} from '#kernel/action-state.ts';
import {denialError} from '#kernel/denial.ts';

/** What became of a run of one general tool, from its events alone. `status` is what the store says of the run. */
export function toWorkReply(events: readonly Event[], status: WorkReply['status']): WorkReply {
	const proposed = all(events, 'action.proposed');
	const task = proposed.find(({parentActionId}) => parentActionId === undefined);
	const mine = <T extends 'action.outcome' | 'action.verified' | 'action.decided' | 'approval.requested'>(type: T) =>
		all(events, type).findLast(({actionId}) => actionId === task?.actionId);
	const outcome = mine('action.outcome');
	const decision = mine('action.decided')?.decision;
	const denial = decision?.effect === 'deny' ? denialError(decision) : null;
	const ended = (all(events, 'run.finished').at(-1)?.error ?? null) as ErrorBody | null;
	return {
		runId: events[0]?.runId ?? '',
		status,
		tool: task?.tool ?? null,
		output: (outcome?.status === 'succeeded' ? outcome.output : null) as WorkReply['output'],
		error: (outcome?.error as ErrorBody | null | undefined) ?? denial ?? ended,
		verdict: mine('action.verified')?.verdict ?? null,
		approvalId: status === 'awaiting_approval' ? (mine('approval.requested')?.approvalId ?? null) : null,
		calls: proposed
			.filter(({parentActionId}) => parentActionId !== undefined)
			.map(({actionId, tool}) => ({actionId, tool, state: actionState(actionId, events) ?? 'proposed'})),
	};
}

function all<T extends EventType>(events: readonly Event[], type: T): EventData<T>[] {
	return events.filter((event) => event.type === type).map((event) => event.data as EventData<T>);
}
