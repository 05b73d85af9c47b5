import {useMutation, useQuery, useQueryClient} from '@tanstack/react-query';
import type {FormEvent} from 'react';
import type {Mode, ModeReply, ModeRequest, ModeScope} from '#contract/mode.ts';
import {postJson} from '../api/client.ts';
import {meQuery} from '../api/identity.ts';
import {modeQuery} from '../api/queries.ts';
import {Button, FIELD} from '../ui/button.tsx';
import {ErrorNotice, Loading} from '../ui/notice.tsx';

const MODES: readonly Mode[] = ['observe', 'propose', 'execute'];

/** The modes of the platform and of parts of the tenant, and how to set one. */
export function Modes() {
	const {data, isError, error} = useQuery(modeQuery);
	const {data: me} = useQuery(meQuery);
	if (isError) return <ErrorNotice error={error} />;
	if (!data || !me) return <Loading label="Looking" />;
	const set = [{...data, scope: {}}, ...data.scoped];
	return (
		<div className="flex max-w-3xl flex-col gap-4">
			<ul className="rounded-md border border-line text-xs">
				{set.map(({scope, mode, by, reason, asked, held}) => (
					<li key={nameOf(scope)} className="border-line px-3 py-2 not-last:border-b">
						<span className="font-medium">{nameOf(scope)}</span>: {mode}
						{by && <span className="text-muted"> · set by {by.id}</span>}
						{reason !== '' && <span className="text-muted"> · {reason}</span>}
						{held && <span className="text-bad"> · not on record yet: in force on this server only</span>}
						{asked && (
							<span>
								{' '}
								· {asked.by.id} wants {asked.mode}; another person has to agree
							</span>
						)}
						{mode !== 'execute' && me.roles.includes(isWhole(scope) ? 'platform' : 'admin') && asked?.by.id !== me.id && (
							<Loosen scope={scope} label={asked ? 'Agree' : 'Let it go on'} mode={asked?.mode ?? 'execute'} />
						)}
					</li>
				))}
				{data.defaults.map(({scope, mode}) => (
					<li key={`policy ${nameOf(scope)}`} className="border-line px-3 py-2 not-last:border-b">
						<span className="font-medium">{nameOf(scope)}</span>: {mode}
						<span className="text-muted"> · policy.yaml</span>
					</li>
				))}
			</ul>
			{me.roles.includes('admin') ? (
				<ModeForm />
			) : (
				<p className="text-muted text-xs">It takes the role admin to set a mode; you have: {me.roles.join(', ')}.</p>
			)}
		</div>
	);
}

const isWhole = (scope: ModeScope) => Object.keys(scope).length === 0;

function useChange() {
	const queries = useQueryClient();
	return useMutation({
		mutationFn: (wanted: ModeRequest) => postJson<ModeReply>('/api/v1/kill-switch', wanted),
		onSuccess: (state) => queries.setQueryData(modeQuery.queryKey, state),
	});
}

type LoosenProps = {readonly scope: ModeScope; readonly label: string; readonly mode: Mode};

/** What holds something back is ended where it is read; another person may have to agree first. */
function Loosen({scope, label, mode}: LoosenProps) {
	const change = useChange();
	const wanted = {mode, reason: '', ...(!isWhole(scope) && {scope})};
	return (
		<span className="ml-2 inline-flex items-center gap-2">
			<Button onClick={() => change.mutate(wanted)} disabled={change.isPending} aria-label={`${label}: ${nameOf(scope)}`}>
				{label}
			</Button>
			{change.isError && (
				<span role="alert" className="text-bad">
					{change.error.message}
				</span>
			)}
		</span>
	);
}

function nameOf(scope: ModeScope): string {
	const parts = Object.entries(scope).map(([name, value]) => `${name} ${value}`);
	return parts.join(', ') || 'The whole platform';
}

const PARTS = [
	['agent', 'Agent'],
	['tool', 'Tool, or a prefix such as code.*'],
	['reason', 'Why?'],
] as const;

function ModeForm() {
	const change = useChange();
	const submit = (event: FormEvent<HTMLFormElement>) => {
		event.preventDefault();
		const form = new FormData(event.currentTarget);
		const given = (name: string) => String(form.get(name) ?? '').trim();
		const scope = {...(given('agent') && {agent: given('agent')}), ...(given('tool') && {tool: given('tool')})};
		change.mutate({mode: given('mode') as Mode, reason: given('reason'), scope});
	};
	return (
		<form onSubmit={submit} className="flex flex-wrap items-center gap-2" aria-label="Set the mode of a part of your tenant">
			<select name="mode" aria-label="Mode" className={FIELD}>
				{MODES.map((mode) => (
					<option key={mode}>{mode}</option>
				))}
			</select>
			{PARTS.map(([name, label]) => (
				<input
					key={name}
					name={name}
					placeholder={label}
					aria-label={label}
					autoComplete="off"
					className={`${FIELD} flex-1 basis-40`}
				/>
			))}
			<Button look="primary" type="submit" disabled={change.isPending}>
				Set
			</Button>
			<p className="w-full text-muted text-xs">Without an agent and a tool it is for all of your tenant.</p>
			{change.isError && (
				<p role="alert" className="w-full text-bad text-xs">
					{change.error.message}
				</p>
			)}
		</form>
	);
}
