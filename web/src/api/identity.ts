import {queryOptions} from '@tanstack/react-query';
import type {z} from 'zod';
import type {Account, Me, newTokenSchema, Token, TokenRequest} from '#contract/identity.ts';
import {getJson, postJson, request} from './client.ts';

export type NewToken = z.infer<typeof newTokenSchema>;

export const meQuery = queryOptions({
	queryKey: ['me'],
	queryFn: ({signal}) => getJson<Me>('/api/v1/me', signal),
	staleTime: 60_000,
});

export const tokensQuery = queryOptions({
	queryKey: ['tokens'],
	queryFn: async ({signal}) => (await getJson<{tokens: Token[]}>('/api/v1/tokens', signal)).tokens,
});

/** Of the tenant; takes the role `admin`. */
export const allTokensQuery = queryOptions({
	queryKey: ['tokens', 'all'],
	queryFn: async ({signal}) => (await getJson<{tokens: Token[]}>('/api/v1/tokens?all=true', signal)).tokens,
});

type Accounts = {readonly accounts: readonly Account[]};

export const accountsQuery = queryOptions({
	queryKey: ['accounts'],
	queryFn: async ({signal}) => (await getJson<Accounts>('/api/v1/accounts', signal)).accounts,
});

export const setDisabled = async (account: string, disabled: boolean) =>
	(await postJson<Accounts>(`/api/v1/accounts/${encodeURIComponent(account)}`, {disabled})).accounts;

export const createToken = (wanted: TokenRequest) => postJson<NewToken>('/api/v1/tokens', wanted);
export const revokeToken = (tokenId: string) => postJson<object>(`/api/v1/tokens/${encodeURIComponent(tokenId)}/revoke`);
export const endSession = () => request('/auth/sign-out', {method: 'POST'});
