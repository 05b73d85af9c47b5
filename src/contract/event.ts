/**
 * Events: what a run leaves behind, and all that is known of it. Like everything in this room they are types and schemas of what
 * crosses a process, a disk or a network; nothing here decides, waits or reads anything.
 */
import {z} from 'zod';
import {modeSchema, modeScopeSchema} from './mode.ts';
import {originSchema, type Principal, principalSchema} from './principal.ts';
import {factsSchema} from './reproducibility.ts';
import {isolationSchema, usageSchema} from './sandbox.ts';
import {scopeSchema} from './scope.ts';

export type {Origin, Principal} from './principal.ts';

export const effectSchema = z.enum(['read', 'write', 'destructive']);
export type Effect = z.infer<typeof effectSchema>;

export const riskSchema = z.enum(['low', 'medium', 'high', 'critical']);
export type Risk = z.infer<typeof riskSchema>;

/** Where a value came from. `untrusted` is anything a tool, a file or a model produced. */
export const labelSchema = z.enum(['untrusted', 'personal', 'secret']);
export type Label = z.infer<typeof labelSchema>;

/** `deny` beats `ask` beats `allow`. `rules` are the ids of the rules that decided; never empty. */
const gateResultSchema = z.object({
	gate: z.enum(['schema', 'permission', 'policy', 'budget', 'risk', 'flow']),
	effect: z.enum(['allow', 'ask', 'deny']),
	rules: z.array(z.string()).min(1),
	reason: z.string(),
	/** how risky the gate found the action, by all its factors */
	level: riskSchema.optional(),
	/** how many people an `ask` of this gate wants; without it one */
	quorum: z.int().min(1).max(10).optional(),
	/** what made a risk what it is: `points` add up to a score, `level` is what a factor alone demands */
	factors: z
		.array(z.object({name: z.string(), detail: z.string(), points: z.int().optional(), level: riskSchema.optional()}))
		.optional(),
});
export type GateResult = z.infer<typeof gateResultSchema>;

export const decisionSchema = z.object({
	effect: z.enum(['allow', 'ask', 'deny']),
	gates: z.array(gateResultSchema),
	risk: riskSchema,
	policyVersion: z.string(),
	/** how many distinct people have to approve; without it one. Says nothing unless the effect is `ask` */
	quorum: z.int().min(1).max(10).optional(),
});
export type Decision = z.infer<typeof decisionSchema>;

/** What observing the world afterwards showed. `unverified` when a check failed or when nothing was checked. */
export const verdictSchema = z.object({
	kind: z.enum(['verified', 'unverified', 'undone']),
	checks: z.array(z.object({name: z.string(), passed: z.boolean(), detail: z.string()})),
});
export type Verdict = z.infer<typeof verdictSchema>;

export const errorBodySchema = z.object({
	code: z.string(),
	message: z.string(),
	retry: z.enum(['never', 'now', 'later']),
	hint: z.string().optional(),
	details: z.record(z.string(), z.unknown()),
});

export const runStatusSchema = z.enum([
	'running',
	'awaiting_approval',
	'succeeded',
	'failed',
	'rejected',
	'timed_out',
	'cancelled',
	'unknown',
]);
export type RunStatus = z.infer<typeof runStatusSchema>;

export const actionStateSchema = z.enum([
	'proposed',
	'denied',
	'awaiting_approval',
	'rejected',
	'expired',
	'cancelled',
	'authorized',
	'executing',
	'succeeded',
	'failed',
	'timed_out',
	'killed',
	'unknown',
	'verified',
	'unverified',
	'undone',
]);
export type ActionState = z.infer<typeof actionStateSchema>;

const actionId = z.string();
const approvalId = z.string();
const answered = {approvalId, actionId, approver: principalSchema, comment: z.string(), origin: originSchema.optional()};

/** How far an action reaches: what an approver reads besides the preview. `used` is what the run had taken of its budget by then. */
export const blastRadiusSchema = z.object({
	effect: effectSchema,
	target: z.object({type: z.string(), id: z.string()}),
	hosts: z.array(z.string()),
	budget: z.record(z.string(), z.object({limit: z.number(), used: z.number()})),
});

/** `target` is the id of a run, a thread or a dataset; of a tenant its name. */
const heldSchema = {
	kind: z.enum(['run', 'thread', 'tenant', 'dataset']),
	target: z.string().min(1).max(200),
	reason: z.string().min(1).max(2_000),
};

/** The data of each event type. All a reviewer relies on is here, and therefore inside the hash. */
export const EVENTS = {
	'run.started': z.object({
		job: z.enum(['analyst', 'quality', 'ops', 'fleet', 'system']),
		/** what kind of work: `sql`, `python`, `plan`, `chat`, `ingest`, … */
		mode: z.string(),
		threadId: z.string().nullable(),
		question: z.string().nullable(),
		/** what the run may read: dataset id, snapshot hash */
		dataset: z.object({id: z.string(), hash: z.string()}).nullable(),
		principal: principalSchema,
		/** the platform's version and the policy in force at the start */
		software: z.string(),
		policyVersion: z.string(),
		/** what has to be the same for the same result */
		facts: factsSchema.optional(),
		/** all that the run may do, written down before it had read anything */
		scope: scopeSchema.optional(),
		/** the run that this one does again */
		replayOf: z.string().optional(),
		/** the run whose result this one takes out: it is judged with all that led to it */
		exportOf: z.string().optional(),
		origin: originSchema.optional(),
	}),
	'message.added': z.object({
		role: z.enum(['user', 'assistant']),
		content: z.string(),
		threadId: z.string(),
		datasetId: z.string(),
		/** questions that would have been answered, when this one was not */
		suggestions: z.array(z.string()).optional(),
	}),
	'model.responded': z.object({
		provider: z.string(),
		model: z.string(),
		requestDigest: z.string(),
		text: z.string(),
		toolCalls: z.array(z.object({id: z.string(), tool: z.string(), input: z.unknown()})),
		inputTokens: z.int(),
		outputTokens: z.int(),
		costUsd: z.number(),
		/** false when nobody here knows what the model costs: then `costUsd` is 0 */
		priceKnown: z.boolean().optional(),
		durationMs: z.number(),
	}),
	'model.failed': z.object({provider: z.string(), model: z.string(), error: errorBodySchema, attempt: z.int()}),
	'action.proposed': z.object({
		actionId,
		tool: z.string(),
		toolVersion: z.string(),
		input: z.unknown(),
		inputDigest: z.string(),
		/** number of secrets replaced in `input` */
		redactions: z.int(),
		/** the action whose code, in a sandbox, called for this one */
		parentActionId: z.string().optional(),
	}),
	'action.decided': z.object({actionId, decision: decisionSchema}),
	'approval.requested': z.object({
		approvalId,
		actionId,
		/** digest of all that an answer covers (kernel/question.ts) */
		binding: z.string(),
		tool: z.string(),
		preview: z.string(),
		/** SHA-256 of `preview` in UTF-8, hex; whoever grants repeats it */
		previewDigest: z.string().optional(),
		risk: riskSchema,
		requestedBy: principalSchema,
		/** whom the requester acts for */
		owner: principalSchema.optional(),
		/** distinct people who have to grant it; without it one */
		required: z.int().min(1).optional(),
		/** people who may answer; without it everybody of the tenant */
		approvers: z.array(z.string()).optional(),
		/** when further people are asked, if it still waits then */
		escalateAt: z.iso.datetime().optional(),
		blastRadius: blastRadiusSchema.optional(),
		/** the action whose code waits for the answer, in its sandbox */
		parentActionId: z.string().optional(),
		approveBy: z.iso.datetime(),
		executeWithinMs: z.int(),
	}),
	'approval.granted': z.object({
		approvalId,
		actionId,
		approver: principalSchema,
		comment: z.string(),
		executeBy: z.iso.datetime(),
		/** digest of the preview that the approver was shown */
		previewDigest: z.string().optional(),
		origin: originSchema.optional(),
	}),
	'approval.rejected': z.object({...answered}),
	/** `own` takes back the grant of whoever revokes; `all` ends an approval that was granted */
	'approval.revoked': z.object({...answered, takesBack: z.enum(['own', 'all'])}),
	'approval.commented': z.object({...answered}),
	/** from here on `to` may answer, and whoever handed it on may not */
	'approval.delegated': z.object({...answered, to: z.string()}),
	/** nobody has answered: `notified` are asked too */
	'approval.escalated': z.object({approvalId, actionId, notified: z.array(z.string())}),
	'approval.expired': z.object({approvalId, actionId}),
	/** nobody waits for the answer any more */
	'approval.cancelled': z.object({approvalId, actionId, reason: z.string()}),
	'action.intent': z.object({
		actionId,
		permitId: z.string(),
		approvalId: z.string().nullable(),
		binding: z.string(),
		limits: z.record(z.string(), z.number()),
		/** the last change of a mode that the gates knew of: no later one was durable when this was */
		modeNumber: z.int().min(0).optional(),
	}),
	'action.outcome': z.object({
		actionId,
		status: z.enum(['succeeded', 'failed', 'timed_out', 'killed', 'cancelled', 'unknown', 'rejected', 'expired']),
		output: z.unknown(),
		outputDigest: z.string(),
		error: errorBodySchema.nullable(),
		labels: z.array(labelSchema),
		usage: usageSchema.nullable(),
		isolation: isolationSchema.nullable(),
		durationMs: z.number(),
	}),
	'action.verified': z.object({actionId, verdict: verdictSchema}),
	/** how the numbers of an answer were checked against the results of the run */
	'answer.checked': z.object({
		executed: z.boolean(),
		numbers: z.array(z.object({text: z.string(), found: z.boolean()})),
		warnings: z.array(z.string()),
	}),
	/** the mode of `scope`, without it of the whole platform; `asked` is who wished for a looser one before, or now where `mode` is not that one yet */
	'mode.changed': z.object({
		number: z.int().positive(),
		mode: modeSchema,
		scope: modeScopeSchema.optional(),
		reason: z.string(),
		asked: z.object({by: principalSchema, mode: modeSchema}).nullable(),
		origin: originSchema.optional(),
	}),
	/** content of another run was erased, in the very transaction that recorded this: what it names, and nothing else, is gone */
	'content.erased': z.object({
		runId: z.string(),
		/** id of the rule of the policy that wanted it, or `request` */
		rule: z.string(),
		reason: z.string(),
		/** how long the rule keeps what finished; counted from the run's own last event */
		days: z.int().positive().optional(),
		events: z.array(z.object({seq: z.int().positive(), hash: z.string()})).min(1),
		/** of the events as they were stored, before and after */
		bytes: z.object({before: z.int(), after: z.int()}),
	}),
	/** what must not be erased, whoever asks */
	'hold.placed': z.object({holdId: z.string(), ...heldSchema, origin: originSchema.optional()}),
	/** somebody wishes for its release, which takes another person */
	'hold.release-asked': z.object({holdId: z.string(), reason: z.string(), origin: originSchema.optional()}),
	'hold.released': z.object({
		holdId: z.string(),
		reason: z.string(),
		/** who wished for it before, where it takes two */
		asked: z.object({by: principalSchema, reason: z.string()}).nullable(),
		origin: originSchema.optional(),
	}),
	/** something to answer for that happened outside of any work: a login, a token that was made, an export */
	'audit.recorded': z.object({
		/** dotted, such as `login.succeeded` */
		what: z.string().regex(/^[a-z]+(\.[a-z][a-z-]*)+$/),
		/** whom or what it was done to; never a secret */
		target: z.string().max(500).nullable(),
		detail: z.string().max(2_000),
		origin: originSchema.optional(),
	}),
	'run.resumed': z.object({reason: z.string()}),
	/** it has done what was granted so far, and waits for the answer to another approval */
	'run.parked': z.object({waitsFor: z.string()}),
	/** another policy came into force */
	'policy.changed': z.object({
		version: z.string(),
		previous: z.string(),
		sources: z.array(z.object({name: z.string(), sha256: z.string()})),
		origin: originSchema.optional(),
	}),
	/** a policy file was broken; the one in force stays */
	'policy.refused': z.object({version: z.string(), problems: z.array(z.string())}),
	'run.finished': z.object({
		status: runStatusSchema.exclude(['running', 'awaiting_approval']),
		/** the action whose output is the run's result */
		resultActionId: z.string().nullable(),
		error: errorBodySchema.nullable(),
		durationMs: z.number(),
	}),
} as const satisfies Record<string, z.ZodType>;

export type EventType = keyof typeof EVENTS;

const ERASED_ERROR = {code: 'erased', message: '', retry: 'never', details: {}} as const;

/**
 * What of each type's data is content: what somebody asked, wrote, was shown or computed, and digests of it that could be guessed. It
 * can be erased; the rest stays for good. The value is what readers find in its place. Who, when, which tool, which rules, what was
 * answered and how it ended is no content; a scope is, since it repeats what was asked word for word.
 */
export const CONTENT: {readonly [T in EventType]?: {readonly [K in keyof EventData<T>]?: EventData<T>[K]}} = {
	'run.started': {question: null, scope: undefined},
	'message.added': {content: '', suggestions: undefined},
	'model.responded': {requestDigest: '', text: '', toolCalls: []},
	'model.failed': {error: {...ERASED_ERROR}},
	'action.proposed': {input: null, inputDigest: ''},
	'approval.requested': {preview: '', previewDigest: undefined},
	'approval.granted': {previewDigest: undefined},
	'action.outcome': {output: null, outputDigest: '', error: null},
	'answer.checked': {numbers: [], warnings: []},
	'run.finished': {error: null},
};
export type EventData<T extends EventType> = z.infer<(typeof EVENTS)[T]>;

/** An event as a writer states it, before it has a place in the chain. */
export type EventBody = {[T in EventType]: {readonly type: T; readonly actor: Principal; readonly data: EventData<T>}}[EventType];

/**
 * One link of a run's chain. `hash` is SHA-256 over the canonical JSON of all other fields; `prev` is the hash before it (64 zeros at
 * first). In version 2, of types that have content, the content does not count itself, but `content`: SHA-256 over the canonical JSON
 * of `{content, salt}`. So it can be erased, with its salt, and the hash still follows from what is left.
 */
export type Event = EventBody & {
	readonly v: 1 | 2;
	/** 128 random bits, hex: without them nobody can tell content that was erased from its digest */
	readonly salt?: string;
	/** the digest of content that was erased, instead of `salt` */
	readonly erased?: string;
	readonly runId: string;
	/** 1, 2, 3, … without gaps */
	readonly seq: number;
	readonly at: string;
	readonly prev: string;
	readonly hash: string;
};

const envelopeSchema = z.object({
	v: z.union([z.literal(1), z.literal(2)]),
	salt: z
		.string()
		.regex(/^[0-9a-f]{32}$/)
		.optional(),
	erased: z
		.string()
		.regex(/^[0-9a-f]{64}$/)
		.optional(),
	runId: z.string(),
	seq: z.int().positive(),
	at: z.iso.datetime(),
	type: z.enum(Object.keys(EVENTS) as [EventType, ...EventType[]]),
	actor: principalSchema,
	data: z.unknown(),
	prev: z.string(),
	hash: z.string(),
});

/** Parses a stored event; throws a `ZodError` on anything this version does not know. */
export function parseEvent(value: unknown): Event {
	const envelope = envelopeSchema.parse(value);
	const {v, type, salt, erased} = envelope;
	const content = v === 2 ? CONTENT[type] : undefined;
	// Content that could be there or not, under a digest or not, could be slipped in.
	if (Number(salt !== undefined) + Number(erased !== undefined) !== Number(content !== undefined))
		throw new z.ZodError([{code: 'custom', path: ['salt'], message: 'content goes with a salt, or was erased', input: salt}]);
	const data = erased === undefined ? envelope.data : {...content, ...(envelope.data as object)};
	return {...envelope, data: EVENTS[type].parse(data)} as Event;
}

/** The signed end of a finished run: whoever holds the public key can tell that the chain is whole. */
export const signedHeadSchema = z.object({
	runId: z.string(),
	seq: z.int().positive(),
	hash: z.string(),
	at: z.iso.datetime(),
	/** SHA-256 of the public key (SPKI DER), hex */
	keyId: z.string(),
	/** Ed25519 over the canonical JSON of the other fields, base64 */
	signature: z.string(),
});
export type SignedHead = z.infer<typeof signedHeadSchema>;
