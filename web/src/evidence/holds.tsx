import {useMutation, useQuery, useQueryClient} from '@tanstack/react-query';
import {type FormEvent, useState} from 'react';
import type {Hold} from '#contract/retention.ts';
import {meQuery} from '../api/identity.ts';
import {eraseDue, holdsQuery, placeHold, previewQuery, releaseHold} from '../api/retention.ts';
import {Button, FIELD} from '../ui/button.tsx';
import {ErrorNotice} from '../ui/notice.tsx';
import {formatBytes, formatMoment, plural} from '../ui/time.ts';

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
			void queries.invalidateQueries({queryKey: ['audit']});
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

/** What is held in the tenant, what the policy would have erased by now, and the means to do either. */
export function Keeping() {
	const holds = useQuery(holdsQuery);
	const preview = useQuery(previewQuery);
	const {data: me} = useQuery(meQuery);
	const [placing, setPlacing] = useState(false);
	const inForce = holds.data?.filter(({state}) => state !== 'released') ?? [];
	if (!holds.data || !preview.data) return null;
	const {runs, bytes, rules} = preview.data;
	return (
		<section aria-label="Retention and holds" className="grid gap-1.5 border-line border-b px-4 py-2 text-xs">
			<div className="flex flex-wrap items-center gap-2">
				<p className="text-muted" title={rules.map((each) => `${each.rule}: ${each.days} days`).join(', ')}>
					{runs === 0 ? 'Nothing is due for erasure' : `${plural(runs, 'run')} (${formatBytes(bytes)}) due for erasure`}
					{' · '}
					{plural(inForce.length, 'hold')} in force
				</p>
				{me?.roles.includes('admin') && <Erase due={runs} />}
				<Button aria-expanded={placing} onClick={() => setPlacing(!placing)}>
					{placing ? 'Cancel' : 'Place a hold'}
				</Button>
			</div>
			{placing && <PlaceHold onDone={() => setPlacing(false)} />}
			{inForce.map((hold) => (
				<HoldLine key={hold.holdId} hold={hold} />
			))}
		</section>
	);
}

/** Erasing takes a second press: no one brings it back. */
function Erase({due}: {readonly due: number}) {
	const queries = useQueryClient();
	const [sure, setSure] = useState(false);
	const erase = useMutation({
		mutationFn: eraseDue,
		onSettled: async () => {
			setSure(false);
			await queries.invalidateQueries({queryKey: previewQuery.queryKey});
		},
	});
	return (
		<>
			{due > 0 && (
				<Button look="danger" disabled={erase.isPending} onClick={() => (sure ? erase.mutate() : setSure(true))}>
					{sure ? `Erase the content of ${plural(due, 'run')} for good` : 'Erase now'}
				</Button>
			)}
			{sure && (
				<Button look="quiet" onClick={() => setSure(false)}>
					Keep it
				</Button>
			)}
			{erase.data && (
				<p role="status">
					{plural(erase.data.erased, 'run')} erased{erase.data.isDone ? '' : '; there is more'}
				</p>
			)}
			{erase.isError && <ErrorNotice error={erase.error} />}
		</>
	);
}

const KINDS: Readonly<Record<Hold['kind'], string>> = {
	run: 'a run',
	thread: 'a conversation',
	dataset: 'what read a dataset',
	tenant: 'all of the tenant',
};

function PlaceHold({onDone}: {readonly onDone: () => void}) {
	const queries = useQueryClient();
	const [kind, setKind] = useState<Hold['kind']>('dataset');
	const place = useMutation({
		mutationFn: ({target, reason}: {target: string; reason: string}) => placeHold(kind, target, reason),
		onSuccess: async () => {
			await queries.invalidateQueries({queryKey: holdsQuery.queryKey});
			await queries.invalidateQueries({queryKey: previewQuery.queryKey});
			void queries.invalidateQueries({queryKey: ['audit']});
			onDone();
		},
	});
	const submit = (event: FormEvent<HTMLFormElement>) => {
		event.preventDefault();
		const form = new FormData(event.currentTarget);
		place.mutate({target: String(form.get('target') ?? ''), reason: String(form.get('reason') ?? '')});
	};
	return (
		<form onSubmit={submit} aria-label="Place a hold" className="flex flex-wrap items-center gap-2">
			<label className="inline-flex items-center gap-2">
				Keep
				<select className={FIELD} value={kind} onChange={(event) => setKind(event.target.value as Hold['kind'])}>
					{Object.entries(KINDS).map(([value, label]) => (
						<option key={value} value={value}>
							{label}
						</option>
					))}
				</select>
			</label>
			{kind !== 'tenant' && (
				<input
					name="target"
					required
					maxLength={200}
					aria-label={`Id of the ${kind}`}
					placeholder="Its id"
					className={`${FIELD} w-48`}
				/>
			)}
			<input
				name="reason"
				required
				maxLength={2_000}
				aria-label="Reason"
				placeholder="Reason, kept on record"
				className={`${FIELD} w-56`}
			/>
			<Button type="submit" look="primary" disabled={place.isPending}>
				Hold
			</Button>
			{place.isError && <ErrorNotice error={place.error} />}
		</form>
	);
}
