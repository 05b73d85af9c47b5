/** What `policy.yaml` means besides Cedar, told a second time: short, slow, and without a line of the gates it is compared with. */
import type {PolicyDocument} from '#contract/policy.ts';
import {type Ask, type CedarRule, judge} from './cedar.ts';

const RISKS = ['low', 'medium', 'high', 'critical'] as const;
type Risk = (typeof RISKS)[number];
const LEVELS = ['none', 'kernel-shared', 'kernel-isolated', 'vm-isolated'];

export type Tool = {
	readonly name: string;
	readonly effect: 'read' | 'write' | 'destructive';
	readonly egress: boolean;
	readonly accepts: readonly string[] | null;
	readonly groups: readonly string[];
};

export type Earlier = {
	readonly tool: Tool;
	readonly risk: Risk;
	readonly secondsAgo: number;
	readonly labels: readonly string[];
	readonly own: boolean;
};

export type Question = {
	readonly ask: Ask;
	readonly kind: 'user' | 'agent' | 'schedule' | 'service';
	/** for whom it acts, and for whom that one does */
	readonly via: readonly Ask['principal'][];
	readonly tool: Tool;
	readonly risk: Risk;
	readonly texts: readonly string[];
	/** length of a list in the input */
	readonly items: number;
	readonly used: {
		readonly actions: number;
		readonly calls: number;
		readonly retries: number;
		readonly tokens: number;
		readonly money: number;
		readonly bytes: number;
		readonly seconds: number;
	};
	/** in no particular order */
	readonly earlier: readonly Earlier[];
	/** of what the run itself has read */
	readonly labels: readonly string[];
};

export type Verdict = {
	readonly effect: string;
	readonly quorum: number;
	readonly risk: string;
	/** `gate effect rule,rule` */
	readonly gates: readonly string[];
};

type Part = {
	readonly gate: string;
	readonly effect: 'allow' | 'ask' | 'deny';
	readonly rules: readonly string[];
	readonly people?: number;
};

export function expected(
	question: Question,
	rules: readonly CedarRule[],
	document: PolicyDocument,
	off: readonly string[],
): Verdict {
	const {level, part} = riskPart(question, document.risk);
	const parts: Part[] = [
		permissionPart(question, rules),
		toolPart(question, document.tools, off),
		budgetPart(question.used, document.budgets.run),
		part,
		flowPart(question, document.flow),
	];
	const effect = parts.some((one) => one.effect === 'deny')
		? 'deny'
		: parts.some((one) => one.effect === 'ask')
			? 'ask'
			: 'allow';
	const asked = parts
		.filter((one) => one.effect === 'ask')
		.map((one) => Math.max(one.people ?? 1, peopleFor(question, document.approvals)));
	return {
		effect,
		quorum: effect === 'ask' ? Math.max(...asked) : 0,
		risk: level,
		gates: parts.map((one) => `${one.gate} ${one.effect} ${one.rules.toSorted().join(',')}`),
	};
}

/** Everybody in the chain has to be permitted, and whatever any of them has to ask is asked. */
function permissionPart({ask, via}: Question, rules: readonly CedarRule[]): Part {
	const answers = [ask.principal, ...via].map((principal) => judge(rules, {...ask, principal}));
	const asked = answers.filter(({effect}) => effect === 'ask');
	const union = {effect: 'ask', rules: [...new Set(asked.flatMap((one) => one.rules))]} as const;
	const [first] = answers;
	const answer = answers.find(({effect}) => effect === 'deny') ?? (asked.length > 0 ? union : first);
	return {gate: 'permission', effect: 'deny', rules: [], ...answer};
}

function peopleFor(question: Question, {quorum, rules}: PolicyDocument['approvals']): number {
	return Math.max(quorum, ...rules.map((rule) => (speaksOf(rule, question) ? rule.quorum : 1)));
}

function toolPart({tool, ask}: Question, tools: PolicyDocument['tools'], off: readonly string[]): Part {
	const part = (effect: Part['effect'], rule: string): Part => ({gate: 'policy', effect, rules: [rule]});
	if (off.includes(tool.name)) return part('deny', `feature:${tool.name}`);
	if (!tools) return part('allow', `feature:${tool.name}`);
	const [best] = Object.entries(tools)
		.filter(([pattern]) => names(pattern, tool.name))
		.toSorted(([a], [b]) => b.length - a.length);
	if (!best) return part('deny', 'not-listed');
	const [pattern, {mode, sandbox}] = best;
	if (mode === 'observe') return part('deny', 'mode:observe');
	if (sandbox && LEVELS.indexOf(ask.context.isolation) < LEVELS.indexOf(sandbox)) return part('deny', `sandbox:${sandbox}`);
	return mode === 'propose' ? part('ask', 'mode:propose') : part('allow', `tool:${pattern}`);
}

function budgetPart(used: Question['used'], limits: PolicyDocument['budgets']['run']): Part {
	const over = [
		['actions', used.actions >= limits.actions],
		['tokens', used.tokens >= limits.tokens],
		['costUsd', used.money >= (limits.money ?? 1)],
		['wallMs', used.seconds >= limits.seconds],
		['calls', used.calls >= limits.calls],
		['retries', used.retries >= limits.retries],
		['bytes', used.bytes >= limits.bytes],
	] as const;
	const rules = over.filter(([, is]) => is).map(([name]) => `budget:${name}`);
	return rules.length > 0 ? {gate: 'budget', effect: 'deny', rules} : {gate: 'budget', effect: 'allow', rules: ['budget']};
}

function riskPart(question: Question, policy: PolicyDocument['risk']): {level: Risk; part: Part} {
	const {tool, risk, texts, items} = question;
	const levels: Risk[] = [risk];
	for (const rule of policy.rules) {
		const lower = texts.map((text) => text.toLowerCase());
		const words = lower.flatMap((text) => text.split(/[^a-z0-9_]+/));
		const found =
			rule.words.some((word) => words.includes(word)) ||
			rule.patterns.some((pattern) => lower.some((text) => text.search(new RegExp(pattern)) >= 0));
		if (found && speaksOf(rule, question)) levels.push(rule.level);
	}
	if (leaves(tool, question) && items >= policy.blast.critical) levels.push('critical');
	else if (leaves(tool, question) && items >= policy.blast.high) levels.push('high');
	if (tool.effect !== 'read' && question.ask.resource.id === '*') levels.push('high');
	if (leaves(tool, question)) levels.push(sessionLevel(question, policy.session));
	const level = RISKS.findLast((one) => levels.includes(one)) ?? 'low';
	const answer = policy.decisions[level];
	const effect = answer === 'ask-two' ? 'ask' : answer;
	return {level, part: {gate: 'risk', effect, rules: [`risk:${level}`], people: answer === 'ask-two' ? 2 : 1}};
}

type Passed = {readonly name: string; readonly effect: string; readonly risk: Risk; readonly ago: number};

function sessionLevel({earlier, tool, risk}: Question, policy: PolicyDocument['risk']['session']): Risk {
	const line: Passed[] = earlier
		.filter(({secondsAgo}) => secondsAgo <= policy.windowSeconds)
		.toSorted((a, b) => b.secondsAgo - a.secondsAgo)
		.map((one) => ({name: one.tool.name, effect: one.tool.effect, risk: one.risk, ago: one.secondsAgo}));
	line.push({name: tool.name, effect: tool.effect, risk, ago: 0});
	const sum = line.map((one) => policy.points[one.risk]).reduce((a, b) => a + b);
	const quick = line.filter((one, index) => index > 0 && (line[index - 1]?.ago ?? 0) - one.ago < policy.rapidSeconds).length;
	const hurry = quick >= policy.rapidGaps ? Math.floor(sum * (policy.rapidFactor - 1)) : 0;
	const climbs = policy.escalations.map(
		({steps, points}) => points * line.filter((_, start) => follows(line.slice(start), steps)).length,
	);
	const total = climbs.reduce((a, b) => a + b, sum + hurry);
	return RISKS.findLast((level) => level !== 'low' && total >= policy.levels[level]) ?? 'low';
}

function follows(line: readonly Passed[], steps: readonly string[]): boolean {
	return steps.every((step, at) => {
		const passed = line[at];
		return passed !== undefined && (step === passed.effect || names(step, passed.name));
	});
}

function flowPart(question: Question, {labels, rules}: PolicyDocument['flow']): Part {
	const told = question.earlier.map((one) => {
		const given = labels.filter((rule) => rule.tools.some((pattern) => names(pattern, one.tool.name)));
		return {...one, all: [...one.labels, ...given.map(({label}) => label)]};
	});
	const known = [...new Set([...question.labels, ...told.flatMap(({all}) => all)])];
	const hit = rules.filter(
		({after, ask, deny}) =>
			speaksOf(deny ?? ask ?? {}, question) && (told.some((one) => isCause(one, after)) || hasRead(question, after)),
	);
	const {denied, asked} = standing(question, known);
	denied.push(...hit.filter(({deny}) => deny).map(({id}) => `flow:${id}`));
	asked.push(...hit.filter(({deny}) => !deny).map(({id}) => `flow:${id}`));
	if (denied.length > 0) return {gate: 'flow', effect: 'deny', rules: denied};
	return asked.length > 0 ? {gate: 'flow', effect: 'ask', rules: asked} : {gate: 'flow', effect: 'allow', rules: ['flow']};
}

/** What holds under every policy. */
function standing(question: Question, known: readonly string[]) {
	const {tool, kind, via} = question;
	const isPerson = kind === 'user' && via.every(({type}) => type === 'User');
	const denied = known.includes('secret') && leaves(tool, question) ? ['secret-stays'] : [];
	const asked =
		denied.length === 0 && known.includes('untrusted') && tool.effect !== 'read' && !isPerson ? ['untrusted-run'] : [];
	const {accepts} = tool;
	if (accepts) asked.push(...known.filter((label) => !accepts.includes(label)).map((label) => `sink:${label}`));
	return {denied, asked};
}

type After = PolicyDocument['flow']['rules'][number]['after'];

function isCause({own, tool, all}: Earlier & {readonly all: readonly string[]}, {within, label, tools}: After): boolean {
	return (
		(within === 'thread' || own) &&
		(!label || all.includes(label)) &&
		(!tools || tools.some((pattern) => names(pattern, tool.name)))
	);
}

function hasRead({labels}: Question, {label, tools}: After): boolean {
	return !tools && label !== undefined && labels.includes(label);
}

type Speaking = {
	readonly tools?: readonly string[] | undefined;
	readonly effects?: readonly string[] | undefined;
	readonly egress?: boolean | undefined;
};

function speaksOf({tools, effects, egress}: Speaking, question: Question): boolean {
	const {tool} = question;
	return (
		(!tools || tools.some((pattern) => names(pattern, tool.name))) &&
		(!effects || effects.includes(tool.effect)) &&
		(egress === undefined || egress === leaves(tool, question))
	);
}

function leaves(tool: Tool, {ask}: Question): boolean {
	return tool.effect !== 'read' || tool.egress || ask.context.hosts.length > 0;
}

function names(pattern: string, tool: string): boolean {
	if (pattern.endsWith('*')) return tool.startsWith(pattern.slice(0, -1));
	return pattern === tool;
}
