/** Who calls, told by what they hold. Everything is looked up at the time of the call: nothing here remembers an answer. */
import {createHash, timingSafeEqual} from 'node:crypto';
import type {Principal} from '#contract/event.ts';
import type {Me, Role} from '#contract/identity.ts';
import type {IdentityStore, TokenRow} from '#kernel/identity-store.ts';
import type {Clock} from '#kernel/ports.ts';
import {type ConfiguredAccount, intersect, type RightsOf} from './rights.ts';
import {digestOf, isWellFormed, looksLikeToken} from './token.ts';

export type Caller = {
	readonly principal: Principal;
	readonly by: Me['by'];
	/** for people to read */
	readonly name: string;
	/** of the session, when there is one */
	readonly session?: string;
};

export type CallerOptions = {
	readonly store: IdentityStore;
	readonly clock: Clock;
	readonly configured: readonly ConfiguredAccount[];
	readonly rightsOf: RightsOf;
	/** who everybody is on a server that asks nobody; null where it asks */
	readonly single: Principal | null;
	readonly sessionIdleMs: number;
};

export type Callers = {
	/** Null for whoever is nobody here. `bearer` and `cookie` are as they were sent, null when they were not. */
	identify(bearer: string | null, cookie: string | null): Promise<Caller | null>;
};

/** What is only remembered to the minute is not written more often. */
const MINUTE_MS = 60_000;

export function createCallers(options: CallerOptions): Callers {
	const known = options.configured.map((account) => ({account, digest: sha256(account.token)}));
	return {
		async identify(bearer, cookie) {
			if (bearer !== null) {
				// All are compared, in constant time each, so that timing tells nothing.
				const given = sha256(bearer);
				const [match] = known.filter(({digest}) => timingSafeEqual(digest, given));
				if (match) return ofAccount(match.account);
				// A token that is no good any more must not be taken for nobody's, who may be allowed everything here.
				if (looksLikeToken(bearer) || options.single === null) return ofToken(bearer, options);
			}
			const session = cookie === null ? null : await ofSession(cookie, options);
			if (session) return session;
			return options.single && {principal: options.single, by: 'open', name: options.single.id};
		},
	};
}

function ofAccount({id, tenant, person, roles}: ConfiguredAccount): Caller {
	const principal: Principal = {kind: 'user', id, tenant, ...(person && {person}), ...(roles && {roles: [...roles]})};
	return {principal, by: 'configured', name: id};
}

async function ofToken(token: string, {store, clock, rightsOf}: CallerOptions): Promise<Caller | null> {
	if (!isWellFormed(token)) return null;
	const row = await store.tokenBy(digestOf(token));
	const now = clock.now();
	if (!row || row.revokedAt !== null || row.expiresAt <= now.toISOString()) return null;
	const owned = row.owner === null ? row.roles : await rightsOf(row.tenant, row.owner);
	if (owned === null) return null;
	if (isOlder(row.lastUsedAt, now)) await store.noteTokenUse(row.tokenId, now.toISOString());
	return {principal: toPrincipal(row, owned), by: 'token', name: row.name};
}

/** `owned`: what its owner may do now, and so the most that the token is good for. */
function toPrincipal({kind, name, tenant, owner, person, tools, tokenId, roles}: TokenRow, owned: readonly Role[]): Principal {
	// Anybody may name an agent of their own, so its owner is part of its id: no name is that of another's agent, which a rule may trust.
	const id = owner === null ? name : kind === 'user' ? owner : `${owner}/${name}`;
	return {
		...{kind, id, tenant, person, roles: intersect(roles, owned), token: tokenId},
		...(tools && {tools: [...tools]}),
		...(kind === 'agent' && owner !== null ? {onBehalfOf: owner, via: {kind: 'user', id: owner, roles: [...owned]}} : {}),
	};
}

async function ofSession(cookie: string, {store, clock, rightsOf, sessionIdleMs}: CallerOptions): Promise<Caller | null> {
	const row = await store.session(digestOf(cookie));
	const now = clock.now();
	if (!row || row.expiresAt <= now.toISOString() || Date.parse(row.seenAt) + sessionIdleMs <= now.getTime()) return null;
	const roles = await rightsOf(row.tenant, row.account);
	if (roles === null) return null;
	if (isOlder(row.seenAt, now)) await store.noteSessionUse(row.digest, now.toISOString());
	const name = (await store.account(row.tenant, row.account))?.name ?? row.account;
	const principal: Principal = {kind: 'user', id: row.account, tenant: row.tenant, roles: [...roles]};
	return {principal, by: 'session', name, session: row.digest};
}

function isOlder(time: string | null, now: Date): boolean {
	return time === null || Date.parse(time) + MINUTE_MS <= now.getTime();
}

function sha256(text: string): Buffer {
	return createHash('sha256').update(text).digest();
}
