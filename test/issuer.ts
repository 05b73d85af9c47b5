/** A real OpenID Connect provider on this machine, which can also be made to lie, and a browser as far as signing in needs one. */
import {createPrivateKey, generateKeyPairSync, type KeyObject, randomBytes, sign} from 'node:crypto';
import {createServer, type IncomingMessage, type ServerResponse} from 'node:http';
import type {AddressInfo} from 'node:net';
import {Provider} from 'oidc-provider';
import {atEnd, type Scope} from './server.ts';

type Claims = Readonly<Record<string, unknown>>;

export type Issuer = {
	readonly url: string;
	/** for `OIDC_*` */
	readonly env: Readonly<Record<string, string>>;
	/** who can sign in, with what is said of them */
	readonly people: Map<string, Claims>;
	/** what it says instead of the truth, under its own key */
	lie: ((truth: Claims) => Claims) | null;
	/** under a key of somebody else */
	forge: boolean;
	/** Answers from now on, for a server at that address. */
	serve(redirectUri: string): void;
	close(): Promise<void>;
};

const CLIENT = {id: 'writ', secret: randomBytes(24).toString('hex')};

export async function startIssuer(scope: Scope): Promise<Issuer> {
	const [own, foreign] = [generateKey(), generateKey()];
	const state: {handle: ((request: IncomingMessage, response: ServerResponse) => void) | null} = {handle: null};
	const server = createServer((request, response) => (state.handle ? state.handle(request, response) : response.destroy()));
	await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
	const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
	const close = () =>
		new Promise<void>((resolve) => {
			server.close(() => resolve());
			server.closeAllConnections();
		});
	atEnd(scope, close);
	const issuer: Issuer = {
		url,
		env: {OIDC_ISSUER: url, OIDC_CLIENT_ID: CLIENT.id, OIDC_CLIENT_SECRET: 'secret:OIDC', WRIT_SECRET_OIDC: CLIENT.secret},
		people: new Map(),
		lie: null,
		forge: false,
		serve(redirectUri) {
			const provider = createProvider(url, {redirectUri, people: issuer.people, key: own});
			const handle = provider.callback();
			state.handle = (request, response) => {
				if (request.url?.startsWith('/interaction/')) return void consent(provider, request, response, issuer.people);
				if (request.url === '/token') tamper(response, (claims) => issuer.lie?.(claims) ?? claims, issuer.forge ? foreign : own);
				void handle(request, response);
			};
		},
		close,
	};
	return issuer;
}

function generateKey(): KeyObject {
	return createPrivateKey(generateKeyPairSync('rsa', {modulusLength: 2_048}).privateKey.export({type: 'pkcs8', format: 'pem'}));
}

type Given = {readonly redirectUri: string; readonly people: Issuer['people']; readonly key: KeyObject};

function createProvider(url: string, {redirectUri, people, key}: Given): Provider {
	return new Provider(url, {
		clients: [{client_id: CLIENT.id, client_secret: CLIENT.secret, redirect_uris: [redirectUri]}],
		claims: {openid: ['sub', 'tenant', 'roles'], profile: ['name']},
		conformIdTokenClaims: false,
		findAccount: (_context: unknown, id: string) => ({accountId: id, claims: () => ({sub: id, ...people.get(id)})}),
		pkce: {required: () => true},
		features: {devInteractions: {enabled: false}},
		interactions: {url: (_context: unknown, {uid}: {uid: string}) => `/interaction/${uid}`},
		cookies: {keys: [randomBytes(16).toString('hex')]},
		jwks: {keys: [{...key.export({format: 'jwk'}), use: 'sig', kid: 'k1', alg: 'RS256'}]},
	});
}

/** Signs in whoever the header names, and agrees to everything. */
async function consent(provider: Provider, request: IncomingMessage, response: ServerResponse, people: Issuer['people']) {
	const accountId = String(request.headers['x-person'] ?? [...people.keys()][0]);
	const {prompt, params} = await provider.interactionDetails(request, response);
	if (prompt.name === 'login') return provider.interactionFinished(request, response, {login: {accountId}});
	const grant = new provider.Grant({accountId, clientId: params.client_id});
	grant.addOIDCScope(params.scope);
	return provider.interactionFinished(request, response, {consent: {grantId: await grant.save()}});
}

/** Puts another ID token in place of the true one. */
function tamper(response: ServerResponse, say: (truth: Claims) => Claims, key: KeyObject): void {
	const end = response.end.bind(response);
	response.end = ((body?: unknown) => {
		const reply = JSON.parse(String(body)) as {id_token?: string};
		if (reply.id_token === undefined) return end(String(body));
		const [head = '', claims = ''] = reply.id_token.split('.');
		const truth = JSON.parse(Buffer.from(claims, 'base64url').toString()) as Claims;
		const unsigned = `${head}.${Buffer.from(JSON.stringify(say(truth))).toString('base64url')}`;
		const text = JSON.stringify({
			...reply,
			id_token: `${unsigned}.${sign('sha256', Buffer.from(unsigned), key).toString('base64url')}`,
		});
		response.setHeader('content-length', Buffer.byteLength(text));
		return end(text);
	}) as typeof response.end;
}

/** Keeps cookies by server and follows nothing by itself. */
export class Browser {
	readonly #jars = new Map<string, Map<string, string>>();
	/** who sits in front of it */
	readonly person: string;

	constructor(person: string) {
		this.person = person;
	}

	cookies(url: string): Map<string, string> {
		const {host} = new URL(url);
		const jar = this.#jars.get(host) ?? new Map<string, string>();
		this.#jars.set(host, jar);
		return jar;
	}

	async get(url: string, init: RequestInit = {}): Promise<Response> {
		const jar = this.cookies(url);
		const headers = new Headers(init.headers);
		headers.set('x-person', this.person);
		if (jar.size > 0) headers.set('cookie', [...jar].map(([name, value]) => `${name}=${value}`).join('; '));
		const response = await fetch(url, {...init, headers, redirect: 'manual'});
		for (const line of response.headers.getSetCookie()) {
			const [pair = '', ...attributes] = line.split(/;\s*/);
			const [name = '', value = ''] = pair.split(/=(.*)/s);
			if (value === '' || attributes.some((each) => /^max-age=0$|^expires=Thu, 01 Jan 1970/i.test(each))) jar.delete(name);
			else jar.set(name, value);
		}
		return response;
	}

	/** A request that the page of that server would make. */
	page(url: string, init: RequestInit = {}): Promise<Response> {
		const headers = new Headers(init.headers);
		headers.set('origin', new URL(url).origin);
		headers.set('sec-fetch-site', 'same-origin');
		return this.get(url, {...init, headers});
	}

	/** Goes to the provider and agrees there; resolves to the address that it sends back to, which is not visited. */
	async begin(server: string): Promise<URL> {
		let at = new URL('/auth/sign-in', server);
		for (let hops = 0; hops < 12; hops += 1) {
			if (at.pathname === '/auth/callback') return at;
			const response = await this.get(at.href);
			const next = response.headers.get('location');
			if (next === null) throw new Error(`${at.href} answered ${response.status}: ${await response.text()}`);
			at = new URL(next, at);
		}
		throw new Error('the provider sends from here to there');
	}

	async signIn(server: string): Promise<Response> {
		return this.get((await this.begin(server)).href);
	}
}
