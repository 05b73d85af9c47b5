import {
	allowInsecureRequests,
	authorizationCodeGrant,
	buildAuthorizationUrl,
	ClientError,
	ClientSecretBasic,
	ClientSecretPost,
	type Configuration,
	calculatePKCECodeChallenge,
	discovery,
	enableNonRepudiationChecks,
	None,
	randomNonce,
	randomPKCECodeVerifier,
	randomState,
} from 'openid-client';
import {WritError} from '#contract/errors.ts';
import type {Provider} from '#identity/sign-in.ts';

export type OidcOptions = {
	/** without TLS only on this machine */
	readonly issuer: string;
	readonly clientId: string;
	/** null for a public client, which PKCE alone protects */
	readonly clientSecret: string | null;
	readonly label: string;
	readonly scopes: string;
	readonly timeoutMs: number;
	readonly report: (error: unknown) => void;
};

/** What a provider says of itself is asked again after so long. */
const FRESH_MS = 10 * 60_000;

/**
 * An OpenID Connect provider: authorization code with PKCE, state and nonce. It is found out about when somebody signs in, so that one that
 * is away keeps nobody from starting. Signature, issuer, audience, time and nonce of the ID token are checked by the library.
 */
export function createOidc(options: OidcOptions): Provider {
	const known: {config: Promise<Configuration> | null; at: number} = {config: null, at: 0};
	const configure = async () => {
		if (known.config === null || known.at + FRESH_MS < Date.now()) {
			known.config = discover(options);
			known.at = Date.now();
		}
		try {
			return await known.config;
		} catch (cause) {
			known.config = null;
			options.report(cause);
			throw unavailable(options.label, cause);
		}
	};
	return {
		label: options.label,
		async begin(redirectUri) {
			const config = await configure();
			const checks = {state: randomState(), nonce: randomNonce(), verifier: randomPKCECodeVerifier()};
			const url = buildAuthorizationUrl(config, {
				redirect_uri: redirectUri,
				response_type: 'code',
				scope: options.scopes,
				code_challenge: await calculatePKCECodeChallenge(checks.verifier),
				code_challenge_method: 'S256',
				state: checks.state,
				nonce: checks.nonce,
			});
			return {url: url.href, checks};
		},
		async finish(answer, {state, nonce, verifier}) {
			const config = await configure();
			try {
				const expected = {expectedState: state, expectedNonce: nonce, pkceCodeVerifier: verifier, idTokenExpected: true};
				const tokens = await authorizationCodeGrant(config, answer, expected);
				return tokens.claims() ?? {};
			} catch (cause) {
				options.report(cause);
				if (isAway(cause)) throw unavailable(options.label, cause);
				throw new WritError('unauthenticated', `${options.label} did not vouch for this sign-in`, {hint: 'begin again', cause});
			}
		},
	};
}

async function discover({issuer, clientId, clientSecret, timeoutMs}: OidcOptions): Promise<Configuration> {
	const url = new URL(issuer);
	const authentication = clientSecret === null ? None() : ClientSecretBasic(clientSecret);
	const execute = url.protocol === 'http:' ? [allowInsecureRequests] : [];
	const config = await discovery(url, clientId, undefined, authentication, {execute, timeout: timeoutMs / 1_000});
	const {token_endpoint_auth_methods_supported: methods} = config.serverMetadata();
	if (clientSecret === null || !methods || methods.includes('client_secret_basic')) return checked(config);
	return checked(
		await discovery(url, clientId, undefined, ClientSecretPost(clientSecret), {execute, timeout: timeoutMs / 1_000}),
	);
}

/** Also what came straight from the provider has to be signed by it. */
function checked(config: Configuration): Configuration {
	enableNonRepudiationChecks(config);
	return config;
}

/** Whether it did not answer at all, as against answering no. */
function isAway(cause: unknown): boolean {
	if (cause instanceof ClientError) return cause.code === 'OAUTH_TIMEOUT' || isAway(cause.cause);
	return cause instanceof TypeError || (cause instanceof Response && cause.status >= 500);
}

function unavailable(label: string, cause: unknown): WritError {
	return new WritError('identity_unavailable', `${label} does not answer, so nobody can sign in with it now`, {
		hint: 'try again shortly; configured tokens and sessions that are open work on',
		cause,
	});
}
