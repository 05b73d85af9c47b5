/** Who may do what, and what proves who somebody is: roles, tokens, accounts and sessions as they cross the network. */
import {z} from 'zod';

/**
 * `viewer` reads data and runs, `analyst` also uses tools that read, `operator` also proposes what changes something, `approver`
 * answers approvals, `auditor` reads the audit and the evidence, `admin` holds tokens, accounts and the modes of its tenant, `platform`
 * what is everybody's: the policy, the settings and the kill switch of the whole server.
 */
export const ROLES = ['viewer', 'analyst', 'operator', 'approver', 'auditor', 'admin', 'platform'] as const;
export const roleSchema = z.enum(ROLES);
export type Role = z.infer<typeof roleSchema>;

/** `user` is its owner by another key, `agent` acts for its owner, `service` stands for itself. */
export const tokenKindSchema = z.enum(['user', 'agent', 'service']);
export type TokenKind = z.infer<typeof tokenKindSchema>;

export const MAX_TOKEN_DAYS = 365;

const nameSchema = z.string().regex(/^[\w.-]{1,100}$/, 'use up to 100 letters, digits, dots, dashes and underscores');
const toolsSchema = z.array(z.string().min(1).max(200)).min(1).max(100);

/** `POST /api/v1/tokens`. Without `tools` all that the roles allow. */
export const tokenRequestSchema = z.strictObject({
	name: nameSchema,
	kind: tokenKindSchema.default('user'),
	roles: z.array(roleSchema).min(1),
	tools: toolsSchema.optional(),
	expiresInDays: z.int().min(1).max(MAX_TOKEN_DAYS).default(90),
});
export type TokenRequest = z.infer<typeof tokenRequestSchema>;

export const tokenSchema = z.object({
	tokenId: z.string(),
	name: z.string(),
	kind: tokenKindSchema,
	/** the account whose rights limit it at every call; null for a service */
	owner: z.string().nullable(),
	/** the human who answers for it */
	person: z.string(),
	roles: z.array(roleSchema),
	/** null for all that the roles allow */
	tools: z.array(z.string()).nullable(),
	createdAt: z.string(),
	expiresAt: z.string(),
	/** to the minute */
	lastUsedAt: z.string().nullable(),
	revokedAt: z.string().nullable(),
	state: z.enum(['active', 'expired', 'revoked']),
});
export type Token = z.infer<typeof tokenSchema>;

/** `token` is shown in this reply and never again. */
export const newTokenSchema = tokenSchema.extend({token: z.string()});
export const tokensReplySchema = z.object({tokens: z.array(tokenSchema)});

export const accountSchema = z.object({
	account: z.string(),
	name: z.string(),
	/** who says what its roles are, and can change them */
	source: z.enum(['provider', 'settings']),
	/** of a provider: as it said at the last sign-in */
	roles: z.array(roleSchema),
	/** null for an account of the settings, which shows its token at every call */
	signedInAt: z.string().nullable(),
	disabledAt: z.string().nullable(),
});
export type Account = z.infer<typeof accountSchema>;
export const accountsReplySchema = z.object({accounts: z.array(accountSchema)});
export const accountRequestSchema = z.strictObject({disabled: z.boolean()});

/** `GET /api/v1/me`. */
export const meSchema = z.object({
	kind: z.enum(['user', 'agent', 'schedule', 'service']),
	id: z.string(),
	tenant: z.string(),
	/** for people to read */
	name: z.string(),
	roles: z.array(roleSchema),
	tools: z.array(z.string()).nullable(),
	onBehalfOf: z.string().nullable(),
	/** `open`: a server on a loopback address that asks nobody who they are */
	by: z.enum(['open', 'configured', 'token', 'session']),
});
export type Me = z.infer<typeof meSchema>;
