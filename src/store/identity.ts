import type {CompiledQuery, Kysely} from 'kysely';
import type {Role} from '#contract/identity.ts';
import type {AccountRow, IdentityStore, SessionRow, SignInRow, TokenRow} from '#kernel/identity-store.ts';
import {storable} from './project.ts';
import type {Tables} from './schema.ts';

/** Runs one statement, durably; resolves to how many rows it changed. */
export type Execute = (query: CompiledQuery) => Promise<number>;

const TOKEN_ROW = [
	...(['token_id as tokenId', 'digest', 'tenant', 'kind', 'name', 'owner', 'person', 'roles', 'tools'] as const),
	...(['created_at as createdAt', 'expires_at as expiresAt', 'last_used_at as lastUsedAt', 'revoked_at as revokedAt'] as const),
] as const;
const ACCOUNT_ROW = ['tenant', 'account', 'name', 'roles', 'signed_in_at as signedInAt', 'disabled_at as disabledAt'] as const;
const SESSION_ROW = [
	...(['digest', 'tenant', 'account', 'created_at as createdAt'] as const),
	...(['seen_at as seenAt', 'expires_at as expiresAt'] as const),
] as const;
const SIGN_IN_ROW = ['digest', 'state', 'nonce', 'verifier', 'expires_at as expiresAt'] as const;

/** The same statements on every database; only how one is written differs. */
export function createIdentityStore(db: Kysely<Tables>, execute: Execute): IdentityStore {
	return {...tokensIn(db, execute), ...accountsIn(db, execute), ...sessionsIn(db, execute)};
}

type Tokens = Pick<IdentityStore, 'addToken' | 'tokenBy' | 'tokens' | 'revokeToken' | 'noteTokenUse'>;

function tokensIn(db: Kysely<Tables>, execute: Execute): Tokens {
	const rows = () => db.selectFrom('tokens').select(TOKEN_ROW);
	return {
		async addToken(row) {
			await execute(db.insertInto('tokens').values(toTokenRecord(row)).compile());
		},
		async tokenBy(digest) {
			const row = await rows().where('digest', '=', digest).executeTakeFirst();
			return row ? toToken(row) : null;
		},
		async tokens(tenant, owner) {
			const all = rows().where('tenant', '=', storable(tenant));
			const wanted = owner === undefined ? all : all.where('owner', '=', storable(owner));
			return (await wanted.orderBy('created_at', 'desc').orderBy('token_id', 'desc').execute()).map(toToken);
		},
		async revokeToken({tenant, tokenId, owner}, at) {
			const one = db.updateTable('tokens').set({revoked_at: at}).where('tenant', '=', storable(tenant));
			const active = one.where('token_id', '=', storable(tokenId)).where('revoked_at', 'is', null);
			return (await execute((owner === undefined ? active : active.where('owner', '=', storable(owner))).compile())) === 1;
		},
		async noteTokenUse(tokenId, at) {
			await execute(db.updateTable('tokens').set({last_used_at: at}).where('token_id', '=', tokenId).compile());
		},
	};
}

type Accounts = Pick<IdentityStore, 'putAccount' | 'account' | 'accounts' | 'disableAccount'>;

function accountsIn(db: Kysely<Tables>, execute: Execute): Accounts {
	const rows = (tenant: string) => db.selectFrom('accounts').select(ACCOUNT_ROW).where('tenant', '=', storable(tenant));
	return {
		async putAccount({tenant, account, name, roles, signedInAt}) {
			const known = {name: storable(name), roles: JSON.stringify(roles), signed_in_at: signedInAt};
			const row = {tenant: storable(tenant), account: storable(account), ...known, disabled_at: null};
			const merge = db.insertInto('accounts').values(row);
			await execute(merge.onConflict((found) => found.columns(['tenant', 'account']).doUpdateSet(known)).compile());
		},
		async account(tenant, account) {
			const row = await rows(tenant).where('account', '=', storable(account)).executeTakeFirst();
			return row ? toAccount(row) : null;
		},
		accounts: async (tenant) => (await rows(tenant).orderBy('account').execute()).map(toAccount),
		async disableAccount(tenant, account, at) {
			const one = db.updateTable('accounts').set({disabled_at: at}).where('tenant', '=', storable(tenant));
			const found = (await execute(one.where('account', '=', storable(account)).compile())) === 1;
			const theirs = db.deleteFrom('sessions').where('tenant', '=', storable(tenant)).where('account', '=', storable(account));
			if (found && at !== null) await execute(theirs.compile());
			return found;
		},
	};
}

type Sessions = Omit<IdentityStore, keyof Tokens | keyof Accounts>;

function sessionsIn(db: Kysely<Tables>, execute: Execute): Sessions {
	return {
		async addSession({digest, tenant, account, createdAt, seenAt, expiresAt}) {
			const row = {digest, tenant: storable(tenant), account: storable(account), created_at: createdAt};
			await execute(
				db
					.insertInto('sessions')
					.values({...row, seen_at: seenAt, expires_at: expiresAt})
					.compile(),
			);
		},
		async session(digest): Promise<SessionRow | null> {
			return (await db.selectFrom('sessions').select(SESSION_ROW).where('digest', '=', digest).executeTakeFirst()) ?? null;
		},
		async noteSessionUse(digest, at) {
			await execute(db.updateTable('sessions').set({seen_at: at}).where('digest', '=', digest).compile());
		},
		endSession: async (digest) => (await execute(db.deleteFrom('sessions').where('digest', '=', digest).compile())) === 1,
		async addSignIn({digest, state, nonce, verifier, expiresAt}) {
			await execute(db.insertInto('sign_ins').values({digest, state, nonce, verifier, expires_at: expiresAt}).compile());
		},
		async takeSignIn(digest): Promise<SignInRow | null> {
			const row = await db.selectFrom('sign_ins').select(SIGN_IN_ROW).where('digest', '=', digest).executeTakeFirst();
			if (!row) return null;
			// Of several who read it the one that removes it has it.
			const taken = await execute(db.deleteFrom('sign_ins').where('digest', '=', digest).compile());
			return taken === 1 ? row : null;
		},
		async sweepIdentity(now) {
			await execute(db.deleteFrom('sign_ins').where('expires_at', '<=', now).compile());
			await execute(db.deleteFrom('sessions').where('expires_at', '<=', now).compile());
		},
	};
}

function toTokenRecord(row: TokenRow): Tables['tokens'] {
	return {
		...{token_id: row.tokenId, digest: row.digest, tenant: storable(row.tenant), kind: row.kind, name: storable(row.name)},
		owner: row.owner === null ? null : storable(row.owner),
		person: storable(row.person),
		roles: JSON.stringify(row.roles),
		tools: row.tools === null ? null : JSON.stringify(row.tools),
		...{created_at: row.createdAt, expires_at: row.expiresAt, last_used_at: row.lastUsedAt, revoked_at: row.revokedAt},
	};
}

type StoredRow<Row extends {readonly roles: unknown}> = Omit<Row, 'roles' | 'tools'> & {
	readonly roles: string;
	readonly tools?: unknown;
};

function toToken(row: StoredRow<TokenRow>): TokenRow {
	const tools = typeof row.tools === 'string' ? (JSON.parse(row.tools) as string[]) : null;
	return {...row, roles: JSON.parse(row.roles) as Role[], tools};
}

function toAccount(row: StoredRow<AccountRow>): AccountRow {
	return {...row, roles: JSON.parse(row.roles) as Role[]};
}
