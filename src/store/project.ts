/**
 * What the rows of runs, messages and approvals become when an event joins a run's stream. Pure, and the same for every
 * implementation: they load the rows, ask here, and write the answer in the transaction that writes the event.
 */
import {WritError} from '#contract/errors.ts';
import type {Event, EventData} from '#contract/event.ts';
import type {ApprovalRow, MessageRow, RunRow} from '#kernel/ports.ts';

/** A message before the database has numbered it. */
export type MessageDraft = Omit<MessageRow, 'id'> & {readonly tenant: string};

/**
 * Text as every database keeps it: PostgreSQL refuses NUL and SQLite replaces lone surrogates, so rows for lists and filters
 * hold U+FFFD instead. The events themselves are JSON, which escapes both, and stay exact.
 */
export function storable(text: string): string {
	return text.replaceAll('\0', '\uFFFD').toWellFormed();
}

/** Text without its case: what is compared when a filter looks for text. */
export function fold(text: string): string {
	return storable(text).toLowerCase();
}

/** A time with milliseconds in UTC, so that times compare as text. */
export function toInstant(time: string): string {
	return new Date(time).toISOString();
}

/** The first row of a run. */
export function projectStart(event: Extract<Event, {type: 'run.started'}>): RunRow {
	const {job, mode, threadId, question, dataset, principal} = event.data;
	return {
		runId: event.runId,
		tenant: storable(principal.tenant),
		principal: storable(principal.id),
		job,
		mode: storable(mode),
		threadId: threadId === null ? null : storable(threadId),
		datasetId: dataset === null ? null : storable(dataset.id),
		datasetHash: dataset === null ? null : storable(dataset.hash),
		question: question === null ? null : storable(question),
		status: 'running',
		createdAt: toInstant(event.at),
		finishedAt: null,
		durationMs: null,
		errorCode: null,
		seq: event.seq,
	};
}

/** The row of a run after one more event. */
export function projectRun<Row extends RunRow>(row: Row, event: Event): Row {
	const {seq} = event;
	switch (event.type) {
		case 'approval.requested':
			return {...row, seq, status: 'awaiting_approval'};
		case 'approval.granted':
		case 'approval.rejected':
		case 'approval.expired':
		case 'run.resumed':
			return {...row, seq, status: 'running'};
		case 'run.finished': {
			const {status, durationMs, error} = event.data;
			const errorCode = error === null ? null : storable(error.code);
			return {...row, seq, status, durationMs, errorCode, finishedAt: toInstant(event.at)};
		}
		default:
			return {...row, seq};
	}
}

/** The message an event adds to its thread, if it is one. */
export function projectMessage(event: Event, tenant: string): MessageDraft | null {
	if (event.type !== 'message.added') return null;
	const {threadId, datasetId, role, content} = event.data;
	return {
		tenant,
		threadId: storable(threadId),
		datasetId: storable(datasetId),
		role,
		content: storable(content),
		runId: event.runId,
		createdAt: toInstant(event.at),
	};
}

/** The approval an event is about; null when it is about none. */
export function approvalIdOf(event: Event): string | null {
	return 'approvalId' in event.data ? event.data.approvalId : null;
}

/**
 * The approval after `event`. Throws `conflict` when the event may not happen to it.
 * INVARIANT: an approval is granted only while pending and in time, and consumed once, in time, by the action and binding it was
 * given for. `row` is locked, or read inside the writing transaction, so two writers cannot both pass.
 */
export function projectApproval(event: Event, row: ApprovalRow | undefined, tenant: string): ApprovalRow | null {
	switch (event.type) {
		case 'approval.requested':
			if (row) throw refused(event, row.approvalId, 'it was requested already');
			return requested(event.runId, event.data, {at: event.at, tenant});
		case 'approval.granted': {
			const {approver, comment, executeBy} = event.data;
			const pending = assertState(event, row, ['pending']);
			if (toInstant(event.at) > pending.approveBy) throw refused(event, pending.approvalId, 'the time to approve is over');
			return {...pending, ...answered(approver.id, comment), state: 'granted', executeBy: toInstant(executeBy)};
		}
		case 'approval.rejected': {
			const {approver, comment} = event.data;
			return {...assertState(event, row, ['pending']), ...answered(approver.id, comment), state: 'rejected'};
		}
		case 'approval.expired':
			return {...assertState(event, row, ['pending', 'granted']), state: 'expired'};
		case 'action.intent':
			return event.data.approvalId === null ? null : consumed(event, row);
		default:
			return null;
	}
}

/** What a finished run leaves of an approval nobody can use any more. */
export function lapse(row: ApprovalRow): ApprovalRow {
	return row.state === 'pending' || row.state === 'granted' ? {...row, state: 'expired'} : row;
}

function requested(
	runId: string,
	data: EventData<'approval.requested'>,
	{at, tenant}: {readonly at: string; readonly tenant: string},
): ApprovalRow {
	return {
		approvalId: storable(data.approvalId),
		runId,
		actionId: data.actionId,
		tenant,
		tool: storable(data.tool),
		binding: data.binding,
		preview: storable(data.preview),
		risk: data.risk,
		state: 'pending',
		requestedBy: storable(data.requestedBy.id),
		requestedAt: toInstant(at),
		approveBy: toInstant(data.approveBy),
		executeBy: null,
		approver: null,
		comment: null,
	};
}

function answered(approver: string, comment: string): {readonly approver: string; readonly comment: string} {
	return {approver: storable(approver), comment: storable(comment)};
}

function consumed(event: Extract<Event, {type: 'action.intent'}>, row: ApprovalRow | undefined): ApprovalRow {
	const granted = assertState(event, row, ['granted']);
	if (granted.executeBy === null || toInstant(event.at) > granted.executeBy)
		throw refused(event, granted.approvalId, 'the time to execute is over');
	if (granted.actionId !== event.data.actionId || granted.binding !== event.data.binding)
		throw refused(event, granted.approvalId, 'it was given for another action');
	return {...granted, state: 'consumed'};
}

function assertState(event: Event, row: ApprovalRow | undefined, states: readonly ApprovalRow['state'][]): ApprovalRow {
	const approvalId = approvalIdOf(event) ?? '';
	if (!row || row.runId !== event.runId) throw refused(event, approvalId, 'this run never asked for it');
	if (!states.includes(row.state)) throw refused(event, approvalId, `it is ${row.state}`);
	return row;
}

function refused(event: Event, approvalId: string, reason: string): WritError {
	return new WritError('conflict', `\`${event.type}\` was refused for approval ${approvalId}: ${reason}`, {
		hint: 'read the run again: another writer came first, or a clock ran out',
		details: {runId: event.runId, seq: event.seq, approvalId},
	});
}
