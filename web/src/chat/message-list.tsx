import {useEffect, useRef} from 'react';
import {Empty, Loading} from '../ui/notice.tsx';
import {statusLabel} from '../ui/status.tsx';
import type {Exchange} from './exchange.ts';
import {ExchangeView} from './exchange-view.tsx';
import {stageLabel} from './steps.tsx';
import {useChat} from './use-chat.ts';

export function MessageList() {
	const {state} = useChat();
	const list = useRef<HTMLDivElement>(null);
	const pinned = useRef(true);
	const last = state.exchanges.at(-1);

	// Follows what arrives, unless the reader has scrolled up to read.
	// biome-ignore lint/correctness/useExhaustiveDependencies: every change of the conversation may make it longer
	useEffect(() => {
		if (pinned.current) list.current?.scrollTo({top: list.current.scrollHeight});
	}, [state.exchanges]);

	return (
		<>
			<div
				id="messages"
				ref={list}
				role="log"
				// biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and keys must reach it
				tabIndex={0}
				aria-label="Messages"
				aria-busy={last !== undefined && last.phase !== 'over'}
				className="min-h-0 flex-1 overflow-y-auto outline-offset-[-2px]"
				onScroll={({currentTarget: {scrollTop, scrollHeight, clientHeight}}) => {
					pinned.current = scrollHeight - scrollTop - clientHeight < 40;
				}}
			>
				{state.loading && <Loading label="Loading the conversation" />}
				{!state.loading && state.exchanges.length === 0 && (
					<Empty title="Ask about your data">
						Plain questions, or code after SQL: or PYTHON:. Every answer keeps its evidence.
					</Empty>
				)}
				{state.exchanges.map((exchange) => (
					<ExchangeView
						key={exchange.key}
						exchange={exchange}
						shown={exchange.runId !== null && exchange.runId === state.shown}
					/>
				))}
			</div>
			<p role="status" className="sr-only">
				{last ? announce(last) : ''}
			</p>
		</>
	);
}

function announce({phase, steps, status, error}: Exchange): string {
	if (error) return `Error: ${error.message}`;
	if (phase === 'over') return status ? statusLabel(status) : '';
	const stage = steps.findLast((step) => step.kind === 'stage');
	return stage?.kind === 'stage' ? stageLabel(stage.stage) : 'Sending';
}
