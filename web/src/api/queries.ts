/** What the page reads from the server, each with its cache key. */
import {infiniteQueryOptions, queryOptions} from '@tanstack/react-query';
import type {z} from 'zod';
import type {
	Capsule,
	ChatResponse,
	ConfigReply,
	DatasetSchemaReply,
	datasetSummarySchema,
	datasetsReplySchema,
	doctorReplySchema,
	readyReplySchema,
	runStatusReplySchema,
	runsReplySchema,
	threadsReplySchema,
	toolsReplySchema,
	Verification,
	WorkReply,
} from '#contract/api.ts';
import type {Approval, ApprovalsReply} from '#contract/approval-api.ts';
import type {BudgetReply} from '#contract/budget.ts';
import type {Event} from '#contract/event.ts';
import type {ModeReply} from '#contract/mode.ts';
import type {ExplainRequest, Explanation, PolicyReply} from '#contract/policy-api.ts';
import type {ReplayReply} from '#contract/reproducibility.ts';
import {getJson, postJson, request} from './client.ts';

export type DatasetSummary = z.infer<typeof datasetSummarySchema>;
export type RunFilter = {
	readonly status?: string;
	readonly mode?: string;
	readonly dataset_id?: string;
	readonly text?: string;
	readonly since?: string;
};

export const datasetsQuery = queryOptions({
	queryKey: ['datasets'],
	queryFn: async ({signal}) => (await getJson<z.infer<typeof datasetsReplySchema>>('/datasets', signal)).datasets,
	staleTime: 30_000,
});

export const datasetQuery = (id: string) =>
	queryOptions({
		queryKey: ['dataset', id],
		queryFn: ({signal}) => getJson<DatasetSchemaReply>(`/datasets/${encodeURIComponent(id)}/schema`, signal),
		staleTime: 30_000,
	});

export async function removeDataset(id: string): Promise<WorkReply> {
	const response = await request(`/api/v1/datasets/${encodeURIComponent(id)}`, {method: 'DELETE'});
	return (await response.json()) as WorkReply;
}

export const threadsQuery = queryOptions({
	queryKey: ['threads'],
	queryFn: async ({signal}) => (await getJson<z.infer<typeof threadsReplySchema>>('/threads?limit=100', signal)).threads,
});

/** A run as whoever asked it saw it. The chat writes live answers here. */
export const responseQuery = (runId: string) =>
	queryOptions({
		queryKey: ['response', runId],
		queryFn: async ({signal}) => toResponse(await getJson<Capsule>(runPath(runId), signal)),
		staleTime: ({state}) => (isOpen(state.data?.status) ? 0 : Number.POSITIVE_INFINITY),
	});

export const capsuleQuery = (runId: string) =>
	queryOptions({
		queryKey: ['capsule', runId],
		queryFn: ({signal}) => getJson<Capsule>(runPath(runId), signal),
		refetchInterval: ({state}) => (isOpen(state.data?.status) ? 1_500 : false),
	});

export const eventsQuery = (runId: string) =>
	queryOptions({
		queryKey: ['events', runId],
		queryFn: async ({signal}) => (await getJson<{events: Event[]}>(`${runPath(runId)}/events`, signal)).events,
		refetchInterval: ({state}) => (state.data?.at(-1)?.type === 'run.finished' ? false : 1_500),
	});

export const runStatusQuery = (runId: string, everyMs: number) =>
	queryOptions({
		queryKey: ['status', runId],
		queryFn: ({signal}) => getJson<z.infer<typeof runStatusReplySchema>>(`${runPath(runId)}/status`, signal),
		refetchInterval: everyMs,
		gcTime: 0,
	});

export const runsQuery = (filter: RunFilter) =>
	infiniteQueryOptions({
		queryKey: ['runs', filter],
		queryFn: ({pageParam, signal}) => {
			const given = Object.entries({...filter, cursor: pageParam}).filter(([, value]) => value);
			return getJson<z.infer<typeof runsReplySchema>>(
				`/runs?${new URLSearchParams([...given, ['limit', '50']] as string[][])}`,
				signal,
			);
		},
		initialPageParam: '',
		getNextPageParam: (page) => page.next_cursor,
	});

export const approvalsQuery = (state: Approval['state'] | 'all') =>
	queryOptions({
		queryKey: ['approvals', state],
		queryFn: ({signal}) => getJson<ApprovalsReply>(`/api/v1/approvals${state === 'all' ? '' : `?state=${state}`}`, signal),
		refetchInterval: 10_000,
	});

/** A server that is not ready says so with 503 and the same body. */
export const readyQuery = queryOptions({
	queryKey: ['ready'],
	queryFn: async ({signal}) => (await (await fetch('/readyz', {signal})).json()) as z.infer<typeof readyReplySchema>,
	refetchInterval: 20_000,
	retry: false,
});

export const modeQuery = queryOptions({
	queryKey: ['mode'],
	queryFn: ({signal}) => getJson<ModeReply>('/api/v1/kill-switch', signal),
	refetchInterval: 10_000,
});

export const budgetQuery = queryOptions({
	queryKey: ['budget'],
	queryFn: ({signal}) => getJson<BudgetReply>('/api/v1/budget', signal),
	refetchInterval: 10_000,
});

export const doctorQuery = queryOptions({
	queryKey: ['doctor'],
	queryFn: ({signal}) => getJson<z.infer<typeof doctorReplySchema>>('/api/v1/doctor', signal),
});

export const policyQuery = queryOptions({
	queryKey: ['policy'],
	queryFn: ({signal}) => getJson<PolicyReply>('/api/v1/policy', signal),
});

export const explainDecision = (wanted: ExplainRequest) => postJson<Explanation>('/api/v1/policy/explain', wanted);

export const toolsQuery = queryOptions({
	queryKey: ['tools'],
	queryFn: async ({signal}) => (await getJson<z.infer<typeof toolsReplySchema>>('/api/v1/tools', signal)).tools,
});

export const configQuery = queryOptions({
	queryKey: ['config'],
	queryFn: async ({signal}) => (await getJson<ConfigReply>('/api/v1/config', signal)).settings,
});

export const runPath = (runId: string) => `/runs/${encodeURIComponent(runId)}`;
export const verifyRun = (runId: string) => postJson<Verification>(`${runPath(runId)}/verify`);
export const replayRun = (runId: string) => postJson<ReplayReply>(`/api/v1${runPath(runId)}/replay`);
export const rerun = (runId: string) => postJson<ChatResponse>(`${runPath(runId)}/rerun`);
export const cancelRun = (runId: string) => postJson<z.infer<typeof runStatusReplySchema>>(`${runPath(runId)}/cancel`);
/** An answer of this person. A grant repeats the digest of the preview that was on the page. */
export type ApprovalAnswer =
	| {readonly verb: 'grant'; readonly comment: string; readonly previewDigest: string; readonly confirm?: string}
	| {readonly verb: 'reject' | 'revoke' | 'comment'; readonly comment: string}
	| {readonly verb: 'delegate'; readonly comment: string; readonly to: string};
export const answerApproval = (approvalId: string, {verb, ...body}: ApprovalAnswer) =>
	postJson<Approval>(`/api/v1/approvals/${encodeURIComponent(approvalId)}/${verb}`, body);

export function isOpen(status: ChatResponse['status'] | undefined): boolean {
	return status === 'running' || status === 'awaiting_approval';
}

const EMPTY: ChatResponse['result'] = {
	columns: [],
	column_types: [],
	rows: [],
	row_count: 0,
	total_rows: null,
	truncated: null,
	exec_time_ms: 0,
	error: null,
};

export function toResponse({
	run_id,
	thread_id,
	status,
	details,
	assistant_message,
	result_json,
	error_json,
}: Capsule): ChatResponse {
	const hint = error_json?.hint === undefined ? {} : {hint: error_json.hint};
	const error = error_json && {type: error_json.code.toUpperCase(), message: error_json.message, ...hint};
	return {
		assistant_message: assistant_message ?? '',
		run_id,
		thread_id,
		status,
		details,
		result: result_json ?? {...EMPTY, error},
	};
}
