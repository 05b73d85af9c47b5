/** What a tenant may use by the policy, and what of it is left. */
import {z} from 'zod';

const budgetUseSchema = z.object({
	/** its place in policy.yaml, below `budgets.tenant` */
	name: z.enum(['runs', 'concurrency', 'tokens', 'money', 'bytes', 'storage']),
	unit: z.enum(['runs', 'tokens', 'US dollars', 'bytes']),
	/** null for as much as there is */
	limit: z.number().nullable(),
	used: z.number(),
	/** held back for what is under way */
	reserved: z.number(),
	/** when it starts anew; null for what is only there again when it is given back */
	renewsAt: z.string().nullable(),
});
export type BudgetUse = z.infer<typeof budgetUseSchema>;

export const budgetReplySchema = z.object({
	tenant: z.string(),
	/** null when the policy limits nothing: then only what is on disk is known */
	window: z.enum(['hour', 'day', 'month']).nullable(),
	budgets: z.array(budgetUseSchema),
});
export type BudgetReply = z.infer<typeof budgetReplySchema>;
