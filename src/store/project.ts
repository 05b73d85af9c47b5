/**
 * What the rows of runs, messages and approvals become when an event joins a run's stream. Pure, and the same for every
 * implementation: they load the rows, ask here, and write the answer in the transaction that writes the event.
 */
import type {ApprovalDetail} from '#contract/approval-api.ts';
import {WritError} from '#contract/errors.ts';
import type {Event, EventData} from '#contract/event.ts';
import type {ApprovalRow, GrantRow, MessageRow, RunRow} from '#kernel/ports.ts';
import {personOf} from '#kernel/tally.ts';

/** A message before the database has numbered it. */
export type MessageDraft = Omit<MessageRow, 'id'> & {readonly tenant: string};

/**
 * Text as every database keeps it: PostgreSQL refuses NUL and SQLite replaces lone surrogates, so rows for lists and filters
 * hold U+FFFD instead. The events themselves are JSON, which escapes both, and stay exact.
 */
export function storable(text: string): string {
	if (!UNSTORABLE.test(text)) return text;
	return text.replaceAll('\0', '\uFFFD').toWellFormed();
}

const UNSTORABLE = /[\0\ud800-\udfff]/;

/** Text without its case: what is compared when a filter looks for text. */
export function fold(text: string): string {
	return storable(text).toLowerCase();
}

/** A time with milliseconds in UTC, so that times compare as text. */
export function toInstant(time: string): string {
	return INSTANT.test(time) ? time : new Date(time).toISOString();
}

const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

/** A lease that has run out, whatever the clock. */
export const NO_LEASE = toInstant('1970-01-01');

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

/** The row of a run after one more event; `approval` is the one that the event has changed. */
export function projectRun<Row extends RunRow>(row: Row, event: Event, approval: ApprovalRow | null): Row {
	const {seq} = event;
	switch (event.type) {
		case 'approval.requested':
		case 'approval.granted':
		case 'approval.rejected':
		case 'approval.revoked':
		case 'approval.expired':
		case 'approval.cancelled':
			return {...row, seq, status: waits(approval) ?? row.status};
		case 'run.resumed':
			return {...row, seq, status: 'running'};
		case 'run.parked':
			return {...row, seq, status: 'awaiting_approval'};
		case 'run.finished': {
			const {status, durationMs, error} = event.data;
			const errorCode = error === null ? null : storable(error.code);
			return {...row, seq, status, durationMs, errorCode, finishedAt: toInstant(event.at)};
		}
		default:
			return {...row, seq};
	}
}

/** A run whose code waits is running: its sandbox is held, and if it is not, the run is to be recovered at once. */
function waits(approval: ApprovalRow | null): 'awaiting_approval' | 'running' | null {
	if (!approval || detailOf(approval).parentActionId !== null) return null;
	return approval.state === 'pending' ? 'awaiting_approval' : 'running';
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
 * INVARIANT: an approval is granted only while pending and in time, by as many people as it takes, who were shown what it is for; and
 * consumed once, in time, by the action and binding it was given for. `row` is locked, or read inside the writing transaction, so two
 * writers cannot both pass.
 */
export function projectApproval(event: Event, row: ApprovalRow | undefined, tenant: string): ApprovalRow | null {
	switch (event.type) {
		case 'approval.requested':
			if (row) throw refused(event, row.approvalId, 'it was requested already');
			return requested(event.runId, event.data, {at: event.at, tenant});
		case 'approval.granted':
			return granted(event, assertState(event, row, ['pending']));
		case 'approval.rejected': {
			const {approver, comment} = event.data;
			return answered(event, assertState(event, row, ['pending']), {state: 'rejected', by: approver, comment});
		}
		case 'approval.revoked':
			return revoked(event, assertState(event, row, ['pending', 'granted']));
		case 'approval.commented': {
			const {approver, comment} = event.data;
			return note(event, own(event, row), {by: approver.id, comment});
		}
		case 'approval.delegated': {
			const {approver, to, comment} = event.data;
			return asking(note(event, assertState(event, row, ['pending']), {by: approver.id, comment, to: [to]}), [to]);
		}
		case 'approval.escalated': {
			const to = event.data.notified;
			const escalated = note(event, assertState(event, row, ['pending']), {by: null, comment: '', to});
			return asking({...escalated, escalateAt: null}, to);
		}
		case 'approval.expired':
			return {...note(event, assertState(event, row, ['pending', 'granted']), {by: null, comment: ''}), state: 'expired'};
		case 'approval.cancelled': {
			const {reason: comment} = event.data;
			return {...note(event, assertState(event, row, ['pending', 'granted']), {by: null, comment}), state: 'cancelled'};
		}
		case 'action.intent':
			return event.data.approvalId === null ? null : consumed(event, row);
		default:
			return null;
	}
}

/** The grant that an event is, as it is counted. */
export function projectGrant(event: Event, tenant: string): GrantRow | null {
	if (event.type !== 'approval.granted') return null;
	const {approvalId, approver} = event.data;
	return {approvalId: storable(approvalId), tenant, person: storable(personOf(approver)), at: toInstant(event.at)};
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
	const {owner, approvers, blastRadius, parentActionId, escalateAt, required, previewDigest} = data;
	const detail: ApprovalDetail = {
		owner: owner?.id ?? null,
		grantedBy: [],
		approvers: approvers ?? null,
		parentActionId: parentActionId ?? null,
		blastRadius: blastRadius ?? null,
		history: [],
	};
	return {
		approvalId: storable(data.approvalId),
		runId,
		actionId: data.actionId,
		tenant,
		tool: storable(data.tool),
		binding: data.binding,
		preview: storable(data.preview),
		previewDigest: previewDigest ?? '',
		risk: data.risk,
		state: 'pending',
		required: required ?? 1,
		requestedBy: storable(data.requestedBy.id),
		requestedAt: toInstant(at),
		approveBy: toInstant(data.approveBy),
		executeBy: null,
		approver: null,
		comment: null,
		escalateAt: escalateAt === undefined ? null : toInstant(escalateAt),
		detail: JSON.stringify(detail),
	};
}

function granted(event: Extract<Event, {type: 'approval.granted'}>, row: ApprovalRow): ApprovalRow {
	const {approver, comment, executeBy, previewDigest = ''} = event.data;
	const {grantedBy} = detailOf(row);
	const person = personOf(approver);
	if (toInstant(event.at) > row.approveBy) throw refused(event, row.approvalId, 'the time to approve is over');
	if (grantedBy.includes(person)) throw refused(event, row.approvalId, 'this person has granted it already');
	if (previewDigest !== row.previewDigest) throw refused(event, row.approvalId, 'its approver was shown something else');
	const people = [...grantedBy, person];
	const isComplete = people.length >= row.required;
	const next = answered(event, row, {state: isComplete ? 'granted' : 'pending', by: approver, comment});
	return withDetail({...next, executeBy: isComplete ? toInstant(executeBy) : null}, {grantedBy: people});
}

function revoked(event: Extract<Event, {type: 'approval.revoked'}>, row: ApprovalRow): ApprovalRow {
	const {approver: by, comment, takesBack} = event.data;
	if (takesBack === 'all') return withDetail(answered(event, row, {state: 'rejected', by, comment}), {grantedBy: []});
	const {grantedBy} = detailOf(row);
	const left = grantedBy.filter((person) => person !== personOf(by));
	if (left.length === grantedBy.length) throw refused(event, row.approvalId, 'this person has not granted it');
	return withDetail({...answered(event, row, {state: 'pending', by, comment}), executeBy: null}, {grantedBy: left});
}

type Answered = {
	readonly state: ApprovalRow['state'];
	readonly by: EventData<'approval.granted'>['approver'];
	readonly comment: string;
};

function answered(event: Event, row: ApprovalRow, {state, by, comment}: Answered): ApprovalRow {
	const noted = note(event, row, {by: by.id, comment});
	return {...noted, state, approver: storable(by.id), comment: storable(comment)};
}

type Note = {readonly by: string | null; readonly comment: string; readonly to?: readonly string[]};
type Entry = ApprovalDetail['history'][number];

function note(event: Event, row: ApprovalRow, {by, comment, to = []}: Note): ApprovalRow {
	const kind = event.type.slice('approval.'.length) as Entry['kind'];
	const entry: Entry = {at: toInstant(event.at), kind, by, comment, to: [...to]};
	return withDetail(row, {history: [...detailOf(row).history, entry]});
}

/** Further people may answer it, where not everybody may. */
function asking(row: ApprovalRow, people: readonly string[]): ApprovalRow {
	const {approvers} = detailOf(row);
	return approvers === null ? row : withDetail(row, {approvers: [...new Set([...approvers, ...people])]});
}

function detailOf({detail}: ApprovalRow): ApprovalDetail {
	return JSON.parse(detail) as ApprovalDetail;
}

function withDetail(row: ApprovalRow, changes: Partial<ApprovalDetail>): ApprovalRow {
	return {...row, detail: JSON.stringify({...detailOf(row), ...changes})};
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
	const known = own(event, row);
	if (!states.includes(known.state)) throw refused(event, known.approvalId, `it is ${known.state}`);
	return known;
}

function own(event: Event, row: ApprovalRow | undefined): ApprovalRow {
	if (row?.runId === event.runId) return row;
	throw refused(event, approvalIdOf(event) ?? '', 'this run never asked for it');
}

function refused(event: Event, approvalId: string, reason: string): WritError {
	return new WritError('conflict', `\`${event.type}\` was refused for approval ${approvalId}: ${reason}`, {
		hint: 'read the run again: another writer came first, or a clock ran out',
		details: {runId: event.runId, seq: event.seq, approvalId},
	});
}
