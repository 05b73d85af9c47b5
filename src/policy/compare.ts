import type {Decision} from '#contract/event.ts';
import {isRecord} from '#contract/json.ts';
import {type Comparison, type PolicyCase, policyCasesSchema, type ToolFacts} from '#contract/policy-api.ts';
import {decide} from '#kernel/decide.ts';
import type {Action, Kernel} from '#kernel/ports.ts';
import type {AnyTool} from '#kernel/tool.ts';
import {toFacts, toTool} from './cases.ts';
import type {LoadedPolicy} from './policy.ts';

const STRICTNESS = ['allow', 'ask', 'deny'];
const MAX_EXAMPLES = 50;

/** Asks both policies about every tool, kind of principal, label and sandbox, and compares the documents value by value. */
export function comparePolicies(before: LoadedPolicy, after: LoadedPolicy, tools: Kernel['tools']): Comparison {
	const all = new Map([...tools, ...EXAMPLES.map(([name, facts]) => [name, toTool(name, facts)] as const)]);
	const answers = questions(all).map((question) => ({
		...{question: wordsOf(question), tool: question.tool.name},
		was: ask(question, before, all),
		is: ask(question, after, all),
	}));
	const changed = answers.filter(({was, is}) => strictness(was) !== strictness(is));
	const values = [...differences(before.document, after.document)];
	const rules = before.rules !== after.rules;
	const stricter = changed.filter(({was, is}) => strictness(is) > strictness(was)).length;
	return {
		same: values.length === 0 && !rules && changed.length === 0,
		...{values, rules},
		asked: answers.length,
		...{stricter, looser: changed.length - stricter},
		examples: oneOfEach(changed).slice(0, MAX_EXAMPLES),
	};
}

type Answer = {readonly question: string; readonly tool: string; readonly was: Decision; readonly is: Decision};

/** The first of each tool and change. */
function oneOfEach(changed: readonly Answer[]): Comparison['examples'] {
	const kinds = Map.groupBy(changed, ({tool, was, is}) => `${tool} ${was.effect} ${is.effect}`);
	return [...kinds.values()].flatMap(([first]) =>
		first ? [{question: first.question, before: first.was.effect, after: first.is.effect}] : [],
	);
}

/** Deny beats ask beats allow, and more people beat fewer. */
function strictness({effect, quorum = 1}: Decision): number {
	return STRICTNESS.indexOf(effect) * 100 + (effect === 'ask' ? quorum : 0);
}

const EXAMPLES: readonly (readonly [string, ToolFacts])[] = (['read', 'write', 'destructive'] as const).map((effect) => [
	`example.${effect}`,
	{effect, risk: 'medium', egress: false, labels: []},
]);

const VARIED = {
	kind: ['user', 'agent', 'schedule'],
	label: ['nothing', 'untrusted', 'secret'],
	isolation: ['kernel-shared', 'vm-isolated'],
	scope: ['inside', 'outside'],
	risk: ['low', 'critical'],
} as const;

type Question = {readonly [Name in keyof typeof VARIED]: (typeof VARIED)[Name][number]} & {readonly tool: AnyTool};

function questions(tools: Kernel['tools']): readonly Question[] {
	return Object.entries(VARIED).reduce<readonly object[]>(
		(found, [name, values]) => found.flatMap((one) => values.map((value) => ({...one, [name]: value}))),
		[...tools.values()].map((tool) => ({tool})),
	) as readonly Question[];
}

function ask({tool, kind, label, isolation, scope, risk}: Question, policy: LoadedPolicy, tools: Kernel['tools']): Decision {
	const action: Action = {
		id: 'act_1',
		tool: {...tool, destinations: () => []},
		...{input: {}, inputDigest: ''},
		risk: typeof tool.risk === 'function' ? risk : tool.risk,
		resource: {type: 'Dataset', id: scope},
	};
	const labels = label === 'nothing' ? [] : [label];
	const facts = {...EMPTY.facts, labels, isolation, scope: 'inside'};
	return decide(action, toFacts({...EMPTY, as: `${kind}:someone`, facts}, policy, tools), policy);
}

function wordsOf({tool, kind, label, isolation, scope, risk}: Question): string {
	return `${kind} uses ${tool.name} ${scope} its scope after ${label} was read, ${isolation}, ${risk} risk`;
}

const EMPTY = policyCasesSchema.parse({cases: [{name: 'any', tool: 'any', expect: 'deny'}]}).cases[0] as PolicyCase;

function* differences(before: unknown, after: unknown, path = ''): Generator<Comparison['values'][number]> {
	if (JSON.stringify(before) === JSON.stringify(after)) return;
	if (!isRecord(before) || !isRecord(after)) {
		yield {path, before, after};
		return;
	}
	for (const key of new Set([...Object.keys(before), ...Object.keys(after)]))
		yield* differences(before[key], after[key], path === '' ? key : `${path}.${key}`);
}
