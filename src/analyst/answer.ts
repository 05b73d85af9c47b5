/**
 * A run's events as the reply to whoever asked, and as its capsule. The live reply and the one read back a year later are the
 * same function of the same events.
 */
import type {Capsule, ChatResponse, Details, QueryMode, Result} from '#contract/api.ts';
import type {ErrorBody} from '#contract/errors.ts';
import type {Event, EventData, EventType, RunStatus, SignedHead} from '#contract/event.ts';
import {actionState} from '#kernel/action-state.ts';
import {denialError} from '#kernel/denial.ts';
import {chartFor} from './chart.ts';
import type {Computed} from './compute.ts';
import {hintOf} from './hint.ts';
import type {ComputedPlan} from './query-plan.ts';
import {truncationNotice} from './summary.ts';

/** What the tools of this room compute with, and the mode each stands for. */
const MODES: Readonly<Record<string, QueryMode>> = {
	'analyst.sql': 'sql',
	'analyst.python': 'python',
	'analyst.query_plan': 'plan',
};

/** `fallback` answers for a run that has said nothing itself: a direct run, or one that still works. */
export function toResponse(events: readonly Event[], fallback: string): ChatResponse {
	const started = only(events, 'run.started');
	const spoken = all(events, 'message.added').findLast((message) => message.role === 'assistant');
	return {
		assistant_message: spoken?.content ?? fallback,
		run_id: events[0]?.runId ?? '',
		thread_id: started.threadId,
		status: statusOf(events),
		result: toResult(events),
		details: toDetails(events),
	};
}

export function toCapsule(events: readonly Event[], head: SignedHead | null): Capsule {
	const started = only(events, 'run.started');
	const {assistant_message, run_id, result, details, status} = toResponse(events, '');
	const finished = all(events, 'run.finished').at(-1);
	return {
		run_id,
		created_at: events[0]?.at ?? '',
		dataset_id: started.dataset?.id ?? null,
		dataset_version_hash: started.dataset?.hash ?? null,
		question: started.question,
		query_mode: details.query_mode,
		plan_json: details.plan_json,
		compiled_sql: details.compiled_sql,
		python_code: details.python_code,
		status,
		result_json: finished ? result : null,
		error_json: errorOf(events),
		exec_time_ms: result.exec_time_ms,
		thread_id: started.threadId,
		assistant_message: assistant_message || null,
		actions: toActions(events),
		head: head && {seq: head.seq, hash: head.hash, key_id: head.keyId},
		details,
	};
}

function toActions(events: readonly Event[]): Capsule['actions'] {
	const decisions = all(events, 'action.decided');
	return all(events, 'action.proposed').map(({actionId, tool}) => ({
		action_id: actionId,
		tool,
		state: actionState(actionId, events) ?? 'proposed',
		risk: decisions.findLast((decided) => decided.actionId === actionId)?.decision.risk ?? null,
	}));
}

/** The action whose output is the answer: the one the run names, else the last that computed something. */
export function resultAction(
	events: readonly Event[],
): {readonly actionId: string; readonly mode: QueryMode; readonly outcome: EventData<'action.outcome'> | null} | null {
	const named = all(events, 'run.finished').at(-1)?.resultActionId;
	const computing = all(events, 'action.proposed').filter(
		// What code called for is part of that code's result, not one of its own.
		({tool, parentActionId}) => tool in MODES && parentActionId === undefined,
	);
	const outcomes = all(events, 'action.outcome');
	const succeeded = (id: string) => outcomes.some((outcome) => outcome.actionId === id && outcome.status === 'succeeded');
	const chosen =
		computing.find((action) => action.actionId === named) ??
		computing.findLast((action) => succeeded(action.actionId)) ??
		computing.at(-1);
	if (!chosen) return null;
	const outcome = outcomes.find(({actionId}) => actionId === chosen.actionId) ?? null;
	return {actionId: chosen.actionId, mode: MODES[chosen.tool] ?? 'chat', outcome};
}

/** Why a run has no result: the outcome's error, the gate that denied, or how the run ended. */
function errorOf(events: readonly Event[]): ErrorBody | null {
	const action = resultAction(events);
	const finished = all(events, 'run.finished').at(-1);
	if (finished?.error) return finished.error as ErrorBody;
	if (action?.outcome) return action.outcome.error as ErrorBody | null;
	const denial = all(events, 'action.decided').findLast(
		({actionId, decision}) => actionId === action?.actionId && decision.effect === 'deny',
	);
	return denial ? denialError(denial.decision) : null;
}

/** What a run is at after these events, as its row says too. */
export function statusOf(events: readonly Event[]): RunStatus {
	const finished = all(events, 'run.finished').at(-1);
	if (finished) return finished.status;
	const asked = events.findLastIndex((event) => event.type === 'approval.requested' || event.type === 'run.parked');
	const answered = events.findLastIndex((event) => event.type === 'approval.granted' || event.type === 'approval.rejected');
	return asked > answered ? 'awaiting_approval' : 'running';
}

function toResult(events: readonly Event[]): Result {
	const action = resultAction(events);
	const computed = action?.outcome?.status === 'succeeded' ? (action.outcome.output as Computed) : null;
	const error = errorOf(events);
	const hint = error ? hintOf(error) : undefined;
	return {
		columns: computed?.table.columns.map((column) => column.name) ?? [],
		column_types: computed?.table.columns.map((column) => column.type) ?? [],
		rows: computed?.table.rows ?? [],
		row_count: computed?.table.rows.length ?? 0,
		total_rows: computed?.table.totalRows ?? (computed ? null : 0),
		truncated: computed?.table.truncated ?? null,
		exec_time_ms: computed?.execTimeMs ?? action?.outcome?.durationMs ?? 0,
		error: error && {type: error.code.toUpperCase(), message: error.message, ...(hint === undefined ? {} : {hint})},
		...(computed && (computed.stdout || computed.stderr) ? {stdout_trunc: computed.stdout, stderr_trunc: computed.stderr} : {}),
	};
}

function toDetails(events: readonly Event[]): Details {
	const action = resultAction(events);
	const proposed = all(events, 'action.proposed').find(({actionId}) => actionId === action?.actionId);
	const input = (proposed?.input ?? {}) as {sql?: string; python_code?: string};
	const output = (action?.outcome?.output ?? null) as (Computed & Partial<ComputedPlan>) | null;
	const speech = all(events, 'message.added').findLast((message) => message.role === 'assistant');
	return {
		dataset_id: only(events, 'run.started').dataset?.id ?? '',
		query_mode: action?.mode ?? modeOf(only(events, 'run.started').mode),
		plan_json: output?.plan ?? null,
		plan_sentence: output?.sentence ?? null,
		compiled_sql: output?.sql ?? input.sql ?? null,
		python_code: input.python_code ?? null,
		chart: chosenChart(events) ?? (output ? chartFor(output.table) : null),
		warnings: [...resultWarnings(output), ...(all(events, 'answer.checked').at(-1)?.warnings ?? [])],
		suggestions: speech?.suggestions ?? [],
		approval_id: statusOf(events) === 'awaiting_approval' ? awaited(events) : null,
	};
}

/** The approval that a run waits for; of several the one that was asked for last. */
function awaited(events: readonly Event[]): string | null {
	const settled = new Set(
		events.flatMap(({type, data}) => (type === 'approval.rejected' || type === 'action.intent' ? [data.approvalId] : [])),
	);
	return all(events, 'approval.requested').findLast(({approvalId}) => !settled.has(approvalId))?.approvalId ?? null;
}

function modeOf(mode: string): QueryMode {
	return mode === 'sql' || mode === 'python' || mode === 'plan' || mode === 'export' || mode === 'ingest' ? mode : 'chat';
}

function resultWarnings(output: (Computed & Partial<ComputedPlan>) | null): readonly string[] {
	if (!output) return [];
	const {truncated, rows, nonFinite} = output.table;
	return [
		...(truncated ? [truncationNotice(truncated, rows.length)] : []),
		...(nonFinite > 0
			? [
					`${nonFinite === 1 ? '1 value that is not a finite number is' : `${nonFinite} values that are not finite numbers are`} shown as empty.`,
				]
			: []),
		...(output.warnings ?? []),
	];
}

function chosenChart(events: readonly Event[]): Details['chart'] {
	const charts = all(events, 'action.proposed').filter(({tool}) => tool === 'analyst.chart');
	const drawn = all(events, 'action.outcome').findLast(
		({actionId, status}) => status === 'succeeded' && charts.some((chart) => chart.actionId === actionId),
	);
	return drawn ? (drawn.output as {chart: NonNullable<Details['chart']>}).chart : null;
}

function all<T extends EventType>(events: readonly Event[], type: T): EventData<T>[] {
	return events.filter((event) => event.type === type).map((event) => event.data as EventData<T>);
}

function only<T extends EventType>(events: readonly Event[], type: T): EventData<T> {
	const [first] = all(events, type);
	if (!first) throw new Error(`a run without ${type}`);
	return first;
}
