import type {PolicyProblem} from '#contract/policy-api.ts';

/** Mistakes of a policy or a file of test cases, each with its place. */
export function Problems({problems}: {readonly problems: readonly PolicyProblem[]}) {
	return (
		<ul className="flex flex-col gap-0.5">
			{problems.map(({file, line, column, message}) => (
				<li key={`${file} ${line} ${column} ${message}`}>
					<span className="font-mono text-2xs">{[file, line, column].filter((part) => part !== null).join(':')}</span> {message}
				</li>
			))}
		</ul>
	);
}
