/** Signing in with an identity provider, and the sessions that come of it. */
import {WritError} from '#contract/errors.ts';
import type {Principal} from '#contract/event.ts';
import {ROLES, type Role} from '#contract/identity.ts';
import type {IdentityStore} from '#kernel/identity-store.ts';
import type {Clock} from '#kernel/ports.ts';
import type {ConfiguredAccount} from './rights.ts';
import {digestOf, mintSecret} from './token.ts';

/** What a sign-in sends along, and what its answer has to match. */
export type Checks = {readonly state: string; readonly nonce: string; readonly verifier: string};

/** Puts something to answer for on record; resolves when it is durable. */
export type RecordNote = (
	note: {readonly what: string; readonly target: string; readonly detail: string},
	by: Principal,
) => Promise<void>;

/** A provider, whatever it speaks. */
export type Provider = {
	/** what the button says, after "Sign in with" */
	readonly label: string;
	/** Where to send the browser. Throws `identity_unavailable`. */
	begin(redirectUri: string): Promise<{readonly url: string; readonly checks: Checks}>;
	/** The claims of a token that was signed by the provider for us, now, and for this sign-in. Throws `unauthenticated` or `identity_unavailable`. */
	finish(answer: URL, checks: Checks): Promise<Readonly<Record<string, unknown>>>;
};

export type SignInOptions = {
	readonly provider: Provider;
	readonly store: IdentityStore;
	readonly clock: Clock;
	/** places of the tenant and the roles in the claims; a dot leads into an object */
	readonly claims: {readonly tenant: string; readonly roles: string};
	/** names nobody else may take */
	readonly configured: readonly Pick<ConfiguredAccount, 'id' | 'tenant'>[];
	readonly sessionMs: number;
	/** Puts it on record before it counts. */
	readonly record: RecordNote;
};

export type SignIn = {
	readonly label: string;
	/** `secret` is for a cookie of the browser that began, and of no other. */
	begin(redirectUri: string): Promise<{readonly url: string; readonly secret: string}>;
	/** `secret` is for the cookie of the session. Throws `unauthenticated`, `forbidden` or `identity_unavailable`. */
	finish(secret: string | null, answer: URL): Promise<{readonly secret: string; readonly maxAgeMs: number}>;
};

const SIGN_IN_MS = 10 * 60_000;

export function createSignIn(options: SignInOptions): SignIn {
	const {provider, store, clock} = options;
	return {
		label: provider.label,
		async begin(redirectUri) {
			const {url, checks} = await provider.begin(redirectUri);
			const secret = mintSecret();
			const now = clock.now();
			await store.sweepIdentity(now.toISOString());
			const expiresAt = new Date(now.getTime() + SIGN_IN_MS).toISOString();
			await store.addSignIn({digest: digestOf(secret), ...checks, expiresAt});
			return {url, secret};
		},
		async finish(secret, answer) {
			const begun = secret === null ? null : await store.takeSignIn(digestOf(secret));
			if (!begun || begun.expiresAt <= clock.now().toISOString())
				throw new WritError(
					'unauthenticated',
					'this sign-in was not begun in this browser, or it was used, or it took too long',
					{
						hint: 'begin again',
					},
				);
			return openSession(await provider.finish(answer, begun), options);
		},
	};
}

type Claims = Readonly<Record<string, unknown>>;

async function openSession(claims: Claims, options: SignInOptions) {
	const {store, clock, sessionMs, record} = options;
	const principal = toPrincipal(claims, options);
	const {tenant, id, roles = []} = principal;
	const existing = await store.account(tenant, id);
	if (existing && existing.disabledAt !== null) {
		await record({what: 'login.refused', target: id, detail: 'the account is disabled'}, principal);
		throw new WritError('forbidden', 'this account is disabled', {hint: 'an admin of your tenant can enable it again'});
	}
	await record({what: 'login.succeeded', target: id, detail: roles.join(', ')}, principal);
	const now = clock.now();
	const at = now.toISOString();
	await store.putAccount({tenant, account: id, name: nameIn(claims) ?? id, roles, signedInAt: at});
	const secret = mintSecret();
	const expiresAt = new Date(now.getTime() + sessionMs).toISOString();
	await store.addSession({digest: digestOf(secret), tenant, account: id, createdAt: at, seenAt: at, expiresAt});
	return {secret, maxAgeMs: sessionMs};
}

/** Denies wherever a claim is missing or says nothing that is known here. */
function toPrincipal(claims: Claims, {claims: places, configured}: SignInOptions): Principal {
	const [id, tenant] = [claims.sub, at(claims, places.tenant)];
	if (!isName(id)) throw new WritError('forbidden', 'the identity provider did not say who this is');
	if (!isName(tenant)) throw new WritError('forbidden', `the identity provider gave no tenant in the claim \`${places.tenant}\``);
	const given = at(claims, places.roles);
	const named: readonly unknown[] = Array.isArray(given) ? given : typeof given === 'string' ? given.split(/[\s,]+/) : [];
	const roles: Role[] = ROLES.filter((role) => named.includes(role));
	if (roles.length === 0)
		throw new WritError('forbidden', `the identity provider gave no role that is known here in the claim \`${places.roles}\``, {
			hint: `one of: ${ROLES.join(', ')}`,
		});
	if (configured.some((one) => one.id === id && one.tenant === tenant))
		throw new WritError('forbidden', 'an account of the settings has this name already');
	return {kind: 'user', id, tenant, roles};
}

function isName(value: unknown): value is string {
	return typeof value === 'string' && /^[^\s@\p{Cc}][^\p{Cc}]{0,199}$/u.test(value);
}

function nameIn({name, preferred_username: user, email}: Claims): string | undefined {
	return [name, user, email]
		.find((value) => typeof value === 'string' && value !== '')
		?.toString()
		.slice(0, 200);
}

function at(claims: Claims, place: string): unknown {
	if (Object.hasOwn(claims, place)) return claims[place];
	return place.split('.').reduce<unknown>((value, key) => {
		const inside = typeof value === 'object' && value !== null && Object.hasOwn(value, key);
		return inside ? (value as Claims)[key] : undefined;
	}, claims);
}
