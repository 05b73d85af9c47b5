import {Button} from '../ui/button.tsx';
import {Notice} from '../ui/notice.tsx';
import {Prose} from '../ui/prose.tsx';
import {StatusBadge} from '../ui/status.tsx';
import {ApprovalBanner} from './approval-banner.tsx';
import {focusComposer} from './composer.tsx';
import type {Exchange} from './exchange.ts';
import {Steps} from './steps.tsx';
import {useChat} from './use-chat.ts';

const PHASES = {sending: 'Sending', streaming: 'Running', reconnecting: 'Reconnecting', stopping: 'Stopping'} as const;

/** A question, what was done about it, and its answer. */
export function ExchangeView({exchange, shown}: {readonly exchange: Exchange; readonly shown: boolean}) {
	const {session} = useChat();
	const {question, answer, phase, status, error, runId, warnings, suggestions} = exchange;
	const isCode = /^\s*(sql|python):/i.test(question);
	return (
		<article className={`border-line border-b px-3 py-3 ${shown ? 'shadow-[inset_2px_0_0_var(--accent)]' : ''}`} data-run={runId}>
			{question !== '' && (
				<p className={`mb-2 font-medium whitespace-pre-wrap ${isCode ? 'font-mono text-xs leading-5 font-normal' : ''}`}>
					{question}
				</p>
			)}
			<Steps exchange={exchange} />
			{answer !== '' && (
				<div className="mt-1.5" data-testid="answer">
					<Prose text={answer} />
				</div>
			)}
			{warnings.length > 0 && (
				<ul className="mt-2 flex flex-col gap-1 text-muted text-xs">
					{warnings.map((warning) => (
						<li key={warning}>{warning}</li>
					))}
				</ul>
			)}
			{suggestions.length > 0 && <Suggestions suggestions={suggestions} />}
			{status === 'awaiting_approval' && phase === 'over' && runId && <ApprovalBanner exchange={exchange} runId={runId} />}
			{error && (
				<div className="mt-2">
					<Notice
						tone="bad"
						title={error.message}
						action={<Button onClick={() => session.retry(exchange.key)}>Try again</Button>}
					>
						{error.hint && <p className="text-muted">{error.hint}</p>}
					</Notice>
				</div>
			)}
			<footer className="mt-2 flex items-center gap-3 text-muted">
				<Badge exchange={exchange} />
				{runId && !shown && phase === 'over' && (
					<button type="button" className="rounded text-accent text-xs hover:underline" onClick={() => session.show(runId)}>
						Show result
					</button>
				)}
			</footer>
		</article>
	);
}

function Badge({exchange: {phase, status, error, suggestions}}: {readonly exchange: Exchange}) {
	if (phase !== 'over') return <StatusBadge status="running" note={PHASES[phase]} />;
	if (error) return <StatusBadge status="failed" note={error.type === 'UNREACHABLE' ? 'No connection' : 'Error'} />;
	// Only an answer without a computation comes with questions to ask instead.
	if (status === 'succeeded' && suggestions.length > 0) return <StatusBadge status="succeeded" note="Nothing was run" />;
	return status ? <StatusBadge status={status} /> : null;
}

function Suggestions({suggestions}: {readonly suggestions: readonly string[]}) {
	const {session} = useChat();
	return (
		<div className="mt-2 flex flex-col items-start gap-1">
			<p className="text-muted text-xs">You could ask:</p>
			{suggestions.map((suggestion) => (
				<button
					key={suggestion}
					type="button"
					onClick={() => {
						session.setDraft(suggestion);
						focusComposer();
					}}
					className="rounded-md border border-line px-2.5 py-1 text-left text-muted text-xs hover:bg-hover hover:text-fg"
				>
					{suggestion}
				</button>
			))}
		</div>
	);
}
