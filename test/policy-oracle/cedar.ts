/**
 * The part of Cedar that policies here use, as a tree: how it is written, and what it means. The meaning is told by Cedar's own
 * description, never by asking Cedar, so that the two can be compared.
 */
import type {Random} from './random.ts';

type Kind = 'User' | 'Agent' | 'Schedule' | 'Service';

/** What a policy is asked about. */
export type Ask = {
	readonly principal: {readonly type: Kind; readonly id: string; readonly tenant: string};
	readonly tool: string;
	/** every group of the tool, directly or not */
	readonly groups: readonly string[];
	readonly resource: {readonly type: string; readonly id: string};
	readonly context: {
		readonly effect: string;
		readonly risk: string;
		readonly tenant: string;
		readonly scope?: string;
		readonly inScope: boolean;
		readonly untrusted: boolean;
		readonly isolation: string;
		readonly hosts: readonly string[];
	};
};

type TextName = 'effect' | 'risk' | 'tenant' | 'isolation';

type Expression =
	| {readonly op: 'flag'; readonly name: 'inScope' | 'untrusted'; readonly whole: boolean}
	| {readonly op: 'text'; readonly name: TextName; readonly value: string}
	| {readonly op: 'like'; readonly name: TextName; readonly before: string; readonly after: string}
	| {readonly op: 'scope'; readonly value: string}
	| {readonly op: 'hasScope'}
	| {readonly op: 'tenants'}
	| {readonly op: 'tenantOf'; readonly type: Kind; readonly id: string; readonly value: string}
	| {readonly op: 'principalIs'; readonly type: Kind}
	| {readonly op: 'principal'; readonly type: Kind; readonly id: string}
	| {readonly op: 'resource'; readonly type: string; readonly id: string}
	| {readonly op: 'action'; readonly name: string}
	| {readonly op: 'in'; readonly names: readonly string[]}
	| {readonly op: 'noHosts'}
	| {readonly op: 'host'; readonly host: string}
	| {readonly op: 'hostsWithin' | 'hostsAmong'; readonly hosts: readonly string[]}
	| {readonly op: 'product'; readonly left: number; readonly right: number; readonly above: number}
	| {readonly op: 'not'; readonly one: Expression}
	| {readonly op: 'and' | 'or'; readonly left: Expression; readonly right: Expression}
	| {readonly op: 'if'; readonly when: Expression; readonly yes: Expression; readonly no: Expression};

type PrincipalScope =
	| {readonly op: 'any'}
	| {readonly op: 'is'; readonly type: Kind}
	| {readonly op: '=='; readonly type: Kind; readonly id: string};
type ActionScope =
	| {readonly op: 'any'}
	| {readonly op: '=='; readonly name: string}
	| {readonly op: 'in'; readonly names: readonly string[]};
type ResourceScope =
	| {readonly op: 'any'}
	| {readonly op: 'is'; readonly type: string}
	| {readonly op: '=='; readonly type: string; readonly id: string};

export type CedarRule = {
	readonly id: string;
	readonly effect: 'permit' | 'forbid';
	readonly asks: boolean;
	readonly principal: PrincipalScope;
	readonly action: ActionScope;
	readonly resource: ResourceScope;
	readonly clauses: readonly {readonly word: 'when' | 'unless'; readonly body: Expression}[];
};

// --- what it means -----------------------------------------------------------------------------------------------------

/** What Cedar could not compute. A rule that fails is neither matched nor passed over: it denies. */
class Failure extends Error {}

export type Answer = {readonly effect: 'allow' | 'ask' | 'deny'; readonly rules: readonly string[]};

/** Deny wins, silence denies, a rule that fails denies. */
export function judge(rules: readonly CedarRule[], ask: Ask): Answer {
	const found = rules.map((rule) => ({rule, matched: matchOf(rule, ask)}));
	const named = (wanted: (one: (typeof found)[number]) => boolean) =>
		found
			.filter(wanted)
			.map(({rule}) => rule.id)
			.sort();
	const failed = named(({matched}) => matched === 'failed');
	if (failed.length > 0) return {effect: 'deny', rules: failed};
	const forbidding = named(({rule, matched}) => matched === 'yes' && rule.effect === 'forbid');
	if (forbidding.length > 0) return {effect: 'deny', rules: forbidding};
	const permitting = named(({rule, matched}) => matched === 'yes' && rule.effect === 'permit');
	if (permitting.length === 0) return {effect: 'deny', rules: ['no-permit']};
	const asking = named(({rule, matched}) => matched === 'yes' && rule.asks);
	return asking.length > 0 ? {effect: 'ask', rules: asking} : {effect: 'allow', rules: permitting};
}

function matchOf({principal, action, resource, clauses}: CedarRule, ask: Ask): 'yes' | 'no' | 'failed' {
	const scopes = [
		principal.op === 'any' ||
			(principal.type === ask.principal.type && (principal.op === 'is' || principal.id === ask.principal.id)),
		action.op === 'any' || (action.op === '==' ? action.name === ask.tool : action.names.some((name) => isIn(name, ask))),
		resource.op === 'any' || (resource.type === ask.resource.type && (resource.op === 'is' || resource.id === ask.resource.id)),
	];
	if (scopes.includes(false)) return 'no';
	try {
		return clauses.every(({word, body}) => truth(body, ask) === (word === 'when')) ? 'yes' : 'no';
	} catch (error) {
		if (error instanceof Failure) return 'failed';
		throw error;
	}
}

const MAX_LONG = 2n ** 63n - 1n;

function isIn(name: string, ask: Ask): boolean {
	return name === ask.tool || ask.groups.includes(name);
}

function truth(expression: Expression, ask: Ask): boolean {
	const {context, principal, resource} = ask;
	switch (expression.op) {
		case 'flag':
			return context[expression.name];
		case 'text':
			return context[expression.name] === expression.value;
		case 'like': {
			const text = context[expression.name];
			const {before, after} = expression;
			return text.length >= before.length + after.length && text.startsWith(before) && text.endsWith(after);
		}
		case 'hasScope':
			return context.scope !== undefined;
		case 'scope':
			return context.scope === expression.value;
		case 'tenants':
			return principal.tenant === context.tenant;
		case 'tenantOf':
			// Nobody but the principal is described in a request, so nobody else has a tenant.
			if (expression.type !== principal.type || expression.id !== principal.id) throw new Failure();
			return principal.tenant === expression.value;
		case 'principalIs':
			return principal.type === expression.type;
		case 'principal':
			return principal.type === expression.type && principal.id === expression.id;
		case 'resource':
			return resource.type === expression.type && resource.id === expression.id;
		case 'action':
			return ask.tool === expression.name;
		case 'in':
			return expression.names.some((name) => isIn(name, ask));
		default:
			return truthOfMore(expression, ask);
	}
}

type More = Extract<
	Expression,
	{op: 'noHosts' | 'host' | 'hostsWithin' | 'hostsAmong' | 'product' | 'not' | 'and' | 'or' | 'if'}
>;

function truthOfMore(expression: More, ask: Ask): boolean {
	const {hosts} = ask.context;
	switch (expression.op) {
		case 'noHosts':
			return hosts.length === 0;
		case 'host':
			return hosts.includes(expression.host);
		case 'hostsWithin':
			return hosts.every((host) => expression.hosts.includes(host));
		case 'hostsAmong':
			return hosts.some((host) => expression.hosts.includes(host));
		case 'product': {
			const product = BigInt(expression.left) * BigInt(expression.right);
			if (product > MAX_LONG) throw new Failure();
			return product > BigInt(expression.above);
		}
		case 'not':
			return !truth(expression.one, ask);
		case 'and':
			return truth(expression.left, ask) && truth(expression.right, ask);
		case 'or':
			return truth(expression.left, ask) || truth(expression.right, ask);
		case 'if':
			return truth(truth(expression.when, ask) ? expression.yes : expression.no, ask);
	}
}

// --- how it is written -------------------------------------------------------------------------------------------------

export function write({id, effect, asks, principal, action, resource, clauses}: CedarRule): string {
	const scope = [
		principal.op === 'any'
			? 'principal'
			: principal.op === 'is'
				? `principal is ${principal.type}`
				: `principal == ${entity(principal)}`,
		action.op === 'any'
			? 'action'
			: action.op === '=='
				? `action == ${named(action.name)}`
				: `action in ${list(action.names.map(named))}`,
		resource.op === 'any'
			? 'resource'
			: resource.op === 'is'
				? `resource is ${resource.type}`
				: `resource == ${entity(resource)}`,
	];
	const text = clauses.map(({word, body}) => ` ${word} { ${toText(body)} }`).join('');
	return `@id("${id}") ${asks ? '@decision("ask") ' : ''}${effect} (${scope.join(', ')})${text};`;
}

function toText(expression: Expression): string {
	switch (expression.op) {
		case 'flag':
			return expression.whole
				? `(if context.inScope then context else context).${expression.name}`
				: `context.${expression.name}`;
		case 'text':
			return `context.${expression.name} == "${expression.value}"`;
		case 'like':
			return `context.${expression.name} like "${expression.before}*${expression.after}"`;
		case 'hasScope':
			return 'context has scope';
		case 'scope':
			return `(context has scope && context.scope == "${expression.value}")`;
		case 'tenants':
			return 'principal.tenant == context.tenant';
		case 'tenantOf':
			return `${entity(expression)}.tenant == "${expression.value}"`;
		case 'principalIs':
			return `principal is ${expression.type}`;
		case 'principal':
			return `principal == ${entity(expression)}`;
		case 'resource':
			return `resource == ${entity(expression)}`;
		case 'action':
			return `action == ${named(expression.name)}`;
		case 'in':
			return `action in ${list(expression.names.map(named))}`;
		case 'noHosts':
			return 'context.hosts.isEmpty()';
		case 'host':
			return `context.hosts.contains("${expression.host}")`;
		case 'hostsWithin':
			return `${list(expression.hosts.map(quoted))}.containsAll(context.hosts)`;
		case 'hostsAmong':
			return `context.hosts.containsAny(${list(expression.hosts.map(quoted))})`;
		case 'product':
			return `${expression.left} * ${expression.right} > ${expression.above}`;
		case 'not':
			return `!(${toText(expression.one)})`;
		case 'and':
			return `(${toText(expression.left)} && ${toText(expression.right)})`;
		case 'or':
			return `(${toText(expression.left)} || ${toText(expression.right)})`;
		case 'if':
			return `(if ${toText(expression.when)} then ${toText(expression.yes)} else ${toText(expression.no)})`;
	}
}

function entity({type, id}: {readonly type: string; readonly id: string}): string {
	return `${type}::"${id}"`;
}

function named(name: string): string {
	return `Action::"${name}"`;
}

function quoted(text: string): string {
	return `"${text}"`;
}

function list(texts: readonly string[]): string {
	return `[${texts.join(', ')}]`;
}

// --- any of it ---------------------------------------------------------------------------------------------------------

export const KINDS = ['User', 'Agent', 'Schedule', 'Service'] as const;
export const IDS = ['ada', 'bob'];
export const TENANTS = ['local', 'acme'];
export const RESOURCES = [
	{type: 'Dataset', id: 'support'},
	{type: 'Dataset', id: 'sales'},
	{type: 'Run', id: 'support'},
];
export const HOSTS = ['a.test', 'b.test'];
const NAMES = [
	'analyst.sql',
	'dataset.add',
	'code.python',
	'read',
	'write',
	'destructive',
	'analyst:read',
	'code:read',
	'sensitive',
];
const TEXTS: Readonly<Record<TextName, readonly string[]>> = {
	effect: ['read', 'write', 'destructive'],
	risk: ['low', 'high', 'critical'],
	tenant: TENANTS,
	isolation: ['none', 'kernel-shared', 'vm-isolated'],
};

export function anyRule(id: string, random: Random): CedarRule {
	const effect = random.chance(0.15) ? 'forbid' : 'permit';
	const subject = {type: random.pick(KINDS), id: random.pick(IDS)};
	return {
		id,
		effect,
		asks: effect === 'permit' && random.chance(0.3),
		principal: random.pick<PrincipalScope>([{op: 'any'}, {op: 'any'}, {op: 'is', type: subject.type}, {op: '==', ...subject}]),
		action: random.pick<ActionScope>([
			{op: 'any'},
			{op: '==', name: random.pick(['analyst.sql', 'dataset.add', 'code.python'])},
			{op: 'in', names: [random.pick(NAMES)]},
			{op: 'in', names: [random.pick(NAMES), random.pick(NAMES)]},
		]),
		resource: random.pick<ResourceScope>([
			{op: 'any'},
			{op: 'any'},
			{op: 'is', type: 'Dataset'},
			{op: '==', ...random.pick(RESOURCES)},
		]),
		clauses: random.times(0, 2, () => ({word: random.pick(['when', 'unless'] as const), body: anyExpression(2, random)})),
	};
}

function anyExpression(depth: number, random: Random): Expression {
	const inner = () => anyExpression(depth - 1, random);
	if (depth > 0 && random.chance(0.5)) {
		return random.pick<() => Expression>([
			() => ({op: 'not', one: inner()}),
			() => ({op: 'and', left: inner(), right: inner()}),
			() => ({op: 'or', left: inner(), right: inner()}),
			() => ({op: 'if', when: inner(), yes: inner(), no: inner()}),
		])();
	}
	const name = random.pick(['effect', 'risk', 'tenant', 'isolation'] as const);
	const value = random.pick(TEXTS[name]);
	const person = {type: random.pick(KINDS), id: random.pick(IDS)};
	return random.pick<Expression>([
		{op: 'flag', name: random.pick(['inScope', 'untrusted'] as const), whole: random.chance(0.3)},
		{op: 'text', name, value},
		{op: 'like', name, before: value.slice(0, random.below(3)), after: value.slice(value.length - random.below(3))},
		{op: 'scope', value: random.pick(['support', 'sales'])},
		{op: 'hasScope'},
		{op: 'tenants'},
		{op: 'tenantOf', ...person, value: random.pick(TENANTS)},
		{op: 'principalIs', type: person.type},
		{op: 'principal', ...person},
		{op: 'resource', ...random.pick(RESOURCES)},
		{op: 'action', name: random.pick(['analyst.sql', 'dataset.add', 'code.python'])},
		{op: 'in', names: random.times(1, 2, () => random.pick(NAMES))},
		{op: 'noHosts'},
		{op: 'host', host: random.pick(HOSTS)},
		{op: random.pick(['hostsWithin', 'hostsAmong'] as const), hosts: random.times(1, 2, () => random.pick(HOSTS))},
		{op: 'product', left: random.pick([3, 9_007_199_254_740_991]), right: random.pick([2, 9_007_199_254_740_991]), above: 5},
	]);
}
