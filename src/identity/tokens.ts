import type {z} from 'zod';
import {WritError} from '#contract/errors.ts';
import {type newTokenSchema, ROLES, type Token, type TokenRequest} from '#contract/identity.ts';
import type {IdentityStore, TokenRow} from '#kernel/identity-store.ts';
import type {Clock, Redactor} from '#kernel/ports.ts';
import {personOf} from '#kernel/tally.ts';
import type {Caller} from './callers.ts';
import type {RecordNote} from './sign-in.ts';
import {digestOf, mintToken} from './token.ts';

export type Tokens = {
	/** Throws `forbidden` for more rights than the caller has, `validation_error`, or `conflict` when there are too many. */
	create(request: TokenRequest, caller: Caller): Promise<z.infer<typeof newTokenSchema>>;
	/** One's own; with `all`, which takes the role `admin`, those of the tenant. Throws `forbidden`. */
	list(caller: Caller, all: boolean): Promise<readonly Token[]>;
	/** From here on it opens nothing, on any replica. Throws `not_found`, also for what belongs to somebody else. */
	revoke(tokenId: string, caller: Caller): Promise<void>;
};

/** Active ones, of one owner or of one tenant's services. */
const MOST_TOKENS = 100;
const DAY_MS = 86_400_000;

type Ports = {
	readonly store: IdentityStore;
	readonly clock: Clock;
	readonly newId: (prefix: 'tok') => string;
	readonly record: RecordNote;
	readonly redact: Redactor;
};

export function createTokens({store, clock, newId, record, redact}: Ports): Tokens {
	return {
		async create(request, caller) {
			assertMayCreate(request, caller);
			// On record such a name would be another than the one in use.
			if (redact(request.name).count > 0)
				throw new WritError('validation_error', 'the name looks like a secret; give it another');
			const {id, tenant} = caller.principal;
			const owner = request.kind === 'service' ? null : id;
			const now = clock.now();
			const siblings = (await store.tokens(tenant, owner ?? undefined)).filter(
				(row) => row.owner === owner && isActive(row, now),
			);
			if (siblings.length >= MOST_TOKENS)
				throw new WritError('conflict', `there are ${MOST_TOKENS} active tokens already`, {hint: 'revoke one that is not used'});
			const token = mintToken();
			const row: TokenRow = {
				...{tokenId: newId('tok'), digest: digestOf(token), tenant, kind: request.kind, name: request.name, owner},
				person: personOf(caller.principal),
				roles: ROLES.filter((role) => request.roles.includes(role)),
				tools: request.tools ?? null,
				createdAt: now.toISOString(),
				expiresAt: new Date(now.getTime() + request.expiresInDays * DAY_MS).toISOString(),
				...{lastUsedAt: null, revokedAt: null},
			};
			const {tokenId, roles, tools, expiresAt} = row;
			const detail = `${row.kind} \`${row.name}\`: ${roles.join(', ')}${tools ? `; ${tools.join(', ')}` : ''}; until ${expiresAt}`;
			await record({what: 'token.created', target: tokenId, detail}, caller.principal);
			await store.addToken(row);
			return {...toToken(row, now), token};
		},

		async list(caller, all) {
			const {tenant, id, token} = caller.principal;
			if (all && !isAdmin(caller)) throw new WritError('forbidden', 'the tokens of others are for the role `admin` to see');
			const rows = await store.tokens(tenant, all ? undefined : id);
			const shown = token === undefined || all ? rows : rows.filter(({tokenId}) => tokenId === token);
			return shown.map((row) => toToken(row, clock.now()));
		},

		async revoke(tokenId, caller) {
			const {tenant, id, token} = caller.principal;
			const admin = isAdmin(caller);
			// Whoever found a token may end it, but not those beside it.
			const within = admin || token === undefined || token === tokenId;
			const own = admin || token === tokenId ? {} : {owner: id};
			if (within && (await store.revokeToken({tenant, tokenId, ...own}, clock.now().toISOString())))
				return record({what: 'token.revoked', target: tokenId, detail: ''}, caller.principal);
			throw new WritError('not_found', `you have no active token \`${tokenId}\``, {hint: 'see `writ tokens list`'});
		},
	};
}

/** INVARIANT: nobody hands out what they do not have, and a token makes no token: what it could do would outlive it. */
function assertMayCreate({roles, kind}: TokenRequest, caller: Caller): void {
	const {principal, by} = caller;
	if (by === 'token' || principal.kind !== 'user')
		throw new WritError('forbidden', 'a token cannot make another', {hint: 'sign in, or use a configured account'});
	const missing = roles.filter((role) => !(principal.roles ?? ROLES).includes(role));
	if (missing.length > 0)
		throw new WritError('forbidden', `you cannot give a role you do not have: ${missing.join(', ')}`, {details: {missing}});
	if (kind === 'service' && !isAdmin(caller))
		throw new WritError('forbidden', 'a token of a service stands for itself, so it takes the role `admin` to make one');
	if (kind !== 'user' && roles.includes('approver'))
		throw new WritError('validation_error', 'only people answer approvals, so only a token of kind `user` may be an `approver`');
}

function isAdmin({principal}: Caller): boolean {
	return (principal.roles ?? ROLES).includes('admin');
}

function isActive(row: TokenRow, now: Date): boolean {
	return stateOf(row, now) === 'active';
}

function stateOf({revokedAt, expiresAt}: TokenRow, now: Date): Token['state'] {
	if (revokedAt !== null) return 'revoked';
	return expiresAt <= now.toISOString() ? 'expired' : 'active';
}

function toToken(row: TokenRow, now: Date): Token {
	const {digest: _, tenant: __, roles, tools, ...rest} = row;
	return {...rest, roles: [...roles], tools: tools && [...tools], state: stateOf(row, now)};
}
