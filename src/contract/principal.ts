import {z} from 'zod';
import {roleSchema} from './identity.ts';

const KINDS = ['user', 'agent', 'schedule', 'service'] as const;

/** Whose rights an agent uses, and whose rights that one uses. */
const askerSchema = z.object({
	kind: z.enum(KINDS),
	id: z.string().min(1).max(200),
	/** its own; without them those of whoever acts for it */
	roles: z.array(roleSchema).optional(),
	get via(): z.ZodOptional<typeof askerSchema> {
		return askerSchema.optional();
	},
});

askerSchema.register(z.globalRegistry, {id: 'Asker'});

/** Who acts. `tenant` separates data, pools and budgets; a single-user server has the tenant `local`. */
export const principalSchema = z.object({
	kind: z.enum(KINDS),
	id: z.string().min(1).max(200),
	tenant: z.string().min(1).max(200),
	/** the human behind the account, when that is not the `id`: two accounts of one person are one person */
	person: z.string().min(1).max(200).optional(),
	/** at the time of the call; without them nothing is kept from it by role */
	roles: z.array(roleSchema).optional(),
	/** the only tools it may use; without them all that its roles allow */
	tools: z.array(z.string().min(1).max(200)).optional(),
	/** the account whose rights an agent borrows, which are no more than its owner has */
	onBehalfOf: z.string().min(1).max(200).optional(),
	/** for whom it acts: what holds for them holds for what it does, too */
	via: askerSchema.optional(),
	/** the id of the API token that was used */
	token: z.string().min(1).max(200).optional(),
});
export type Principal = z.infer<typeof principalSchema>;

/** From where a person or a program asked: as far as the server could tell, which is no further than the network it trusts. */
export const originSchema = z.object({
	/** of the connection, or of what a trusted proxy names */
	address: z.string().max(100).optional(),
	requestId: z.string().max(200).optional(),
	client: z.enum(['page', 'cli', 'api', 'internal']),
	/** the first product of the user agent, without its comments */
	agent: z.string().max(100).optional(),
});
export type Origin = z.infer<typeof originSchema>;
