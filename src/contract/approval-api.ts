/** Bodies of the approval routes. */
import {z} from 'zod';
import {blastRadiusSchema, riskSchema} from './event.ts';

/** One thing that happened to an approval, oldest first in its history. */
const approvalEntrySchema = z.object({
	at: z.string(),
	kind: z.enum(['granted', 'rejected', 'revoked', 'commented', 'delegated', 'escalated', 'expired', 'cancelled']),
	by: z.string().nullable(),
	comment: z.string(),
	/** people it was handed on to, or who were asked too */
	to: z.array(z.string()),
});

export const approvalDetailSchema = z.object({
	/** whom the requester acts for */
	owner: z.string().nullable(),
	/** people whose grants count now */
	grantedBy: z.array(z.string()),
	/** people who may answer; null when everybody of the tenant may */
	approvers: z.array(z.string()).nullable(),
	/** the action whose code waits, in its sandbox */
	parentActionId: z.string().nullable(),
	blastRadius: blastRadiusSchema.nullable(),
	history: z.array(approvalEntrySchema),
});
export type ApprovalDetail = z.infer<typeof approvalDetailSchema>;

export const approvalSchema = z.object({
	approvalId: z.string(),
	runId: z.string(),
	actionId: z.string(),
	tool: z.string(),
	/** digest of the one exact action the answer counts for */
	binding: z.string(),
	preview: z.string(),
	/** SHA-256 of `preview`; a grant repeats it */
	previewDigest: z.string(),
	risk: riskSchema,
	state: z.enum(['pending', 'granted', 'rejected', 'expired', 'consumed', 'cancelled']),
	/** distinct people it takes */
	required: z.int(),
	requestedBy: z.string(),
	requestedAt: z.string(),
	approveBy: z.string(),
	executeBy: z.string().nullable(),
	approver: z.string().nullable(),
	comment: z.string().nullable(),
	/** when further people are asked; null when nobody is, or once they were */
	escalateAt: z.string().nullable(),
	...approvalDetailSchema.shape,
});
export type Approval = z.infer<typeof approvalSchema>;
export const approvalsReplySchema = z.object({
	approvals: z.array(approvalSchema),
	/** how many the caller granted in the last `windowSeconds`; from `limit` on each wants a reason and its action's id */
	rate: z.object({granted: z.int(), limit: z.int(), windowSeconds: z.int()}),
});
export type ApprovalsReply = z.infer<typeof approvalsReplySchema>;

const reason = z.string().max(2_000);
export const approvalAnswerSchema = z.object({comment: reason.default('')});
export const approvalGrantSchema = z.object({
	comment: reason.default(''),
	/** digest of the preview that the approver was shown */
	previewDigest: z.string().max(64),
	/** the id of the action, typed, by whoever has granted much lately */
	confirm: z.string().max(200).optional(),
});
export const approvalCommentSchema = z.object({comment: reason.min(1)});
export const approvalDelegationSchema = z.object({to: z.string().min(1).max(200), comment: reason.default('')});
