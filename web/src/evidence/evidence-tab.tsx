import {useMutation, useQuery} from '@tanstack/react-query';
import type {Verification} from '#contract/api.ts';
import type {Event} from '#contract/event.ts';
import {download} from '../api/client.ts';
import {eventsQuery, runPath, verifyRun} from '../api/queries.ts';
import {Button} from '../ui/button.tsx';
import {Icon} from '../ui/icon.tsx';
import {ErrorNotice, Loading, Notice} from '../ui/notice.tsx';
import {plural} from '../ui/time.ts';
import {Isolation} from './facts.tsx';
import {RunHold} from './holds.tsx';
import {useReplay} from './replay.tsx';
import {ScopeOfRun} from './scope.tsx';
import {Timeline} from './timeline.tsx';

/** Everything the run left behind, and the means to check it. */
export function EvidenceTab({runId}: {readonly runId: string}) {
	const events = useQuery(eventsQuery(runId));
	const verify = useMutation({mutationFn: () => verifyRun(runId)});
	const save = useMutation({
		mutationFn: (format: 'capsule' | 'bundle') =>
			download(`${runPath(runId)}/evidence?format=${format}`, format === 'bundle' ? `${runId}.tar` : `${runId}.capsule.json`),
	});
	const replay = useReplay(runId);
	if (events.isPending) return <Loading label="Reading the events" />;
	if (events.isError) return <ErrorNotice error={events.error} />;
	const [first] = events.data;
	const scope = first?.type === 'run.started' ? first.data.scope : undefined;
	const gone = events.data.filter(({erased}) => erased !== undefined).length;
	return (
		<div className="h-full overflow-auto">
			<div className="flex flex-wrap items-center gap-2 px-4 py-2.5">
				<Button onClick={() => verify.mutate()} disabled={verify.isPending}>
					<Icon name="shield" />
					{verify.isPending ? 'Verifying' : 'Verify'}
				</Button>
				{replay.button}
				<Button onClick={() => save.mutate('capsule')} disabled={save.isPending}>
					<Icon name="download" />
					Capsule
				</Button>
				<Button onClick={() => save.mutate('bundle')} disabled={save.isPending}>
					<Icon name="download" />
					Bundle
				</Button>
				<RunHold runId={runId} />
				<p className="text-muted text-xs">{plural(events.data.length, 'event')} in one hash chain</p>
			</div>
			{gone > 0 && (
				<div className="px-4 pb-3">
					<Notice tone="warn" title={`The content of ${plural(gone, 'event')} was erased`}>
						By a rule of the policy, as the record of its erasure says; verify it to see which. What decided, who approved and how
						it ended is here.
					</Notice>
				</div>
			)}
			{(verify.isError || save.isError) && (
				<div className="px-4 pb-3">
					<ErrorNotice error={verify.error ?? save.error} />
				</div>
			)}
			<div aria-live="polite">{verify.data && <Verified verification={verify.data} />}</div>
			{replay.answer}
			<Facts events={events.data} />
			{scope && <ScopeOfRun scope={scope} />}
			<Timeline events={events.data} />
		</div>
	);
}

const VERDICTS = {
	valid: {label: 'Valid', color: 'text-ok', says: 'Nothing was changed, dropped or reordered since it was recorded.'},
	tampered: {label: 'Tampered', color: 'text-bad', says: 'The record is not what was written.'},
	cannot_tell: {label: 'Cannot tell', color: 'text-warn', says: 'There was not enough to check.'},
} as const;

function Verified({verification}: {readonly verification: Verification}) {
	const {label, color, says} = VERDICTS[verification.verdict];
	return (
		<section
			aria-label="Verification"
			className="mx-4 mb-3 rounded-md border border-line px-3 py-2 text-xs"
			data-verdict={verification.verdict}
		>
			<p>
				<strong className={color}>{label}.</strong> {says}
				{verification.position !== null && ` First bad event: ${verification.position}.`}
			</p>
			<ul className="mt-1.5 grid gap-0.5">
				{verification.checks.map((check) => (
					<li key={check.name} className="flex gap-2">
						<Icon name={check.passed ? 'check' : 'close'} className={check.passed ? 'text-ok' : 'text-bad'} />
						<span>
							{check.name} <span className="text-muted">{check.detail}</span>
							<span className="sr-only">{check.passed ? ' passed' : ' failed'}</span>
						</span>
					</li>
				))}
			</ul>
		</section>
	);
}

/** What the last computation ran in and within. */
function Facts({events}: {readonly events: readonly Event[]}) {
	const outcome = events.findLast((event) => event.type === 'action.outcome');
	const intent = events.findLast((event) => event.type === 'action.intent');
	const started = events.find((event) => event.type === 'run.started');
	return (
		<div className="flex flex-col gap-0.5 px-4 pb-3">
			{outcome?.type === 'action.outcome' && <Isolation isolation={outcome.data.isolation} usage={outcome.data.usage} />}
			<dl className="grid grid-cols-[104px_minmax(0,1fr)] gap-x-3 gap-y-0.5 text-xs [&>dt]:text-muted">
				{intent?.type === 'action.intent' && (
					<>
						<dt>Limits</dt>
						<dd>
							{Object.entries(intent.data.limits)
								.map(([name, value]) => `${name} ${value}`)
								.join(' · ')}
						</dd>
					</>
				)}
				{started?.type === 'run.started' && (
					<>
						{started.data.dataset && (
							<>
								<dt>Snapshot</dt>
								<dd className="truncate font-mono text-2xs leading-5" title={started.data.dataset.hash}>
									{started.data.dataset.id} {started.data.dataset.hash}
								</dd>
							</>
						)}
						<dt>Policy</dt>
						<dd className="truncate font-mono text-2xs leading-5">{started.data.policyVersion}</dd>
					</>
				)}
			</dl>
		</div>
	);
}
