import type {Effect} from '#contract/event.ts';
import type {Matcher} from '#contract/policy.ts';

/** What rules look at in an action or an earlier step. */
export type Subject = {readonly tool: string; readonly effect: Effect | null; readonly egress: boolean};

/** True when every part of the rule that is stated holds. What is no longer known of a step matches. */
export function matches({tools, effects, egress}: Matcher, subject: Subject): boolean {
	if (tools !== undefined && bestPattern(subject.tool, tools) === undefined) return false;
	if (effects !== undefined && subject.effect !== null && !effects.includes(subject.effect)) return false;
	return egress === undefined || egress === subject.egress;
}

/** The longest pattern that names the tool: `ops.restart` before `ops.*` before `*`. */
export function bestPattern(tool: string, patterns: Iterable<string>): string | undefined {
	let best: string | undefined;
	for (const pattern of patterns)
		if (covers(pattern, tool) && (best === undefined || pattern.length > best.length)) best = pattern;
	return best;
}

function covers(pattern: string, tool: string): boolean {
	return pattern === '*' || pattern === tool || (pattern.endsWith('.*') && tool.startsWith(pattern.slice(0, -1)));
}
