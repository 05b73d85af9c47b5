import {useMutation, useQueryClient} from '@tanstack/react-query';
import {useNavigate} from '@tanstack/react-router';
import {type DragEvent, useRef, useState} from 'react';
import {datasetsQuery} from '../api/queries.ts';
import {Button} from '../ui/button.tsx';
import {Icon} from '../ui/icon.tsx';
import {ErrorNotice} from '../ui/notice.tsx';
import {formatBytes, plural} from '../ui/time.ts';
import {upload} from './upload.ts';

/** Files dropped or chosen together become one dataset, a table each. */
export function UploadBox() {
	const chooser = useRef<HTMLInputElement>(null);
	const abort = useRef<AbortController | null>(null);
	const [over, setOver] = useState(false);
	const [part, setPart] = useState(0);
	const queries = useQueryClient();
	const navigate = useNavigate();
	const sending = useMutation({
		mutationFn: (files: readonly File[]) => {
			setPart(0);
			abort.current = new AbortController();
			return upload(files, setPart, abort.current.signal);
		},
		onSuccess: async ({id}) => {
			await queries.invalidateQueries({queryKey: datasetsQuery.queryKey});
			await queries.invalidateQueries({queryKey: ['dataset', id]});
			await navigate({to: '/datasets/$datasetId', params: {datasetId: id}});
		},
	});
	const take = (list: FileList | null) => {
		if (list && list.length > 0 && !sending.isPending) sending.mutate([...list]);
		if (chooser.current) chooser.current.value = '';
	};
	const onDrop = (event: DragEvent) => {
		event.preventDefault();
		setOver(false);
		take(event.dataTransfer.files);
	};
	const files = sending.variables ?? [];
	const size = files.reduce((sum, file) => sum + file.size, 0);
	return (
		<div className="flex flex-col gap-2 p-3">
			<section
				aria-label="Add a dataset"
				onDragOver={(event) => {
					event.preventDefault();
					setOver(true);
				}}
				onDragLeave={() => setOver(false)}
				onDrop={onDrop}
				className={`rounded-lg border border-dashed p-3 text-xs ${over ? 'border-accent bg-soft' : 'border-line-strong'}`}
			>
				<input
					ref={chooser}
					id="files"
					type="file"
					multiple
					accept=".csv,.tsv,.txt,.parquet,.json,.ndjson,.jsonl,.xlsx"
					className="sr-only"
					tabIndex={-1}
					aria-label="Files to add"
					onChange={(event) => take(event.target.files)}
				/>
				{sending.isPending ? (
					<div className="flex flex-col gap-2">
						<p className="truncate">
							{files.length === 1 ? files[0]?.name : plural(files.length, 'file')}{' '}
							<span className="text-muted">{formatBytes(size)}</span>
						</p>
						<progress className="h-1.5 w-full accent-accent" max={1} value={part < 1 ? part : undefined} aria-label="Upload" />
						<div className="flex items-center justify-between">
							<p role="status" className="text-muted">
								{part < 1 ? `Sending, ${Math.floor(part * 100)} %` : 'Reading it in a sandbox'}
							</p>
							<Button look="quiet" onClick={() => abort.current?.abort()}>
								Stop
							</Button>
						</div>
					</div>
				) : (
					<div className="flex items-center gap-3">
						<Button onClick={() => chooser.current?.click()}>
							<Icon name="upload" />
							Upload
						</Button>
						<p className="text-muted">or drop files here: CSV, TSV, Parquet, JSON, XLSX</p>
					</div>
				)}
			</section>
			{sending.isError && <ErrorNotice error={sending.error} />}
		</div>
	);
}
