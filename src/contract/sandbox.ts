import {z} from 'zod';
import {columnSchema, truncationSchema} from './table.ts';

/** What runs inside a sandbox. `sql` and `ingest` are DuckDB, `python` is CPython with pandas and numpy. */
const runnerNameSchema = z.enum(['sql', 'python', 'ingest']);
export type RunnerName = z.infer<typeof runnerNameSchema>;

/** Limits of one sandbox. Reaching one ends the run with a typed error that names it. */
const sandboxLimitsSchema = z.object({
	wallMs: z.int().positive(),
	memoryBytes: z.int().positive(),
	/** processors' worth of time, e.g. 1.5 */
	cpus: z.number().positive(),
	processes: z.int().positive(),
	openFiles: z.int().positive(),
	/** scratch space, and each file on it */
	scratchBytes: z.int().positive(),
	/** the largest file it may write to `/out`; as much as its scratch unless stated */
	fileBytes: z.int().positive().optional(),
	/** bytes of frames the runner may send back */
	outputBytes: z.int().positive(),
});
export type SandboxLimits = z.infer<typeof sandboxLimitsSchema>;

export const mountSchema = z.object({source: z.string(), target: z.string()});

/**
 * What to build. `mounts` are read-only; `output`, if any, is the one host directory mounted writable (at `/out`).
 * Two sandboxes with equal specs are interchangeable until one is used; a used one is destroyed.
 */
const sandboxSpecSchema = z.object({
	runner: runnerNameSchema,
	mounts: z.array(mountSchema),
	output: z.string().optional(),
	network: z.literal('none'),
	limits: sandboxLimitsSchema,
});
export type SandboxSpec = z.infer<typeof sandboxSpecSchema>;

/** A dataset file as the runner sees it: a Parquet snapshot under `/data` that becomes a view (SQL) or a frame (Python). */
const viewSchema = z.object({table: z.string(), path: z.string()});
export type View = z.infer<typeof viewSchema>;

/** Sent once to a runner, on its standard input, as one frame. */
const runnerRequestSchema = z.discriminatedUnion('kind', [
	z.object({
		kind: z.literal('sql'),
		views: z.array(viewSchema),
		/** id of the dataset: its tables may be written `dataset.table` */
		dataset: z.string().optional(),
		sql: z.string(),
		maxRows: z.int(),
		maxBytes: z.int(),
	}),
	z.object({
		kind: z.literal('export'),
		views: z.array(viewSchema),
		dataset: z.string().optional(),
		sql: z.string(),
		format: z.enum(['csv', 'xlsx', 'parquet', 'json']),
		/** prefix cells that a spreadsheet would run as a formula */
		neutralise: z.boolean(),
		maxRows: z.int(),
	}),
	z.object({kind: z.literal('python'), views: z.array(viewSchema), code: z.string(), maxRows: z.int(), maxBytes: z.int()}),
	z.object({
		kind: z.literal('ingest'),
		/** source files under `/in`; the runner writes one Parquet file per table to `/out` */
		files: z.array(z.object({name: z.string(), path: z.string()})),
	}),
]);
export type RunnerRequest = z.infer<typeof runnerRequestSchema>;

/**
 * Frames a runner sends on descriptor 3: a big-endian uint32 byte length, then that many bytes of UTF-8 JSON.
 * The order is `ready`, then (after the request) any of `stage`, `columns`, `rows`, `file`, `profile`, then one `done` or `error`.
 */
export const frameSchema = z.discriminatedUnion('type', [
	z.object({type: z.literal('ready')}),
	z.object({type: z.literal('stage'), stage: z.string()}),
	z.object({type: z.literal('columns'), columns: z.array(columnSchema)}),
	z.object({type: z.literal('rows'), rows: z.array(z.array(z.json()))}),
	/** a file left in `/out` */
	z.object({type: z.literal('file'), name: z.string(), bytes: z.int(), rows: z.int().nullable()}),
	/** what ingest learned of one table; shape in contract/dataset.ts */
	z.object({type: z.literal('profile'), table: z.json()}),
	z.object({
		type: z.literal('done'),
		totalRows: z.int().nullable(),
		truncated: truncationSchema.nullable(),
		nonFinite: z.int(),
		/** tables and functions the statement used, as DuckDB parsed it */
		statement: z.object({tables: z.array(z.string()), functions: z.array(z.string())}).optional(),
		stdout: z.string().optional(),
		stderr: z.string().optional(),
	}),
	z.object({
		type: z.literal('error'),
		code: z.string(),
		message: z.string(),
		hint: z.string().optional(),
		details: z.record(z.string(), z.json()).optional(),
	}),
]);
export type Frame = z.infer<typeof frameSchema>;

/** What really isolated a run: part of its evidence. */
export const isolationSchema = z.object({
	provider: z.enum(['process', 'docker', 'wasm', 'microsandbox', 'kubernetes']),
	level: z.enum(['none', 'kernel-shared', 'kernel-isolated', 'vm-isolated']),
	namespaces: z.array(z.string()),
	seccomp: z.boolean(),
	/** how each limit was enforced */
	limits: z.record(z.string(), z.enum(['cgroup', 'rlimit', 'tmpfs', 'kill', 'none'])),
	network: z.literal('none'),
	/** false when the sandbox was started for this run, true when it waited in the pool */
	warm: z.boolean(),
});
export type Isolation = z.infer<typeof isolationSchema>;

export const usageSchema = z.object({
	wallMs: z.number(),
	cpuMs: z.number().nullable(),
	peakMemoryBytes: z.int().nullable(),
	outputBytes: z.int(),
});
export type Usage = z.infer<typeof usageSchema>;
