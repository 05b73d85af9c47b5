/**
 * Bodies of the HTTP API. The analyst routes keep the reference's snake_case names; everything under `/api/v1` is camelCase.
 */
import {z} from 'zod';
import {chartSchema} from './chart.ts';
import {relationshipSchema} from './dataset.ts';
import {actionStateSchema, effectSchema, errorBodySchema, riskSchema, runStatusSchema, verdictSchema} from './event.ts';
import {actionLimitsSchema} from './limits.ts';
import {networkSchema, testFrameworkSchema} from './sandbox.ts';
import {scopeSchema} from './scope.ts';
import {strict} from './strict.ts';
import {cellSchema, columnTypeSchema, truncationSchema} from './table.ts';

const queryModeSchema = z.enum(['sql', 'python', 'plan', 'chat', 'export', 'ingest']);
export type QueryMode = z.infer<typeof queryModeSchema>;

export const chatRequestSchema = strict({
	dataset_id: z.string().min(1).max(63),
	message: z.string().max(20_000),
	thread_id: z.string().max(200).nullish(),
	user_id: z.string().max(200).nullish(),
	/** all that may be done to answer it; without it whatever policy allows */
	scope: scopeSchema.optional(),
});
export type ChatRequest = z.infer<typeof chatRequestSchema>;

export const runRequestSchema = strict({
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
	rows: z.array(z.array(cellSchema)),
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
	chart: chartSchema.nullable(),
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
	/** every action of the run, in the order it was proposed */
	actions: z.array(z.object({action_id: z.string(), tool: z.string(), state: actionStateSchema, risk: riskSchema.nullable()})),
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
	/** `notices` say what was odd about a file, and how it was read */
	tables: z.array(z.object({name: z.string(), rows: z.int(), notices: z.array(z.string())})),
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
	/** of a bundle: the first file that is wrong, when tampered */
	file: z.string().optional(),
});
export type Verification = z.infer<typeof verificationSchema>;

/** Every error reply. `detail` repeats the message for clients of the reference API. */
export const errorReplySchema = z.object({detail: z.unknown(), error: errorBodySchema.extend({requestId: z.string()})});
export type ErrorReply = z.infer<typeof errorReplySchema>;

export const datasetsReplySchema = z.object({datasets: z.array(datasetSummarySchema)});

/** One file of a dataset: the reference's column map, enriched with what profiling learned. */
const datasetFileSchema = z.object({
	name: z.string(),
	path: z.string(),
	description: z.string(),
	row_count: z.int(),
	sha256: z.string(),
	/** column name → its description */
	schema: z.record(
		z.string(),
		z.object({
			/** the engine's type, e.g. `DECIMAL(18,2)` */
			type: z.string(),
			wire_type: columnTypeSchema,
			description: z.string(),
			unit: z.string().nullable(),
			nullable: z.boolean(),
			/** null, like all below, where the caller may not know of the values */
			nulls: z.int().nullable(),
			distinct: z.int().nullable(),
			min: z.json().nullable(),
			max: z.json().nullable(),
			values: z.array(z.object({value: z.json(), count: z.int()})).nullable(),
		}),
	),
	/** empty where the caller may not read them */
	sample_rows: z.array(z.record(z.string(), z.json())),
	/** what was odd about the file and what was done about it, and what is not shown and why */
	notices: z.array(z.string()),
});

export const datasetSchemaReplySchema = z.object({
	id: z.string(),
	name: z.string(),
	description: z.string(),
	version_hash: z.string(),
	/** the moment that "today" refers to; null when the data has no time in it */
	now: z.string().nullable(),
	relationships: z.array(relationshipSchema),
	files: z.array(datasetFileSchema),
});
export type DatasetSchemaReply = z.infer<typeof datasetSchemaReplySchema>;

/** What became of each sample: `added`, or there already. */
export const samplesReplySchema = z.object({
	datasets: z.array(z.object({id: z.string(), rows: z.number(), added: z.boolean()})),
});
export type AddedSample = z.infer<typeof samplesReplySchema>['datasets'][number];

/** Adding files that are on the server's own disk; only a loopback, single-user server takes it. */
export const datasetByPathSchema = z.object({
	path: z.union([z.string().min(1), z.array(z.string().min(1)).min(1).max(64)]),
	id: z.string().max(63).optional(),
	name: z.string().max(200).optional(),
	description: z.string().max(2_000).optional(),
});

export const runsQuerySchema = strict({
	job: z.string().max(50).optional(),
	status: runStatusSchema.optional(),
	dataset_id: z.string().max(63).optional(),
	thread_id: z.string().max(200).optional(),
	mode: z.string().max(50).optional(),
	text: z.string().max(200).optional(),
	since: z.iso.datetime({offset: true}).optional(),
	until: z.iso.datetime({offset: true}).optional(),
	cursor: z.string().max(500).optional(),
	limit: z.coerce.number().int().min(1).max(200).default(50),
});
export const runsReplySchema = z.object({runs: z.array(runSummarySchema), next_cursor: z.string().nullable()});
export const runStatusReplySchema = z.object({run_id: z.string(), status: runStatusSchema});

export const threadSummarySchema = z.object({
	thread_id: z.string(),
	dataset_id: z.string(),
	/** the first question */
	title: z.string(),
	messages: z.int(),
	updated_at: z.string(),
});
export const threadsReplySchema = z.object({threads: z.array(threadSummarySchema)});
export const messageSchema = z.object({
	id: z.int(),
	thread_id: z.string(),
	created_at: z.string(),
	dataset_id: z.string(),
	role: z.enum(['user', 'assistant']),
	content: z.string(),
	run_id: z.string(),
	metadata: z.record(z.string(), z.unknown()).nullable(),
});
export const messagesReplySchema = z.object({thread_id: z.string(), messages: z.array(messageSchema)});

/** A part of the platform and whether it is ready; `why` and `fix` are sentences for the person who runs it. */
export const checkSchema = z.object({
	name: z.string(),
	ok: z.boolean(),
	/** false when the platform serves without it */
	required: z.boolean(),
	why: z.string(),
	fix: z.string().nullable(),
	facts: z.record(z.string(), z.json()).optional(),
});
export type Check = z.infer<typeof checkSchema>;
export const readyReplySchema = z.object({status: z.enum(['ready', 'not_ready']), components: z.array(checkSchema)});
export const doctorReplySchema = z.object({ok: z.boolean(), version: z.string(), checks: z.array(checkSchema)});

export const toolSummarySchema = z.object({
	name: z.string(),
	version: z.string(),
	title: z.string(),
	description: z.string(),
	effect: effectSchema,
	/** null when it depends on the input */
	risk: riskSchema.nullable(),
	idempotent: z.boolean(),
	limits: actionLimitsSchema,
	/** JSON Schema */
	input: z.record(z.string(), z.unknown()),
});
export const toolsReplySchema = z.object({tools: z.array(toolSummarySchema)});

/** Settings in force and where each came from; secrets are shown as set or not set. */
export const configReplySchema = z.object({
	settings: z.array(z.object({name: z.string(), value: z.json(), source: z.enum(['default', 'file', 'environment', 'flag'])})),
});
export type ConfigReply = z.infer<typeof configReplySchema>;

const givenFileSchema = z.strictObject({
	/** where it will be, below `/in` */
	name: z.string().min(1).max(1_024),
	content: z.string(),
	encoding: z.enum(['utf8', 'base64']).default('utf8'),
});
const givenFilesSchema = z.array(givenFileSchema).max(1_000);
export type GivenFile = z.infer<typeof givenFileSchema>;

export const codeRequestSchema = z.strictObject({
	language: z.enum(['javascript', 'python', 'shell']),
	code: z.string().min(1).max(200_000),
	files: givenFilesSchema.default([]),
	/** whether files that it leaves in `/out` are kept */
	artifacts: z.boolean().default(false),
	/** hosts that it may reach, where policy allows them */
	network: networkSchema.optional(),
	/** all that it may call; without it whatever policy allows */
	scope: scopeSchema.optional(),
});
export type CodeRequest = z.infer<typeof codeRequestSchema>;

export const testsRequestSchema = z.strictObject({
	framework: testFrameworkSchema,
	files: givenFilesSchema.min(1),
	/** which of the files to run; all, unless stated */
	paths: z.array(z.string().min(1).max(1_024)).max(100).default([]),
});
export type TestsRequest = z.infer<typeof testsRequestSchema>;

/** What became of a program or a test run. */
export const workReplySchema = z.object({
	runId: z.string(),
	status: runStatusSchema,
	tool: z.string().nullable(),
	/** what its tool returned; null when it did not succeed */
	output: z.json(),
	error: errorBodySchema.nullable(),
	verdict: verdictSchema.nullable(),
	/** set while a person has to answer */
	approvalId: z.string().nullable(),
	/** what its code called for */
	calls: z.array(z.object({actionId: z.string(), tool: z.string(), state: actionStateSchema})),
});
export type WorkReply = z.infer<typeof workReplySchema>;
