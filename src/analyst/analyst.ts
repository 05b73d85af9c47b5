/**
 * Analyst: questions about tabular data, answered only with what a sandbox computed. This file is what the server, the command
 * line and tests call; it knows nothing of HTTP.
 */
import type {Capsule, ChatRequest, ChatResponse, RunRequest} from '#contract/api.ts';
import type {Dataset} from '#contract/dataset.ts';
import type {Principal} from '#contract/event.ts';
import type {Json} from '#contract/json.ts';
import type {Scope} from '#contract/scope.ts';
import type {TurnEvent} from '#contract/stream.ts';
import type {IngestInput} from './ingest.ts';

export type Caller = {
	readonly principal: Principal;
	readonly requestId: string;
	readonly signal: AbortSignal;
	/** called once, as soon as the run is durable */
	readonly accepted?: (runId: string) => void;
	readonly emit?: (event: TurnEvent) => void;
};

/** A file by its owner's name, which is never used as a path, and where its bytes are on this host. */
export type UploadedFile = IngestInput['files'][number];

/** Files and what their owner says of them beyond their values; what is left out is inferred. */
export type NewDataset = IngestInput;

export type Task = {
	readonly tool: string;
	readonly input: Readonly<Record<string, unknown>>;
	readonly mode: string;
	/** all that may be done besides: what the tool's code may call */
	readonly scope?: Scope;
};

export type ExportFormat = 'csv' | 'xlsx' | 'parquet' | 'json';
export type ExportedFile = {
	readonly runId: string;
	readonly path: string;
	readonly name: string;
	readonly mediaType: string;
	readonly bytes: number;
	readonly sha256: string;
	/** more rows than one file takes: the rest are not in it */
	readonly truncated: boolean;
};

export type Analyst = {
	datasets(tenant: string): Promise<readonly Dataset[]>;
	/** Throws `not_found`. */
	dataset(tenant: string, id: string): Promise<Dataset>;
	/** Throws `policy_denied`, `feature_disabled` or `stopped` where the caller may not know what profiling learned of the values. */
	assertMayDescribe(id: string, caller: Caller): Promise<void>;
	/**
	 * The first `limit` rows of a table as objects keyed by column, read in a sandbox once for each snapshot. Whether the caller may read
	 * them is decided every time; throws like `assertMayDescribe` where not.
	 */
	sample(id: string, table: string, limit: number, caller: Caller): Promise<readonly Readonly<Record<string, Json>>[]>;
	/** Ingests files as a new snapshot, through the governed path. Throws `unreadable_file` with a reason for its owner. */
	add(dataset: NewDataset, caller: Caller): Promise<Dataset>;
	/** One chat turn. Execution failures are in the response; throws only for an unknown dataset or an unwritable store. */
	chat(request: ChatRequest, caller: Caller): Promise<ChatResponse>;
	/** Direct execution without an agent. Throws `invalid_plan`, `invalid_request`, `not_found`. */
	run(request: RunRequest, caller: Caller): Promise<ChatResponse>;
	/** Runs one tool as a run of its own, for code that is about no dataset. Failures are in the response. */
	perform(task: Task, caller: Caller): Promise<ChatResponse>;
	/** The same question or code again, on the dataset's present snapshot, as a new run. */
	rerun(runId: string, caller: Caller): Promise<ChatResponse>;
	/** Goes on with a run whose approval was answered. */
	resume(runId: string, caller: Caller): Promise<ChatResponse>;
	capsule(tenant: string, runId: string): Promise<Capsule>;
	/** Computes the run's full result again, in a sandbox, into a file. The caller deletes the file's directory. */
	export(runId: string, format: ExportFormat, caller: Caller): Promise<ExportedFile>;
};
