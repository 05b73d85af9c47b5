import {useMutation, useQuery} from '@tanstack/react-query';
import {Link} from '@tanstack/react-router';
import type {FormEvent} from 'react';
import type {BacktestReply, Comparison, DecisionChange, PolicyCheckReply} from '#contract/policy-api.ts';
import {postJson} from '../api/client.ts';
import {meQuery} from '../api/identity.ts';
import {Button, FIELD} from '../ui/button.tsx';
import {ErrorNotice} from '../ui/notice.tsx';
import {formatMoment, plural} from '../ui/time.ts';
import {Problems} from './problems.tsx';

const DAY_MS = 86_400_000;
const SPANS = [
	[1, 'The last day'],
	[7, 'The last 7 days'],
	[30, 'The last 30 days'],
	[365, 'The last year'],
] as const;

type Attempt = {readonly text: string; readonly cases: string; readonly days: number};

/** Another policy, before it comes into force: whether it is sound, what it changes, and what it would have decided. It changes nothing. */
export function TryPolicy({inForce}: {readonly inForce: string}) {
	const {data: me} = useQuery(meQuery);
	const check = useMutation({
		mutationFn: ({text, cases}: Attempt) =>
			postJson<PolicyCheckReply>('/api/v1/policy/check', {
				policy: {text},
				cases: cases.trim() === '' ? [] : [{name: 'cases.yaml', text: cases}],
			}),
	});
	const backtest = useMutation({
		mutationFn: ({text, days}: Attempt) =>
			postJson<BacktestReply>('/api/v1/policy/backtest', {
				since: new Date(Date.now() - days * DAY_MS).toISOString(),
				policy: {text},
			}),
	});
	if (!me?.roles.some((role) => role === 'admin' || role === 'auditor')) return null;
	const submit = (event: FormEvent<HTMLFormElement>) => {
		event.preventDefault();
		const form = new FormData(event.currentTarget);
		const {value} = (event.nativeEvent as SubmitEvent).submitter as HTMLButtonElement;
		const chosen = value === 'backtest' ? backtest : check;
		chosen.mutate({text: String(form.get('text')), cases: String(form.get('cases')), days: Number(form.get('days'))});
	};
	return (
		<section aria-label="Try a policy" className="rounded-md border border-line">
			<h2 className="border-line border-b bg-panel px-3 py-1.5 text-xs">What would another policy decide?</h2>
			<form onSubmit={submit} className="flex flex-col gap-2 p-3">
				<textarea
					name="text"
					aria-label="The policy to try"
					defaultValue={inForce}
					rows={6}
					spellCheck={false}
					className={`${FIELD} h-auto w-full py-1 font-mono leading-5`}
				/>
				<details className="text-xs">
					<summary className="cursor-pointer text-muted">Test cases for it</summary>
					<textarea
						name="cases"
						aria-label="Test cases"
						placeholder={CASE}
						rows={5}
						spellCheck={false}
						className={`${FIELD} mt-1 h-auto w-full py-1 font-mono leading-5`}
					/>
				</details>
				<div className="flex flex-wrap items-center gap-2">
					<Button type="submit" value="check" disabled={check.isPending}>
						{check.isPending ? 'Checking' : 'Check it'}
					</Button>
					<select name="days" aria-label="Since" className={FIELD} defaultValue="7">
						{SPANS.map(([days, label]) => (
							<option key={days} value={days}>
								{label}
							</option>
						))}
					</select>
					<Button look="primary" type="submit" value="backtest" disabled={backtest.isPending}>
						{backtest.isPending ? 'Deciding again' : 'Try it'}
					</Button>
					<p className="text-muted text-xs">Nothing comes into force here; that is for the policy file of the server.</p>
				</div>
				{check.isError && <ErrorNotice error={check.error} />}
				{backtest.isError && <ErrorNotice error={backtest.error} />}
				<div aria-live="polite" className="flex flex-col gap-3">
					{check.data && <Checked reply={check.data} />}
					{backtest.data && <Outcome reply={backtest.data} />}
				</div>
			</form>
		</section>
	);
}

const CASE = `cases:
  - name: the analyst may count
    as: agent:analyst
    tool: analyst.sql
    input: {dataset_id: support, sql: SELECT count(*) FROM tickets}
    expect: allow`;

function Checked({reply: {version, problems, comparison, results}}: {readonly reply: PolicyCheckReply}) {
	const failed = results.filter(({passed}) => !passed).length;
	return (
		<section aria-label="Check" className="flex flex-col gap-1 text-xs">
			<p className={version === null ? 'text-bad' : ''}>
				{version === null ? 'It could not come into force.' : `It is sound: version ${version.slice(0, 12)}.`}
			</p>
			<Problems problems={problems} />
			{comparison && <Differences comparison={comparison} />}
			{results.length > 0 && (
				<p className={failed > 0 ? 'text-bad' : 'text-ok'}>
					{plural(results.length, 'case')}, {failed} failed
				</p>
			)}
			<ul>
				{results.map(({name, passed, detail}) => (
					<li key={name}>
						<span className={passed ? 'text-ok' : 'text-bad'}>{passed ? 'passed' : 'failed'}</span> {name}{' '}
						<span className="text-muted">{detail}</span>
					</li>
				))}
			</ul>
		</section>
	);
}

function Differences({comparison: {same, values, rules, asked, stricter, looser, examples}}: {readonly comparison: Comparison}) {
	if (same) return <p className="text-muted">It is no other than the one in force, in {asked} questions.</p>;
	return (
		<>
			<p>
				Beside the one in force, {asked} questions: {stricter} stricter, {looser} looser.
				{rules && ' The Cedar rules differ.'}
			</p>
			<ul className="font-mono text-2xs leading-5">
				{values.map(({path, before, after}) => (
					<li key={path} className="break-all">
						{path}: {JSON.stringify(before) ?? 'not there'} → {JSON.stringify(after) ?? 'not there'}
					</li>
				))}
			</ul>
			<ul>
				{examples.map(({question, before, after}) => (
					<li key={question}>
						{before} → <span className="font-medium">{after}</span> <span className="text-muted">{question}</span>
					</li>
				))}
			</ul>
		</>
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
