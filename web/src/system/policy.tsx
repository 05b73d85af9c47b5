import {useQuery} from '@tanstack/react-query';
import {policyQuery} from '../api/queries.ts';
import {CopyButton} from '../ui/copy.tsx';
import {ErrorNotice, Loading, Notice} from '../ui/notice.tsx';
import {Explain} from './explain.tsx';
import {Problems} from './problems.tsx';
import {TryPolicy} from './try-policy.tsx';

/** The policy in force, why it decides as it does, and what another would. */
export function Policy() {
	const {data, error} = useQuery(policyQuery);
	if (error) return <ErrorNotice error={error} />;
	if (!data) return <Loading label="Loading the policy" />;
	return (
		<div className="flex max-w-4xl flex-col gap-4">
			<p className="text-xs">
				<span className="text-muted">Gates, in order: </span>
				{data.gates.join(' → ')}
			</p>
			<p className="truncate font-mono text-2xs text-muted">version {data.version}</p>
			{data.problems.length > 0 && (
				<Notice tone="warn" title="The policy file is not sound; the last good one stays in force">
					<Problems problems={data.problems} />
				</Notice>
			)}
			<Explain />
			<TryPolicy inForce={data.sources.find(({name}) => !name.includes('.cedar'))?.text ?? 'version: 1\n'} />
			{data.sources.map(({name, text}) => (
				<section key={name} aria-label={name} className="rounded-md border border-line">
					<div className="flex items-center justify-between border-line border-b bg-panel py-1 pr-1 pl-3">
						<h2 className="font-mono text-xs">{name}</h2>
						<CopyButton label="Copy" text={() => text} />
					</div>
					{/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and keys must reach it */}
					<pre className="max-h-[480px] overflow-auto p-3 font-mono text-xs leading-5" tabIndex={0}>
						{text}
					</pre>
				</section>
			))}
		</div>
	);
}
