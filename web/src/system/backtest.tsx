import {useMutation, useQuery} from '@tanstack/react-query';
import {Link} from '@tanstack/react-router';
import type {FormEvent} from 'react';
import type {BacktestReply, DecisionChange} from '#contract/policy-api.ts';
import {postJson} from '../api/client.ts';
import {meQuery} from '../api/identity.ts';
import {Button, FIELD} from '../ui/button.tsx';
import {ErrorNotice} from '../ui/notice.tsx';
import {formatMoment, plural} from '../ui/time.ts';

const DAY_MS = 86_400_000;
const SPANS = [
	[1, 'The last day'],
	[7, 'The last 7 days'],
	[30, 'The last 30 days'],
	[365, 'The last year'],
] as const;

/** Recorded actions decided again under another policy, before it comes into force. It changes nothing. */
export function Backtest({inForce}: {readonly inForce: string}) {
	const {data: me} = useQuery(meQuery);
	const attempt = useMutation({
		mutationFn: ({text, days}: {text: string; days: number}) =>
			postJson<BacktestReply>('/api/v1/policy/backtest', {
				since: new Date(Date.now() - days * DAY_MS).toISOString(),
				policy: {name: 'policy.yaml', text, files: {}},
			}),
	});
	if (!me?.roles.some((role) => role === 'admin' || role === 'auditor')) return null;
	const submit = (event: FormEvent<HTMLFormElement>) => {
		event.preventDefault();
		const form = new FormData(event.currentTarget);
		attempt.mutate({text: String(form.get('text')), days: Number(form.get('days'))});
	};
	return (
		<section aria-label="Backtest" className="rounded-md border border-line">
			<h2 className="border-line border-b bg-panel px-3 py-1.5 text-xs">What would another policy have decided?</h2>
			<form onSubmit={submit} className="flex flex-col gap-2 p-3">
				<textarea
					name="text"
					aria-label="The policy to try"
					defaultValue={inForce}
					rows={6}
					spellCheck={false}
					className={`${FIELD} h-auto w-full py-1 font-mono leading-5`}
				/>
				<div className="flex flex-wrap items-center gap-2">
					<select name="days" aria-label="Since" className={FIELD} defaultValue="7">
						{SPANS.map(([days, label]) => (
							<option key={days} value={days}>
								{label}
							</option>
						))}
					</select>
					<Button look="primary" type="submit" disabled={attempt.isPending}>
						{attempt.isPending ? 'Deciding again' : 'Try it'}
					</Button>
					<p className="text-muted text-xs">Nothing comes into force here; that is for the policy file of the server.</p>
				</div>
				{attempt.isError && <ErrorNotice error={attempt.error} />}
				<div aria-live="polite">{attempt.data && <Outcome reply={attempt.data} />}</div>
			</form>
		</section>
	);
}

function Outcome({reply}: {readonly reply: BacktestReply}) {
	const {examined, unchanged, skipped, counts, changes, truncated, runs} = reply;
	if (examined === 0) return <p className="text-warn text-xs">No decision was recorded in that time, so nothing is known.</p>;
	const kinds = Object.entries(counts).map(([kind, count]) => `${count} from ${kind}`);
	return (
		<div className="flex flex-col gap-2 text-xs">
			<p>
				{plural(examined, 'decision')} of {plural(runs, 'run')} taken again: {unchanged} would stay
				{kinds.length > 0 && `, ${kinds.join(', ')}`}
				{skipped > 0 && `; ${skipped} could not be taken again`}.
				{truncated && ` The first ${changes.length} that change are listed.`}
			</p>
			{changes.length > 0 && <Changes changes={changes} />}
		</div>
	);
}

function Changes({changes}: {readonly changes: readonly DecisionChange[]}) {
	return (
		<section
			aria-label="Decisions that would change"
			// biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and keys must reach it
			tabIndex={0}
			className="max-h-96 overflow-auto rounded-md border border-line"
		>
			<table className="w-full min-w-[720px] text-left text-xs">
				<thead className="bg-panel text-2xs text-muted">
					<tr>
						{['When', 'Who', 'Tool', 'Then', 'With this policy', 'Why'].map((name) => (
							<th key={name} scope="col" className="px-3 py-1.5 font-medium">
								{name}
							</th>
						))}
					</tr>
				</thead>
				<tbody>
					{changes.map(({runId, actionId, at, tool, principal, before, after}) => (
						<tr key={`${runId} ${actionId}`} className="border-line border-t align-baseline">
							<td className="whitespace-nowrap px-3 py-1">
								<Link to="/runs/$runId" params={{runId}} className="text-accent hover:underline">
									{formatMoment(at)}
								</Link>
							</td>
							<td className="px-3 py-1">{principal.id}</td>
							<td className="px-3 py-1 font-mono text-2xs">{tool}</td>
							<td className="px-3 py-1">{before.effect}</td>
							<td className="px-3 py-1 font-medium">{after.effect}</td>
							<td className="px-3 py-1 text-muted">{after.reason}</td>
						</tr>
					))}
				</tbody>
			</table>
		</section>
	);
}
