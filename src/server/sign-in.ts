/** Signing in and out with a browser: addresses that a person visits, so they redirect, and what went wrong is told by the page. */
import {deleteCookie, getCookie, setCookie} from 'hono/cookie';
import {toErrorBody, WritError} from '#contract/errors.ts';
import type {AppContext} from './context.ts';
import {createRouter} from './context.ts';
import type {ServerDeps, ServerOptions} from './deps.ts';

type Where = Pick<ServerOptions, 'host' | 'publicUrl'>;

/** Whether the browser reaches the server over TLS: then its cookies travel by nothing else, and belong to this host alone. */
function isSecure({publicUrl}: Where): boolean {
	return publicUrl !== null && new URL(publicUrl).protocol === 'https:';
}

function nameOf(kind: 'session' | 'sign_in', where: Where): string {
	return `${isSecure(where) ? '__Host-' : ''}writ_${kind}`;
}

/** What the cookie of the session holds; null without one. */
export function sessionCookie(c: AppContext, where: Where): string | null {
	return getCookie(c, nameOf('session', where)) ?? null;
}

export function signInRoutes({identity, options, log}: ServerDeps) {
	const cookie = {httpOnly: true, sameSite: 'Lax', path: '/', secure: isSecure(options)} as const;
	const [session, begun] = [nameOf('session', options), nameOf('sign_in', options)];
	const router = createRouter();
	router.get('/auth/sign-in', async (c) => {
		try {
			const {url, secret} = await required(identity.signIn).begin(callbackOf(c, options));
			setCookie(c, begun, secret, {...cookie, maxAge: 600});
			return c.redirect(url);
		} catch (error) {
			return refused(c, error, log);
		}
	});
	router.get('/auth/callback', async (c) => {
		const secret = getCookie(c, begun) ?? null;
		deleteCookie(c, begun, cookie);
		try {
			const answer = new URL(callbackOf(c, options));
			answer.search = new URL(c.req.url).search;
			// A session of its own for each sign-in: what the browser held before it opens nothing now.
			const held = sessionCookie(c, options);
			const opened = await required(identity.signIn).finish(secret, answer);
			const before = held === null ? null : await identity.identify(null, held);
			if (before?.by === 'session') await identity.endSession(before);
			setCookie(c, session, opened.secret, {...cookie, maxAge: Math.floor(opened.maxAgeMs / 1_000)});
			return c.redirect('/');
		} catch (error) {
			return refused(c, error, log);
		}
	});
	router.post('/auth/sign-out', async (c) => {
		await identity.endSession(c.get('caller'));
		deleteCookie(c, session, cookie);
		return c.body(null, 204);
	});
	return router;
}

function required(signIn: ServerDeps['identity']['signIn']) {
	if (signIn) return signIn;
	throw new WritError('not_found', 'this server has no identity provider', {hint: 'set OIDC_ISSUER and OIDC_CLIENT_ID'});
}

/** On a loopback address the host was checked to be our own; elsewhere it is stated, because a caller could name any. */
function callbackOf(c: AppContext, {publicUrl}: Where): string {
	return new URL('/auth/callback', publicUrl ?? new URL(c.req.url).origin).href;
}

/** A browser is shown the page, which says what happened; a program gets the error. */
function refused(c: AppContext, error: unknown, log: ServerDeps['log']): Response {
	if (!(c.req.header('accept') ?? '').includes('text/html')) throw error;
	const {code} = toErrorBody(error);
	log.warn('sign_in.refused', {error});
	return c.redirect(`/?sign_in=${code}`);
}
