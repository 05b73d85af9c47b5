import {useMutation, useQueryClient} from '@tanstack/react-query';
import type {Token} from '#contract/identity.ts';
import {revokeToken, tokensQuery} from '../api/identity.ts';
import {Button} from '../ui/button.tsx';
import {ErrorNotice} from '../ui/notice.tsx';
import {formatMoment} from '../ui/time.ts';

/** Tokens without what opens anything. `owners` adds whose each is, where they are not one's own. */
export function TokenTable({label, tokens, owners = false}: TableProps) {
	const heads = ['Name', 'Acts as', ...(owners ? ['Owner'] : []), 'Roles', 'Tools', 'Until', 'Last used', ''];
	return (
		// biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and keys must reach it
		<section aria-label={label} tabIndex={0} className="relative overflow-x-auto rounded-md border border-line">
			<table className="w-full min-w-[860px] text-left text-xs">
				<thead className="bg-panel text-2xs text-muted">
					<tr>
						{heads.map((name) => (
							<th key={name} scope="col" className="px-3 py-1.5 font-medium">
								{name || <span className="sr-only">Revoke</span>}
							</th>
						))}
					</tr>
				</thead>
				<tbody>
					{tokens.map((token) => (
						<TokenRow key={token.tokenId} token={token} owners={owners} />
					))}
				</tbody>
			</table>
		</section>
	);
}

type TableProps = {readonly label: string; readonly tokens: readonly Token[]; readonly owners?: boolean};

function TokenRow({token, owners}: {readonly token: Token; readonly owners: boolean}) {
	const queries = useQueryClient();
	const revoke = useMutation({
		mutationFn: () => revokeToken(token.tokenId),
		onSettled: () => queries.invalidateQueries({queryKey: tokensQuery.queryKey}),
	});
	const {name, kind, owner, roles, tools, expiresAt, lastUsedAt, state, tokenId} = token;
	return (
		<tr className="border-line border-t align-baseline">
			<td className="px-3 py-1.5 font-medium" title={tokenId}>
				{name}
			</td>
			<td className="px-3 py-1.5">{kind}</td>
			{owners && <td className="px-3 py-1.5">{owner ?? <span className="text-muted">itself</span>}</td>}
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
