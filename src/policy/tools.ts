import type {GateResult} from '#contract/event.ts';
import type {ToolRule} from '#contract/policy.ts';
import {isAtLeast} from '#kernel/level.ts';
import type {Action, Facts, Gate} from '#kernel/ports.ts';
import {bestPattern} from './match.ts';

export type ToolPolicy = {
	/** tools that configuration has switched off, each with how it is switched on */
	readonly disabled: ReadonlyMap<string, string>;
	/** the allow-list; without it every tool */
	readonly listed: Readonly<Record<string, ToolRule>> | undefined;
};

/** Denies tools that are switched off, not listed, only observed, or without the sandbox they need; asks for those that only propose. */
export function createToolGate({disabled, listed}: ToolPolicy): Gate {
	return {
		name: 'policy',
		decide({tool}, {isolation}) {
			const feature = `feature:${tool.name}`;
			const remedy = disabled.get(tool.name);
			if (remedy !== undefined) return answer('deny', feature, `\`${tool.name}\` is switched off on this server; ${remedy}`);
			if (listed === undefined) return answer('allow', feature, 'the tool is switched on');
			const pattern = bestPattern(tool.name, Object.keys(listed));
			const rule = pattern === undefined ? undefined : listed[pattern];
			if (rule === undefined) return answer('deny', 'not-listed', `\`${tool.name}\` is not among the \`tools\` of policy.yaml`);
			return judge(rule, {tool: tool.name, pattern: pattern ?? '', isolation});
		},
	};
}

type Listed = {readonly tool: Action['tool']['name']; readonly pattern: string; readonly isolation: Facts['isolation']};

function judge({mode, sandbox}: ToolRule, {tool, pattern, isolation}: Listed): GateResult {
	if (mode === 'observe')
		return answer('deny', 'mode:observe', `\`${tool}\` is only observed: what it would do is recorded, not done`);
	if (sandbox !== undefined && !isAtLeast(isolation, sandbox))
		return answer(
			'deny',
			`sandbox:${sandbox}`,
			`\`${tool}\` needs a sandbox that is ${sandbox}; here is one that is ${isolation}`,
		);
	if (mode === 'propose') return answer('ask', 'mode:propose', `\`${tool}\` proposes only: a person decides on each`);
	return answer('allow', `tool:${pattern}`, 'the tool is listed');
}

function answer(effect: GateResult['effect'], rule: string, reason: string): GateResult {
	return {gate: 'policy', effect, rules: [rule], reason};
}
