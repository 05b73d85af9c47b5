/** Rows of the store and domain values as bodies of the API. */
import type {z} from 'zod';
import type {Analyst, Caller} from '#analyst/analyst.ts';
import type {
	Capsule,
	ChatResponse,
	DatasetSchemaReply,
	datasetSummarySchema,
	messageSchema,
	Result,
	RunSummary,
	threadSummarySchema,
	toolSummarySchema,
} from '#contract/api.ts';
import type {ColumnProfile, Dataset} from '#contract/dataset.ts';
import {WritError} from '#contract/errors.ts';
import type {MessageRow, RunRow, Store, ThreadRow} from '#kernel/ports.ts';
import type {AnyTool} from '#kernel/tool.ts';

type Cell = Result['rows'][number][number];

export function toDatasetSummary(dataset: Dataset): z.infer<typeof datasetSummarySchema> {
	const {id, name, description, prompts, hash, tables, tags} = dataset;
	const row_count = tables.reduce((sum, table) => sum + table.rows, 0);
	const sizes = tables.map((table) => ({name: table.name, rows: table.rows, notices: table.notices}));
	return {id, name, description, prompts, version_hash: hash, row_count, tables: sizes, tags};
}

const SAMPLE_ROWS = 3;

type File = DatasetSchemaReply['files'][number];
type Shown = Pick<File, 'schema' | 'sample_rows' | 'notices'>;

/** A dataset as far as the caller may read it: with its first rows, with what profiling learned, or with names and types alone. */
export async function toDatasetSchema(analyst: Analyst, dataset: Dataset, caller: Caller): Promise<DatasetSchemaReply> {
	const {id, name, description, hash, now, relationships} = dataset;
	const refusal = await refusalOf(analyst.assertMayDescribe(id, caller));
	const shown = async (table: Table): Promise<Shown> => {
		if (!refusal) return withRows(table, analyst.sample(id, table.name, SAMPLE_ROWS, caller));
		return {...shownOf(table, toBareColumn), sample_rows: [], notices: [`only names and types are shown: ${refusal.message}`]};
	};
	const files = await Promise.all(
		dataset.tables.map(async (table) => ({
			name: table.name,
			path: table.source.name,
			description: table.description,
			row_count: table.rows,
			sha256: table.sha256,
			...(await shown(table)),
		})),
	);
	return {id, name, description, version_hash: hash, now: refusal ? null : now, relationships, files};
}

const REFUSALS: ReadonlySet<string> = new Set(['policy_denied', 'feature_disabled', 'stopped', 'budget_exceeded']);

/** A policy or a stop may keep something from being shown: then the reply says so. Any other failure is thrown. */
async function refusalOf(work: Promise<unknown>): Promise<WritError | null> {
	try {
		await work;
		return null;
	} catch (error) {
		if (error instanceof WritError && REFUSALS.has(error.code)) return error;
		throw error;
	}
}

type Table = Dataset['tables'][number];

async function withRows(table: Table, read: ReturnType<Analyst['sample']>): Promise<Shown> {
	const refusal = await refusalOf(read);
	const notices = refusal ? [...table.notices, `no sample of its rows: ${refusal.message}`] : table.notices;
	const rows = refusal ? [] : await read;
	return {
		schema: shownOf(table, toColumn).schema,
		sample_rows: rows.map((row) => ({...row}) as Record<string, Cell>),
		notices: [...notices],
	};
}

function shownOf({columns}: Table, show: (column: ColumnProfile) => File['schema'][string]): Pick<File, 'schema'> {
	return {schema: Object.fromEntries(columns.map((column) => [column.name, show(column)]))};
}

function toColumn(column: ColumnProfile): File['schema'][string] {
	const {nulls, distinct, min, max, values} = column;
	return {...toBareColumn(column), nullable: nulls > 0, nulls, distinct, min, max, values: values ?? null};
}

/** What a column is, and nothing of what is in it. */
function toBareColumn({type, engineType, description, unit}: ColumnProfile): File['schema'][string] {
	const unknown = {nullable: true, nulls: null, distinct: null, min: null, max: null, values: null};
	return {type: engineType, wire_type: type, description, unit: unit ?? null, ...unknown};
}

export function toRunSummary(row: RunRow): RunSummary {
	return {
		run_id: row.runId,
		created_at: row.createdAt,
		finished_at: row.finishedAt,
		duration_ms: row.durationMs,
		job: row.job,
		query_mode: row.mode,
		dataset_id: row.datasetId,
		thread_id: row.threadId,
		question: row.question,
		status: row.status,
		error_type: row.errorCode === null ? null : row.errorCode.toUpperCase(),
	};
}

export function toMessage(row: MessageRow): z.infer<typeof messageSchema> {
	return {
		id: row.id,
		thread_id: row.threadId,
		created_at: row.createdAt,
		dataset_id: row.datasetId,
		role: row.role,
		content: row.content,
		run_id: row.runId,
		metadata: null,
	};
}

export function toThread({threadId, datasetId, title, messages, updatedAt}: ThreadRow): z.infer<typeof threadSummarySchema> {
	return {thread_id: threadId, dataset_id: datasetId, title, messages, updated_at: updatedAt};
}

export function toTool(tool: AnyTool): z.infer<typeof toolSummarySchema> {
	const {name, version, title, description, effect, idempotent, limits} = tool;
	const input = tool.input.toJSONSchema({unrepresentable: 'any', io: 'input'}) as Record<string, unknown>;
	const risk = typeof tool.risk === 'function' ? null : tool.risk;
	return {name, version, title, description, effect, risk, idempotent, limits, input};
}

const EMPTY_RESULT: Result = {
	columns: [],
	column_types: [],
	rows: [],
	row_count: 0,
	total_rows: null,
	truncated: null,
	exec_time_ms: 0,
	error: null,
};

/** What the run's caller was answered, told again from its capsule. */
export function toResponse(capsule: Capsule): ChatResponse {
	const {run_id, thread_id, status, details, error_json} = capsule;
	const error = error_json && {type: error_json.code.toUpperCase(), message: error_json.message};
	const result = capsule.result_json ?? {...EMPTY_RESULT, error};
	return {assistant_message: capsule.assistant_message ?? '', run_id, thread_id, status, result, details};
}

/** The run, if it is the tenant's; another tenant's run is as unknown as one that never was. */
export async function ownRun(store: Store, tenant: string, runId: string): Promise<RunRow> {
	const row = await store.run(runId);
	if (row?.tenant === tenant) return row;
	throw new WritError('not_found', 'Run not found', {hint: 'GET /runs lists the runs'});
}
