/**
 * Policy: decisions as pure functions of an action and the facts of its run. Nothing here waits, reads a clock or knows an
 * adapter; the kernel asks every gate again on every pass, and the strictest answer counts.
 */
import {readFileSync} from 'node:fs';
import {getCedarVersion} from '@cedar-policy/cedar-wasm/nodejs';
import type {Risk} from '#contract/event.ts';
import type {Policy} from '#kernel/ports.ts';
import {budgetGate} from './budget.ts';
import {createPermissionGate} from './cedar.ts';
import {flowGate} from './flow.ts';
import {createRiskGate} from './risk.ts';
import {loadRules, type Rule, type RuleSet} from './rules.ts';
import {createSwitchGate} from './switches.ts';

export type PolicyOptions = {
	/** Cedar policies and the schema they are checked against, as text */
	readonly policies: string;
	readonly schema: string;
	/** tools that are switched off, each with what switches it on: `set ENABLE_PYTHON_EXECUTION=true` */
	readonly disabledTools: ReadonlyMap<string, string>;
	readonly maxRisk: Risk;
	/** SHA-256 of the canonical JSON, hex */
	readonly digest: (value: unknown) => string;
	/** where sound rules are kept parsed and checked, by a digest of all they depend on; parsing them takes a quarter of a second */
	readonly cache?: {read(key: string): string | null; write(key: string, text: string): void};
};

/** Raised whenever the gates written in this room decide differently than before. */
const GATES_VERSION = 1;

/** Builds the gates in the order they are shown. Rules with `problems` deny every action; whoever builds a policy reports them. */
export function createPolicy(options: PolicyOptions): Policy & {readonly problems: readonly string[]} {
	const {policies, schema, disabledTools, maxRisk, digest} = options;
	const ruleSet = rulesOf(options);
	const disabled = [...disabledTools.keys()].sort();
	return {
		version: digest([GATES_VERSION, getCedarVersion(), policies, schema, disabled, maxRisk]),
		gates: [
			createPermissionGate(ruleSet),
			createSwitchGate(new Map(disabledTools)),
			budgetGate,
			createRiskGate(maxRisk),
			flowGate,
		],
		problems: ruleSet.problems,
	};
}

function rulesOf({policies, schema, digest, cache}: PolicyOptions): RuleSet {
	const key = digest([GATES_VERSION, getCedarVersion(), policies, schema]);
	const kept = cache?.read(key) ?? null;
	if (kept !== null) return fromText(kept);
	const ruleSet = loadRules(policies, schema, digest);
	if (ruleSet.problems.length === 0) cache?.write(key, toText(ruleSet));
	return ruleSet;
}

function toText({rules, groups}: RuleSet): string {
	return JSON.stringify({rules: [...rules], groups: [...groups].map(([name, members]) => [name, [...members]])});
}

function fromText(text: string): RuleSet {
	const {rules, groups} = JSON.parse(text) as {rules: [string, Rule][]; groups: [string, string[]][]};
	return {rules: new Map(rules), groups: new Map(groups.map(([name, members]) => [name, new Set(members)])), problems: []};
}

/** The policies and the schema that come with the platform. Reads two files: call it once, at start-up. */
export function loadDefaultPolicy(): Pick<PolicyOptions, 'policies' | 'schema'> {
	const read = (name: string) => readFileSync(new URL(name, import.meta.url), 'utf8');
	return {policies: read('default.cedar'), schema: read('schema.cedarschema')};
}
