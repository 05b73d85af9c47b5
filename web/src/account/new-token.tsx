import {useMutation, useQueryClient} from '@tanstack/react-query';
import {type FormEvent, useState} from 'react';
import type {Me, Role, TokenKind, TokenRequest} from '#contract/identity.ts';
import {createToken, type NewToken, tokensQuery} from '../api/identity.ts';
import {Button, FIELD} from '../ui/button.tsx';
import {CopyButton} from '../ui/copy.tsx';
import {ErrorNotice, Notice} from '../ui/notice.tsx';

const DAYS = [7, 30, 90, 365];

/** Makes a token and shows it, once: after the next one, or on another screen, it is gone. */
export function NewTokenForm({me}: {readonly me: Me}) {
	const queries = useQueryClient();
	const [made, setMade] = useState<NewToken | null>(null);
	const [kind, setKind] = useState<TokenKind>('user');
	const create = useMutation({
		mutationFn: createToken,
		onSuccess: (token) => {
			setMade(token);
			void queries.invalidateQueries({queryKey: tokensQuery.queryKey});
		},
	});
	const submit = (event: FormEvent<HTMLFormElement>) => {
		event.preventDefault();
		setMade(null);
		create.mutate(read(new FormData(event.currentTarget)));
	};
	const roles = me.roles.filter((role) => kind === 'user' || role !== 'approver');
	return (
		<form onSubmit={submit} className="flex flex-col gap-3 rounded-md border border-line bg-panel p-3">
			<div className="flex flex-wrap items-end gap-3">
				<label className="flex flex-col gap-1 text-2xs text-muted">
					Name
					<input
						name="name"
						required
						pattern="[\w.\-]{1,100}"
						maxLength={100}
						placeholder="nightly"
						className={`${FIELD} w-40`}
					/>
				</label>
				<label className="flex flex-col gap-1 text-2xs text-muted">
					Acts as
					<select name="kind" className={FIELD} value={kind} onChange={(event) => setKind(event.target.value as TokenKind)}>
						<option value="user">you</option>
						<option value="agent">an agent of yours</option>
						{me.roles.includes('admin') && <option value="service">a service</option>}
					</select>
				</label>
				<label className="flex flex-col gap-1 text-2xs text-muted">
					Lasts
					<select name="days" className={FIELD} defaultValue="90">
						{DAYS.map((days) => (
							<option key={days} value={days}>
								{days} days
							</option>
						))}
					</select>
				</label>
				<label className="flex min-w-48 flex-1 flex-col gap-1 text-2xs text-muted">
					Only these tools, if any are named
					<input name="tools" placeholder="analyst.sql code.*" className={FIELD} />
				</label>
			</div>
			<fieldset className="flex flex-wrap items-center gap-x-4 gap-y-1 text-xs">
				<legend className="mb-1 text-2xs text-muted">Roles</legend>
				{roles.map((role) => (
					<label key={role} className="inline-flex items-center gap-1.5">
						<input type="checkbox" name="roles" value={role} defaultChecked={role === 'viewer'} />
						{role}
					</label>
				))}
				<Button look="primary" type="submit" className="ml-auto" disabled={create.isPending}>
					Make the token
				</Button>
			</fieldset>
			{create.isError && <ErrorNotice error={create.error} />}
			{made && <Made token={made} />}
		</form>
	);
}

function Made({token}: {readonly token: NewToken}) {
	return (
		<Notice
			tone="warn"
			title={`Copy the token ${token.name} now: it is shown this once.`}
			action={<CopyButton label="Copy" text={() => token.token} />}
		>
			<code className="break-all font-mono">{token.token}</code>
		</Notice>
	);
}

function read(form: FormData): TokenRequest {
	const tools = String(form.get('tools') ?? '')
		.split(/[\s,]+/)
		.filter(Boolean);
	return {
		name: String(form.get('name')),
		kind: String(form.get('kind')) as TokenKind,
		roles: form.getAll('roles') as Role[],
		expiresInDays: Number(form.get('days')),
		...(tools.length > 0 && {tools}),
	};
}
