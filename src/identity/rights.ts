import {ROLES, type Role} from '#contract/identity.ts';
import type {IdentityStore} from '#kernel/identity-store.ts';

/** An account of the settings. */
export type ConfiguredAccount = {
	readonly token: string;
	readonly id: string;
	readonly tenant: string;
	readonly person?: string;
	/** without them all */
	readonly roles?: readonly Role[];
};

/** What an account may do now; null when there is no such account any more, or it is disabled. */
export type RightsOf = (tenant: string, account: string) => Promise<readonly Role[] | null>;

/** `single` is the one account of a server that asks nobody who they are. */
export function createRights(
	configured: readonly ConfiguredAccount[],
	store: Pick<IdentityStore, 'account'>,
	single: {readonly id: string; readonly tenant: string} | null,
): RightsOf {
	return async (tenant, account) => {
		if (single?.tenant === tenant && single.id === account) return ROLES;
		const named = configured.filter((one) => one.tenant === tenant && one.id === account);
		if (named.length > 0) return ROLES.filter((role) => named.some(({roles = ROLES}) => roles.includes(role)));
		const row = await store.account(tenant, account);
		return row && row.disabledAt === null ? row.roles : null;
	};
}

/** In the order of the catalogue. */
export function intersect(one: readonly Role[], other: readonly Role[]): Role[] {
	return ROLES.filter((role) => one.includes(role) && other.includes(role));
}
