import {useQuery} from '@tanstack/react-query';
import {useNavigate, useParams} from '@tanstack/react-router';
import type {DatasetSchemaReply} from '#contract/api.ts';
import {datasetQuery, datasetsQuery} from '../api/queries.ts';
import {useChat} from '../chat/use-chat.ts';
import {ResultTable} from '../result/table.tsx';
import {Button} from '../ui/button.tsx';
import {CopyButton} from '../ui/copy.tsx';
import {ErrorNotice, Loading, Notice} from '../ui/notice.tsx';
import {formatCount, plural} from '../ui/time.ts';
import {Profile} from './profile.tsx';
import {RemoveDataset} from './remove.tsx';

type File = DatasetSchemaReply['files'][number];

export function DatasetScreen() {
	const {datasetId = ''} = useParams({strict: false});
	const {data, error, isPending} = useQuery(datasetQuery(datasetId));
	if (isPending) return <Loading label="Loading the dataset" />;
	if (error) {
		return (
			<div className="p-4">
				<ErrorNotice error={error} />
			</div>
		);
	}
	return (
		<div className="flex flex-col gap-6 px-4 py-4 lg:px-6">
			<Head dataset={data} />
			<Questions id={data.id} />
			{data.relationships.length > 0 && (
				<section aria-labelledby="relationships">
					<h2 id="relationships" className="mb-1 font-medium">
						Relationships
					</h2>
					<ul className="font-mono text-xs">
						{data.relationships.map(({from, to, type}) => (
							<li key={from + to} className="py-0.5">
								{from} → {to} <span className="text-muted">{type}</span>
							</li>
						))}
					</ul>
				</section>
			)}
			{data.files.map((file) => (
				<Table key={file.name} file={file} />
			))}
		</div>
	);
}

function Head({dataset}: {readonly dataset: DatasetSchemaReply}) {
	const {session} = useChat();
	const navigate = useNavigate();
	return (
		<header>
			<div className="flex flex-wrap items-center gap-3">
				<h2 className="font-semibold text-lg">{dataset.name}</h2>
				<span className="font-mono text-muted text-xs">{dataset.id}</span>
				<Button
					look="primary"
					className="ml-auto"
					onClick={() => {
						session.setDataset(dataset.id);
						void navigate({to: '/'});
					}}
				>
					Ask about it
				</Button>
			</div>
			{dataset.description && <p className="mt-1 max-w-prose text-muted">{dataset.description}</p>}
			<dl className="mt-3 grid grid-cols-[90px_minmax(0,1fr)] items-center gap-y-0.5 text-xs [&>dt]:text-muted">
				<dt>Snapshot</dt>
				<dd className="flex min-w-0 items-center gap-1">
					<span className="truncate font-mono text-2xs">{dataset.version_hash}</span>
					<CopyButton label="Copy" text={() => dataset.version_hash} />
				</dd>
				<dt>Now</dt>
				<dd>{dataset.now === null ? 'no time in it' : `${dataset.now.replace('T', ' ')} – what “today” means here`}</dd>
			</dl>
			<RemoveDataset id={dataset.id} />
		</header>
	);
}

function Questions({id}: {readonly id: string}) {
	const {data} = useQuery(datasetsQuery);
	const {session} = useChat();
	const navigate = useNavigate();
	const prompts = data?.find((dataset) => dataset.id === id)?.prompts ?? [];
	if (prompts.length === 0) return null;
	return (
		<section aria-labelledby="questions">
			<h2 id="questions" className="mb-1.5 font-medium">
				Questions to begin with
			</h2>
			<div className="flex flex-wrap gap-1.5">
				{prompts.map((prompt) => (
					<button
						key={prompt}
						type="button"
						onClick={() => {
							session.setDataset(id);
							session.setDraft(prompt);
							void navigate({to: '/'});
						}}
						className="rounded-md border border-line px-2.5 py-1 text-left text-muted text-xs hover:border-line-strong hover:bg-hover hover:text-fg"
					>
						{prompt}
					</button>
				))}
			</div>
		</section>
	);
}

function Table({file}: {readonly file: File}) {
	const names = Object.keys(file.schema);
	const sample = {
		columns: names,
		column_types: names.map((name) => file.schema[name]?.wire_type ?? 'text'),
		rows: file.sample_rows.map((row) => names.map((name) => row[name] ?? null)),
	};
	return (
		<section aria-labelledby={`table-${file.name}`}>
			<div className="flex flex-wrap items-baseline gap-x-3">
				<h2 id={`table-${file.name}`} className="font-medium font-mono">
					{file.name}
				</h2>
				<p className="text-muted text-xs">
					{plural(file.row_count, 'row')} · {formatCount(names.length)} columns · from {file.path}
				</p>
			</div>
			{file.description && <p className="text-muted text-xs">{file.description}</p>}
			{file.notices.length > 0 && (
				<div className="mt-2">
					<Notice tone="warn">
						<ul>
							{file.notices.map((notice) => (
								<li key={notice}>{notice}</li>
							))}
						</ul>
					</Notice>
				</div>
			)}
			<div className="mt-2 overflow-hidden rounded-md border border-line">
				<Profile schema={file.schema} rows={file.row_count} label={`Columns of ${file.name}`} />
			</div>
			{sample.rows.length > 0 && (
				<>
					<h3 className="mt-3 mb-1 text-muted text-xs">First rows</h3>
					<div className="overflow-hidden rounded-md border border-line" style={{height: 44 + sample.rows.length * 28 + 14}}>
						<ResultTable result={sample} label={`First rows of ${file.name}`} />
					</div>
				</>
			)}
		</section>
	);
}
