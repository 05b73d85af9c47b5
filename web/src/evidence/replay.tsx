import {useMutation} from '@tanstack/react-query';
import {Link} from '@tanstack/react-router';
import type {ReplayReply} from '#contract/reproducibility.ts';
import {replayRun} from '../api/queries.ts';
import {Button} from '../ui/button.tsx';
import {Icon} from '../ui/icon.tsx';
import {ErrorNotice} from '../ui/notice.tsx';

/** Does a run again through every gate, and shows whether it came to the same. The button and its answer go to different places. */
export function useReplay(runId: string) {
	const replay = useMutation({mutationFn: () => replayRun(runId)});
	return {
		button: (
			<Button onClick={() => replay.mutate()} disabled={replay.isPending}>
				<Icon name="again" />
				{replay.isPending ? 'Replaying' : 'Replay'}
			</Button>
		),
		answer: (
			<div aria-live="polite">
				{replay.isError && (
					<div className="px-4 pb-3">
						<ErrorNotice error={replay.error} />
					</div>
				)}
				{replay.data && <Replayed reply={replay.data} />}
			</div>
		),
	};
}

const VERDICTS = {
	same: {label: 'The same', color: 'text-ok'},
	different: {label: 'Different', color: 'text-bad'},
	could_not: {label: 'Could not', color: 'text-warn'},
} as const;

function Replayed({reply: {runId, verdict, reason, actions, changed}}: {readonly reply: ReplayReply}) {
	const {label, color} = VERDICTS[verdict];
	return (
		<section
			aria-label="Replay"
			className="mx-4 mb-3 flex flex-col gap-1 rounded-md border border-line px-3 py-2 text-xs"
			data-verdict={verdict}
		>
			<p>
				<strong className={color}>{label}.</strong> {reason}{' '}
				<Link to="/runs/$runId" params={{runId}} className="text-accent underline">
					The run that did it again
				</Link>
			</p>
			<ul className="grid gap-0.5">
				{actions.map(({tool, same, was, is, difference}, index) => (
					// biome-ignore lint/suspicious/noArrayIndexKey: they are in their order for good, and one tool may be used twice
					<li key={index} className="flex gap-2">
						<Icon name={same ? 'check' : 'close'} className={same ? 'text-ok' : 'text-bad'} />
						<span>
							<span className="font-mono text-2xs">{tool}</span>{' '}
							<span className="text-muted">
								{same ? is.status : `${was.status} → ${is.status}${difference === null ? '' : `, first at ${difference}`}`}
							</span>
						</span>
					</li>
				))}
				{changed.map(({fact, was, is}) => (
					<li key={fact} className="break-all text-muted">
						{fact} was {JSON.stringify(was)}, is {JSON.stringify(is)}
					</li>
				))}
			</ul>
		</section>
	);
}
