import type {Config} from '#config/config.ts';
import {personOf} from '#kernel/tally.ts';

/** Whether nobody is asked who they are. */
export function isSingleUser({server, identity}: Pick<Config, 'server' | 'identity'>): boolean {
	return server.authTokens.length === 0 && identity.issuer === null;
}

/** Whether a tenant, or without one the server, has two people to agree. Whom a provider knows is not known here: there may be two. */
export function hasTwoPeople({server, identity}: Pick<Config, 'server' | 'identity'>, of: string | null): boolean {
	const people = server.authTokens.filter(({tenant}) => of === null || tenant === of);
	return identity.issuer !== null || new Set(people.map(personOf)).size > 1;
}
