import {z} from 'zod';
import {columnSchema, truncationSchema} from './table.ts';

/**
 * What runs inside a sandbox. `sql` and `ingest` are DuckDB, `python` is CPython with pandas and numpy, `javascript` is Node, `shell` a
 * POSIX shell, `tests` one of the test frameworks.
 */
const runnerNameSchema = z.enum(['sql', 'python', 'ingest', 'javascript', 'shell', 'tests']);
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

/** The test frameworks; `node` is `node:test`. */
export const testFrameworkSchema = z.enum(['pytest', 'node', 'vitest', 'playwright']);
export type TestFramework = z.infer<typeof testFrameworkSchema>;

export const mountSchema = z.object({source: z.string(), target: z.string()});

/** One destination that code inside may reach through the egress proxy. Everything not named is refused. */
export const egressRuleSchema = z.strictObject({
	/** a DNS name in lower case, or `*.` and one, which covers every name below it and not the name itself; or an address */
	host: z.string().min(1).max(253),
	ports: z.array(z.int().min(1).max(65_535)).min(1).default([443]),
	/** request methods, and paths with all that lies below each */
	methods: z.array(z.string().min(1)).min(1).optional(),
	paths: z.array(z.string().startsWith('/')).min(1).optional(),
	/** a header that the proxy adds on the way out; `secret` is the name of a secret, whose value never enters the sandbox */
	inject: z.strictObject({header: z.string().min(1), secret: z.string().min(1), prefix: z.string().default('')}).optional(),
	/** TLS is passed on unread, for clients that accept no certificate but the host's own; excludes the three above */
	opaque: z.boolean().optional(),
});
export type EgressRule = z.infer<typeof egressRuleSchema>;

/** A secret that every request to a host gets on its way out, whoever sends it; `host` as in a rule. */
export type HostInjection = {readonly host: string; readonly header: string; readonly prefix: string; readonly secret: string};

/** `none` is an empty network. Otherwise the one way out is an allow-list proxy, metered over both directions. */
export const networkSchema = z.union([
	z.literal('none'),
	z.strictObject({allow: z.array(egressRuleSchema).min(1), maxBytes: z.int().positive()}),
]);
export type Network = z.infer<typeof networkSchema>;

/** What the egress proxy did with one request, or with one tunnel it could not look into. */
export const egressDecisionSchema = z.object({
	/** as the code inside named it; not to be trusted unless it was allowed */
	host: z.string(),
	port: z.int(),
	/** what was dialled */
	address: z.string().nullable(),
	/** method and path, without the query */
	request: z.string().nullable(),
	verdict: z.enum(['allowed', 'refused', 'failed']),
	/** position of the rule that allowed it */
	rule: z.int().nullable(),
	reason: z.string(),
	bytesUp: z.int(),
	bytesDown: z.int(),
});
export type EgressDecision = z.infer<typeof egressDecisionSchema>;

/** The first decisions of a run, how many followed, and every byte of all of them. */
export const egressReportSchema = z.object({
	decisions: z.array(egressDecisionSchema),
	more: z.int(),
	bytesUp: z.int(),
	bytesDown: z.int(),
});
export type EgressReport = z.infer<typeof egressReportSchema>;

/** How far a run is kept from the host, weakest first. */
export const LEVELS = ['none', 'kernel-shared', 'kernel-isolated', 'vm-isolated'] as const;
export type Level = (typeof LEVELS)[number];

/**
 * What to build. `mounts` are read-only; `output`, if any, is the one host directory mounted writable (at `/out`).
 * Two sandboxes with equal specs are interchangeable until one is used; a used one is destroyed.
 */
const sandboxSpecSchema = z.object({
	runner: runnerNameSchema,
	/** of the `tests` runner: what it is given besides Node */
	framework: testFrameworkSchema.optional(),
	mounts: z.array(mountSchema),
	output: z.string().optional(),
	network: networkSchema,
	/** the least isolation that will do; less is refused, never used instead */
	level: z.enum(LEVELS).optional(),
	limits: sandboxLimitsSchema,
});
export type SandboxSpec = z.infer<typeof sandboxSpecSchema>;

/** A dataset file as the runner sees it: a Parquet snapshot under `/data` that becomes a view (SQL) or a frame (Python). */
const viewSchema = z.object({table: z.string(), path: z.string()});
export type View = z.infer<typeof viewSchema>;

/** Sent once to a runner, on its standard input, as one frame. Answers to its calls follow as `CallReply` frames. */
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
	z.object({
		kind: z.literal('python'),
		views: z.array(viewSchema),
		code: z.string(),
		tools: z.boolean().optional(),
		maxRows: z.int(),
		maxBytes: z.int(),
	}),
	/** `tools` says that calls of tools will be answered; each passes every gate as a proposal of its own */
	z.object({kind: z.literal('javascript'), code: z.string(), tools: z.boolean(), maxBytes: z.int()}),
	z.object({kind: z.literal('shell'), script: z.string(), tools: z.boolean(), maxBytes: z.int()}),
	z.object({
		kind: z.literal('tests'),
		framework: testFrameworkSchema,
		/** files or directories below `/in` that hold the tests; empty means all of it */
		paths: z.array(z.string()),
		maxBytes: z.int(),
	}),
	z.object({
		kind: z.literal('ingest'),
		/** source files under `/in`; the runner writes one Parquet file per table to `/out` */
		files: z.array(z.object({name: z.string(), path: z.string()})),
	}),
]);
export type RunnerRequest = z.infer<typeof runnerRequestSchema>;

/** The answer to one `call` frame: what the tool returned, or why it did not run. */
export const callReplySchema = z.discriminatedUnion('type', [
	z.object({type: z.literal('reply'), id: z.int(), output: z.json()}),
	z.object({type: z.literal('refused'), id: z.int(), code: z.string(), message: z.string(), hint: z.string().optional()}),
]);
export type CallReply = z.infer<typeof callReplySchema>;

/** One test case as its framework reported it. */
export const testCaseSchema = z.object({
	/** file below `/in`, or empty when the framework names none */
	file: z.string(),
	/** suites from the outside in, then the test's own title */
	name: z.array(z.string()).min(1),
	status: z.enum(['passed', 'failed', 'skipped', 'error']),
	durationMs: z.number(),
	/** why it failed or was skipped */
	message: z.string().optional(),
});
export type TestCase = z.infer<typeof testCaseSchema>;

/**
 * Frames a runner sends on descriptor 3: a big-endian uint32 byte length, then that many bytes of UTF-8 JSON. The order is `ready`,
 * then (after the request) any of `stage`, `columns`, `rows`, `file`, `profile`, `value`, `case`, `call`, then one `done` or `error`.
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
	/** what a program left as its result */
	z.object({type: z.literal('value'), value: z.json()}),
	z.object({type: z.literal('case'), case: testCaseSchema}),
	/** code inside asks for a tool; `id` is its own, and the answer carries it */
	z.object({type: z.literal('call'), id: z.int(), tool: z.string(), input: z.json()}),
	z.object({
		type: z.literal('done'),
		/** of a program or a test framework */
		exitCode: z.int().optional(),
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
	level: z.enum(LEVELS),
	namespaces: z.array(z.string()),
	seccomp: z.boolean(),
	/** how each limit was enforced; `engine` is the language runtime or the engine that the sandbox is made of */
	limits: z.record(z.string(), z.enum(['cgroup', 'rlimit', 'tmpfs', 'kill', 'engine', 'none'])),
	network: z.enum(['none', 'allow-list']),
	/** false when the sandbox was started for this run, true when it waited in the pool */
	warm: z.boolean(),
});
export type Isolation = z.infer<typeof isolationSchema>;

export const usageSchema = z.object({
	wallMs: z.number(),
	cpuMs: z.number().nullable(),
	peakMemoryBytes: z.int().nullable(),
	outputBytes: z.int(),
	/** absent when there was no way out */
	egress: egressReportSchema.optional(),
});
export type Usage = z.infer<typeof usageSchema>;
