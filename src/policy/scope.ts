import {isDeepStrictEqual} from 'node:util';
import type {GateResult} from '#contract/event.ts';
import {isRecord} from '#contract/json.ts';
import type {ArgumentRule, ScopeStep, ValueRule} from '#contract/scope.ts';
import {isPerson} from '#kernel/delegate.ts';
import type {Action, Facts, Gate, Taken, Within} from '#kernel/ports.ts';
import {carriesOut} from '#kernel/steps.ts';

type Deed = Pick<Action, 'id' | 'tool' | 'input'>;

/** Where an action stands in the scope of its run. `chosen`: the scope leaves some of its input to the agent. */
type Place =
	| {readonly step: ScopeStep; readonly chosen: boolean}
	| {readonly step: null; readonly rule: string; readonly reason: string};

/** Confines what a gate lets through to the scope of the run, when it was started with one. */
export function withScope(gate: Gate): Gate {
	return {
		name: gate.name,
		decide(action, facts) {
			const result = gate.decide(action, facts);
			const {within} = facts.run;
			if (within === undefined || result.effect === 'deny') return result;
			const place = placeOf(action, within);
			if (place.step === null) return {gate: gate.name, effect: 'deny', rules: [place.rule], reason: place.reason};
			const rules = [...result.rules, `scope:${place.step.id}`, ...(place.chosen ? [CHOSEN] : [])];
			if (!place.chosen || isPerson(facts.principal) || !carriesOut(action.tool, action.input)) return {...result, rules};
			const reason = 'the scope of this run leaves part of its input to the agent, so a person reads it';
			return {...result, effect: 'ask', rules, reason} satisfies GateResult;
		},
	};
}

/** Whether a person wrote down all of the action before the run had read anything: then nothing it has read made it what it is. */
export function isSpelledOut(action: Deed, {run: {within}}: Facts): boolean {
	if (!within?.byPerson) return false;
	const place = placeOf(action, within);
	return place.step !== null && !place.chosen;
}

const CHOSEN = 'scope-chosen';
/** Requests for one step that may wait or have been refused, beyond those that it may be started. */
const SPARE_REQUESTS = 2;

function placeOf(action: Deed, within: Within): Place {
	const {name} = action.tool;
	const own = within.scope.steps.filter(({tool}) => tool === name);
	const outside = (rule: string, reason: string): Place => ({step: null, rule, reason});
	if (own.length === 0) return outside('out-of-scope', `\`${name}\` is not in the scope that this run was started with`);

	const judged = own.map((step) => ({step, ...matchInput(step, action, within)}));
	const fitting = judged.filter(({mismatch}) => mismatch === null);
	const [nearest] = judged;
	if (fitting.length === 0)
		return outside('out-of-scope', `\`${name}\` is in the scope of this run, but not so: ${nearest?.mismatch}`);

	const others = within.taken.filter(({actionId}) => actionId !== action.id);
	const left = fitting.filter(({step}) => started(step.id, others).length < step.times);
	if (left.length === 0) return outside('scope-used-up', `this run has used \`${name}\` as often as its scope allows`);
	const ready = left.filter(({step}) => step.after.every((id) => done(id, within).length > 0));
	if (ready.length === 0) return outside('scope-too-early', `\`${name}\` comes after other steps of the scope of this run`);
	const open = ready.find(({step}) => requests(step.id, others) < step.times + SPARE_REQUESTS);
	return open ?? outside('scope-asked-often', `people were asked for \`${name}\` more often than its scope allows`);
}

function takenFor(stepId: string, taken: readonly Taken[]): readonly Taken[] {
	return taken.filter(({rules}) => rules.includes(`scope:${stepId}`));
}

function started(stepId: string, taken: readonly Taken[]): readonly Taken[] {
	return takenFor(stepId, taken).filter(({state}) => state === 'started' || state === 'succeeded');
}

function done(stepId: string, {taken}: Within): readonly Taken[] {
	return takenFor(stepId, taken).filter(({state}) => state === 'succeeded');
}

function requests(stepId: string, taken: readonly Taken[]): number {
	return takenFor(stepId, taken).filter(({state}) => state === 'asked').length;
}

type Match = {readonly mismatch: string | null; readonly chosen: boolean};

function matchInput({id, input: rules}: ScopeStep, {tool, input}: Deed, within: Within): Match {
	if (!isRecord(input)) return {mismatch: 'its input has no arguments that a scope could name', chosen: false};
	const answers = Object.entries(rules).map(([name, rule]) => ({
		name,
		fit: fitOf(rule, Object.hasOwn(input, name) ? input[name] : undefined, within),
	}));
	const wrong = answers.find(({fit}) => fit === 'no');
	if (wrong) return {mismatch: `its \`${wrong.name}\` is not what the step \`${id}\` says`, chosen: false};
	const unsaid = Object.keys(input).find((name) => !Object.hasOwn(rules, name) && !isDefault(name, input, tool));
	if (unsaid !== undefined) return {mismatch: `the step \`${id}\` says nothing of \`${unsaid}\``, chosen: false};
	return {mismatch: null, chosen: answers.some(({fit}) => fit === 'chosen')};
}

/** Whether the tool would take the same value if the argument were left out. */
function isDefault(name: string, given: Readonly<Record<string, unknown>>, tool: Action['tool']): boolean {
	const {[name]: value, ...rest} = given;
	const parsed = tool.input.safeParse(rest);
	return parsed.success && isRecord(parsed.data) && isDeepStrictEqual(parsed.data[name], value);
}

type Fit = 'no' | 'set' | 'chosen';

function fitOf(rule: ArgumentRule, value: unknown, within: Within): Fit {
	if (!('each' in rule)) return fitOfValue(rule, value, within);
	const fits = Array.isArray(value) && value.length <= rule.atMost;
	return fits && value.every((each) => fitOfValue(rule.each, each, within) !== 'no') ? 'chosen' : 'no';
}

function fitOfValue(rule: ValueRule, value: unknown, within: Within): Fit {
	if (value === undefined) return 'no';
	if ('is' in rule) return isDeepStrictEqual(rule.is, value) ? 'set' : 'no';
	if ('oneOf' in rule) return choice(rule.oneOf, value);
	if ('from' in rule) return fitOfSource(rule, value, within);
	if ('text' in rule) return typeof value === 'string' && value.length <= rule.text ? 'chosen' : 'no';
	if ('json' in rule) return JSON.stringify(value).length <= rule.json ? 'chosen' : 'no';
	const [least, most] = rule.between;
	return typeof value === 'number' && value >= least && value <= most ? 'chosen' : 'no';
}

/** Where there is only one thing to choose, nothing is chosen. */
function choice(candidates: readonly unknown[], value: unknown): Fit {
	if (!candidates.some((each) => isDeepStrictEqual(each, value))) return 'no';
	return candidates.every((each) => isDeepStrictEqual(each, value)) ? 'set' : 'chosen';
}

type SourceRule = Extract<ValueRule, {from: string}>;

function fitOfSource({from, path, where = {}, part}: SourceRule, value: unknown, within: Within): Fit {
	const sources = done(from, within);
	const found = sources.flatMap(({output}) => [...reach(output, path.split('.'), null)]);
	const candidates = found.filter(({item}) => has(item, where)).map((each) => each.value);
	if (part) return candidates.some((text) => standsIn(text, value)) ? 'chosen' : 'no';
	const fit = choice(candidates, value);
	return fit === 'set' && !sources.every((source) => isVouched(source, path, Object.keys(where))) ? 'chosen' : fit;
}

function has(item: unknown, where: Readonly<Record<string, unknown>>): boolean {
	const members = isRecord(item) ? item : {};
	return Object.entries(where).every(([name, wanted]) => isDeepStrictEqual(members[name], wanted));
}

/** INVARIANT: what comes of a source that the agent chose is the agent's choice too, and so is what a stranger may have written. */
function isVouched({rules, labels, vouches}: Taken, path: string, where: readonly string[]): boolean {
	if (rules.includes(CHOSEN)) return false;
	if (!labels.includes('untrusted')) return true;
	const element = path.slice(0, path.lastIndexOf('*') + 1);
	return [path, ...where.map((name) => `${element}.${name}`)].every((each) => vouches.includes(each));
}

type Reached = {readonly value: unknown; readonly item: unknown};

/** The values at a path, each with the element of the last list on the way to it. */
function* reach(value: unknown, [head, ...rest]: readonly string[], item: unknown): Generator<Reached> {
	if (head === undefined) yield {value, item};
	else if (head === '*') {
		if (Array.isArray(value)) for (const each of value) yield* reach(each, rest, each);
	} else if (isRecord(value) && Object.hasOwn(value, head)) yield* reach(value[head], rest, item);
}

/**
 * Whether a text or a number stands in a text as a whole word. Longer words than `WORD_LIMITS.length` characters do not, nor does one that
 * is a part of others as often as `WORD_LIMITS.places` times before it is one by itself.
 */
function standsIn(text: unknown, value: unknown): boolean {
	if (typeof text !== 'string' || (typeof value !== 'string' && typeof value !== 'number') || value === '') return false;
	const spellings = typeof value === 'number' ? [String(value), value.toFixed(2)] : [value];
	return spellings.some(
		(word) => word.length <= WORD_LIMITS.length && places(text, word).some((at) => isApart(text, at, word.length)),
	);
}

/** What bounds the work for one text. `around`: characters that are looked at on each side of a place. */
const WORD_LIMITS = {length: 1_000, places: 1_000, around: 64} as const;

function places(text: string, word: string): readonly number[] {
	const found: number[] = [];
	for (let at = text.indexOf(word); at >= 0 && found.length < WORD_LIMITS.places; at = text.indexOf(word, at + 1)) found.push(at);
	return found;
}

/**
 * A mark, or a dot, a comma, a sign or an at between it and a letter or digit, makes it a part of a longer word, number or address; and so
 * do too many of these to see what is behind them.
 */
function isApart(text: string, at: number, length: number): boolean {
	const [before, behind] = [
		text.slice(Math.max(0, at - WORD_LIMITS.around), at),
		text.slice(at + length, at + length + WORD_LIMITS.around),
	];
	if (/[.,@_+-]{62}$/.test(before) || /^[.,@_+-]{62}/.test(behind)) return false;
	return !/[\p{L}\p{N}\p{M}][.,@_+-]*$/u.test(before) && !/^\p{M}|^[.,@_+-]*[\p{L}\p{N}]/u.test(behind);
}
