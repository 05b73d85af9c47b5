import {z} from 'zod';
import {count, optionalText, setting, text} from './setting.ts';

const httpUrl = z.url({protocol: /^https?$/});

/** The provider people sign in with, and how long they stay signed in. */
export const identity = {
	publicUrl: setting(
		httpUrl.nullable().default(null),
		'the address of this server as browsers see it; needed to sign in on anything but a loopback address',
		{env: 'WRIT_PUBLIC_URL'},
	),
	issuer: setting(
		httpUrl.nullable().default(null),
		'the OpenID Connect provider people sign in with; setting it turns sign-in on',
		{
			env: 'OIDC_ISSUER',
		},
	),
	clientId: setting(optionalText, 'what this server is called there', {env: 'OIDC_CLIENT_ID'}),
	clientSecret: setting(optionalText, 'the secret it has there, as secret:NAME; without one PKCE alone protects the sign-in', {
		env: 'OIDC_CLIENT_SECRET',
		secret: true,
	}),
	label: setting(text.default('your organisation'), 'what the button says after "Sign in with"', {env: 'OIDC_LABEL'}),
	scopes: setting(text.default('openid profile'), 'what is asked of the provider', {env: 'OIDC_SCOPES'}),
	tenantClaim: setting(text.default('tenant'), 'the claim of the ID token that holds the tenant; without it nobody gets in', {
		env: 'OIDC_TENANT_CLAIM',
	}),
	rolesClaim: setting(text.default('roles'), 'the claim that holds the roles; without a known one nobody gets in', {
		env: 'OIDC_ROLES_CLAIM',
	}),
	sessionHours: setting(count(1, 720, 12), 'how long a session lasts at most', {env: 'WRIT_SESSION_HOURS', unit: 'h'}),
	sessionIdleMinutes: setting(count(1, 43_200, 120), 'how long a session lasts that nobody uses', {
		env: 'WRIT_SESSION_IDLE_MINUTES',
		unit: 'min',
	}),
};
