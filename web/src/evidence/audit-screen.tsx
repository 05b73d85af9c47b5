import {useInfiniteQuery, useMutation} from '@tanstack/react-query';
import {Link} from '@tanstack/react-router';
import {useDeferredValue, useState} from 'react';
import type {AuditEntry} from '#contract/audit.ts';
import {type AuditFilter, auditQuery} from '../api/audit.ts';
import {download} from '../api/client.ts';
import {Button, FIELD} from '../ui/button.tsx';
import {Icon} from '../ui/icon.tsx';
import {Empty, ErrorNotice, Loading} from '../ui/notice.tsx';
import {formatMoment} from '../ui/time.ts';
import {Keeping} from './holds.tsx';

const PICKS = {
	decision: ['allow', 'ask', 'deny'],
	effect: ['read', 'write', 'destructive'],
	client: ['page', 'cli', 'api', 'internal'],
	type: [
		'run.started',
		'action.proposed',
		'action.decided',
		'approval.granted',
		'approval.rejected',
		'action.outcome',
		'run.finished',
		'mode.changed',
		'policy.changed',
		'audit.recorded',
		'content.erased',
		'hold.placed',
		'hold.released',
	],
} as const;
const TEXTS = {principal: 'Who', tool: 'Tool', address: 'Address', text: 'Words in the reason'} as const;
const FORMATS = ['csv', 'ndjson'] as const;
const COLORS = {allow: 'text-ok', ask: 'text-warn', deny: 'text-bad'} as const;

/** What people and agents did, across runs: who, what, why, and where its evidence is. */
export function AuditScreen() {
	const [filter, setFilter] = useState<AuditFilter>({});
	const asked = useDeferredValue(filter);
	const audit = useInfiniteQuery(auditQuery(asked));
	const entries = audit.data?.pages.flatMap((page) => page.entries) ?? [];
	const isFiltered = Object.values(filter).some(Boolean);
	const save = useMutation({
		mutationFn: (format: (typeof FORMATS)[number]) => {
			const given = Object.entries({...filter, format}).filter(([, value]) => value) as [string, string][];
			return download(`/api/v1/audit/export?${new URLSearchParams(given)}`, `audit.${format}`);
		},
	});
	const change = (key: keyof AuditFilter) => (value: string) => setFilter({...filter, [key]: value});
	return (
		<div className="flex h-full min-h-0 flex-col">
			<div className="flex min-h-11 flex-wrap items-center gap-2 border-line border-b px-4 py-2">
				<h1 className="mr-2 font-medium">Audit</h1>
				<Filters filter={filter} onChange={change} />
				{isFiltered && (
					<Button look="quiet" onClick={() => setFilter({})}>
						Clear
					</Button>
				)}
				<div className="ml-auto flex gap-2">
					{FORMATS.map((format) => (
						<Button key={format} onClick={() => save.mutate(format)} disabled={save.isPending}>
							<Icon name="download" />
							{format.toUpperCase()}
						</Button>
					))}
				</div>
			</div>
			{(audit.isError || save.isError) && (
				<div className="p-4">
					<ErrorNotice error={audit.error ?? save.error} />
				</div>
			)}
			<Keeping />
			{/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and keys must reach it */}
			<section aria-label="What was done" tabIndex={0} className="min-h-0 flex-1 overflow-auto outline-offset-[-2px]">
				{audit.isPending && <Loading label="Loading the audit" />}
				{!audit.isPending && entries.length === 0 && !audit.isError && (
					<Empty title={isFiltered ? 'Nothing was found' : 'Nothing was done yet'}>
						{isFiltered ? 'Try fewer filters.' : 'Whatever people and agents do is listed here.'}
					</Empty>
				)}
				{entries.length > 0 && <AuditTable entries={entries} />}
				{audit.hasNextPage && (
					<div className="p-3">
						<Button onClick={() => audit.fetchNextPage()} disabled={audit.isFetchingNextPage}>
							{audit.isFetchingNextPage ? 'Loading' : 'Load more'}
						</Button>
					</div>
				)}
			</section>
		</div>
	);
}

type FilterProps = {readonly filter: AuditFilter; readonly onChange: (key: keyof AuditFilter) => (value: string) => void};

function Filters({filter, onChange}: FilterProps) {
	return (
		<>
			{Object.entries(PICKS).map(([key, options]) => (
				<select
					key={key}
					aria-label={key.charAt(0).toUpperCase() + key.slice(1)}
					className={FIELD}
					value={filter[key as keyof AuditFilter] ?? ''}
					onChange={(event) => onChange(key as keyof AuditFilter)(event.target.value)}
				>
					<option value="">Any {key}</option>
					{options.map((option) => (
						<option key={option} value={option}>
							{option}
						</option>
					))}
				</select>
			))}
			{Object.entries(TEXTS).map(([key, label]) => (
				<input
					key={key}
					type="search"
					aria-label={label}
					placeholder={label}
					className={`${FIELD} w-36`}
					value={filter[key as keyof AuditFilter] ?? ''}
					onChange={(event) => onChange(key as keyof AuditFilter)(event.target.value)}
				/>
			))}
			<input
				type="datetime-local"
				aria-label="Since"
				className={FIELD}
				onChange={(event) => onChange('since')(event.target.value === '' ? '' : new Date(event.target.value).toISOString())}
			/>
		</>
	);
}

function AuditTable({entries}: {readonly entries: readonly AuditEntry[]}) {
	return (
		<table className="w-full min-w-[1080px] table-fixed text-left text-xs">
			<thead className="sticky top-0 z-10 bg-panel text-2xs text-muted">
				<tr>
					{[
						['When', 'w-40'],
						['Who', 'w-36'],
						['What', 'w-56'],
						['Decision', 'w-20'],
						['From', 'w-32'],
						['Why', ''],
						['Evidence', 'w-24'],
					].map(([name, width]) => (
						<th key={name} scope="col" className={`border-line border-b px-2 py-1.5 font-medium ${width}`}>
							{name}
						</th>
					))}
				</tr>
			</thead>
			<tbody>
				{entries.map((entry) => (
					<tr key={`${entry.runId}/${entry.seq}`} className="border-line border-b align-top">
						<td className="px-2 py-1.5">{formatMoment(entry.at)}</td>
						<td className="truncate px-2 py-1.5" title={`${entry.actorKind} ${entry.actor} for ${entry.principal}`}>
							{entry.actor}
							{entry.actor !== entry.principal && <span className="text-muted"> for {entry.principal}</span>}
						</td>
						<td className="truncate px-2 py-1.5">
							<span className="font-mono">{entry.type}</span> <span className="text-muted">{entry.tool ?? entry.mode}</span>
						</td>
						<td className={`px-2 py-1.5 ${entry.decision ? COLORS[entry.decision] : ''}`}>{entry.decision}</td>
						<td className="truncate px-2 py-1.5 text-muted" title={entry.requestId ?? undefined}>
							{[entry.client, entry.address].filter(Boolean).join(' ')}
						</td>
						<td className="truncate px-2 py-1.5 text-muted" title={entry.detail}>
							{entry.detail}
						</td>
						<td className="px-2 py-1.5" title={entry.hash}>
							<Link to="/runs/$runId" params={{runId: entry.runId}} className="text-accent hover:underline">
								event {entry.seq}
							</Link>
						</td>
					</tr>
				))}
			</tbody>
		</table>
	);
}
