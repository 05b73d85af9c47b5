import {useQuery} from '@tanstack/react-query';
import {useNavigate} from '@tanstack/react-router';
import {threadsQuery} from '../api/queries.ts';
import {Button} from '../ui/button.tsx';
import {Icon} from '../ui/icon.tsx';
import {formatAgo} from '../ui/time.ts';
import {useChat} from './use-chat.ts';

export function ThreadList({onDone}: {readonly onDone?: () => void}) {
	const {data = []} = useQuery(threadsQuery);
	const {session, state} = useChat();
	const navigate = useNavigate();
	const go = (change: () => unknown) => {
		void change();
		void navigate({to: '/'});
		onDone?.();
	};
	return (
		<section aria-label="Conversations" className="flex min-h-0 flex-1 flex-col">
			<div className="flex items-center justify-between py-1 pr-2 pl-4">
				<h2 className="text-muted text-xs">Conversations</h2>
				<Button look="quiet" square aria-label="New conversation" title="New conversation" onClick={() => go(session.newThread)}>
					<Icon name="plus" />
				</Button>
			</div>
			<ul className="flex min-h-0 flex-col gap-px overflow-y-auto px-2 pb-2">
				{data.map(({thread_id, title, updated_at}) => (
					<li key={thread_id}>
						<button
							type="button"
							aria-current={thread_id === state.threadId ? 'true' : undefined}
							onClick={() => go(() => session.open(thread_id))}
							className="flex h-7 w-full items-center gap-2 rounded-md px-2 text-left text-muted hover:bg-hover hover:text-fg aria-[current]:bg-hover aria-[current]:text-fg"
						>
							<span className="min-w-0 flex-1 truncate">{title.trim() || 'Without a question'}</span>
							<span className="text-2xs text-faint">{formatAgo(updated_at)}</span>
						</button>
					</li>
				))}
			</ul>
		</section>
	);
}
