import {useMutation, useQuery, useQueryClient} from '@tanstack/react-query';
import {Link, useNavigate, useParams} from '@tanstack/react-router';
import {cancelRun, capsuleQuery, isOpen, rerun, toResponse} from '../api/queries.ts';
import {useChat} from '../chat/use-chat.ts';
import {ResultPanel} from '../result/panel.tsx';
import {Button} from '../ui/button.tsx';
import {Icon} from '../ui/icon.tsx';
import {ErrorNotice, Loading} from '../ui/notice.tsx';
import {Prose} from '../ui/prose.tsx';
import {formatMoment} from '../ui/time.ts';

export function RunScreen() {
	const {runId = ''} = useParams({strict: false});
	const capsule = useQuery(capsuleQuery(runId));
	if (capsule.isPending) return <Loading label="Loading the run" />;
	if (capsule.isError) {
		return (
			<div className="p-4">
				<ErrorNotice error={capsule.error} />
				<Link to="/runs" className="mt-3 inline-block text-accent text-xs hover:underline">
					All runs
				</Link>
			</div>
		);
	}
	const {data} = capsule;
	const response = toResponse(data);
	return (
		<div className="flex h-full min-h-0 flex-col max-lg:overflow-y-auto">
			<header className="shrink-0 border-line border-b px-4 py-3">
				<nav aria-label="Place" className="text-muted text-xs">
					<Link to="/runs" className="rounded hover:text-fg hover:underline">
						Runs
					</Link>{' '}
					/ <span className="font-mono text-2xs">{runId}</span>
				</nav>
				<div className="mt-1 flex flex-wrap items-start gap-x-4 gap-y-2">
					<h1 className="min-w-0 flex-1 basis-72 font-medium text-base">
						{data.question ?? (
							<span className="line-clamp-3 font-mono font-normal text-xs leading-5">
								{data.compiled_sql ?? data.python_code ?? data.query_mode}
							</span>
						)}
					</h1>
					<RunActions runId={runId} open={isOpen(data.status)} />
				</div>
				<p className="mt-1 flex flex-wrap gap-x-3 text-muted text-xs">
					<span>{formatMoment(data.created_at)}</span>
					{data.dataset_id && (
						<Link
							to="/datasets/$datasetId"
							params={{datasetId: data.dataset_id}}
							className="rounded hover:text-fg hover:underline"
						>
							{data.dataset_id}
						</Link>
					)}
					<span>{data.query_mode}</span>
					{data.thread_id && <ThreadLink threadId={data.thread_id} />}
				</p>
				{data.assistant_message && (
					<div className="mt-2 max-h-32 max-w-prose overflow-y-auto text-sm">
						<Prose text={data.assistant_message} />
					</div>
				)}
			</header>
			<div className="min-h-0 flex-1 max-lg:min-h-[480px] max-lg:flex-none max-lg:h-[480px]">
				<ResultPanel key={runId} response={response} />
			</div>
		</div>
	);
}

function RunActions({runId, open}: {readonly runId: string; readonly open: boolean}) {
	const queries = useQueryClient();
	const navigate = useNavigate();
	const again = useMutation({
		mutationFn: () => rerun(runId),
		onSuccess: ({run_id}) => navigate({to: '/runs/$runId', params: {runId: run_id}}),
	});
	const cancel = useMutation({
		mutationFn: () => cancelRun(runId),
		onSettled: () => queries.invalidateQueries({queryKey: ['capsule', runId]}),
	});
	const error = again.error ?? cancel.error;
	return (
		<div className="flex max-w-full flex-col items-end gap-2">
			<div className="flex gap-2">
				{open && (
					<Button onClick={() => cancel.mutate()} disabled={cancel.isPending}>
						<Icon name="stop" />
						{cancel.isPending ? 'Cancelling' : 'Cancel'}
					</Button>
				)}
				<Button onClick={() => again.mutate()} disabled={again.isPending}>
					<Icon name="again" />
					{again.isPending ? 'Running' : 'Run again'}
				</Button>
			</div>
			{error && <ErrorNotice error={error} />}
		</div>
	);
}

function ThreadLink({threadId}: {readonly threadId: string}) {
	const {session} = useChat();
	return (
		<Link to="/" onClick={() => void session.open(threadId)} className="rounded hover:text-fg hover:underline">
			conversation
		</Link>
	);
}
