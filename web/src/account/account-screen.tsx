import {useMutation, useQuery} from '@tanstack/react-query';
import type {Me} from '#contract/identity.ts';
import {clearToken} from '../api/client.ts';
import {endSession, meQuery, tokensQuery} from '../api/identity.ts';
import {Button} from '../ui/button.tsx';
import {ErrorNotice, Loading} from '../ui/notice.tsx';
import {NewTokenForm} from './new-token.tsx';
import {TokenTable} from './token-table.tsx';

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
			{data && data.length > 0 && <TokenTable label="Your tokens" tokens={data} />}
		</div>
	);
}
