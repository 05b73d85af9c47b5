import {useQuery} from '@tanstack/react-query';
import {Tabs} from 'radix-ui';
import type {Check} from '#contract/api.ts';
import {configQuery, doctorQuery, readyQuery, toolsQuery} from '../api/queries.ts';
import {Icon} from '../ui/icon.tsx';
import {JsonTree} from '../ui/json-tree.tsx';
import {ErrorNotice, Loading} from '../ui/notice.tsx';
import {formatBytes, formatCount, formatMs} from '../ui/time.ts';
import {Budget} from './budget.tsx';
import {Modes} from './modes.tsx';
import {Policy} from './policy.tsx';

const TABS = [
	['health', 'Health', Health],
	['modes', 'Modes', Modes],
	['budget', 'Budget', Budget],
	['policy', 'Policy', Policy],
	['tools', 'Tools', Tools],
	['settings', 'Settings', Settings],
] as const;

export function SystemScreen() {
	return (
		<Tabs.Root defaultValue="health" className="flex h-full min-h-0 flex-col">
			<div className="flex h-11 shrink-0 items-center gap-4 border-line border-b px-4">
				<h1 className="shrink-0 font-medium">System</h1>
				<Tabs.List aria-label="Parts of the system" className="flex min-w-0 gap-0.5 overflow-x-auto">
					{TABS.map(([name, label]) => (
						<Tabs.Trigger
							key={name}
							value={name}
							className="h-7 shrink-0 whitespace-nowrap rounded-md px-2.5 font-medium text-muted text-xs -outline-offset-2 hover:text-fg data-[state=active]:bg-hover data-[state=active]:text-fg"
						>
							{label}
						</Tabs.Trigger>
					))}
				</Tabs.List>
			</div>
			{TABS.map(([name, , Part]) => (
				<Tabs.Content key={name} value={name} className="min-h-0 flex-1 overflow-y-auto p-4 outline-offset-[-2px] lg:px-6">
					<Part />
				</Tabs.Content>
			))}
		</Tabs.Root>
	);
}

function Health() {
	const ready = useQuery(readyQuery);
	const doctor = useQuery(doctorQuery);
	const shown = new Set(ready.data?.components.map(({name}) => name));
	return (
		<div className="flex max-w-3xl flex-col gap-6">
			<section aria-labelledby="ready">
				<h2 id="ready" className="mb-2 font-medium">
					{ready.data?.status === 'ready' ? 'Ready to serve' : 'Readiness'}
				</h2>
				{ready.isError ? <ErrorNotice error={ready.error} /> : <Checks checks={ready.data?.components} />}
			</section>
			<section aria-labelledby="doctor">
				<h2 id="doctor" className="mb-2 font-medium">
					What is here {doctor.data && <span className="font-normal text-muted text-xs">Writ {doctor.data.version}</span>}
				</h2>
				{doctor.isError ? (
					<ErrorNotice error={doctor.error} />
				) : (
					<Checks checks={doctor.data?.checks.filter(({name}) => !shown.has(name))} />
				)}
			</section>
		</div>
	);
}

function Checks({checks}: {readonly checks: readonly Check[] | undefined}) {
	if (!checks) return <Loading label="Looking" />;
	return (
		<ul className="rounded-md border border-line">
			{checks.map(({name, ok, required, why, fix, facts}) => (
				<li key={name} className="flex gap-3 border-line px-3 py-2 text-xs not-last:border-b">
					<Icon
						name={ok ? 'check' : required ? 'close' : 'warn'}
						className={ok ? 'text-ok' : required ? 'text-bad' : 'text-warn'}
					/>
					<div className="min-w-0 flex-1">
						<p>
							<span className="font-medium">{name}</span> <span className="sr-only">{ok ? 'is fine' : 'is missing'}</span>
							<span className="text-muted">{why}</span>
							{!required && <span className="text-faint"> · optional</span>}
						</p>
						{fix && <p className="mt-0.5 font-mono text-2xs">{fix}</p>}
						{facts && Object.keys(facts).length > 0 && (
							<div className="mt-1">
								<JsonTree name="facts" value={facts} open={0} />
							</div>
						)}
					</div>
				</li>
			))}
		</ul>
	);
}

function Tools() {
	const {data, error} = useQuery(toolsQuery);
	if (error) return <ErrorNotice error={error} />;
	if (!data) return <Loading label="Loading the tools" />;
	return (
		<ul className="max-w-4xl rounded-md border border-line">
			{data.map(({name, title, description, effect, risk, limits, input}) => (
				<li key={name} className="border-line px-3 py-2 text-xs not-last:border-b">
					<p className="flex flex-wrap items-baseline gap-x-3">
						<span className="font-medium font-mono">{name}</span>
						<span>{title}</span>
						<span className="text-muted">
							{effect} · risk {risk ?? 'depends on the input'}
						</span>
					</p>
					<p className="mt-0.5 text-muted">{description}</p>
					<p className="mt-0.5 text-2xs text-muted">
						within {formatMs(limits.wallMs)}, {formatCount(limits.maxRows)} rows, {formatBytes(limits.maxBytes)}
					</p>
					<div className="mt-1">
						<JsonTree name="input" value={input} open={0} />
					</div>
				</li>
			))}
		</ul>
	);
}

function Settings() {
	const {data, error} = useQuery(configQuery);
	if (error) return <ErrorNotice error={error} />;
	if (!data) return <Loading label="Loading the settings" />;
	return (
		<div className="max-w-4xl overflow-x-auto rounded-md border border-line">
			<table className="w-full text-left text-xs">
				<thead className="bg-panel text-2xs text-muted">
					<tr>
						<th scope="col" className="px-3 py-1.5 font-medium">
							Setting
						</th>
						<th scope="col" className="px-3 font-medium">
							Value
						</th>
						<th scope="col" className="px-3 font-medium">
							From
						</th>
					</tr>
				</thead>
				<tbody>
					{data.map(({name, value, source}) => (
						<tr key={name} className="border-line border-t">
							<th scope="row" className="px-3 py-1 font-mono font-normal">
								{name}
							</th>
							<td className="px-3 font-mono break-all">{typeof value === 'string' ? value : JSON.stringify(value)}</td>
							<td className={`whitespace-nowrap px-3 ${source === 'default' ? 'text-faint' : ''}`}>{source}</td>
						</tr>
					))}
				</tbody>
			</table>
		</div>
	);
}
