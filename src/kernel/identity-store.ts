/** Who may come in, as the store keeps it. No row holds anything that opens a door: tokens and sessions are kept by their digest alone. */
import type {Role, TokenKind} from '#contract/identity.ts';

export type TokenRow = {
	readonly tokenId: string;
	/** SHA-256 of the token, hex */
	readonly digest: string;
	readonly tenant: string;
	readonly kind: TokenKind;
	readonly name: string;
	/** the account whose rights limit it at every call; null for a service */
	readonly owner: string | null;
	/** the human who answers for it */
	readonly person: string;
	readonly roles: readonly Role[];
	/** null for all that the roles allow */
	readonly tools: readonly string[] | null;
	readonly createdAt: string;
	readonly expiresAt: string;
	readonly lastUsedAt: string | null;
	readonly revokedAt: string | null;
};

/** Somebody an identity provider vouched for, with the roles it said when they last signed in. */
export type AccountRow = {
	readonly tenant: string;
	readonly account: string;
	readonly name: string;
	readonly roles: readonly Role[];
	readonly signedInAt: string;
	readonly disabledAt: string | null;
};

export type SessionRow = {
	/** SHA-256 of what the cookie holds, hex */
	readonly digest: string;
	readonly tenant: string;
	readonly account: string;
	readonly createdAt: string;
	/** to the minute */
	readonly seenAt: string;
	readonly expiresAt: string;
};

/** A sign-in that was begun: what the provider's answer has to match. */
export type SignInRow = {
	/** SHA-256 of what the cookie of the browser holds, hex */
	readonly digest: string;
	readonly state: string;
	readonly nonce: string;
	readonly verifier: string;
	readonly expiresAt: string;
};

/** Every replica reads the store at every call, so what is revoked or ended is so everywhere at once. All times are ISO 8601 in UTC. */
export type IdentityStore = {
	addToken(row: TokenRow): Promise<void>;
	tokenBy(digest: string): Promise<TokenRow | null>;
	/** Newest first; with an owner those alone that are theirs. */
	tokens(tenant: string, owner?: string): Promise<readonly TokenRow[]>;
	/** False when the tenant, or the owner if there is one, has no such token that is not revoked. */
	revokeToken(which: {readonly tenant: string; readonly tokenId: string; readonly owner?: string}, at: string): Promise<boolean>;
	noteTokenUse(tokenId: string, at: string): Promise<void>;
	/** Adds the account or renews what is known of it; one that is disabled stays so. */
	putAccount(row: Omit<AccountRow, 'disabledAt'>): Promise<void>;
	account(tenant: string, account: string): Promise<AccountRow | null>;
	accounts(tenant: string): Promise<readonly AccountRow[]>;
	/** False when there is no such account. Disabling ends its sessions. */
	disableAccount(tenant: string, account: string, at: string | null): Promise<boolean>;
	addSession(row: SessionRow): Promise<void>;
	session(digest: string): Promise<SessionRow | null>;
	noteSessionUse(digest: string, at: string): Promise<void>;
	/** False when it had ended. */
	endSession(digest: string): Promise<boolean>;
	addSignIn(row: SignInRow): Promise<void>;
	/** Hands it out once. */
	takeSignIn(digest: string): Promise<SignInRow | null>;
	/** Removes sessions and sign-ins that are over. */
	sweepIdentity(now: string): Promise<void>;
};

/** Of a store. */
export type HasIdentity = {readonly identity: IdentityStore};
