/**
 * Bodies of the HTTP API. The analyst routes keep the reference's snake_case names; everything under `/api/v1` is camelCase.
 */
import {z} from 'zod';
import {errorBodySchema, runStatusSchema} from './event.ts';
import {columnTypeSchema, truncationSchema} from './table.ts';

export const queryModeSchema = z.enum(['sql', 'python', 'plan', 'chat', 'export', 'ingest']);
export type QueryMode = z.infer<typeof queryModeSchema>;

export const chatRequestSchema = z.object({
	dataset_id: z.string().min(1).max(63),
	message: z.string().max(20_000),
	thread_id: z.string().max(200).nullish(),
	user_id: z.string().max(200).nullish(),
});
export type ChatRequest = z.infer<typeof chatRequestSchema>;

export const runRequestSchema = z.object({
	dataset_id: z.string().min(1).max(63),
	query_type: z.enum(['sql', 'python', 'plan']).default('sql'),
	sql: z.string().max(200_000).nullish(),
	python_code: z.string().max(200_000).nullish(),
	plan_json: z.record(z.string(), z.unknown()).nullish(),
	thread_id: z.string().max(200).nullish(),
});
export type RunRequest = z.infer<typeof runRequestSchema>;

export const resultSchema = z.object({
	columns: z.array(z.string()),
	column_types: z.array(columnTypeSchema),
	rows: z.array(z.array(z.json())),
	/** rows in this reply */
	row_count: z.int(),
	/** rows the query produced; null where they were not counted */
	total_rows: z.int().nullable(),
	truncated: truncationSchema.nullable(),
	exec_time_ms: z.number(),
	error: z.object({type: z.string(), message: z.string(), hint: z.string().optional()}).nullable(),
	stdout_trunc: z.string().optional(),
	stderr_trunc: z.string().optional(),
});
export type Result = z.infer<typeof resultSchema>;

export const chartSpecSchema = z.record(z.string(), z.json());

export const detailsSchema = z.object({
	dataset_id: z.string(),
	query_mode: queryModeSchema,
	/** the plan with all its defaults */
	plan_json: z.record(z.string(), z.unknown()).nullable(),
	/** the plan in one sentence */
	plan_sentence: z.string().nullable(),
	compiled_sql: z.string().nullable(),
	python_code: z.string().nullable(),
	/** a Vega-Lite spec without data; the reader joins it with `result` */
	chart: chartSpecSchema.nullable(),
	/** what the answer does not say by itself: truncation, joins that fan out, numbers no result holds */
	warnings: z.array(z.string()),
	/** questions that would have been answered, when this one was not */
	suggestions: z.array(z.string()),
	/** set while a person has to answer */
	approval_id: z.string().nullable(),
});
export type Details = z.infer<typeof detailsSchema>;

/** The one shape of every execution: `/chat`, `/runs`, re-runs and the `result` event. */
export const chatResponseSchema = z.object({
	assistant_message: z.string(),
	run_id: z.string(),
	thread_id: z.string().nullable(),
	status: runStatusSchema,
	result: resultSchema,
	details: detailsSchema,
});
export type ChatResponse = z.infer<typeof chatResponseSchema>;

/** The capsule's thirteen columns of the reference, plus what a reviewer needs. */
export const capsuleSchema = z.object({
	run_id: z.string(),
	created_at: z.string(),
	dataset_id: z.string().nullable(),
	dataset_version_hash: z.string().nullable(),
	question: z.string().nullable(),
	query_mode: z.string(),
	plan_json: z.record(z.string(), z.unknown()).nullable(),
	compiled_sql: z.string().nullable(),
	python_code: z.string().nullable(),
	status: runStatusSchema,
	result_json: resultSchema.nullable(),
	error_json: errorBodySchema.nullable(),
	exec_time_ms: z.number().nullable(),
	thread_id: z.string().nullable(),
	assistant_message: z.string().nullable(),
	/** signed head of the chain; null until the run has finished */
	head: z.object({seq: z.int(), hash: z.string(), key_id: z.string()}).nullable(),
	details: detailsSchema,
});
export type Capsule = z.infer<typeof capsuleSchema>;

export const datasetSummarySchema = z.object({
	id: z.string(),
	name: z.string(),
	description: z.string(),
	prompts: z.array(z.string()),
	version_hash: z.string(),
	row_count: z.int(),
	tables: z.array(z.object({name: z.string(), rows: z.int()})),
	tags: z.array(z.string()),
});

export const runSummarySchema = z.object({
	run_id: z.string(),
	created_at: z.string(),
	finished_at: z.string().nullable(),
	duration_ms: z.number().nullable(),
	job: z.string(),
	query_mode: z.string(),
	dataset_id: z.string().nullable(),
	thread_id: z.string().nullable(),
	question: z.string().nullable(),
	status: runStatusSchema,
	error_type: z.string().nullable(),
});
export type RunSummary = z.infer<typeof runSummarySchema>;

/** What checking the evidence of a run showed; the same from the API, the page and `writ evidence verify`. */
export const verificationSchema = z.object({
	verdict: z.enum(['valid', 'tampered', 'cannot_tell']),
	runId: z.string().nullable(),
	events: z.int(),
	keyId: z.string().nullable(),
	/** each with what was looked at; a verifier that examined nothing answers `cannot_tell` */
	checks: z.array(z.object({name: z.string(), passed: z.boolean(), detail: z.string()})),
	/** seq of the first bad event, when tampered */
	position: z.int().nullable(),
});
export type Verification = z.infer<typeof verificationSchema>;

/** Every error reply. `detail` repeats the message for clients of the reference API. */
export const errorReplySchema = z.object({detail: z.unknown(), error: errorBodySchema.extend({requestId: z.string()})});
