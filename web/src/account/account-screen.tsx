import {useMutation, useQuery, useQueryClient} from '@tanstack/react-query';
import type {Me, Token} from '#contract/identity.ts';
import {clearToken} from '../api/client.ts';
import {endSession, meQuery, revokeToken, tokensQuery} from '../api/identity.ts';
import {Button} from '../ui/button.tsx';
import {ErrorNotice, Loading} from '../ui/notice.tsx';
import {formatMoment} from '../ui/time.ts';
import {NewTokenForm} from './new-token.tsx';

/** Who one is here, what one may do, and the tokens that act in one's name. */
export function AccountScreen() {
	const {data, error} = useQuery(meQuery);
	return (
		// biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and keys must reach it
		<section aria-label="Account" tabIndex={0} className="h-full overflow-auto outline-offset-[-2px]">
			<div className="flex min-h-11 items-center border-line border-b px-4">
				<h1 className="font-medium">Account</h1>
			</div>
			<div className="flex max-w-4xl flex-col gap-6 p-4">
				{error && <ErrorNotice error={error} />}
				{!data && !error && <Loading label="Looking who you are" />}
				{data && <Who me={data} />}
				{data && <Tokens me={data} />}
			</div>
		</section>
	);
}

const BY: Readonly<Record<Me['by'], string>> = {
	open: 'This server is for you alone and asks nobody who they are.',
	configured: 'You came with a token of the settings.',
	token: 'You came with an API token.',
	session: 'You signed in.',
};

function Who({me}: {readonly me: Me}) {
	const out = useMutation({mutationFn: signOut});
	return (
		<div className="flex flex-wrap items-start gap-4">
			<div className="min-w-0 flex-1 text-xs">
				<p className="font-medium text-base">{me.name}</p>
				<p className="text-muted">
					{me.id} of {me.tenant}. {BY[me.by]}
				</p>
				<p className="mt-2 text-muted">May do what these roles may:</p>
				<ul className="mt-1 flex flex-wrap gap-1">
					{me.roles.map((role) => (
						<li key={role} className="rounded border border-line bg-panel px-1.5 py-0.5 font-mono text-2xs">
							{role}
						</li>
					))}
				</ul>
				{out.isError && <ErrorNotice error={out.error} />}
			</div>
			{me.by !== 'open' && (
				<Button onClick={() => out.mutate()} disabled={out.isPending}>
					Sign out
				</Button>
			)}
		</div>
	);
}

/** What was loaded goes with the page. */
async function signOut(): Promise<void> {
	await endSession();
	clearToken();
	window.location.assign('/');
}

function Tokens({me}: {readonly me: Me}) {
	const {data, error} = useQuery(tokensQuery);
	return (
		<div className="flex flex-col gap-3">
			<h2 className="font-medium">API tokens</h2>
			<p className="text-muted text-xs">
				What programs and agents show instead of you. A token never has more than you have at the time, and it can be revoked at
				any moment.
			</p>
			{me.by !== 'token' && me.kind === 'user' && <NewTokenForm me={me} />}
			{error && <ErrorNotice error={error} />}
			{data?.length === 0 && <p className="text-muted text-xs">You have none.</p>}
			{data && data.length > 0 && <TokenTable tokens={data} />}
		</div>
	);
}

function TokenTable({tokens}: {readonly tokens: readonly Token[]}) {
	return (
		// biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and keys must reach it
		<section aria-label="Your tokens" tabIndex={0} className="relative overflow-x-auto rounded-md border border-line">
			<table className="w-full min-w-[640px] text-left text-xs">
				<thead className="bg-panel text-2xs text-muted">
					<tr>
						{['Name', 'Acts as', 'Roles', 'Tools', 'Until', 'Last used', ''].map((name) => (
							<th key={name} scope="col" className="px-3 py-1.5 font-medium">
								{name || <span className="sr-only">Revoke</span>}
							</th>
						))}
					</tr>
				</thead>
				<tbody>
					{tokens.map((token) => (
						<TokenRow key={token.tokenId} token={token} />
					))}
				</tbody>
			</table>
		</section>
	);
}

function TokenRow({token}: {readonly token: Token}) {
	const queries = useQueryClient();
	const revoke = useMutation({
		mutationFn: () => revokeToken(token.tokenId),
		onSettled: () => queries.invalidateQueries({queryKey: tokensQuery.queryKey}),
	});
	const {name, kind, roles, tools, expiresAt, lastUsedAt, state, tokenId} = token;
	return (
		<tr className="border-line border-t align-top">
			<td className="px-3 py-1.5 font-medium" title={tokenId}>
				{name}
			</td>
			<td className="px-3 py-1.5">{kind}</td>
			<td className="px-3 py-1.5">{roles.join(', ')}</td>
			<td className="px-3 py-1.5">{tools?.join(', ') ?? 'all of its roles'}</td>
			<td className="whitespace-nowrap px-3 py-1.5">{expiresAt.slice(0, 10)}</td>
			<td className="whitespace-nowrap px-3 py-1.5">{lastUsedAt === null ? 'never' : formatMoment(lastUsedAt)}</td>
			<td className="px-3 py-1 text-right">
				{state === 'active' ? (
					<Button look="danger" onClick={() => revoke.mutate()} disabled={revoke.isPending} aria-label={`Revoke ${name}`}>
						Revoke
					</Button>
				) : (
					<span className="text-muted">{state}</span>
				)}
				{revoke.isError && <ErrorNotice error={revoke.error} />}
			</td>
		</tr>
	);
}
