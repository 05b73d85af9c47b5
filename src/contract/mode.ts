import {z} from 'zod';

/** Strictest first. What each allows is in src/policy/mode.ts. */
export const MODES = ['observe', 'propose', 'execute'] as const;
export const modeSchema = z.enum(MODES);
export type Mode = z.infer<typeof modeSchema>;

/** A tool's name, a prefix with `.*`, or `*` for all. The longest match counts. */
export const toolPatternSchema = z
	.string()
	.regex(/^(\*|[\w-]+(\.[\w-]+)*(\.\*)?)$/, 'expected a tool, a prefix with `.*`, or `*`');

/** Whom a mode is for: all that is said has to fit. */
export const modeScopeSchema = z.strictObject({
	tenant: z.string().min(1).max(200).optional(),
	/** the id of an agent, a service or a schedule */
	agent: z.string().min(1).max(200).optional(),
	tool: toolPatternSchema.max(200).optional(),
});
export type ModeScope = z.infer<typeof modeScopeSchema>;

const personSchema = z.object({
	kind: z.enum(['user', 'agent', 'schedule', 'service']),
	id: z.string(),
	tenant: z.string(),
	/** the human behind the account, when that is not the `id` */
	person: z.string().optional(),
});

/** `POST /api/v1/kill-switch`. Without `mode` it stops; without `scope` the whole platform, with one only what it names, in the caller's tenant. */
export const modeRequestSchema = z.strictObject({
	mode: modeSchema.default('observe'),
	/** why; kept on record */
	reason: z.string().max(2_000).default(''),
	scope: modeScopeSchema.optional(),
});
export type ModeRequest = z.infer<typeof modeRequestSchema>;

const stateSchema = z.object({
	mode: modeSchema,
	/** how often a mode was changed by then */
	number: z.int(),
	since: z.string().nullable(),
	by: personSchema.nullable(),
	reason: z.string(),
	/** in force on the server that answers and not yet on record, so that no other server knows of it */
	held: z.literal(true).optional(),
	/** a wish to loosen it, which another person has to agree to */
	asked: z.object({by: personSchema, mode: modeSchema}).nullable(),
});

const scopedModeSchema = stateSchema.extend({scope: modeScopeSchema});
export type ScopedMode = z.infer<typeof scopedModeSchema>;

/** The mode of the platform and who set it, and those of parts of it. The strictest that applies counts. */
export const modeReplySchema = stateSchema.extend({
	scoped: z.array(scopedModeSchema),
	/** what policy.yaml says, which nobody can loosen here */
	defaults: z.array(z.object({mode: modeSchema, scope: modeScopeSchema})),
});
export type ModeReply = z.infer<typeof modeReplySchema>;
