/** Settings that hold several values in one text, so that an environment variable can say them. */
import {z} from 'zod';
import {ROLES, type Role} from '#contract/identity.ts';

/** `token=person@tenant`, or `token=account:person@tenant`, and `:role+role` for less than all; the token may hold any character but `=` and `,`. */
export const tokenEntry = z.string().transform((entry, context) => {
	const [, token, id, person, tenant, named] =
		/^([^=,\s]{16,}|secret:[^=,\s]+)=([^@=:,\s]+)(?::([^@=:,\s]+))?@([^@=:,\s]+)(?::([^@=:,\s]+))?$/.exec(entry) ?? [];
	if (!token || !id || !tenant) {
		context.addIssue({code: 'custom', message: 'write each as token=person@tenant, the token at least 16 characters'});
		return z.NEVER;
	}
	const account = {token, id, tenant, ...(person && {person})};
	if (named === undefined) return account;
	const unknown = named.split('+').filter((role) => !(ROLES as readonly string[]).includes(role));
	if (unknown.length === 0) return {...account, roles: named.split('+') as Role[]};
	context.addIssue({code: 'custom', message: `there is no role \`${unknown.join(', ')}\`; known: ${ROLES.join(', ')}`});
	return z.NEVER;
});

/** Where a secret goes: `api.example.com=Authorization: Bearer secret:NAME`. */
export const injectionEntry = z.string().transform((entry, context) => {
	const [, host, header, prefix, secret] = /^([^=\s]+)=([^:\s]+):\s*([^,]*?)secret:([A-Za-z][\w.-]*)$/.exec(entry) ?? [];
	if (host && header && prefix !== undefined && secret) return {host, header, prefix, secret};
	context.addIssue({code: 'custom', message: 'write each as host=Header: secret:NAME, with what comes before the secret'});
	return z.NEVER;
});

/** `git.example.com=10.1.0.0/16`. */
export const exceptionEntry = z.string().transform((entry, context) => {
	const [, host, cidr] = /^([^=,\s]+)=([^=,\s]+\/\d+)$/.exec(entry) ?? [];
	if (host && cidr) return {host, cidr};
	context.addIssue({code: 'custom', message: 'write each as host=network, as in git.example.com=10.1.0.0/16'});
	return z.NEVER;
});
