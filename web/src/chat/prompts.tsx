import {useQuery} from '@tanstack/react-query';
import {datasetsQuery} from '../api/queries.ts';
import {focusComposer} from './composer.tsx';
import {useChat} from './use-chat.ts';

/** Every suggested question of the dataset. A click fills the box; sending stays the person's. */
export function Prompts() {
	const {session, state} = useChat();
	const {data} = useQuery(datasetsQuery);
	const prompts = data?.find(({id}) => id === state.datasetId)?.prompts ?? [];
	const fresh = state.exchanges.length === 0;
	if (prompts.length === 0) return <div id="prompts" hidden />;
	return (
		<section
			id="prompts"
			aria-label="Suggested questions"
			className={
				fresh
					? 'flex flex-col items-start gap-1 px-3 pb-3'
					: 'flex shrink-0 gap-1.5 overflow-x-auto px-3 py-2 [mask-image:linear-gradient(to_right,black_calc(100%-2.5rem),transparent)]'
			}
		>
			{prompts.map((prompt) => (
				<button
					key={prompt}
					type="button"
					onClick={() => {
						session.setDraft(prompt);
						focusComposer();
					}}
					className={`rounded-md border border-line text-left text-muted text-xs hover:border-line-strong hover:bg-hover hover:text-fg ${fresh ? 'px-2.5 py-1.5' : 'h-7 shrink-0 px-2 whitespace-nowrap'}`}
				>
					{prompt}
				</button>
			))}
		</section>
	);
}
