import {useMutation} from '@tanstack/react-query';
import {Tabs} from 'radix-ui';
import {lazy, type ReactNode, Suspense, useState} from 'react';
import type {ChatResponse, Result} from '#contract/api.ts';
import {download} from '../api/client.ts';
import {isOpen, runPath} from '../api/queries.ts';
import {Code} from '../ui/code.tsx';
import {CopyButton} from '../ui/copy.tsx';
import {JsonTree} from '../ui/json-tree.tsx';
import {Empty, ErrorNotice, Loading, Notice} from '../ui/notice.tsx';
import {StatusBadge} from '../ui/status.tsx';
import {formatBytes, formatCount, formatMs, plural} from '../ui/time.ts';
import {ExportMenu, type Format} from './export-menu.tsx';
import {ResultTable} from './table.tsx';

const ChartTab = lazy(async () => ({default: (await import('../chart/chart-tab.tsx')).ChartTab}));
const EvidenceTab = lazy(async () => ({default: (await import('../evidence/evidence-tab.tsx')).EvidenceTab}));

type TabName = 'table' | 'chart' | 'plan' | 'code' | 'evidence';

/** All there is to see of one run: the same in a conversation and in the list of runs. */
export function ResultPanel({response, actions}: {readonly response: ChatResponse; readonly actions?: ReactNode}) {
	const {result, details, run_id} = response;
	const [tab, setTab] = useState<TabName>('table');
	const save = useMutation({
		mutationFn: (format: Format) => download(`${runPath(run_id)}/export?format=${format}`, `${run_id}.${format}`),
	});
	const code = details.python_code ?? details.compiled_sql;
	const tabs: [TabName, string][] = [
		['table', 'Table'],
		['chart', 'Chart'],
		['plan', 'Plan'],
		['code', details.python_code === null ? 'SQL' : 'Python'],
		['evidence', 'Evidence'],
	];
	return (
		<Tabs.Root
			value={tab}
			onValueChange={(value) => setTab(value as TabName)}
			className="flex h-full min-h-0 flex-col"
			data-run={run_id}
		>
			<div className="flex min-h-11 flex-wrap items-center gap-x-3 gap-y-1 border-line border-b px-3 py-1.5">
				<Tabs.List aria-label="Result" className="flex gap-0.5 overflow-x-auto">
					{tabs.map(([name, label]) => (
						<Tabs.Trigger
							key={name}
							value={name}
							className="h-7 rounded-md px-2.5 font-medium text-muted text-xs -outline-offset-2 hover:text-fg data-[state=active]:bg-hover data-[state=active]:text-fg"
						>
							{label}
						</Tabs.Trigger>
					))}
				</Tabs.List>
				<div className="ml-auto flex items-center gap-3">
					<Facts response={response} />
					{actions}
					{result.columns.length > 0 && (
						<ExportMenu result={result} busy={save.isPending} onSave={(format) => save.mutate(format)} />
					)}
				</div>
			</div>
			{save.isError && (
				<div className="px-3 pt-3">
					<ErrorNotice error={save.error} />
				</div>
			)}
			{save.data?.truncated && (
				<div className="px-3 pt-3">
					<Notice tone="warn">The result has more rows than one file takes; the rest are not in it.</Notice>
				</div>
			)}
			<Tabs.Content value="table" className="flex min-h-0 flex-1 flex-col" tabIndex={-1}>
				<TableTab response={response} />
			</Tabs.Content>
			<Tabs.Content value="chart" className="min-h-0 flex-1" tabIndex={-1}>
				<Suspense fallback={<Loading label="Loading the chart" />}>
					<ChartTab response={response} />
				</Suspense>
			</Tabs.Content>
			<Tabs.Content value="plan" className="min-h-0 flex-1 overflow-auto" tabIndex={-1}>
				<PlanTab details={details} />
			</Tabs.Content>
			<Tabs.Content value="code" className="min-h-0 flex-1 overflow-auto" tabIndex={-1}>
				{code === null ? (
					<Empty title="No code ran" />
				) : (
					<>
						<div className="flex justify-end px-3 pt-2">
							<CopyButton label="Copy" text={() => code} />
						</div>
						<Code source={code} language={details.python_code === null ? 'sql' : 'python'} />
					</>
				)}
			</Tabs.Content>
			<Tabs.Content value="evidence" className="min-h-0 flex-1" tabIndex={-1}>
				<Suspense fallback={<Loading label="Loading the evidence" />}>
					<EvidenceTab runId={run_id} />
				</Suspense>
			</Tabs.Content>
		</Tabs.Root>
	);
}

function Facts({response: {status, result}}: {readonly response: ChatResponse}) {
	return (
		<div className="flex items-center gap-3 text-muted text-xs">
			{result.columns.length > 0 && <span data-testid="row-count">{plural(result.row_count, 'row')}</span>}
			{result.exec_time_ms > 0 && <span>{formatMs(result.exec_time_ms)}</span>}
			<StatusBadge status={status} />
		</div>
	);
}

function TableTab({response}: {readonly response: ChatResponse}) {
	const {result, details} = response;
	return (
		<>
			<Notes result={result} warnings={details.warnings} />
			<div className="min-h-0 flex-1">
				{result.rows.length === 0 ? <NoRows response={response} /> : <ResultTable result={result} label="Result table" />}
			</div>
		</>
	);
}

function NoRows({response: {result, status, assistant_message}}: {readonly response: ChatResponse}) {
	if (result.columns.length > 0) return <Empty title="No rows">The query ran and nothing matched.</Empty>;
	if (result.error) return <Empty title="No result">The evidence tab shows what happened.</Empty>;
	if (isOpen(status)) return <Empty title={status === 'running' ? 'Still running' : 'Waiting for an approval'} />;
	return <Empty title="No table">{assistant_message === '' ? null : 'This answer came without a computation.'}</Empty>;
}

/** What the table alone does not say. */
function Notes({result, warnings}: {readonly result: Result; readonly warnings: readonly string[]}) {
	const {error, truncated, stdout_trunc: stdout, stderr_trunc: stderr} = result;
	// The server words the truncation too; here it has a place of its own.
	const others = truncated ? warnings.slice(1) : warnings;
	const printed = [stdout, stderr].filter(Boolean).join('\n');
	return (
		<div className="flex max-h-[50%] shrink-0 flex-col gap-2 overflow-y-auto p-3 empty:hidden">
			{error && (
				<Notice tone="bad" title={<span className="whitespace-pre-wrap font-normal font-mono">{error.message}</span>}>
					{error.hint && <p className="mt-1 text-muted first-letter:uppercase">{error.hint}</p>}
					<p className="mt-1 font-mono text-2xs text-muted">{error.type}</p>
				</Notice>
			)}
			{truncated && <Truncated result={result} />}
			{others.map((warning) => (
				<Notice key={warning} tone="warn">
					<p>{warning}</p>
				</Notice>
			))}
			{printed !== '' && (
				<details className="rounded-md border border-line text-xs">
					<summary className="px-3 py-1.5 text-muted hover:bg-hover">Printed output</summary>
					<pre className="max-h-40 overflow-auto whitespace-pre-wrap border-line border-t p-3 font-mono">{printed}</pre>
				</details>
			)}
		</div>
	);
}

function Truncated({result}: {readonly result: Result}) {
	const {truncated, row_count, total_rows} = result;
	if (!truncated) return null;
	const total = truncated.total ?? total_rows;
	const of = total === null ? '' : ` of ${formatCount(total)}`;
	const limit = truncated.by === 'rows' ? `${formatCount(truncated.limit)} rows` : formatBytes(truncated.limit);
	return (
		<Notice tone="warn" title={`The first ${formatCount(row_count)}${of} rows are shown.`}>
			<p className="text-muted">The limit is {limit}. An export has all rows.</p>
		</Notice>
	);
}

function PlanTab({details}: {readonly details: ChatResponse['details']}) {
	if (details.plan_json === null && details.plan_sentence === null) {
		return <Empty title="No query plan">This run was given its code, or needed none.</Empty>;
	}
	return (
		<div className="flex flex-col gap-4 p-4">
			{details.plan_sentence && <p className="max-w-prose text-base">{details.plan_sentence}</p>}
			{details.plan_json && <JsonTree value={details.plan_json} open={3} />}
		</div>
	);
}
