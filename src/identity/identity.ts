import {WritError} from '#contract/errors.ts';
import type {Principal} from '#contract/event.ts';
import {type Account, ROLES} from '#contract/identity.ts';
import type {IdentityStore} from '#kernel/identity-store.ts';
import type {Clock, Redactor} from '#kernel/ports.ts';
import {type Caller, type Callers, createCallers} from './callers.ts';
import {type ConfiguredAccount, createRights} from './rights.ts';
import type {RecordNote, SignIn} from './sign-in.ts';
import {createTokens, type Tokens} from './tokens.ts';

/** All that a server asks about who somebody is. */
export type Identity = Callers & {
	readonly tokens: Tokens;
	/** null without a provider */
	readonly signIn: SignIn | null;
	readonly accounts: Accounts;
	/** From here on its cookie opens nothing, on any replica. */
	endSession(caller: Caller): Promise<void>;
};

export type Accounts = {
	/** Of the settings, and of people who signed in with a provider. */
	list(caller: Caller): Promise<readonly Account[]>;
	/** Disabling ends its sessions, and with them what its tokens can do. Throws `not_found`, or `forbidden` for one's own. */
	disable(account: string, disabled: boolean, caller: Caller): Promise<void>;
};

export type IdentityOptions = {
	readonly store: IdentityStore;
	readonly clock: Clock;
	readonly newId: (prefix: 'tok') => string;
	/** accounts of the settings */
	readonly configured: readonly ConfiguredAccount[];
	/** who everybody is on a server that asks nobody; null where it asks */
	readonly single: Principal | null;
	readonly signIn: SignIn | null;
	readonly sessionIdleMs: number;
	readonly record: RecordNote;
	readonly redact: Redactor;
};

export function createIdentity({signIn, newId, record, redact, ...given}: IdentityOptions): Identity {
	const {store, clock, configured, single} = given;
	return {
		...createCallers({...given, rightsOf: createRights(configured, store, single)}),
		tokens: createTokens({store, clock, newId, record, redact}),
		signIn,
		accounts: createAccounts({store, clock, configured, record}),
		async endSession({principal, session}) {
			if (session === undefined || !(await store.endSession(session))) return;
			await record({what: 'session.ended', target: principal.id, detail: ''}, principal);
		},
	};
}

type Ports = Pick<IdentityOptions, 'store' | 'clock' | 'configured' | 'record'>;

function createAccounts({store, clock, configured, record}: Ports): Accounts {
	return {
		async list({principal: {tenant}}) {
			const named = Map.groupBy(
				configured.filter((one) => one.tenant === tenant),
				({id}) => id,
			);
			const ofSettings = [...named].map(([account, tokens]) => ({
				...{account, name: account, source: 'settings' as const, signedInAt: null, disabledAt: null},
				roles: ROLES.filter((role) => tokens.some(({roles = ROLES}) => roles.includes(role))),
			}));
			const others = (await store.accounts(tenant)).filter(({account}) => !named.has(account));
			const signedIn = others.map(({tenant: _, roles, ...row}) => ({...row, source: 'provider' as const, roles: [...roles]}));
			return [...ofSettings, ...signedIn];
		},
		async disable(account, disabled, {principal}) {
			const {tenant, id} = principal;
			if (disabled && id === account) throw new WritError('forbidden', 'you cannot disable your own account');
			if (await store.disableAccount(tenant, account, disabled ? clock.now().toISOString() : null))
				return record({what: disabled ? 'account.disabled' : 'account.enabled', target: account, detail: ''}, principal);
			throw new WritError('not_found', `nobody has signed in as \`${account}\``, {
				hint: 'an account of the settings is ended there',
			});
		},
	};
}
