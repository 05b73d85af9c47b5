import {queryOptions} from '@tanstack/react-query';
import type {Hold, RetentionPreview, RetentionReply} from '#contract/retention.ts';
import {getJson, postJson} from './client.ts';

export const holdsQuery = queryOptions({
	queryKey: ['holds'],
	queryFn: async ({signal}) => (await getJson<{holds: Hold[]}>('/api/v1/holds', signal)).holds,
});

export const previewQuery = queryOptions({
	queryKey: ['retention'],
	queryFn: ({signal}) => getJson<RetentionPreview>('/api/v1/retention/preview', signal),
});

export const placeHold = (kind: Hold['kind'], target: string, reason: string) =>
	postJson<Hold>('/api/v1/holds', {kind, target, reason});

export const releaseHold = (holdId: string, reason: string) =>
	postJson<Hold>(`/api/v1/holds/${encodeURIComponent(holdId)}/release`, {reason});

export const eraseDue = () => postJson<RetentionReply>('/api/v1/retention/run');
