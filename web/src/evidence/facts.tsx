import type {Decision as DecisionData} from '#contract/event.ts';
import type {Isolation as IsolationData, Usage} from '#contract/sandbox.ts';
import {formatBytes, formatMs} from '../ui/time.ts';

const EFFECTS = {allow: 'text-ok', ask: 'text-warn', deny: 'text-bad'} as const;

/** Each gate with what it said and the rules that made it say so. */
export function Decision({decision}: {readonly decision: DecisionData}) {
	return (
		<div className="overflow-x-auto">
			<table className="w-full text-left text-xs">
				<caption className="sr-only">Gates</caption>
				<thead className="text-2xs text-muted">
					<tr>
						<th className="py-1 pr-3 font-medium">Gate</th>
						<th className="pr-3 font-medium">Says</th>
						<th className="pr-3 font-medium">Rules</th>
						<th className="font-medium">Reason</th>
					</tr>
				</thead>
				<tbody>
					{decision.gates.map((gate) => (
						<tr key={`${gate.gate} ${gate.rules}`} className="border-line border-t align-baseline">
							<td className="py-1 pr-3">{gate.gate}</td>
							<td className={`pr-3 font-medium ${EFFECTS[gate.effect]}`}>{gate.effect}</td>
							<td className="pr-3 font-mono text-2xs leading-5">{gate.rules.join(', ')}</td>
							<td className="text-muted">{gate.reason}</td>
						</tr>
					))}
				</tbody>
			</table>
		</div>
	);
}

type DecidedProps = {readonly title: string; readonly decision: DecisionData};

/** A decision with what it came to, apart from any record. */
export function Decided({title, decision}: DecidedProps) {
	const {effect, quorum, risk, policyVersion} = decision;
	return (
		<section aria-label={title} className="flex flex-col gap-1 text-xs">
			<p>
				{title}: <strong className={EFFECTS[effect]}>{effect}</strong>
				{quorum !== undefined && ` of ${quorum} people`}
				<span className="text-muted">
					, risk {risk}, policy {policyVersion.slice(0, 12)}
				</span>
			</p>
			<Decision decision={decision} />
		</section>
	);
}

type IsolationProps = {readonly isolation: IsolationData | null; readonly usage: Usage | null};

/** What really held the computation in, and what it used. */
export function Isolation({isolation, usage}: IsolationProps) {
	if (!isolation && !usage) return null;
	return (
		<dl className="grid grid-cols-[104px_minmax(0,1fr)] gap-x-3 gap-y-0.5 text-xs [&>dt]:text-muted">
			{isolation && (
				<>
					<dt>Sandbox</dt>
					<dd>
						{isolation.provider}, {isolation.level}, {isolation.warm ? 'from the pool' : 'started for this run'}
					</dd>
					<dt>Network</dt>
					<dd>{isolation.network}</dd>
					<dt>System calls</dt>
					<dd>{isolation.seccomp ? 'filtered (seccomp)' : 'not filtered'}</dd>
					<dt>Namespaces</dt>
					<dd>{isolation.namespaces.join(', ') || 'none'}</dd>
					<dt>Limits held by</dt>
					<dd>
						{Object.entries(isolation.limits)
							.map(([limit, how]) => `${limit}: ${how}`)
							.join(' · ')}
					</dd>
				</>
			)}
			{usage && (
				<>
					<dt>Used</dt>
					<dd>
						{formatMs(usage.wallMs)} wall
						{usage.cpuMs !== null && `, ${formatMs(usage.cpuMs)} CPU`}
						{usage.peakMemoryBytes !== null && `, ${formatBytes(usage.peakMemoryBytes)} peak memory`},{' '}
						{formatBytes(usage.outputBytes)} of output
					</dd>
				</>
			)}
		</dl>
	);
}
