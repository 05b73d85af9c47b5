import type {Risk} from '#contract/event.ts';
import type {SessionRisk} from '#contract/policy.ts';
import type {Action, Facts, Step} from '#kernel/ports.ts';
import {carriesOut} from '#kernel/steps.ts';
import {bestPattern} from './match.ts';
import type {Factor} from './risk.ts';

/**
 * What the session did lately, as points. A plain read is as risky as it is: only what changes something or carries data out is judged
 * by what came before it, and this action counts as the last step.
 */
export function sessionFactors(action: Action, {run, now}: Facts, policy: SessionRisk): readonly Factor[] {
	if (!carriesOut(action.tool, action.input)) return [];
	const since = now.getTime() - policy.windowSeconds * 1_000;
	const recent = run.steps.filter((step) => !(timeOf(step) < since));
	const {tool, input, risk} = action;
	const steps = [
		...recent.toSorted((a, b) => timeOf(a) - timeOf(b)),
		{runId: run.id, tool: tool.name, definition: tool, input, risk, at: now.toISOString(), labels: []},
	];
	const base = steps.reduce((sum, step) => sum + policy.points[step.risk], 0);
	const factors: Factor[] = [
		{name: 'session', detail: `${steps.length} actions within ${policy.windowSeconds} s`, points: base},
		...rapid(steps, base, policy),
		...policy.escalations.flatMap((escalation) => escalated(steps, escalation)),
	];
	const total = factors.reduce((sum, {points = 0}) => sum + points, 0);
	return [
		...factors,
		{name: 'session-total', detail: `the session has ${total} points`, points: 0, level: levelOf(total, policy.levels)},
	];
}

/** Actions in quick succession: nobody has looked at the one before the next. */
function rapid(steps: readonly Step[], base: number, {rapidSeconds, rapidGaps, rapidFactor}: SessionRisk): Factor[] {
	const gaps = steps.filter((step, index) => {
		const before = steps[index - 1];
		return before !== undefined && timeOf(step) - timeOf(before) < rapidSeconds * 1_000;
	}).length;
	if (gaps < rapidGaps) return [];
	return [
		{
			name: 'rapid',
			detail: `${gaps} of them less than ${rapidSeconds} s after the one before`,
			points: Math.trunc(base * (rapidFactor - 1)),
		},
	];
}

function timeOf({at}: Step): number {
	return Date.parse(at);
}

/** Overlapping runs of steps count each. */
function escalated(steps: readonly Step[], {id, steps: wanted, points}: SessionRisk['escalations'][number]): Factor[] {
	let times = 0;
	for (let start = 0; start + wanted.length <= steps.length; start += 1) {
		if (wanted.every((name, index) => isStep(steps[start + index], name))) times += 1;
	}
	return times === 0
		? []
		: [
				{
					name: `escalation:${id}`,
					detail: `${wanted.join(', then ')}${times > 1 ? `, ${times} times` : ''}`,
					points: points * times,
				},
			];
}

function isStep(step: Step | undefined, name: string): boolean {
	return step !== undefined && (step.definition?.effect === name || bestPattern(step.tool, [name]) !== undefined);
}

function levelOf(total: number, levels: SessionRisk['levels']): Risk {
	if (total >= levels.critical) return 'critical';
	if (total >= levels.high) return 'high';
	return total >= levels.medium ? 'medium' : 'low';
}
