import {z} from 'zod';
import type {Label, Principal} from '#contract/event.ts';
import {type CaseResult, type PolicyCase, policyCasesSchema, type ToolFacts} from '#contract/policy-api.ts';
import {decide} from '#kernel/decide.ts';
import type {Action, Facts, Kernel, Step} from '#kernel/ports.ts';
import type {AnyTool} from '#kernel/tool.ts';
import type {LoadedPolicy} from './policy.ts';
import {type Problem, parseStrictYaml} from './policy-text.ts';
import {gist} from './replay.ts';

export type CaseReport = {readonly results: readonly CaseResult[]; readonly problems: readonly Problem[]};

/** Runs the test cases of a file against a policy. A file that does not parse, or holds no case, is a problem. */
export function runCases(text: string, file: string, policy: LoadedPolicy, tools: Kernel['tools']): CaseReport {
	const {value, problems} = parseStrictYaml(text, file, policyCasesSchema);
	if (value === null) return {results: [], problems};
	const known = new Map([...tools, ...Object.entries(value.tools).map(([name, facts]) => [name, toTool(name, facts)] as const)]);
	return {results: value.cases.map((one) => ({file, name: one.name, ...runCase(one, policy, known)})), problems: []};
}

function runCase(one: PolicyCase, policy: LoadedPolicy, tools: Kernel['tools']): Pick<CaseResult, 'passed' | 'detail'> {
	const action = toAction(one, tools);
	if (typeof action === 'string') return {passed: false, detail: action};
	const decision = decide(action, toFacts(one, policy, tools), policy);
	const {effect, quorum, rules, reason} = gist(decision);
	const missing = one.rules.filter((rule) => !rules.includes(rule));
	const wrong = [
		...(effect === one.expect ? [] : [`expected ${one.expect}`]),
		...(one.quorum === undefined || one.quorum === quorum ? [] : [`expected ${one.quorum} people, not ${quorum}`]),
		...missing.map((rule) => `expected the rule \`${rule}\``),
	];
	return {
		passed: wrong.length === 0,
		detail: `${effect} by ${rules.join(', ')}: ${reason}${wrong.length > 0 ? ` (${wrong.join('; ')})` : ''}`,
	};
}

/** The action, or why there is none. */
function toAction({tool: name, input, resource}: PolicyCase, tools: Kernel['tools']): Action | string {
	const tool = tools.get(name);
	if (!tool) return `there is no tool \`${name}\`; describe it under \`tools\``;
	const parsed = tool.input.safeParse(input);
	if (!parsed.success) return `the tool refuses the input: ${z.prettifyError(parsed.error)}`;
	const risk = typeof tool.risk === 'function' ? tool.risk(parsed.data) : tool.risk;
	const [type = '', ...id] = resource?.split('/') ?? [];
	const target = resource === undefined ? tool.resource(parsed.data) : {type, id: id.join('/')};
	return {id: 'act_1', tool, input: parsed.data, inputDigest: '0'.repeat(64), risk, resource: target};
}

/** Any moment will do: nothing here looks at a clock. */
const NOW = new Date('2026-01-05T10:00:00.000Z');

export function toFacts({as, tenant, facts}: PolicyCase, policy: LoadedPolicy, tools: Kernel['tools']): Facts {
	const {labels, scope, isolation, actions, calls, retries, tokens, money, bytes, seconds, after} = facts;
	return {
		principal: toPrincipal(as, tenant),
		now: NOW,
		isolation,
		run: {
			id: 'run_1',
			startedAt: new Date(NOW.getTime() - seconds * 1_000),
			waitedMs: 0,
			...{actions, calls, retries, tokens, bytes, costUsd: money},
			steps: after.map((step): Step => {
				const definition = tools.get(step.tool);
				return {
					runId: step.in === 'run' ? 'run_1' : 'run_0',
					tool: step.tool,
					definition,
					input: step.input,
					risk: step.risk,
					at: new Date(NOW.getTime() - step.secondsAgo * 1_000).toISOString(),
					labels: (step.labels ?? definition?.labels ?? []) as readonly Label[],
				};
			}),
			labels: new Set(labels as readonly Label[]),
			scope,
			budget: policy.budget,
		},
	};
}

/** `agent:analyst` of a tenant. */
export function toPrincipal(actor: string, tenant: string): Principal {
	const at = actor.indexOf(':');
	return {kind: actor.slice(0, at) as Principal['kind'], id: actor.slice(at + 1), tenant};
}

/** A tool of which only what the gates look at is known. */
export function toTool(name: string, {effect, risk, egress, labels, accepts}: ToolFacts): AnyTool {
	return {
		name,
		version: '1',
		title: name,
		description: name,
		input: z.unknown(),
		output: z.unknown(),
		...{effect, risk, egress, labels: labels as readonly Label[]},
		...(accepts === undefined ? {} : {accepts}),
		idempotent: true,
		limits: {wallMs: 1_000, maxRows: 1, maxBytes: 1},
		resource: () => ({type: 'Run', id: 'run_1'}),
		run: async () => null,
	};
}
