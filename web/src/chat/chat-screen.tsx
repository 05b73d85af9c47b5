import {useQuery} from '@tanstack/react-query';
import {Link} from '@tanstack/react-router';
import {lazy, Suspense, useEffect} from 'react';
import {datasetsQuery, responseQuery} from '../api/queries.ts';
import {Button, FIELD} from '../ui/button.tsx';
import {Icon} from '../ui/icon.tsx';
import {Empty, ErrorNotice, Loading} from '../ui/notice.tsx';
import {Composer} from './composer.tsx';
import {MessageList} from './message-list.tsx';
import {Prompts} from './prompts.tsx';
import {useChat} from './use-chat.ts';

/** Asked for at once, but not waited for: the conversation is usable before its results are. */
const panel = import('../result/panel.tsx');
const ResultPanel = lazy(async () => ({default: (await panel).ResultPanel}));

/** The conversation on the left, what it found on the right; one above the other where there is no room. */
export function ChatScreen() {
	return (
		<div className="flex h-full min-h-0 flex-col max-lg:overflow-y-auto lg:flex-row">
			<h1 className="sr-only">Ask</h1>
			<section
				aria-label="Conversation"
				className="flex min-h-0 shrink-0 flex-col border-line max-lg:h-[min(100%,620px)] max-lg:border-b lg:w-[min(440px,40%)] lg:border-r"
			>
				<ThreadHeader />
				<Conversation />
				<Composer />
			</section>
			<section aria-label="Result" className="min-h-0 min-w-0 flex-1 max-lg:h-[max(70%,420px)] max-lg:flex-none">
				<ShownResult />
			</section>
		</div>
	);
}

function ThreadHeader() {
	const {session, state} = useChat();
	const {data, error} = useQuery(datasetsQuery);
	const known = data?.some(({id}) => id === state.datasetId);
	useEffect(() => {
		const [first] = data ?? [];
		if (first && !known) session.setDataset(first.id);
	}, [data, known, session]);
	return (
		<>
			<header className="flex h-11 shrink-0 items-center gap-2 border-line border-b px-3">
				<label className="sr-only" htmlFor="dataset">
					Dataset
				</label>
				<select
					id="dataset"
					className={`${FIELD} max-w-60 flex-1`}
					value={state.datasetId ?? ''}
					onChange={(event) => session.setDataset(event.target.value)}
				>
					{(data ?? []).map(({id, name}) => (
						<option key={id} value={id}>
							{id} – {name}
						</option>
					))}
				</select>
				<span className="truncate font-mono text-2xs text-faint" title={`Thread ${state.threadId}`} data-testid="thread-id">
					{state.threadId.slice(0, 8)}
				</span>
				<Button look="quiet" className="ml-auto" onClick={session.newThread}>
					<Icon name="plus" />
					New<span className="sr-only"> conversation</span>
				</Button>
			</header>
			{error && (
				<div className="p-3">
					<ErrorNotice error={error} />
				</div>
			)}
			{data?.length === 0 && (
				<p className="border-line border-b px-3 py-2 text-muted text-xs">
					There are no datasets yet.{' '}
					<Link to="/datasets" className="text-accent hover:underline">
						Add one
					</Link>
				</p>
			)}
		</>
	);
}

function Conversation() {
	const {session, state} = useChat();
	if (state.loadError) {
		return (
			<div className="flex-1 p-3">
				<ErrorNotice error={state.loadError} action={<Button onClick={session.start}>Try again</Button>} />
			</div>
		);
	}
	return (
		<>
			<MessageList />
			<Prompts />
		</>
	);
}

function ShownResult() {
	const {state} = useChat();
	const working = state.exchanges.find((exchange) => exchange.phase !== 'over');
	if (working && state.shown === null) return <Loading label="Working on it" />;
	if (state.shown === null)
		return <Empty title="Results appear here">Table, chart, plan, SQL and the evidence of the run.</Empty>;
	return <RunResult runId={state.shown} />;
}

function RunResult({runId}: {readonly runId: string}) {
	const response = useQuery(responseQuery(runId));
	if (response.isError) {
		return (
			<div className="p-4">
				<ErrorNotice error={response.error} action={<Button onClick={() => response.refetch()}>Try again</Button>} />
			</div>
		);
	}
	if (response.isPending) return <Loading label="Loading the result" />;
	return (
		<Suspense fallback={<Loading label="Loading the result" />}>
			<ResultPanel key={runId} response={response.data} />
		</Suspense>
	);
}
