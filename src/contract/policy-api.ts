/** What is asked about policies, over HTTP and in files of test cases. */
import {z} from 'zod';
import {decisionSchema, effectSchema, riskSchema} from './event.ts';
import {principalSchema} from './principal.ts';
import {LEVELS} from './sandbox.ts';

/** Lines and columns count from 1; both are null when the whole file is meant. */
export const policyProblemSchema = z.object({
	file: z.string(),
	line: z.int().nullable(),
	column: z.int().nullable(),
	message: z.string(),
});
export type PolicyProblem = z.infer<typeof policyProblemSchema>;

export const policyReplySchema = z.object({
	/** digest of everything that can change a decision */
	version: z.string(),
	/** in the order they decide */
	gates: z.array(z.string()),
	/** what the gates read: each part as its author wrote it */
	sources: z.array(z.object({name: z.string(), text: z.string()})),
	/** `policy.yaml` with everything it leaves out */
	document: z.record(z.string(), z.unknown()),
	/** what is wrong with the file as it is now, while the last good policy stays in force */
	problems: z.array(policyProblemSchema),
});
export type PolicyReply = z.infer<typeof policyReplySchema>;

export const policyReloadSchema = z.object({
	kind: z.enum(['changed', 'unchanged', 'refused']),
	/** the policy in force after it */
	version: z.string(),
	previous: z.string(),
	problems: z.array(policyProblemSchema),
});
export type PolicyReload = z.infer<typeof policyReloadSchema>;

/** A policy as text: nothing of the server's disk is read for it. `files` holds the Cedar files it names. */
export const policyTextSchema = z.strictObject({
	name: z.string().min(1).max(255).default('policy.yaml'),
	text: z.string().max(1_000_000),
	files: z.record(z.string().max(1_024), z.string().max(1_000_000)).default({}),
});
export type PolicyText = z.infer<typeof policyTextSchema>;

/** `user:ada` or `agent:analyst`, of the caller's tenant. */
export const actorSchema = z
	.string()
	.regex(/^(user|agent|schedule|service):.{1,200}$/, 'expected a kind and an id, e.g. `agent:analyst`');

/** A recorded action, the last of a run unless one is named; or one that nobody has proposed. */
export const explainRequestSchema = z.union([
	z.strictObject({runId: z.string().max(200), actionId: z.string().max(200).optional()}),
	z.strictObject({tool: z.string().max(200), input: z.unknown(), as: actorSchema.optional()}),
]);
export type ExplainRequest = z.infer<typeof explainRequestSchema>;

export const explanationSchema = z.object({
	runId: z.string().nullable(),
	actionId: z.string().nullable(),
	tool: z.string(),
	principal: principalSchema,
	/** what was decided then; null for an action that nobody has proposed */
	recorded: decisionSchema.nullable(),
	/** what the policy in force decides on the same facts; null when the tool is no more or refuses the input */
	now: decisionSchema.nullable(),
});
export type Explanation = z.infer<typeof explanationSchema>;

export const backtestRequestSchema = z.strictObject({since: z.iso.datetime(), policy: policyTextSchema});

const outcomeSchema = z.object({
	effect: z.enum(['allow', 'ask', 'deny']),
	/** people who have to approve; 0 unless it asks */
	quorum: z.int().min(0),
	/** those that decided */
	rules: z.array(z.string()),
	reason: z.string(),
});
export const decisionChangeSchema = z.object({
	runId: z.string(),
	actionId: z.string(),
	at: z.string(),
	tool: z.string(),
	principal: principalSchema,
	before: outcomeSchema,
	after: outcomeSchema,
});
export type DecisionChange = z.infer<typeof decisionChangeSchema>;

export const backtestReplySchema = z.object({
	/** of the policy that was tried */
	version: z.string(),
	runs: z.int(),
	/** decisions that were taken again; 0 means that nothing is known */
	examined: z.int(),
	/** decisions that no policy took, or whose tool is no more */
	skipped: z.int(),
	/** same effect and number of people */
	unchanged: z.int(),
	/** e.g. `{"allow to deny": 3}` */
	counts: z.record(z.string(), z.int()),
	/** at most 1,000; `counts` has them all */
	changes: z.array(decisionChangeSchema),
	truncated: z.boolean(),
});
export type BacktestReply = z.infer<typeof backtestReplySchema>;

/** A policy that is looked at and nothing more; `cases` are files of test cases as text. */
export const policyCheckSchema = z.strictObject({
	policy: policyTextSchema,
	cases: z
		.array(z.strictObject({name: z.string().min(1).max(255), text: z.string().max(20_000)}))
		.max(20)
		.default([]),
});
export type PolicyCheck = z.infer<typeof policyCheckSchema>;

/** What two policies make of the same questions. */
export const comparisonSchema = z.object({
	/** neither values nor rules differ, and no question was answered differently */
	same: z.boolean(),
	/** whether the Cedar rules differ */
	rules: z.boolean(),
	/** values that differ between the two documents, e.g. `risk.decisions.high`; what only one of them has is absent in the other */
	values: z.array(z.object({path: z.string(), before: z.unknown(), after: z.unknown()})),
	/** questions that were asked of both */
	asked: z.int(),
	stricter: z.int(),
	looser: z.int(),
	/** up to 50 questions that they answer differently */
	examples: z.array(z.object({question: z.string(), before: outcomeSchema.shape.effect, after: outcomeSchema.shape.effect})),
});
export type Comparison = z.infer<typeof comparisonSchema>;

const caseResultSchema = z.object({
	file: z.string(),
	name: z.string(),
	passed: z.boolean(),
	/** what was decided, and why; what was expected where that differs */
	detail: z.string(),
});
export type CaseResult = z.infer<typeof caseResultSchema>;

export const policyCheckReplySchema = z.object({
	/** the version it would have; null when it is not sound */
	version: z.string().nullable(),
	/** of the policy, and of the files of test cases */
	problems: z.array(policyProblemSchema),
	/** with the policy in force; null when it is not sound */
	comparison: comparisonSchema.nullable(),
	results: z.array(caseResultSchema),
});
export type PolicyCheckReply = z.infer<typeof policyCheckReplySchema>;

const toolFactsSchema = z.strictObject({
	effect: effectSchema,
	risk: riskSchema.default('low'),
	egress: z.boolean().default(false),
	/** of what it returns */
	labels: z.array(z.string()).default([]),
	accepts: z.array(z.string()).optional(),
});
export type ToolFacts = z.infer<typeof toolFactsSchema>;

const earlierSchema = z.strictObject({
	tool: z.string(),
	input: z.unknown().default({}),
	labels: z.array(z.string()).optional(),
	risk: riskSchema.default('low'),
	secondsAgo: z.number().min(0).default(60),
	/** `thread`: in an earlier run of the same thread */
	in: z.enum(['run', 'thread']).default('run'),
});

const caseFactsSchema = z
	.strictObject({
		labels: z.array(z.string()).default([]),
		/** the one resource the run was opened for */
		scope: z.string().nullable().default(null),
		isolation: z.enum(LEVELS).default('kernel-shared'),
		actions: z.int().min(0).default(0),
		calls: z.int().min(0).default(0),
		retries: z.int().min(0).default(0),
		tokens: z.int().min(0).default(0),
		money: z.number().min(0).default(0),
		bytes: z.int().min(0).default(0),
		seconds: z.number().min(0).default(0),
		/** what was done before, oldest first */
		after: z.array(earlierSchema).default([]),
	})
	.prefault({});

const policyCaseSchema = z.strictObject({
	name: z.string().min(1),
	as: actorSchema.default('user:someone'),
	tenant: z.string().min(1).default('local'),
	tool: z.string().min(1),
	input: z.unknown().default({}),
	/** `Dataset/support`; by default what the tool makes of the input */
	resource: z
		.string()
		.regex(/^[A-Z]\w*\/.+$/, 'expected a type and an id, e.g. `Dataset/support`')
		.optional(),
	facts: caseFactsSchema,
	expect: z.enum(['allow', 'ask', 'deny']),
	quorum: z.int().min(1).optional(),
	/** each has to be among the rules that decided */
	rules: z.array(z.string()).default([]),
});
export type PolicyCase = z.infer<typeof policyCaseSchema>;

/** A file of test cases. `tools` says what a case has to know of tools that the platform does not have. */
export const policyCasesSchema = z.strictObject({
	tools: z.record(z.string(), toolFactsSchema).default({}),
	cases: z.array(policyCaseSchema).min(1, 'a file without cases tests nothing'),
});
