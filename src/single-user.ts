import type {Config} from '#config/config.ts';

/** Whether nobody is asked who they are. */
export function isSingleUser({server, identity}: Pick<Config, 'server' | 'identity'>): boolean {
	return server.authTokens.length === 0 && identity.issuer === null;
}
