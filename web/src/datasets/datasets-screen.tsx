import {useQuery} from '@tanstack/react-query';
import {Link, Outlet, useParams} from '@tanstack/react-router';
import {datasetsQuery} from '../api/queries.ts';
import {Empty, ErrorNotice, Loading} from '../ui/notice.tsx';
import {plural} from '../ui/time.ts';
import {UploadBox} from './upload-box.tsx';

export function DatasetsScreen() {
	const {data, error, isPending} = useQuery(datasetsQuery);
	const {datasetId} = useParams({strict: false});
	return (
		<div className="flex h-full min-h-0 flex-col max-lg:overflow-y-auto lg:flex-row">
			<section
				aria-label="Datasets"
				className="flex shrink-0 flex-col border-line max-lg:border-b lg:w-72 lg:overflow-y-auto lg:border-r"
			>
				<h1 className="flex h-11 shrink-0 items-center border-line border-b px-4 font-medium">Datasets</h1>
				<UploadBox />
				{error && (
					<div className="px-3">
						<ErrorNotice error={error} />
					</div>
				)}
				{isPending && <Loading label="Loading the datasets" />}
				<ul className="px-2 pb-2">
					{(data ?? []).map(({id, name, row_count, tables}) => (
						<li key={id}>
							<Link
								to="/datasets/$datasetId"
								params={{datasetId: id}}
								className="block rounded-md px-2 py-1.5 hover:bg-hover"
								activeProps={{className: 'bg-hover'}}
							>
								<span className="block truncate font-medium">{name}</span>
								<span className="block truncate text-muted text-xs">
									<span className="font-mono text-2xs">{id}</span> · {plural(row_count, 'row')} · {plural(tables.length, 'table')}
								</span>
							</Link>
						</li>
					))}
				</ul>
			</section>
			<div className="min-h-0 min-w-0 flex-1 lg:overflow-y-auto">
				{datasetId === undefined ? (
					<Empty title="Choose a dataset">Its columns, their values and what was learned of them.</Empty>
				) : (
					<Outlet />
				)}
			</div>
		</div>
	);
}
