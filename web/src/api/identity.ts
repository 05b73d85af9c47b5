import {queryOptions} from '@tanstack/react-query';
import type {z} from 'zod';
import type {Me, newTokenSchema, Token, TokenRequest} from '#contract/identity.ts';
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

export const createToken = (wanted: TokenRequest) => postJson<NewToken>('/api/v1/tokens', wanted);
export const revokeToken = (tokenId: string) => postJson<object>(`/api/v1/tokens/${encodeURIComponent(tokenId)}/revoke`);
export const endSession = () => request('/auth/sign-out', {method: 'POST'});
