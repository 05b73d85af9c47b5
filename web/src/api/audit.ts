import {infiniteQueryOptions} from '@tanstack/react-query';
import type {AuditReply} from '#contract/audit.ts';
import {getJson} from './client.ts';

export type AuditFilter = Partial<
	Record<'principal' | 'tool' | 'effect' | 'decision' | 'type' | 'client' | 'address' | 'text' | 'since', string>
>;

export const auditQuery = (filter: AuditFilter) =>
	infiniteQueryOptions({
		queryKey: ['audit', filter],
		queryFn: ({pageParam, signal}) => {
			const given = Object.entries({...filter, cursor: pageParam}).filter(([, value]) => value) as [string, string][];
			return getJson<AuditReply>(`/api/v1/audit?${new URLSearchParams(given)}`, signal);
		},
		initialPageParam: '',
		getNextPageParam: (page) => page.nextCursor,
	});
