import {useMutation} from '@tanstack/react-query';
import type {Event, EventData} from '#contract/event.ts';
import {explainDecision} from '../api/queries.ts';
import {Button} from '../ui/button.tsx';
import {Icon} from '../ui/icon.tsx';
import {JsonTree} from '../ui/json-tree.tsx';
import {ErrorNotice} from '../ui/notice.tsx';
import {summarise, type Tone, toneOf} from './event-line.ts';
import {Decided, Decision, Isolation} from './facts.tsx';

const DOTS: Readonly<Record<Tone, string>> = {
	plain: 'border-line-strong bg-bg',
	good: 'border-ok bg-ok',
	bad: 'border-bad bg-bad',
	wait: 'border-warn bg-warn',
};

/** The history of a run: one line an event, in order, each with everything that is in its hash. */
export function Timeline({events}: {readonly events: readonly Event[]}) {
	const start = Date.parse(events[0]?.at ?? '');
	return (
		<ol aria-label="Events of the run" className="border-line border-t">
			{events.map((event) => (
				<li key={event.seq}>
					<details className="group/event border-line border-b">
						<summary className="grid grid-cols-[16px_28px_minmax(0,1fr)_auto] items-center gap-x-2 py-1.5 pr-3 pl-2 hover:bg-hover sm:grid-cols-[16px_28px_72px_12px_150px_minmax(0,1fr)_auto]">
							<Icon name="right" className="text-faint group-open/event:rotate-90" />
							<span className="text-right text-2xs text-faint">{event.seq}</span>
							<span className="text-2xs text-muted max-sm:hidden">{sinceStart(event.at, start)}</span>
							<span className={`size-2 rounded-full border max-sm:hidden ${DOTS[toneOf(event)]}`} aria-hidden="true" />
							<span className="truncate font-mono text-xs max-sm:col-start-3">{event.type}</span>
							<span className="truncate text-muted text-xs max-sm:col-span-2 max-sm:col-start-3 max-sm:row-start-2">
								{summarise(event)}
							</span>
							<span className="text-2xs text-faint max-sm:col-start-4 max-sm:row-start-1">
								{event.actor.kind} {event.actor.id}
							</span>
						</summary>
						<EventBody event={event} />
					</details>
				</li>
			))}
		</ol>
	);
}

function EventBody({event}: {readonly event: Event}) {
	return (
		<div className="flex flex-col gap-3 border-line border-t bg-panel px-4 py-3 sm:pl-14">
			{event.type === 'action.decided' && <DecidedThen runId={event.runId} {...event.data} />}
			{event.type === 'action.outcome' && <Isolation isolation={event.data.isolation} usage={event.data.usage} />}
			<JsonTree value={event.data} />
			<dl className="grid grid-cols-[auto_minmax(0,1fr)] gap-x-3 font-mono text-2xs text-muted">
				<dt>at</dt>
				<dd>{event.at}</dd>
				<dt>prev</dt>
				<dd className="truncate" title={event.prev}>
					{event.prev}
				</dd>
				<dt>hash</dt>
				<dd className="truncate" title={event.hash}>
					{event.hash}
				</dd>
			</dl>
		</div>
	);
}

/** A decision as it was recorded, and as the policy in force would take it on the same facts. */
function DecidedThen({runId, actionId, decision}: {readonly runId: string} & EventData<'action.decided'>) {
	const again = useMutation({mutationFn: () => explainDecision({runId, actionId})});
	return (
		<>
			<Decision decision={decision} />
			<div aria-live="polite" className="flex flex-col items-start gap-2">
				<Button onClick={() => again.mutate()} disabled={again.isPending}>
					Decide it now
				</Button>
				{again.isError && <ErrorNotice error={again.error} />}
				{again.data?.now && <Decided title="With the policy in force" decision={again.data.now} />}
				{again.data?.now === null && (
					<p className="text-warn text-xs">The tool is gone or refuses the input, so no gate would judge it.</p>
				)}
			</div>
		</>
	);
}

function sinceStart(at: string, start: number): string {
	const ms = Date.parse(at) - start;
	return `+${(ms / 1_000).toFixed(3)} s`;
}
