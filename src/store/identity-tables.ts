import type {TokenKind} from '#contract/identity.ts';

/** The tables of who may come in; roles and tools are JSON. */
export type IdentityTables = {
	tokens: {
		token_id: string;
		digest: string;
		tenant: string;
		kind: TokenKind;
		name: string;
		owner: string | null;
		person: string;
		roles: string;
		tools: string | null;
		created_at: string;
		expires_at: string;
		last_used_at: string | null;
		revoked_at: string | null;
	};
	accounts: {
		tenant: string;
		account: string;
		name: string;
		roles: string;
		signed_in_at: string;
		disabled_at: string | null;
	};
	sessions: {
		digest: string;
		tenant: string;
		account: string;
		created_at: string;
		seen_at: string;
		expires_at: string;
	};
	sign_ins: {digest: string; state: string; nonce: string; verifier: string; expires_at: string};
};
