import {type FormEvent, type KeyboardEvent, useLayoutEffect, useRef} from 'react';
import {Button} from '../ui/button.tsx';
import {Icon} from '../ui/icon.tsx';
import {MayUse} from './may-use.tsx';
import {useChat} from './use-chat.ts';

const BOX = 'message';

export function focusComposer(): void {
	document.getElementById(BOX)?.focus();
}

export function Composer() {
	const {session, state} = useChat();
	const box = useRef<HTMLTextAreaElement>(null);
	const working = state.exchanges.find((exchange) => exchange.phase !== 'over');
	const ready = state.datasetId !== null && state.draft.trim() !== '' && !working;

	// biome-ignore lint/correctness/useExhaustiveDependencies: the box grows with what is in it
	useLayoutEffect(() => {
		const element = box.current;
		if (!element) return;
		element.style.height = 'auto';
		element.style.height = `${Math.min(220, element.scrollHeight)}px`;
	}, [state.draft]);

	const send = (event?: FormEvent) => {
		event?.preventDefault();
		if (ready) void session.send(state.draft);
	};
	const onKey = (event: KeyboardEvent) => {
		if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
			event.preventDefault();
			send();
		}
	};
	return (
		<form onSubmit={send} className="shrink-0 px-3 pb-3">
			<div className="rounded-lg border border-control bg-bg focus-within:border-accent">
				<label className="sr-only" htmlFor={BOX}>
					Question, or SQL: or PYTHON: and code
				</label>
				<textarea
					ref={box}
					id={BOX}
					rows={2}
					value={state.draft}
					onChange={(event) => session.setDraft(event.target.value)}
					onKeyDown={onKey}
					placeholder="Ask a question, or start with SQL: or PYTHON:"
					className={`block w-full resize-none rounded-lg bg-transparent px-3 pt-2 text-sm outline-none ${/^\s*(sql|python):/i.test(state.draft) ? 'font-mono text-xs leading-5' : ''}`}
				/>
				<div className="flex flex-wrap items-center gap-2 p-1.5 pl-3">
					<p className="text-2xs text-muted max-sm:hidden">
						<kbd className="font-sans">Ctrl</kbd> <kbd className="font-sans">Enter</kbd> sends
					</p>
					<MayUse />
					{working ? (
						<Button onClick={() => session.stop(working.key)} disabled={working.phase === 'stopping'}>
							<Icon name="stop" />
							{working.phase === 'stopping' ? 'Stopping' : 'Stop'}
						</Button>
					) : (
						<Button look="primary" type="submit" disabled={!ready}>
							<Icon name="send" />
							Send
						</Button>
					)}
				</div>
			</div>
		</form>
	);
}
