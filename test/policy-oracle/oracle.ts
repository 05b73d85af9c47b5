/** Random policies and questions, answered by the gates and by the oracle. */

import type {Label, Principal} from '#contract/event.ts';
import {type PolicyDocument, type PolicyInput, policyDocumentSchema} from '#contract/policy.ts';
import {digest} from '#evidence/canonical.ts';
import {decide} from '#kernel/decide.ts';
import type {Action, Facts, Policy} from '#kernel/ports.ts';
import {createPolicy, loadDefaultPolicy} from '#policy/policy.ts';
import {loadRules, type RuleSet} from '#policy/rules.ts';
import {NOW, sampleAction, sampleFacts} from '#policy/sample-action.ts';
import {anyRule, type CedarRule, HOSTS, IDS, KINDS, RESOURCES, TENANTS, write} from './cedar.ts';
import {createRandom, type Random} from './random.ts';
import {type Earlier, expected, type Question, type Tool, type Verdict} from './rules.ts';

/** The default schema, with a tool in a group that only the schema knows. */
const SCHEMA = `${loadDefaultPolicy().schema.replace('"analyst.sql", ', '')}
action sensitive appliesTo {principal: [User, Agent, Schedule, Service], resource: [Dataset, Run, Thread], context: Request};
action "analyst.sql" in [sensitive]
	appliesTo {principal: [User, Agent, Schedule, Service], resource: [Dataset, Run, Thread], context: Request};`;

const TOOLS: readonly Tool[] = [
	{name: 'analyst.sql', effect: 'read', egress: false, accepts: null, groups: ['read', 'analyst:read', 'sensitive']},
	{name: 'dataset.add', effect: 'write', egress: false, accepts: null, groups: ['write', 'dataset:write']},
	{name: 'code.python', effect: 'read', egress: false, accepts: null, groups: ['read', 'code:read']},
	{name: 'ops.delete', effect: 'destructive', egress: false, accepts: null, groups: ['destructive', 'ops:destructive']},
	{name: 'mail.send', effect: 'write', egress: true, accepts: ['untrusted'], groups: ['write', 'mail:write']},
	{name: 'analyst.export', effect: 'read', egress: true, accepts: null, groups: ['read', 'analyst:read']},
];
const PATTERNS = ['*', 'analyst.*', 'analyst.sql', 'mail.send', 'ops.*', 'code.python'];
const WORDS = ['hello', 'PROD', 'drop table users', 'drop  table', 'produce', 'sudo', 'pre-prod'];
const RISKS = ['low', 'medium', 'high', 'critical'] as const;
const LABELS = ['untrusted', 'personal', 'secret'];
const ANSWERS = ['allow', 'ask', 'ask-two', 'deny'] as const;

type Subject = {readonly rules: readonly CedarRule[]; readonly document: PolicyDocument; readonly off: readonly string[]};

/** How the gates under test are made of a policy. */
export type Build = (ruleSet: RuleSet, document: PolicyDocument, off: readonly string[]) => Policy;

export type Disagreement = {
	readonly case: number;
	readonly policies: string;
	readonly question: Question;
	readonly oracle: Verdict;
	readonly gates: Verdict;
};
export type Report = {
	readonly seed: number;
	readonly cases: number;
	readonly policySets: number;
	/** how often each gate was expected to answer what; `decision` is all of them together */
	readonly met: Readonly<Record<string, number>>;
	/** answers that no case called for: something was not looked at */
	readonly unmet: readonly string[];
	readonly disagreements: readonly Disagreement[];
};

const QUESTIONS_A_SET = 100;
const POOL = 1_000;
const MAX_SHOWN = 5;

/** Asks at least `cases` questions. Ends early at the fifth disagreement. */
export function compareWithOracle(cases: number, seed: number, build: Build = buildGates): Report {
	const random = createRandom(seed);
	const pool = poolOfRules(random);
	const met: Record<string, number> = Object.fromEntries(ANSWERABLE.map((answer) => [answer, 0]));
	const disagreements: Disagreement[] = [];
	const done = {cases: 0, sets: 0};
	while (done.cases < cases && disagreements.length < MAX_SHOWN) {
		const rules = [...new Map(random.times(1, 12, () => random.pick(pool.rules)).map((rule) => [rule.id, rule])).values()];
		const subject = {rules, document: anyDocument(random), off: random.chance(0.2) ? ['code.python'] : []};
		const loaded = new Map(rules.flatMap(({id}) => pool.loaded.rules.get(id) ?? []).map((rule) => [rule.id, rule]));
		const policy = build({...pool.loaded, rules: loaded}, subject.document, subject.off);
		done.sets += 1;
		for (let index = 0; index < QUESTIONS_A_SET && disagreements.length < MAX_SHOWN; index += 1) {
			done.cases += 1;
			const found = compareOne(anyQuestion(random), subject, policy);
			for (const answer of answersIn(found.oracle)) met[answer] = (met[answer] ?? 0) + 1;
			if (JSON.stringify(found.oracle) !== JSON.stringify(found.gates))
				disagreements.push({case: done.cases, policies: rules.map(write).join('\n'), ...found});
		}
	}
	const unmet = ANSWERABLE.filter((answer) => met[answer] === 0);
	return {seed, cases: done.cases, policySets: done.sets, met, unmet, disagreements};
}

const ANSWERABLE = ['decision', 'permission', 'policy', 'budget', 'risk', 'flow'].flatMap((gate) =>
	['allow', 'ask', 'deny'].filter((effect) => gate !== 'budget' || effect !== 'ask').map((effect) => `${gate} ${effect}`),
);

function answersIn({effect, gates}: Verdict): readonly string[] {
	return [`decision ${effect}`, ...gates.map((gate) => gate.split(' ', 2).join(' '))];
}

/** The gates as the platform makes them, except that the rules were parsed before. */
export function buildGates(ruleSet: RuleSet, document: PolicyDocument, off: readonly string[]): Policy {
	const text = JSON.stringify({
		rules: [...ruleSet.rules],
		groups: [...ruleSet.groups].map(([name, members]) => [name, [...members]]),
	});
	const disabledTools = new Map(off.map((name) => [name, 'switch it on']));
	return createPolicy({policies: '', schema: SCHEMA, disabledTools, document, digest, cache: {read: () => text, write() {}}});
}

/** Rules that can never apply make a policy unsound, so they are left out here. */
function poolOfRules(random: Random): {rules: readonly CedarRule[]; loaded: RuleSet} {
	const written = Array.from({length: POOL}, (_, index) => anyRule(`r${index}`, random));
	const loaded = loadRules(written.map(write).join('\n'), SCHEMA, digest);
	const unsound = new Set(loaded.problems.map((problem) => /policy `(r\d+)`/.exec(problem)?.[1]));
	if (unsound.has(undefined)) throw new Error(loaded.problems.join('\n'));
	const rules = written.filter(({id}) => !unsound.has(id));
	if (rules.length < POOL / 4) throw new Error(`only ${rules.length} of ${POOL} rules are sound`);
	return {rules, loaded: {...loaded, problems: []}};
}

function compareOne(question: Question, {rules, document, off}: Subject, policy: Policy) {
	const [action, facts] = toCall(question, document);
	const decision = decide(action, facts, policy);
	const gates: Verdict = {
		effect: decision.effect,
		quorum: decision.effect === 'ask' ? (decision.quorum ?? 1) : 0,
		risk: decision.risk,
		gates: decision.gates.map((gate) => `${gate.gate} ${gate.effect} ${gate.rules.toSorted().join(',')}`),
	};
	return {question, oracle: expected(question, rules, document, off), gates};
}

function toCall(question: Question, document: PolicyDocument): [Action, Facts] {
	const {ask, kind, tool, risk, texts, items, used, earlier} = question;
	const input = {texts, inner: {items: Array.from({length: items}, (_, index) => index)}};
	const definition = (one: Tool): Action['tool'] => {
		const {accepts, ...rest} = one;
		return sampleAction({}, {...rest, ...(accepts === null ? {} : {accepts})}).tool;
	};
	const own = {...definition(tool), destinations: () => ask.context.hosts};
	const action = sampleAction({risk, resource: ask.resource, input}, own);
	const {actions, calls, retries, tokens, money, bytes, seconds} = used;
	const limits = document.budgets.run;
	const facts = sampleFacts(
		{
			...{actions, calls, retries, tokens, bytes, costUsd: money},
			startedAt: new Date(NOW.getTime() - seconds * 1_000),
			labels: new Set(question.labels as Label[]),
			scope: ask.context.scope ?? null,
			steps: earlier.map((one) => ({
				runId: one.own ? 'run_1' : 'run_0',
				tool: one.tool.name,
				definition: definition(one.tool),
				input: {},
				risk: one.risk,
				at: new Date(NOW.getTime() - one.secondsAgo * 1_000).toISOString(),
				labels: one.labels as Label[],
			})),
			budget: {...limits, costUsd: limits.money ?? 1, wallMs: limits.seconds * 1_000},
		},
		{kind, id: ask.principal.id, tenant: ask.principal.tenant, ...viaOf(question.via)},
	);
	return [action, {...facts, isolation: ask.context.isolation as Facts['isolation']}];
}

function viaOf([next, ...rest]: Question['via']): Pick<Principal, 'via'> {
	return next ? {via: {kind: KIND[next.type], id: next.id, ...viaOf(rest)}} : {};
}

const KIND = {User: 'user', Agent: 'agent', Schedule: 'schedule', Service: 'service'} as const;

function anyQuestion(random: Random): Question {
	const tool = random.pick(TOOLS);
	const type = random.pick(KINDS);
	const tenant = random.pick(TENANTS);
	const resource = random.chance(0.1) ? {type: 'Dataset', id: '*'} : random.pick(RESOURCES);
	const scope = random.pick(['support', 'sales', undefined]);
	const labels = random.chance(0.4) ? [random.pick(LABELS)] : [];
	const risk = random.pick(RISKS);
	const small = (limit: number) => (random.chance(0.01) ? limit : random.below(limit));
	return {
		ask: {
			principal: {type, id: random.pick(IDS), tenant},
			tool: tool.name,
			groups: tool.groups,
			resource,
			context: {
				...{effect: tool.effect, risk, tenant},
				...(scope === undefined ? {} : {scope}),
				inScope: scope === undefined || scope === resource.id,
				untrusted: labels.includes('untrusted'),
				isolation: random.pick(['none', 'kernel-shared', 'kernel-isolated', 'vm-isolated']),
				hosts: random.chance(0.3) ? random.some(HOSTS) : [],
			},
		},
		kind: KIND[type],
		via: random.chance(0.3) ? random.times(1, 2, () => ({type: random.pick(KINDS), id: random.pick(IDS), tenant})) : [],
		...{tool, risk, labels},
		texts: random.times(0, 2, () => random.pick(WORDS)),
		items: random.pick([0, 1, 5, 12]),
		used: {
			actions: small(12),
			calls: small(10),
			retries: small(5),
			tokens: small(1_000),
			money: random.chance(0.01) ? 1 : 0.5,
			bytes: small(1_000),
			seconds: small(60),
		},
		earlier: distinctTimes(random.times(0, 5, () => anyEarlier(random))),
	};
}

function anyEarlier(random: Random): Earlier {
	return {
		tool: random.pick(TOOLS),
		risk: random.pick(RISKS),
		secondsAgo: random.pick([1, 10, 29, 30, 45, 100, 299, 300, 301, 1_000]) + random.below(3) / 4,
		labels: random.chance(0.3) ? [random.pick(LABELS)] : [],
		own: random.chance(0.5),
	};
}

/** Two steps at the very same time have no order. */
function distinctTimes(steps: readonly Earlier[]): readonly Earlier[] {
	return [...new Map(steps.map((step) => [step.secondsAgo, step])).values()];
}

function anyDocument(random: Random): PolicyDocument {
	const level = (most: number) => random.below(most + 1);
	const decisions = [level(2), level(2), level(3), level(3)].toSorted((a, b) => a - b).map((index) => ANSWERS[index]);
	const matcher = () => ({
		...(random.chance(0.3) ? {tools: [random.pick(PATTERNS)]} : {}),
		...(random.chance(0.3) ? {effects: [random.pick(['read', 'write', 'destructive'])]} : {}),
		...(random.chance(0.4) ? {egress: random.chance(0.7)} : {}),
	});
	const after = () => {
		const tools = random.chance(0.4);
		return {
			within: random.pick(['run', 'thread']),
			...(tools ? {tools: [random.pick(PATTERNS)]} : {}),
			...(!tools || random.chance(0.5) ? {label: random.pick([...LABELS, 'customer-data'])} : {}),
		};
	};
	const listed = random.times(1, 4, () => {
		const rule = {
			mode: random.pick(['observe', 'propose', 'execute', 'execute']),
			...(random.chance(0.3) ? {sandbox: random.pick(['kernel-shared', 'vm-isolated'])} : {}),
		};
		return [random.pick(PATTERNS), rule] as const;
	});
	const document = {
		version: 1,
		...(random.chance(0.5) ? {tools: Object.fromEntries(listed)} : {}),
		risk: {
			decisions: {low: decisions[0], medium: decisions[1], high: decisions[2], critical: decisions[3]},
			rules: random
				.times(0, 2, () => 0)
				.map((_, index) => ({
					id: `risk-${index}`,
					level: random.pick(RISKS),
					...matcher(),
					...random.pick([
						{words: ['prod']},
						{words: ['sudo', 'hello']},
						{patterns: ['drop\\s+table']},
						{words: ['prod'], patterns: ['^h']},
					]),
				})),
			blast: {high: 4, critical: 10},
			session: {rapidGaps: 1 + random.below(3), rapidFactor: random.pick([1, 1.5, 2])},
		},
		budgets: {run: {actions: 12, calls: 10, retries: 5, tokens: 1_000, money: 1, bytes: 1_000, seconds: 60}},
		approvals: {
			quorum: random.pick([1, 1, 2]),
			rules: random.times(0, 2, () => 0).map((_, index) => ({id: `people-${index}`, ...matcher(), quorum: 1 + random.below(4)})),
		},
		flow: {
			labels: random.times(0, 2, () => ({label: random.pick(['customer-data', 'secret']), tools: [random.pick(PATTERNS)]})),
			rules: random
				.times(0, 3, () => 0)
				.map((_, index) => ({id: `flow-${index}`, after: after(), [random.pick(['ask', 'deny'])]: matcher()})),
		},
	};
	return policyDocumentSchema.parse(document satisfies {version: number} as PolicyInput);
}
