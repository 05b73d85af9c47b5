import {useMutation, useQuery, useQueryClient} from '@tanstack/react-query';
import {type FormEvent, useState} from 'react';
import type {Hold} from '#contract/retention.ts';
import {holdsQuery, placeHold, previewQuery, releaseHold} from '../api/retention.ts';
import {Button, FIELD} from '../ui/button.tsx';
import {ErrorNotice} from '../ui/notice.tsx';
import {formatMoment, plural} from '../ui/time.ts';

type ReasonProps = {
	readonly label: string;
	readonly action: (reason: string) => Promise<Hold>;
};

/** A button that asks for the reason first; nothing is held or released without one. */
function WithReason({label, action}: ReasonProps) {
	const [open, setOpen] = useState(false);
	const queries = useQueryClient();
	const act = useMutation({
		mutationFn: action,
		onSuccess: async () => {
			setOpen(false);
			await queries.invalidateQueries({queryKey: holdsQuery.queryKey});
		},
	});
	if (!open) return <Button onClick={() => setOpen(true)}>{label}</Button>;
	const submit = (event: FormEvent<HTMLFormElement>) => {
		event.preventDefault();
		act.mutate(String(new FormData(event.currentTarget).get('reason') ?? ''));
	};
	return (
		<form onSubmit={submit} className="flex flex-wrap items-center gap-2">
			<input
				name="reason"
				required
				maxLength={2_000}
				aria-label="Reason"
				placeholder="Reason, kept on record"
				className={`${FIELD} w-56`}
			/>
			<Button type="submit" look="primary" disabled={act.isPending}>
				{label}
			</Button>
			<Button look="quiet" onClick={() => setOpen(false)}>
				Cancel
			</Button>
			{act.isError && <ErrorNotice error={act.error} />}
		</form>
	);
}

/** Whether this run is held, by what, and how to hold or release it. */
export function RunHold({runId}: {readonly runId: string}) {
	const holds = useQuery(holdsQuery);
	if (!holds.data) return null; // who may not see holds has no use for the button either
	const own = holds.data.filter((hold) => hold.kind === 'run' && hold.target === runId && hold.state !== 'released');
	if (own.length === 0) return <WithReason label="Hold" action={(reason) => placeHold('run', runId, reason)} />;
	return (
		<div className="grid gap-1.5">
			{own.map((hold) => (
				<HoldLine key={hold.holdId} hold={hold} />
			))}
		</div>
	);
}

function HoldLine({hold}: {readonly hold: Hold}) {
	const {holdId, kind, target, placedBy, placedAt, reason, state, askedBy} = hold;
	return (
		<div className="flex flex-wrap items-center gap-2 text-xs" data-hold={state}>
			<span>
				<strong className="font-medium text-warn">Held</strong> <span className="text-muted">{kind}</span>{' '}
				<span className="font-mono">{target}</span> since {formatMoment(placedAt)} by {placedBy}: {reason}
			</span>
			{state === 'asked' && <span className="text-muted">{askedBy} asks for its release; another person has to agree.</span>}
			<WithReason label="Release" action={(why) => releaseHold(holdId, why)} />
		</div>
	);
}

/** What is held in the tenant, and what the policy would have erased by now. */
export function Keeping() {
	const holds = useQuery(holdsQuery);
	const preview = useQuery(previewQuery);
	const inForce = holds.data?.filter(({state}) => state !== 'released') ?? [];
	if (!holds.data || !preview.data) return null;
	return (
		<section aria-label="Retention and holds" className="grid gap-1.5 border-line border-b px-4 py-2 text-xs">
			<p className="text-muted">
				{preview.data.runs === 0 ? 'Nothing is due for erasure' : `${plural(preview.data.runs, 'run')} due for erasure`}
				{' · '}
				{plural(inForce.length, 'hold')} in force
			</p>
			{inForce.map((hold) => (
				<HoldLine key={hold.holdId} hold={hold} />
			))}
		</section>
	);
}
