import {WritError} from '#contract/errors.ts';
import type {Event, SignedHead} from '#contract/event.ts';
import type {AppendBatch, ApprovalRow, GrantRow, RunRow} from '#kernel/ports.ts';
import {type Citation, citationsOf} from './citations.ts';
import {
	approvalIdOf,
	lapse,
	type MessageDraft,
	projectApproval,
	projectGrant,
	projectMessage,
	projectRun,
	projectStart,
	toInstant,
} from './project.ts';
import {type AuditDraft, projectAudit} from './project-audit.ts';
import {type Ledger, type LedgerChange, spendFrom} from './spend.ts';

/** A run with the lease of its writer. */
export type RunState = RunRow & {readonly holder: string; readonly token: number; readonly leaseUntil: string};

/** What stands before a batch: the run, and every approval that belongs to it or is named by the batch. */
export type Before = {
	readonly run: RunState | null;
	readonly approvals: ReadonlyMap<string, ApprovalRow>;
	/** of the tenant; empty for a batch that spends nothing */
	readonly ledger: Ledger;
	/** whether the change of a mode that `awaitedChange` names is on record */
	readonly isModeChanged?: boolean;
};

/** What a batch writes. `isNew` is true for a run that does not exist yet. */
export type Changes = {
	readonly isNew: boolean;
	readonly run: RunState;
	readonly events: readonly Event[];
	readonly approvals: readonly ApprovalRow[];
	readonly grants: readonly GrantRow[];
	readonly messages: readonly MessageDraft[];
	/** the rows of its events; a store that can make them later need not ask */
	audit(): readonly AuditDraft[];
	readonly citations: readonly Citation[];
	readonly head: SignedHead | null;
	readonly spending: LedgerChange | null;
};

/**
 * Decides whether a batch may join its run, and what it changes: the whole contract of `append`, without a database.
 * Throws `conflict` or `budget_exceeded`, and then nothing may be written.
 */
export function admit(batch: AppendBatch, before: Before): Changes {
	assertShape(batch);
	assertPlace(batch, before.run);
	assertModes(batch, before);
	const {fence, events} = batch;
	const lease = {holder: fence.holder, token: fence.token, leaseUntil: toInstant(fence.until)};
	const approvals = new Map<string, ApprovalRow>();
	const messages: MessageDraft[] = [];
	let run = before.run;
	for (const event of events) {
		if (run === null) {
			run = started(event, lease);
			continue;
		}
		const approvalId = approvalIdOf(event);
		const known = approvalId === null ? undefined : (approvals.get(approvalId) ?? before.approvals.get(approvalId));
		const approval = projectApproval(event, known, run.tenant);
		if (approval) approvals.set(approval.approvalId, approval);
		run = projectRun(run, event, approval);
		if (event.type === 'run.finished') lapseAll(event.runId, before.approvals, approvals);
		const message = projectMessage(event, run.tenant);
		if (message) messages.push(message);
	}
	if (run === null) throw new Error('a batch without events cannot start a run');
	const of = run;
	const {tenant} = run;
	return {
		isNew: before.run === null,
		run: {...run, ...lease},
		events,
		approvals: [...approvals.values()],
		grants: events.flatMap((event) => projectGrant(event, tenant) ?? []),
		messages,
		audit: () => events.flatMap((event) => projectAudit(event, of) ?? []),
		citations: citationsOf(events, of),
		head: batch.head ?? null,
		spending: batch.spend ? spendFrom(before.ledger, batch.runId, batch.spend) : null,
	};
}

/**
 * The run that must not have finished when a batch with an intent is written: the change of a mode after the last that the gates knew
 * of. Null for a batch without intents.
 */
export function awaitedChange({events}: Pick<AppendBatch, 'events'>): string | null {
	const numbers = events.flatMap((event) => (event.type === 'action.intent' ? (event.data.modeNumber ?? []) : []));
	return numbers.length === 0 ? null : `mode-${Math.min(...numbers) + 1}`;
}

/** Whether a batch changes a mode: it is judged before the intents of its group, and alone among those of other servers. */
export function changesMode({events}: Pick<AppendBatch, 'events'>): boolean {
	return events.some(({type}) => type === 'mode.changed');
}

/** Whether approvals have to be loaded before `admit` can judge these events. */
export function touchesApprovals(events: readonly Event[]): boolean {
	return events.some((event) => event.type === 'run.finished' || approvalIdOf(event) !== null);
}

const RETAINING: readonly string[] = ['content.erased', 'hold.placed', 'hold.release-asked', 'hold.released'];

/** Whether an event keeps or erases others: then nothing else shares its transaction. */
export function retains(events: readonly Event[]): boolean {
	return events.some(({type}) => RETAINING.includes(type));
}

function started(event: Event, lease: Pick<RunState, 'holder' | 'token' | 'leaseUntil'>): RunState {
	if (event.type !== 'run.started') throw new Error(`a run starts with \`run.started\`, not with \`${event.type}\``);
	return {...projectStart(event), ...lease};
}

function lapseAll(runId: string, known: Before['approvals'], changed: Map<string, ApprovalRow>): void {
	for (const row of [...known.values(), ...changed.values()])
		if (row.runId === runId) changed.set(row.approvalId, lapse(changed.get(row.approvalId) ?? row));
}

/** A batch that is not one stretch of one run is a mistake of the caller, not a race it lost. */
function assertShape({runId, expectedSeq, events, head}: AppendBatch): void {
	for (const [index, event] of events.entries()) {
		if (event.runId !== runId) throw new Error(`an event of ${event.runId} was appended to ${runId}`);
		if (event.seq !== expectedSeq + index + 1)
			throw new Error(`event ${event.seq} of ${runId} was appended at ${expectedSeq + index + 1}`);
		if (event.type === 'run.started' && event.seq > 1) throw new Error(`${runId} was started twice`);
	}
	if (head && head.runId !== runId) throw new Error(`a head of ${head.runId} was appended to ${runId}`);
}

function assertPlace({runId, expectedSeq, events, fence}: AppendBatch, run: RunState | null): void {
	const seq = run?.seq ?? 0;
	if (run && (run.holder !== fence.holder || run.token !== fence.token))
		throw lost(runId, 'another writer holds this run', {token: run.token, expectedToken: fence.token});
	if (seq !== expectedSeq) throw lost(runId, `the run is at event ${seq}, not ${expectedSeq}`, {seq, expectedSeq});
	if (run?.finishedAt && events.length > 0) throw lost(runId, 'the run is finished', {seq});
}

/** INVARIANT: whoever implements `append` keeps changes of modes out between this and its commit. */
function assertModes(batch: AppendBatch, {isModeChanged}: Before): void {
	if (!isModeChanged) return;
	const modeNumber = Number(awaitedChange(batch)?.slice('mode-'.length));
	throw lost(batch.runId, 'a mode was changed after it was decided', {modeNumber});
}

function lost(runId: string, reason: string, facts: Readonly<Record<string, number>>): WritError {
	return new WritError('conflict', `nothing was written to ${runId}: ${reason}`, {
		hint: 'read the run again and decide anew',
		details: {runId, ...facts},
	});
}
