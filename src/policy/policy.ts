/**
 * Policy: decisions as pure functions of an action and the facts of its run. Nothing here waits, reads a clock or knows an
 * adapter; the kernel asks every gate again on every pass, and the strictest answer counts.
 */
import {readFileSync} from 'node:fs';
import {getCedarVersion} from '@cedar-policy/cedar-wasm/nodejs';
import type {Budget} from '#contract/limits.ts';
import {type PolicyDocument, policyDocumentSchema} from '#contract/policy.ts';
import type {Policy} from '#kernel/ports.ts';
import {budgetGate} from './budget.ts';
import {createPermissionGate} from './cedar.ts';
import {createFlowGate} from './flow.ts';
import {createModeGate, modesOf} from './mode.ts';
import {RUN_MONEY} from './money.ts';
import {withQuorum} from './quorum.ts';
import {createRiskGate} from './risk.ts';
import {loadRules, type Rule, type RuleSet} from './rules.ts';
import {withScope} from './scope.ts';
import {createToolGate} from './tools.ts';

export type PolicyOptions = {
	/** Cedar policies and the schema they are checked against, as text */
	readonly policies: string;
	readonly schema: string;
	/** tools that are switched off, each with what switches it on: `set ENABLE_PYTHON_EXECUTION=true` */
	readonly disabledTools: ReadonlyMap<string, string>;
	/** what `policy.yaml` says; without it the built-in one */
	readonly document?: PolicyDocument;
	/** SHA-256 of the canonical JSON, hex */
	readonly digest: (value: unknown) => string;
	/** where sound rules are kept parsed and checked, by a digest of all they depend on; parsing them takes a quarter of a second */
	readonly cache?: {read(key: string): string | null; write(key: string, text: string): void};
};

/** Raised whenever the gates written in this room decide differently than before. */
const GATES_VERSION = 5;

/** What decides where no file says otherwise. */
export const BUILT_IN: PolicyDocument = policyDocumentSchema.parse({version: 1});

export type LoadedPolicy = Policy & {
	readonly document: PolicyDocument;
	/** the Cedar rules, as text */
	readonly rules: string;
	/** what one run may use up */
	readonly budget: Budget;
	/** why nothing may be done; empty when all is well */
	readonly problems: readonly string[];
};

/** Builds the gates in the order they are shown. Rules with `problems` deny every action; whoever builds a policy reports them. */
export function createPolicy(options: PolicyOptions): LoadedPolicy {
	const {policies, schema, disabledTools, document = BUILT_IN, digest} = options;
	const {tools, risk, flow, approvals, budgets} = document;
	const ruleSet = rulesOf(options);
	const disabled = [...disabledTools.keys()].sort();
	const modes = createModeGate(modesOf(document));
	const gates = [
		createPermissionGate(ruleSet),
		withScope(createToolGate({disabled: new Map(disabledTools), listed: tools})),
		budgetGate,
		createRiskGate(risk),
		createFlowGate(flow),
		...(modes ? [modes] : []),
	];
	return {
		version: digest([GATES_VERSION, getCedarVersion(), policies, schema, disabled, document]),
		gates: gates.map((gate) => withQuorum(gate, approvals)),
		document,
		rules: policies,
		budget: toBudget(budgets.run),
		problems: ruleSet.problems,
	};
}

function toBudget({actions, calls, retries, tokens, money, bytes, seconds}: PolicyDocument['budgets']['run']): Budget {
	return {actions, calls, retries, tokens, costUsd: money ?? RUN_MONEY, bytes, wallMs: seconds * 1_000};
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

/** The policies and the schema that come with the platform. */
export function loadDefaultPolicy(): Pick<PolicyOptions, 'policies' | 'schema'> {
	const {rules, roles, schema} = loadTexts();
	return {policies: `${rules}\n${roles}`, schema};
}

/** Reads three files: call it once, at start-up. */
export function loadTexts(): {readonly rules: string; readonly roles: string; readonly schema: string} {
	const read = (name: string) => readFileSync(new URL(name, import.meta.url), 'utf8');
	return {rules: read('default.cedar'), roles: read('roles.cedar'), schema: read('schema.cedarschema')};
}
