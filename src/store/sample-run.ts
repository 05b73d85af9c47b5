/** Runs for the tests and benchmarks of this room: valid events with stand-in hashes. */
import type {Event, EventBody, EventData, Principal} from '#contract/event.ts';
import type {AppendBatch} from '#kernel/ports.ts';

export const ANN: Principal = {kind: 'user', id: 'ann', tenant: 'local'};

export type Fence = AppendBatch['fence'];

/** A lease that has not run out at `at(n)` for any small n. */
export const FENCE: Fence = {holder: 'one', token: 1, until: '2026-03-01T13:00:00.000Z'};

/** The n-th second of the tests' clock. */
export function at(second: number): string {
	return new Date(Date.UTC(2026, 2, 1, 12, 0, second)).toISOString();
}

type Place = {readonly runId: string; readonly expectedSeq: number; readonly fence?: Fence; readonly second?: number};

/** The batch that puts `bodies` after `expectedSeq`. */
export function batch({runId, expectedSeq, fence = FENCE, second = expectedSeq}: Place, ...bodies: EventBody[]): AppendBatch {
	const events = bodies.map((body, index): Event => {
		const seq = expectedSeq + index + 1;
		return {v: 1, runId, seq, at: at(second), ...body, prev: hash(seq - 1), hash: hash(seq)};
	});
	return {runId, expectedSeq, events, fence};
}

export function hash(seq: number): string {
	return seq.toString(16).padStart(64, '0');
}

export function started(data: Partial<EventData<'run.started'>> = {}): EventBody {
	const principal = data.principal ?? ANN;
	return {
		type: 'run.started',
		actor: principal,
		data: {
			job: 'analyst',
			mode: 'sql',
			threadId: null,
			question: 'How many tickets?',
			dataset: {id: 'support', hash: 'h1'},
			principal,
			software: '0.1.0',
			policyVersion: 'p1',
			...data,
		},
	};
}

export function message(role: 'user' | 'assistant', content: string, threadId = 't1', datasetId = 'support'): EventBody {
	return {type: 'message.added', actor: ANN, data: {role, content, threadId, datasetId}};
}

export function asked(approvalId = 'apr_1', approveBy = at(600)): EventBody {
	const data = {binding: 'b1', tool: 'docker.restart', preview: 'restart web', risk: 'high', requestedBy: ANN} as const;
	return {
		type: 'approval.requested',
		actor: ANN,
		data: {...data, approvalId, actionId: 'act_1', approveBy, executeWithinMs: 60_000},
	};
}

const BOB: Principal = {kind: 'user', id: 'bob', tenant: 'local'};

export function granted(approvalId = 'apr_1', executeBy = at(700)): EventBody {
	return {
		type: 'approval.granted',
		actor: BOB,
		data: {approvalId, actionId: 'act_1', approver: BOB, comment: 'go ahead', executeBy},
	};
}

export function rejected(approvalId = 'apr_1'): EventBody {
	return {type: 'approval.rejected', actor: BOB, data: {approvalId, actionId: 'act_1', approver: BOB, comment: 'not now'}};
}

export function expired(approvalId = 'apr_1'): EventBody {
	return {type: 'approval.expired', actor: ANN, data: {approvalId, actionId: 'act_1'}};
}

export function intent(approvalId: string | null = null, binding = 'b1'): EventBody {
	return {
		type: 'action.intent',
		actor: ANN,
		data: {actionId: 'act_1', permitId: 'pmt_1', approvalId, binding, limits: {wallMs: 1000}},
	};
}

export function resumed(): EventBody {
	return {type: 'run.resumed', actor: ANN, data: {reason: 'the server restarted'}};
}

export function finished(status: EventData<'run.finished'>['status'] = 'succeeded', code?: string): EventBody {
	const error = code === undefined ? null : {code, message: 'it failed', retry: 'never' as const, details: {}};
	return {type: 'run.finished', actor: ANN, data: {status, resultActionId: null, error, durationMs: 12.5}};
}
