/** Who may come in, as the settings say. */
import {randomBytes} from 'node:crypto';
import type {Config} from '#config/config.ts';
import {WritError} from '#contract/errors.ts';
import type {Principal} from '#contract/event.ts';
import {createIdentity, type Identity} from '#identity/identity.ts';
import type {ConfiguredAccount} from '#identity/rights.ts';
import {createSignIn, type SignIn} from '#identity/sign-in.ts';
import {isLoopback} from '#server/guard.ts';
import type {Log} from '#server/log.ts';
import type {Platform} from './platform.ts';
import {isSingleUser} from './single-user.ts';

const LOCAL_USER: Principal = {kind: 'user', id: 'local', tenant: 'local'};

/** Throws `invalid_config`. What speaks with a provider is loaded only where there is one. */
export async function openIdentity(
	platform: Platform,
	config: Config,
	{configured, log}: {readonly configured: readonly ConfiguredAccount[]; readonly log: Log},
): Promise<Identity> {
	const {store, kernel, recordAudit} = platform;
	return createIdentity({
		store: store.identity,
		clock: kernel.clock,
		newId: (prefix) => `${prefix}_${randomBytes(10).toString('hex')}`,
		configured,
		single: isSingleUser(config) ? LOCAL_USER : null,
		signIn: await openSignIn(platform, config, {configured, log}),
		sessionIdleMs: config.identity.sessionIdleMinutes * 60_000,
		record: recordAudit,
		redact: platform.redact,
	});
}

type Context = {readonly configured: readonly ConfiguredAccount[]; readonly log: Log};

async function openSignIn({store, kernel, secrets, recordAudit}: Platform, {identity}: Config, {configured, log}: Context) {
	const {issuer, clientId, clientSecret, label, scopes, tenantClaim, rolesClaim, sessionHours} = identity;
	if (issuer === null) return null;
	if (clientId === null)
		throw new WritError('invalid_config', 'there is an identity provider, and no name of this server there', {
			hint: 'set OIDC_CLIENT_ID as well',
		});
	const {protocol, hostname} = new URL(issuer);
	if (protocol !== 'https:' && !isLoopback(hostname))
		throw new WritError(
			'invalid_config',
			`the identity provider ${issuer} is not reached over TLS, so anyone between could be it`,
			{
				hint: 'use its https address',
			},
		);
	const {createOidc} = await import('#executors/oidc.ts');
	const report = (error: unknown) => log.warn('sign_in.failed', {error});
	const provider = createOidc({
		...{issuer, clientId, label, scopes, report},
		clientSecret: secrets.resolve(clientSecret),
		timeoutMs: TIMEOUT_MS,
	});
	return createSignIn({
		...{provider, configured, store: store.identity, clock: kernel.clock},
		claims: {tenant: tenantClaim, roles: rolesClaim},
		sessionMs: sessionHours * 3_600_000,
		record: recordAudit,
	}) satisfies SignIn;
}

/** Of one answer of the provider; a person waits. */
const TIMEOUT_MS = 10_000;
