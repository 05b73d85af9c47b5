import {z} from 'zod';

/** Strictest first. What each allows is in src/policy/mode.ts. */
export const MODES = ['observe', 'propose', 'execute'] as const;
export const modeSchema = z.enum(MODES);
export type Mode = z.infer<typeof modeSchema>;

const personSchema = z.object({kind: z.enum(['user', 'agent', 'schedule', 'service']), id: z.string(), tenant: z.string()});

/** `POST /api/v1/kill-switch`. Without `mode` it stops everything. */
export const modeRequestSchema = z.strictObject({
	mode: modeSchema.default('observe'),
	/** why; kept on record */
	reason: z.string().max(2_000).default(''),
});

/** The mode of the platform and who set it; `asked` is a wish to loosen it, which another person has to agree to. */
export const modeReplySchema = z.object({
	mode: modeSchema,
	/** how often it was changed */
	number: z.int(),
	since: z.string().nullable(),
	by: personSchema.nullable(),
	reason: z.string(),
	asked: z.object({by: personSchema, mode: modeSchema}).nullable(),
});
export type ModeReply = z.infer<typeof modeReplySchema>;
