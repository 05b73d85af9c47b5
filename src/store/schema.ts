/**
 * The tables, as both databases have them. Columns are snake_case, rows camelCase; the lists here are the only translation.
 */
import type {Generated} from 'kysely';
import type {ApprovalRow, GrantRow, MessageRow, RunRow, ThreadRow} from '#kernel/ports.ts';
import type {RunState} from './admit.ts';
import type {Citation} from './citations.ts';
import type {IdentityTables} from './identity-tables.ts';
import type {LegalHoldTable} from './legal-hold.ts';
import type {LetterTable} from './letters.ts';
import {fold, type MessageDraft} from './project.ts';
import type {StorageHoldTable, StorageTable} from './quota.ts';
import type {ErasureTable, HoldTable} from './retention.ts';
import type {ReservationRow, UseRow} from './spend.ts';

export type Tables = IdentityTables & {
	runs: {
		run_id: string;
		tenant: string;
		principal: string;
		job: string;
		mode: string;
		thread_id: string | null;
		dataset_id: string | null;
		dataset_hash: string | null;
		question: string | null;
		/** the question without its case, for text filters */
		question_folded: string | null;
		status: RunRow['status'];
		created_at: string;
		finished_at: string | null;
		duration_ms: number | null;
		error_code: string | null;
		seq: number;
		holder: string;
		token: number;
		lease_until: string;
	};
	events: {run_id: string; seq: number; event: string};
	/** `position` counts finished runs from 0, without gaps, in the order in which they finished */
	heads: {run_id: string; head: string; position: number};
	audit: {
		run_id: string;
		seq: number;
		hash: string;
		at: string;
		tenant: string;
		type: string;
		actor: string;
		actor_kind: string;
		principal: string;
		job: string;
		mode: string;
		action_id: string | null;
		tool: string | null;
		decision: string | null;
		risk: string | null;
		detail: string;
		/** the detail without its case, for text filters */
		folded: string;
		address: string | null;
		client: string | null;
		request_id: string | null;
	};
	messages: {
		id: Generated<number>;
		tenant: string;
		thread_id: string;
		created_at: string;
		dataset_id: string;
		role: MessageRow['role'];
		content: string;
		run_id: string;
	};
	threads: {tenant: string; thread_id: string; dataset_id: string; title: string; messages: number; updated_at: string};
	approvals: {
		approval_id: string;
		run_id: string;
		action_id: string;
		tenant: string;
		tool: string;
		binding: string;
		preview: string;
		risk: ApprovalRow['risk'];
		state: ApprovalRow['state'];
		requested_by: string;
		requested_at: string;
		approve_by: string;
		execute_by: string | null;
		approver: string | null;
		comment: string | null;
		preview_digest: string;
		required: number;
		escalate_at: string | null;
		detail: string;
	};
	grants: {approval_id: string; tenant: string; person: string; at: string};
	uses: {tenant: string; window_start: string; runs: number; tokens: number; cost_micros: number; bytes: number};
	holds: HoldTable;
	erasures: ErasureTable;
	legal_hold: LegalHoldTable;
	letters: LetterTable;
	citations: Citation;
	leases: {name: string; holder: string; until: string};
	storage: StorageTable;
	storage_holds: StorageHoldTable;
	migrations: {id: number; name: string; checksum: string; applied_at: string};
	reservations: {
		run_id: string;
		tenant: string;
		window_start: string;
		tokens: number;
		cost_micros: number;
		bytes: number;
	};
};

/** Columns of a run as its readers see it. */
export const RUN_ROW = [
	'run_id as runId',
	'tenant',
	'principal',
	'job',
	'mode',
	'thread_id as threadId',
	'dataset_id as datasetId',
	'dataset_hash as datasetHash',
	'question',
	'status',
	'created_at as createdAt',
	'finished_at as finishedAt',
	'duration_ms as durationMs',
	'error_code as errorCode',
	'seq',
] as const;

/** Columns of a run as its writer sees it. */
export const RUN_STATE = [...RUN_ROW, 'holder', 'token', 'lease_until as leaseUntil'] as const;

export const MESSAGE_ROW = [
	'id',
	'thread_id as threadId',
	'created_at as createdAt',
	'dataset_id as datasetId',
	'role',
	'content',
	'run_id as runId',
] as const;

export const THREAD_ROW = [
	'thread_id as threadId',
	'dataset_id as datasetId',
	'title',
	'messages',
	'updated_at as updatedAt',
] as const satisfies readonly (keyof ThreadRow | `${string} as ${keyof ThreadRow}`)[];

export const APPROVAL_ROW = [
	'approval_id as approvalId',
	'run_id as runId',
	'action_id as actionId',
	'tenant',
	'tool',
	'binding',
	'preview',
	'risk',
	'state',
	'requested_by as requestedBy',
	'requested_at as requestedAt',
	'approve_by as approveBy',
	'execute_by as executeBy',
	'approver',
	'comment',
	'preview_digest as previewDigest',
	'required',
	'escalate_at as escalateAt',
	'detail',
] as const;

/** Approvals that are escalated at a time; the next pass finds the rest. */
export const MOST_OVERDUE = 100;

export const USE_ROW = ['tenant', 'window_start as window', 'runs', 'tokens', 'cost_micros as costMicros', 'bytes'] as const;

export const RESERVATION_ROW = [
	'run_id as runId',
	'tenant',
	'window_start as window',
	'tokens',
	'cost_micros as costMicros',
	'bytes',
] as const;

export function toUseRecord({tenant, window, runs, tokens, costMicros, bytes}: UseRow): Tables['uses'] {
	return {tenant, window_start: window, runs, tokens, cost_micros: costMicros, bytes};
}

export function toReservationRecord({runId, tenant, window, tokens, costMicros, bytes}: ReservationRow): Tables['reservations'] {
	return {run_id: runId, tenant, window_start: window, tokens, cost_micros: costMicros, bytes};
}

/** A use replaces what was known of its window. */
export const MERGE_USE = `ON CONFLICT (tenant, window_start) DO UPDATE SET
	runs = excluded.runs, tokens = excluded.tokens, cost_micros = excluded.cost_micros, bytes = excluded.bytes`;

export function toRunRecord(run: RunState): Tables['runs'] {
	return {
		run_id: run.runId,
		tenant: run.tenant,
		principal: run.principal,
		job: run.job,
		mode: run.mode,
		thread_id: run.threadId,
		dataset_id: run.datasetId,
		dataset_hash: run.datasetHash,
		question: run.question,
		question_folded: run.question === null ? null : fold(run.question),
		status: run.status,
		created_at: run.createdAt,
		finished_at: run.finishedAt,
		duration_ms: run.durationMs,
		error_code: run.errorCode,
		seq: run.seq,
		holder: run.holder,
		token: run.token,
		lease_until: run.leaseUntil,
	};
}

/** The columns of a run that change after its start. */
export function toRunUpdate(run: RunState) {
	return {
		run_id: run.runId,
		status: run.status,
		finished_at: run.finishedAt,
		duration_ms: run.durationMs,
		error_code: run.errorCode,
		seq: run.seq,
		lease_until: run.leaseUntil,
	} as const satisfies Partial<Tables['runs']>;
}

export function toApprovalRecord(row: ApprovalRow): Tables['approvals'] {
	return {
		approval_id: row.approvalId,
		run_id: row.runId,
		action_id: row.actionId,
		tenant: row.tenant,
		tool: row.tool,
		binding: row.binding,
		preview: row.preview,
		risk: row.risk,
		state: row.state,
		requested_by: row.requestedBy,
		requested_at: row.requestedAt,
		approve_by: row.approveBy,
		execute_by: row.executeBy,
		approver: row.approver,
		comment: row.comment,
		preview_digest: row.previewDigest,
		required: row.required,
		escalate_at: row.escalateAt,
		detail: row.detail,
	};
}

export function toGrantRecord({approvalId, tenant, person, at}: GrantRow): Tables['grants'] {
	return {approval_id: approvalId, tenant, person, at};
}

/** The columns of an approval that change after its request. */
export const MERGE_APPROVAL = `ON CONFLICT (approval_id) DO UPDATE SET
	state = excluded.state, execute_by = excluded.execute_by, approver = excluded.approver, comment = excluded.comment,
	escalate_at = excluded.escalate_at, detail = excluded.detail`;

export function toMessageRecord(message: MessageDraft): Omit<Tables['messages'], 'id'> {
	return {
		tenant: message.tenant,
		thread_id: message.threadId,
		created_at: message.createdAt,
		dataset_id: message.datasetId,
		role: message.role,
		content: message.content,
		run_id: message.runId,
	};
}

/** What one message does to the row of its thread. */
export function toThreadRecord(message: MessageDraft): Tables['threads'] {
	return {
		tenant: message.tenant,
		thread_id: message.threadId,
		dataset_id: message.datasetId,
		title: message.role === 'user' ? message.content : '',
		messages: 1,
		updated_at: message.createdAt,
	};
}

/** Adds a message to the row of its thread: the first question stays the title, the last dataset counts. */
export const MERGE_THREAD = `ON CONFLICT (tenant, thread_id) DO UPDATE SET
	dataset_id = excluded.dataset_id,
	title = CASE WHEN threads.title = '' THEN excluded.title ELSE threads.title END,
	messages = threads.messages + excluded.messages,
	updated_at = CASE WHEN threads.updated_at > excluded.updated_at THEN threads.updated_at ELSE excluded.updated_at END`;
