/** What is kept and for how long: holds, and the erasure of content whose time is over. */
import {z} from 'zod';

const reasonSchema = z.string().trim().min(1, 'say why; it is kept on record').max(2_000);

export const holdRequestSchema = z.strictObject({
	kind: z.enum(['run', 'thread', 'tenant', 'dataset']),
	/** an id; of the tenant its own name, or nothing */
	target: z.string().max(200).default(''),
	reason: reasonSchema,
});
export type HoldRequest = z.infer<typeof holdRequestSchema>;

export const releaseRequestSchema = z.strictObject({reason: reasonSchema});

export const holdSchema = z.object({
	holdId: z.string(),
	kind: holdRequestSchema.shape.kind,
	target: z.string(),
	reason: z.string(),
	placedBy: z.string(),
	placedAt: z.string(),
	/** `asked`: one person wishes for its release, and another has to agree */
	state: z.enum(['held', 'asked', 'released']),
	askedBy: z.string().nullable(),
	askReason: z.string().nullable(),
	releasedBy: z.string().nullable(),
	releasedAt: z.string().nullable(),
	releaseReason: z.string().nullable(),
});
export type Hold = z.infer<typeof holdSchema>;
export const holdsReplySchema = z.object({holds: z.array(holdSchema)});

export const retentionPreviewSchema = z.object({
	/** by rule of the policy; `days` is the one for whatever no rule speaks of */
	rules: z.array(z.object({rule: z.string(), days: z.int(), runs: z.int(), bytes: z.int()})),
	runs: z.int(),
	/** of the events of those runs as they are stored; part of it stays */
	bytes: z.int(),
	/** holds in force in the tenant */
	holds: z.int(),
});
export type RetentionPreview = z.infer<typeof retentionPreviewSchema>;

export const retentionReplySchema = z.object({
	erased: z.int(),
	bytesBefore: z.int(),
	bytesAfter: z.int(),
	/** files that no run names any more */
	files: z.int(),
	/** of datasets, replaced and used by no run any more */
	snapshots: z.int(),
	/** false when there is more to do: a pass is bounded */
	isDone: z.boolean(),
});
export type RetentionReply = z.infer<typeof retentionReplySchema>;
