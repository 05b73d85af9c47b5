import {
	type DetailedError,
	type PolicyJson,
	policySetTextToParts,
	policyToJson,
	type SchemaJson,
	schemaToJson,
} from '@cedar-policy/cedar-wasm/nodejs';
import {isReservedName} from './request.ts';
import {policyProblems, schemaProblems} from './validation.ts';

/** One Cedar policy. `asks` is its `@decision("ask")`, `quorum` how many people its `@quorum("2")` asks. */
export type Rule = {
	readonly id: string;
	readonly text: string;
	readonly json: PolicyJson;
	readonly asks: boolean;
	readonly quorum: number;
	readonly reason: string;
};

export type RuleSet = {
	readonly rules: ReadonlyMap<string, Rule>;
	/** the groups each action of the schema belongs to, directly or not */
	readonly groups: ReadonlyMap<string, ReadonlySet<string>>;
	/** why no decision may be taken with these rules; empty when they are sound */
	readonly problems: readonly string[];
};

/** A misspelt annotation would silently turn an `ask` into an `allow`, so unknown ones are problems. */
const ANNOTATIONS: ReadonlySet<string> = new Set(['id', 'decision', 'description', 'quorum']);

/** Parses and validates a policy set. Never throws: what is wrong with it is in `problems`, and then nothing may be allowed. */
export function loadRules(policies: string, schema: string, digest: (value: unknown) => string): RuleSet {
	try {
		return readRules(policies, schema, digest);
	} catch (error) {
		// Text nested deeply enough overflows the parser's stack, which traps instead of answering.
		const problem = `the policies cannot be read: ${error instanceof Error ? error.message : 'the parser failed'}`;
		return {rules: new Map(), groups: new Map(), problems: [problem]};
	}
}

function readRules(policies: string, schema: string, digest: (value: unknown) => string): RuleSet {
	const parts = policySetTextToParts(policies);
	if (parts.type === 'failure')
		return broken(parts.errors.map((error) => `the policies do not parse: ${explain(error, policies)}`));
	const parsedSchema = schemaToJson(schema);
	if (parsedSchema.type === 'failure') {
		return broken(parsedSchema.errors.map((error) => `the schema does not parse: ${explain(error, schema)}`));
	}
	const problems = parts.policy_templates.map((text) => `templates are not supported: \`${firstLine(text)}\``);
	if (parts.policies.length === 0) problems.push('the policy set is empty');

	const rules = new Map<string, Rule>();
	for (const text of parts.policies) {
		const rule = readRule(text, digest);
		if (typeof rule === 'string') problems.push(rule);
		else if (rules.has(rule.id)) problems.push(`two policies have the id \`${rule.id}\``);
		else rules.set(rule.id, rule);
	}
	const memberships = membershipsOf(parsedSchema.json);
	problems.push(
		...groupProblems(memberships),
		...schemaProblems(parsedSchema.json),
		...policyProblems([...rules.values()], parsedSchema.json),
	);
	return {rules, groups: closeGroups(memberships), problems};
}

function broken(problems: readonly string[]): RuleSet {
	return {rules: new Map(), groups: new Map(), problems};
}

/** The rule, or what is wrong with it. */
function readRule(text: string, digest: (value: unknown) => string): Rule | string {
	const parsed = policyToJson(text);
	if (parsed.type === 'failure')
		return `\`${firstLine(text)}\` does not parse: ${parsed.errors.map((error) => error.message).join('; ')}`;
	const {json} = parsed;
	const annotations = json.annotations ?? {};
	// From its content, so that it survives reordering and edits elsewhere in the file.
	const id = annotations.id ?? `unnamed-${digest(json).slice(0, 12)}`;
	if (id.trim() === '') return `\`${firstLine(text)}\` has an empty id`;
	const unknown = Object.keys(annotations).find((name) => !ANNOTATIONS.has(name));
	if (unknown !== undefined) return `policy \`${id}\` has the annotation \`@${unknown}\`; known: ${[...ANNOTATIONS].join(', ')}`;
	if (!isExact(json.conditions)) return `policy \`${id}\` holds an integer beyond ±2^53, which would not stay exact`;
	const decision = annotations.decision;
	if (decision !== undefined && decision !== 'ask')
		return `policy \`${id}\` has \`@decision("${decision}")\`; only "ask" is known`;
	if (decision === 'ask' && json.effect === 'forbid')
		return `policy \`${id}\` forbids, so \`@decision("ask")\` has no meaning on it`;
	const {quorum = '1'} = annotations;
	if (!/^([1-9]|10)$/.test(quorum)) return `policy \`${id}\` has \`@quorum("${quorum}")\`; write a number from 1 to 10`;
	if (annotations.quorum !== undefined && decision !== 'ask')
		return `policy \`${id}\` has a \`@quorum\`, which has no meaning without \`@decision("ask")\``;
	return {
		id,
		text,
		json,
		asks: decision === 'ask',
		quorum: Number(quorum),
		reason: annotations.description ?? `${json.effect} policy \`${id}\``,
	};
}

/** Slices are built from the JSON of policies, where an integer beyond 2^53 is silently rounded to another. */
function isExact(node: unknown): boolean {
	if (typeof node === 'number') return Number.isSafeInteger(node);
	return typeof node !== 'object' || node === null || Object.values(node).every(isExact);
}

type Memberships = ReadonlyMap<string, readonly string[]>;

function membershipsOf(schema: SchemaJson<string>): Memberships {
	const actions = Object.entries(schema['']?.actions ?? {});
	return new Map(actions.map(([name, action]) => [name, (action.memberOf ?? []).map((group) => group.id)]));
}

/** A tool's effect is the tool's own statement: a schema that adds a tool to `read` could hide that it writes. */
function groupProblems(memberships: Memberships): readonly string[] {
	return [...memberships].flatMap(([name, groups]) =>
		groups
			.filter(isReservedName)
			.map((group) => `the schema puts \`${name}\` into \`${group}\`; only the tool itself can say so`),
	);
}

function closeGroups(memberships: Memberships): RuleSet['groups'] {
	const closure = (name: string, seen: Set<string>): Set<string> => {
		for (const group of memberships.get(name) ?? []) if (!seen.has(group)) closure(group, seen.add(group));
		return seen;
	};
	return new Map([...memberships.keys()].map((name) => [name, closure(name, new Set())]));
}

function explain(error: DetailedError, text: string): string {
	const start = error.sourceLocations?.[0]?.start;
	const line = start === undefined ? '' : ` in line ${Buffer.from(text).subarray(0, start).toString().split('\n').length}`;
	return `${sentence(error)}${line}`;
}

function sentence(error: DetailedError): string {
	return error.help === null ? error.message : `${error.message} (${error.help})`;
}

function firstLine(text: string): string {
	return text.split('\n', 1)[0] ?? '';
}
