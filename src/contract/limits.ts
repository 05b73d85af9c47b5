import {z} from 'zod';

/** Limits of one action and of the run it belongs to. Every one is enforced; reaching it is a typed error that names it. */
export const actionLimitsSchema = z.object({
	wallMs: z.int().positive(),
	maxRows: z.int().positive(),
	maxBytes: z.int().positive(),
});
export type ActionLimits = z.infer<typeof actionLimitsSchema>;

/** What one run may use up before its next action is denied. */
const budgetSchema = z.object({
	actions: z.int().positive(),
	tokens: z.int().positive(),
	costUsd: z.number().positive(),
	wallMs: z.int().positive(),
	/** responses of the model, and calls of it that failed; without a number as many as there are */
	calls: z.int().positive().optional(),
	retries: z.int().positive().optional(),
	/** that actions returned */
	bytes: z.int().positive().optional(),
});
export type Budget = z.infer<typeof budgetSchema>;
