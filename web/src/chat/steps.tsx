import {Icon} from '../ui/icon.tsx';
import {JsonTree} from '../ui/json-tree.tsx';
import {formatMs, plural} from '../ui/time.ts';
import type {Exchange, Stage, Step} from './exchange.ts';

const LABELS: Readonly<Record<Stage, string>> = {
	planning: 'Planning',
	validating: 'Validating',
	executing: 'Executing',
	verifying: 'Verifying',
	answering: 'Answering',
};
export const stageLabel = (stage: Stage) => LABELS[stage];

/** What happens, as it happens; one line once it is over. */
export function Steps({exchange}: {readonly exchange: Exchange}) {
	const {steps, phase, startedAt, endedAt} = exchange;
	if (steps.length === 0) return null;
	const working = phase !== 'over';
	const list = (
		<ol className="flex flex-col gap-0.5 py-1" aria-label="Steps" data-testid="steps">
			{steps.map((step, index) => (
				<StepLine
					key={keyOf(step, index)}
					step={step}
					until={steps[index + 1]?.at ?? endedAt}
					active={working && index === steps.length - 1}
				/>
			))}
		</ol>
	);
	if (working) return list;
	const tools = steps.filter((step) => step.kind === 'tool').length;
	const total = endedAt === null ? '' : formatMs(endedAt - startedAt);
	return (
		<details className="group/steps text-xs" data-testid="steps-summary">
			<summary className="inline-flex items-center gap-1 rounded text-muted hover:text-fg">
				<Icon name="right" className="group-open/steps:rotate-90" />
				{[plural(steps.length - tools, 'step'), tools > 0 && plural(tools, 'tool call'), total].filter(Boolean).join(' · ')}
			</summary>
			{list}
		</details>
	);
}

type LineProps = {readonly step: Step; readonly until: number | null; readonly active: boolean};

function StepLine({step, until, active}: LineProps) {
	const took = until === null ? '' : formatMs(Math.max(0, until - step.at));
	if (step.kind === 'stage') {
		return (
			<li className="flex items-center gap-2 text-xs" data-stage={step.stage}>
				<span className={`ml-1 size-2 rounded-full ${active ? 'pulse bg-accent' : 'bg-line-strong'}`} aria-hidden="true" />
				<span className={active ? '' : 'text-muted'}>{LABELS[step.stage]}</span>
				<span className="ml-auto text-2xs text-faint">{active ? '' : took}</span>
			</li>
		);
	}
	const running = step.status === 'running';
	return (
		<li className="ml-5 text-xs">
			<details className="group/tool rounded-md border border-line">
				<summary className="flex items-center gap-2 rounded-md px-2 py-1 hover:bg-hover">
					<Icon name="right" className="text-faint group-open/tool:rotate-90" />
					<span className="truncate font-mono">{step.name}</span>
					<span
						className={`ml-auto text-2xs ${running ? 'pulse text-accent' : step.status === 'succeeded' ? 'text-ok' : 'text-bad'}`}
					>
						{step.status.replaceAll('_', ' ')}
					</span>
				</summary>
				<div className="max-h-72 overflow-auto border-line border-t p-2">
					<JsonTree name="input" value={step.input} open={2} />
					{!running && <JsonTree name="output" value={step.output} />}
				</div>
			</details>
		</li>
	);
}

function keyOf(step: Step, index: number): string {
	return step.kind === 'tool' ? `${step.id}-${index}` : `${step.stage}-${index}`;
}
