import type {GateResult, Label} from '#contract/event.ts';
import type {PolicyDocument, SequenceRule} from '#contract/policy.ts';
import {isPerson} from '#kernel/delegate.ts';
import type {Action, Facts, Gate, Step} from '#kernel/ports.ts';
import {carriesOut} from '#kernel/steps.ts';
import {bestPattern, matches, type Subject} from './match.ts';
import {isSpelledOut} from './scope.ts';

type FlowPolicy = PolicyDocument['flow'];

/** A step with the labels of what it returned: those of its tool, and those the policy gives it. */
type Labelled = {readonly step: Step; readonly labels: ReadonlySet<string>};

/**
 * Information flow: what a thread has read bounds what it may do next. Assumes a model that obeys every instruction it reads, so
 * after untrusted input an agent's write is a stranger's wish, and after a secret nothing may carry it out. Looks at labels and
 * tools alone, never at what a text says.
 */
export function createFlowGate({labels: labelRules, rules}: FlowPolicy): Gate {
	return {
		name: 'flow',
		decide(action, facts) {
			const {tool, input} = action;
			const isNested = action.parent !== undefined;
			if (!isNested && rules.length === 0 && tool.accepts === undefined && !carriesOut(tool, input)) return NOTHING;
			const steps = facts.run.steps.map((step) => ({step, labels: labelsOf(step, labelRules)}));
			const found = [...judge(action, {facts, steps}, rules), ...told(action, facts, {labels: labelRules, rules})];
			// Deny before ask; among equals the first that spoke gives the reason, and every rule is named.
			const denying = found.filter(({effect}) => effect === 'deny');
			const counting = denying.length > 0 ? denying : found;
			const [first] = counting;
			if (!first) return NOTHING;
			return {...first, rules: counting.flatMap((each) => each.rules), reason: counting.map(({reason}) => reason).join('; ')};
		},
	};
}

/** What the rules look at in an action. */
type Deed = Pick<Action, 'id' | 'tool' | 'input'>;

function judge(deed: Deed, past: Past, rules: FlowPolicy['rules']): GateResult[] {
	const {facts, steps} = past;
	const known = new Set([...steps.flatMap(({labels}) => [...labels]), ...facts.run.labels]);
	return [...builtIn(deed, facts, known), ...sink(deed, known), ...rules.flatMap((rule) => sequence(rule, deed, past))];
}

/** INVARIANT: code that is running with a way out learns nothing after which it would not have been let out. */
function told(action: Action, facts: Facts, {labels: labelRules, rules}: FlowPolicy): GateResult[] {
	const {tool, input, risk, resource, parent} = action;
	const {run, now} = facts;
	const reply = {runId: run.id, tool: tool.name, definition: tool, input, risk, at: now.toISOString(), labels: tool.labels};
	const labels = labelsOf(reply, labelRules, () => resource.id);
	const after = {facts: {...facts, run: {...run, labels: labels as ReadonlySet<Label>}}, steps: [{step: reply, labels}]};
	return callersOf(parent, run)
		.filter((caller) => carriesOut(caller.tool, caller.input) || caller.tool.accepts !== undefined)
		.flatMap((caller) =>
			judge(caller, after, rules).map((found) => ({
				...found,
				reason: `\`${caller.tool.name}\`, whose code calls for this, would know it: ${found.reason}`,
			})),
		);
}

/** The actions whose code led to a call, the nearest first. Throws when one of them is not on record as started. */
function callersOf(id: string | undefined, run: Facts['run']): readonly Deed[] {
	if (id === undefined) return [];
	const {definition, input, parent} = run.steps.find(({actionId, runId}) => actionId === id && runId === run.id) ?? {};
	if (!definition) throw new Error('what its caller may do is not known');
	return [{id, tool: definition, input: definition.input.parse(input)}, ...callersOf(parent, run)];
}

function builtIn(action: Deed, facts: Facts, known: ReadonlySet<string>): GateResult[] {
	const {principal, run} = facts;
	const who = (label: Label) => (run.labels.has(label) ? 'this run has' : 'an earlier run of this thread has');
	if (carriesOut(action.tool, action.input) && known.has('secret')) {
		const reason = `${who('secret')} read a secret, so nothing may leave it; do this in a thread of its own`;
		return [answer('deny', 'secret-stays', reason)];
	}
	const changes = action.tool.effect !== 'read';
	if (!changes || isPerson(principal) || !known.has('untrusted') || isSpelledOut(action, facts)) return [];
	const reason = `${who('untrusted')} read data that could hold instructions, so a person decides on changes`;
	return [answer('ask', 'untrusted-run', reason)];
}

/** A tool that says what it accepts is asked about whatever else the thread knows. */
function sink({tool}: Deed, known: ReadonlySet<string>): GateResult[] {
	const {accepts} = tool;
	if (accepts === undefined) return [];
	return [...known]
		.filter((label) => !accepts.includes(label))
		.sort()
		.map((label) =>
			answer('ask', `sink:${label}`, `\`${tool.name}\` does not take data that is ${label}, and this thread has read some`),
		);
}

type Past = {readonly facts: Facts; readonly steps: readonly Labelled[]};

function sequence({id, reason, after, ask, deny}: SequenceRule, {tool, input}: Deed, {facts, steps}: Past): GateResult[] {
	const subject: Subject = {tool: tool.name, effect: tool.effect, egress: carriesOut(tool, input)};
	if (!matches(deny ?? ask ?? {}, subject)) return [];
	const {run} = facts;
	const cause = steps.find(({step, labels}) => {
		if (after.within === 'run' && step.runId !== run.id) return false;
		if (after.tools !== undefined && bestPattern(step.tool, after.tools) === undefined) return false;
		return after.label === undefined || labels.has(after.label);
	});
	const byRun = after.tools === undefined && [...run.labels].some((label) => label === after.label);
	if (cause === undefined && !byRun) return [];
	const by = cause === undefined ? '' : ` from \`${cause.step.tool}\``;
	const what = after.label === undefined ? `used \`${cause?.step.tool}\`` : `read what is ${after.label}${by}`;
	return [answer(deny === undefined ? 'ask' : 'deny', `flow:${id}`, reason ?? `this thread has ${what}`)];
}

function labelsOf(step: Step, rules: FlowPolicy['labels'], target = () => resourceOf(step)): ReadonlySet<string> {
	const given = rules.filter(({tools, resources}) => {
		if (bestPattern(step.tool, tools) === undefined) return false;
		if (resources === undefined) return true;
		const resource = target();
		return resource === null || resources.includes(resource);
	});
	return new Set([...step.labels, ...given.map(({label}) => label)]);
}

/** Null when it cannot be told any more; a rule about resources then holds. */
function resourceOf({definition, input}: Step): string | null {
	const parsed = definition?.input.safeParse(input);
	if (!definition || !parsed?.success) return null;
	try {
		return definition.resource(parsed.data).id;
	} catch {
		return null;
	}
}

const NOTHING = answer('allow', 'flow', 'nothing the thread has read forbids this');

function answer(effect: GateResult['effect'], rule: string, reason: string): GateResult {
	return {gate: 'flow', effect, rules: [rule], reason};
}
