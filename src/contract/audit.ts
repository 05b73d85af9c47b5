/** The audit: what people and agents did, across runs. Each entry names its place in a chain, where the evidence is. */
import {z} from 'zod';
import {EVENTS, type EventType, effectSchema, riskSchema} from './event.ts';
import {originSchema, principalSchema} from './principal.ts';

const decisionSchema = z.enum(['allow', 'ask', 'deny']);
const typeSchema = z.enum(Object.keys(EVENTS) as [EventType, ...EventType[]]);

export const auditQuerySchema = z.object({
	/** who acted, or on whose behalf */
	principal: z.string().max(200).optional(),
	tool: z.string().max(200).optional(),
	/** of what the tool does to the world */
	effect: effectSchema.optional(),
	decision: decisionSchema.optional(),
	type: typeSchema.optional(),
	run: z.string().max(200).optional(),
	/** from where it was asked */
	address: z.string().max(100).optional(),
	client: originSchema.shape.client.optional(),
	/** words in the reasons, comments and errors */
	text: z.string().max(200).optional(),
	since: z.iso.datetime({offset: true}).optional(),
	until: z.iso.datetime({offset: true}).optional(),
	cursor: z.string().max(500).optional(),
	limit: z.coerce.number().int().min(1).max(200).default(50),
});

/** Everything that is found, as a file. */
export const auditExportSchema = auditQuerySchema
	.omit({cursor: true, limit: true})
	.extend({format: z.enum(['csv', 'ndjson']).default('csv')});

const auditEntrySchema = z.object({
	runId: z.string(),
	seq: z.int(),
	hash: z.string(),
	at: z.string(),
	type: typeSchema,
	actor: z.string(),
	actorKind: principalSchema.shape.kind,
	/** on whose behalf */
	principal: z.string(),
	job: z.string(),
	mode: z.string(),
	actionId: z.string().nullable(),
	tool: z.string().nullable(),
	decision: decisionSchema.nullable(),
	risk: riskSchema.nullable(),
	/** the reasons, the comment or the error; cut after 500 characters */
	detail: z.string(),
	/** from where it was asked, where somebody did and that is known */
	address: z.string().nullable(),
	client: originSchema.shape.client.nullable(),
	requestId: z.string().nullable(),
});
export type AuditEntry = z.infer<typeof auditEntrySchema>;

export const auditReplySchema = z.object({entries: z.array(auditEntrySchema), nextCursor: z.string().nullable()});
export type AuditReply = z.infer<typeof auditReplySchema>;
