import {useInfiniteQuery, useQuery} from '@tanstack/react-query';
import {Link} from '@tanstack/react-router';
import {type ReactNode, useDeferredValue, useState} from 'react';
import type {RunSummary} from '#contract/api.ts';
import {datasetsQuery, type RunFilter, runsQuery} from '../api/queries.ts';
import {Button, FIELD} from '../ui/button.tsx';
import {Icon} from '../ui/icon.tsx';
import {Empty, ErrorNotice, Loading} from '../ui/notice.tsx';
import {STATUSES, StatusBadge, statusLabel} from '../ui/status.tsx';
import {formatAgo, formatMoment, formatMs} from '../ui/time.ts';

const MODES = ['chat', 'sql', 'python', 'plan', 'export', 'ingest'];
const SPANS = {'': 'Any time', hour: 'Last hour', day: 'Last day', week: 'Last 7 days', month: 'Last 30 days'} as const;
type Span = keyof typeof SPANS;
const HOURS: Readonly<Record<Exclude<Span, ''>, number>> = {hour: 1, day: 24, week: 168, month: 720};

export function RunsScreen() {
	const [filter, setFilter] = useState<RunFilter>({});
	const [span, setSpan] = useState<Span>('');
	const text = useDeferredValue(filter.text ?? '');
	const runs = useInfiniteQuery(runsQuery({...filter, text}));
	const rows = runs.data?.pages.flatMap((page) => page.runs) ?? [];
	const filtered = span !== '' || Object.values(filter).some((value) => value !== '');
	const change = (key: keyof RunFilter) => (value: string) => setFilter({...filter, [key]: value});
	const changeSpan = (value: string) => {
		setSpan(value as Span);
		// Whole minutes: the same choice asks for the same rows again.
		const until = Math.floor(Date.now() / 60_000) * 60_000;
		setFilter({
			...filter,
			since: value === '' ? '' : new Date(until - HOURS[value as Exclude<Span, ''>] * 3_600_000).toISOString(),
		});
	};
	return (
		<div className="flex h-full min-h-0 flex-col">
			<div className="flex min-h-11 flex-wrap items-center gap-2 border-line border-b px-4 py-2">
				<h1 className="mr-2 font-medium">Runs</h1>
				<Filters filter={filter} span={span} onChange={change} onSpan={changeSpan} />
				{filtered && (
					<Button
						look="quiet"
						onClick={() => {
							setFilter({});
							setSpan('');
						}}
					>
						Clear
					</Button>
				)}
				<Button look="quiet" square className="ml-auto" aria-label="Reload" onClick={() => runs.refetch()}>
					<Icon name="again" />
				</Button>
			</div>
			{runs.isError && (
				<div className="p-4">
					<ErrorNotice error={runs.error} />
				</div>
			)}
			{/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and keys must reach it */}
			<section aria-label="List of runs" tabIndex={0} className="min-h-0 flex-1 overflow-auto outline-offset-[-2px]">
				{runs.isPending && <Loading label="Loading the runs" />}
				{!runs.isPending && rows.length === 0 && !runs.isError && (
					<Empty title="No runs">{filtered ? 'None fits these filters.' : 'Ask something, and its run appears here.'}</Empty>
				)}
				{rows.length > 0 && <RunTable rows={rows} />}
				{runs.hasNextPage && (
					<div className="p-3">
						<Button onClick={() => runs.fetchNextPage()} disabled={runs.isFetchingNextPage}>
							{runs.isFetchingNextPage ? 'Loading' : 'Load more'}
						</Button>
					</div>
				)}
			</section>
		</div>
	);
}

type FilterProps = {
	readonly filter: RunFilter;
	readonly span: Span;
	readonly onChange: (key: keyof RunFilter) => (value: string) => void;
	readonly onSpan: (value: string) => void;
};

function Filters({filter, span, onChange, onSpan}: FilterProps) {
	const datasets = useQuery(datasetsQuery);
	return (
		<>
			<Pick
				label="Status"
				value={filter.status ?? ''}
				onChange={onChange('status')}
				options={[['', 'Any status'], ...STATUSES.map((status) => [status, statusLabel(status)] as const)]}
			/>
			<Pick
				label="Mode"
				value={filter.mode ?? ''}
				onChange={onChange('mode')}
				options={[['', 'Any mode'], ...MODES.map((mode) => [mode, mode] as const)]}
			/>
			<Pick
				label="Dataset"
				value={filter.dataset_id ?? ''}
				onChange={onChange('dataset_id')}
				options={[['', 'Any dataset'], ...(datasets.data ?? []).map(({id}) => [id, id] as const)]}
			/>
			<Pick label="Time" value={span} onChange={onSpan} options={Object.entries(SPANS)} />
			<input
				type="search"
				aria-label="Text in the question"
				placeholder="Text in the question"
				className={`${FIELD} w-44`}
				value={filter.text ?? ''}
				onChange={(event) => onChange('text')(event.target.value)}
			/>
		</>
	);
}

type PickProps = {
	readonly label: string;
	readonly value: string;
	readonly options: readonly (readonly [string, ReactNode])[];
	readonly onChange: (value: string) => void;
};

function Pick({label, value, options, onChange}: PickProps) {
	return (
		<select aria-label={label} className={FIELD} value={value} onChange={(event) => onChange(event.target.value)}>
			{options.map(([key, text]) => (
				<option key={key} value={key}>
					{text}
				</option>
			))}
		</select>
	);
}

function RunTable({rows}: {readonly rows: readonly RunSummary[]}) {
	return (
		<table className="w-full table-fixed text-left text-xs">
			<thead className="sticky top-0 z-10 bg-panel text-2xs text-muted">
				<tr>
					<th scope="col" className="w-40 max-sm:w-36 border-line border-b px-4 py-1.5 font-medium">
						Status
					</th>
					<th scope="col" className="border-line border-b px-2 font-medium">
						Question
					</th>
					<th scope="col" className="w-36 border-line border-b px-2 font-medium max-md:hidden">
						Dataset
					</th>
					<th scope="col" className="w-20 border-line border-b px-2 font-medium max-md:hidden">
						Mode
					</th>
					<th scope="col" className="w-24 border-line border-b px-2 text-right font-medium max-sm:hidden">
						Took
					</th>
					<th scope="col" className="w-48 max-sm:w-20 border-line border-b px-4 text-right font-medium">
						Started
					</th>
				</tr>
			</thead>
			<tbody>
				{rows.map((run) => (
					<tr key={run.run_id} className="border-line border-b hover:bg-hover">
						<td className="px-4 py-1">
							<StatusBadge status={run.status} />
						</td>
						<td className="px-2">
							<Link
								to="/runs/$runId"
								params={{runId: run.run_id}}
								className="block truncate rounded py-1 -outline-offset-2 hover:text-accent"
							>
								{run.question ?? <span className="font-mono text-2xs text-muted">{run.run_id}</span>}
							</Link>
							{run.error_type && <span className="block truncate font-mono text-2xs text-muted">{run.error_type}</span>}
						</td>
						<td className="truncate px-2 text-muted max-md:hidden">{run.dataset_id}</td>
						<td className="px-2 text-muted max-md:hidden">{run.query_mode}</td>
						<td className="px-2 text-right text-muted max-sm:hidden">{formatMs(run.duration_ms)}</td>
						<td className="px-4 text-right text-muted">
							<span className="max-sm:hidden">{formatMoment(run.created_at)}</span>
							<span className="sm:hidden">{formatAgo(run.created_at)}</span>
						</td>
					</tr>
				))}
			</tbody>
		</table>
	);
}
