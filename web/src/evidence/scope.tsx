import type {ArgumentRule, Scope} from '#contract/scope.ts';

/** What the run was allowed, step by step, as it was written down before anything was read. */
export function ScopeOfRun({scope}: {readonly scope: Scope}) {
	return (
		<section aria-label="Scope" className="mx-4 mb-3 overflow-x-auto rounded-md border border-line">
			<table className="w-full text-left text-xs">
				<caption className="border-line border-b bg-panel px-3 py-1.5 text-left text-muted">
					Scope: all that this run may do, written down before it had read anything
				</caption>
				<thead className="text-2xs text-muted">
					<tr>
						{['Step', 'Tool', 'Times', 'With'].map((name) => (
							<th key={name} scope="col" className="px-3 py-1 font-medium">
								{name}
							</th>
						))}
					</tr>
				</thead>
				<tbody>
					{scope.steps.map(({id, tool, times, after, input}) => (
						<tr key={id} className="border-line border-t align-top">
							<th scope="row" className="px-3 py-1 font-normal">
								{id}
								{after.length > 0 && <span className="block text-muted">after {after.join(', ')}</span>}
							</th>
							<td className="px-3 py-1 font-mono text-2xs leading-5">{tool}</td>
							<td className="px-3 py-1 tabular-nums">{times}</td>
							<td className="px-3 py-1">
								{Object.entries(input).map(([name, rule]) => (
									<span key={name} className="block">
										<span className="font-mono text-2xs">{name}</span> <span className="text-muted">{inWords(rule)}</span>
									</span>
								))}
							</td>
						</tr>
					))}
				</tbody>
			</table>
		</section>
	);
}

function inWords(rule: ArgumentRule): string {
	if ('each' in rule) return `at most ${rule.atMost}, each ${inWords(rule.each)}`;
	if ('is' in rule) return `is ${JSON.stringify(rule.is)}`;
	if ('oneOf' in rule) return `one of ${rule.oneOf.map((value) => JSON.stringify(value)).join(', ')}`;
	if ('from' in rule) return `${rule.part ? 'a word of what' : 'what'} ${rule.from} returned at ${rule.path}`;
	if ('text' in rule) return `any text of at most ${rule.text} characters`;
	if ('json' in rule) return `anything of at most ${rule.json} characters`;
	return `a number from ${rule.between[0]} to ${rule.between[1]}`;
}
