import {useMutation, useQuery, useQueryClient} from '@tanstack/react-query';
import {useState} from 'react';
import type {Account, Me, Token} from '#contract/identity.ts';
import {NewTokenForm} from '../account/new-token.tsx';
import {TokenTable} from '../account/token-table.tsx';
import {accountsQuery, allTokensQuery, meQuery, setDisabled} from '../api/identity.ts';
import {Button, FIELD} from '../ui/button.tsx';
import {Empty, ErrorNotice, Loading} from '../ui/notice.tsx';
import {formatMoment} from '../ui/time.ts';

/** Who may come in to the tenant: its people, and the agents, services and keys that act there. */
export function AccountsScreen() {
	const {data: me, error} = useQuery(meQuery);
	return (
		// biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and keys must reach it
		<section aria-label="Accounts" tabIndex={0} className="h-full overflow-auto outline-offset-[-2px]">
			<div className="flex min-h-11 items-center border-line border-b px-4">
				<h1 className="font-medium">Accounts</h1>
				{me && <span className="ml-2 text-muted text-xs">of {me.tenant}</span>}
			</div>
			{error && (
				<div className="p-4">
					<ErrorNotice error={error} />
				</div>
			)}
			{!me && !error && <Loading label="Looking who you are" />}
			{me && !me.roles.includes('admin') && (
				<Empty title="Accounts are for the role admin to see">
					You have: {me.roles.join(', ') || 'no role'}. An admin of your tenant can tell you more.
				</Empty>
			)}
			{me?.roles.includes('admin') && <Parts me={me} />}
		</section>
	);
}

function Parts({me}: {readonly me: Me}) {
	const accounts = useQuery(accountsQuery);
	const tokens = useQuery(allTokensQuery);
	const [owner, setOwner] = useState('');
	const error = accounts.error ?? tokens.error;
	if (error)
		return (
			<div className="p-4">
				<ErrorNotice error={error} />
			</div>
		);
	if (!accounts.data || !tokens.data) return <Loading label="Loading the accounts" />;
	const names = [...new Set([...accounts.data.map(({account}) => account), ...tokens.data.flatMap((each) => each.owner ?? [])])];
	const shown = tokens.data.filter((token) => owner === '' || token.owner === owner);
	return (
		<div className="flex max-w-5xl flex-col gap-6 p-4">
			<div className="flex flex-col gap-3">
				<h2 className="font-medium">People</h2>
				<p className="text-muted text-xs">
					Accounts of the settings, and whoever signed in with the identity provider. The roles are the settings’ or the
					provider’s to change; of the provider they count from the next sign-in.
				</p>
				{accounts.data.length === 0 && <p className="text-muted text-xs">This server asks nobody who they are.</p>}
				{accounts.data.length > 0 && <PeopleTable me={me} accounts={accounts.data} tokens={tokens.data} onTokens={setOwner} />}
			</div>
			<div className="flex flex-col gap-3">
				<div className="flex flex-wrap items-center gap-3">
					<h2 id="keys" tabIndex={-1} className="font-medium outline-none">
						Agents, services and other tokens
					</h2>
					<select aria-label="Owner" className={FIELD} value={owner} onChange={(event) => setOwner(event.target.value)}>
						<option value="">Of everybody</option>
						{names.map((name) => (
							<option key={name}>{name}</option>
						))}
					</select>
				</div>
				{me.by !== 'token' && me.kind === 'user' && <NewTokenForm me={me} />}
				{shown.length === 0 && <p className="text-muted text-xs">There are none.</p>}
				{shown.length > 0 && <TokenTable label="Tokens of the tenant" tokens={shown} owners />}
			</div>
		</div>
	);
}

type PeopleProps = {
	readonly me: Me;
	readonly accounts: readonly Account[];
	readonly tokens: readonly Token[];
	readonly onTokens: (account: string) => void;
};

function PeopleTable({me, accounts, tokens, onTokens}: PeopleProps) {
	return (
		// biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and keys must reach it
		<section aria-label="People" tabIndex={0} className="relative overflow-x-auto rounded-md border border-line">
			<table className="w-full min-w-[860px] text-left text-xs">
				<thead className="bg-panel text-2xs text-muted">
					<tr>
						{['Account', 'Name', 'From', 'Roles', 'Signed in', 'Tokens', 'State'].map((name) => (
							<th key={name} scope="col" className="px-3 py-1.5 font-medium">
								{name}
							</th>
						))}
					</tr>
				</thead>
				<tbody>
					{accounts.map((account) => (
						<PersonRow
							key={account.account}
							person={account}
							isMe={me.id === account.account}
							active={tokens.filter(({owner, state}) => owner === account.account && state === 'active').length}
							onTokens={() => {
								onTokens(account.account);
								document.getElementById('keys')?.focus();
							}}
						/>
					))}
				</tbody>
			</table>
		</section>
	);
}

type PersonProps = {readonly person: Account; readonly isMe: boolean; readonly active: number; onTokens(): void};

function PersonRow({person, isMe, active, onTokens}: PersonProps) {
	const {account, name, source, roles, signedInAt, disabledAt} = person;
	return (
		<tr className="border-line border-t align-baseline">
			<th scope="row" className="px-3 py-1.5 text-left font-medium">
				{account}
			</th>
			<td className="px-3 py-1.5">{name}</td>
			<td className="px-3 py-1.5">{source}</td>
			<td className="px-3 py-1.5">{roles.join(', ')}</td>
			<td className="whitespace-nowrap px-3 py-1.5">{signedInAt === null ? 'at every call' : formatMoment(signedInAt)}</td>
			<td className="px-3 py-1">
				<Button look="quiet" onClick={onTokens} aria-label={`${active} active: show the tokens of ${account}`}>
					{active} active
				</Button>
			</td>
			<td className="px-3 py-1">
				<span className="inline-flex flex-wrap items-center gap-2">
					<span className={`py-0.5 ${disabledAt === null ? 'text-ok' : 'text-bad'}`} title={disabledAt ?? undefined}>
						{disabledAt === null ? 'enabled' : 'disabled'}
					</span>
					{isMe && <span className="text-muted">you</span>}
					{source === 'provider' && !isMe && <Switch account={account} disabled={disabledAt !== null} />}
				</span>
			</td>
		</tr>
	);
}

/** Disabling takes a second press: it ends the sessions of a person, and all that acts for them. */
function Switch({account, disabled}: {readonly account: string; readonly disabled: boolean}) {
	const queries = useQueryClient();
	const [sure, setSure] = useState(false);
	const change = useMutation({
		mutationFn: () => setDisabled(account, !disabled),
		onSuccess: (accounts) => {
			setSure(false);
			queries.setQueryData(accountsQuery.queryKey, accounts);
		},
	});
	const label = disabled ? 'Enable' : sure ? 'End sessions and disable' : 'Disable';
	return (
		<>
			<Button
				look={disabled ? 'plain' : 'danger'}
				onClick={() => (disabled || sure ? change.mutate() : setSure(true))}
				disabled={change.isPending}
				aria-label={`${label}: ${account}`}
			>
				{label}
			</Button>
			{sure && !disabled && (
				<Button look="quiet" onClick={() => setSure(false)}>
					Cancel
				</Button>
			)}
			{change.isError && <ErrorNotice error={change.error} />}
		</>
	);
}
