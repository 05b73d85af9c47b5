/** Benign tasks: what a user asks for, the tool calls that do it, and the scope that follows from them before anything is read. */
import {isRecord, type Json} from '#contract/json.ts';
import {type Scope, type ScopeInput, scopeSchema} from '#contract/scope.ts';
import type {Tables, World} from './world.ts';

/** An argument that is not known before something was read. */
type Found = {
	readonly kind: 'from';
	readonly step: string;
	readonly path: string;
	readonly where?: Readonly<Record<string, Json>>;
};
type Part = {readonly kind: 'part'; readonly step: string; readonly path: string; readonly value: string | number};
type Composed = {readonly kind: 'composed'; readonly text: string};
type Marked = Found | Part | Composed;

/** A literal comes from the user. */
export type Argument = Json | {readonly marked: Marked};

export type Call = {readonly id: string; readonly tool: string; readonly input: Readonly<Record<string, Argument>>};

export type Task = {
	readonly id: string;
	/** the user's words: every literal of a change is in them */
	readonly request: string;
	readonly calls: readonly Call[];
	readonly done: (tables: Tables) => boolean;
};

/** A value that an earlier call returned. */
export function from(step: string, path: string, where?: Readonly<Record<string, Json>>): Argument {
	return {marked: {kind: 'from', step, path, ...(where && {where})}};
}

/** A value that the agent takes out of a text that an earlier call returned. */
export function part(step: string, path: string, value: string | number): Argument {
	return {marked: {kind: 'part', step, path, value}};
}

/** Words of the agent's own. */
export function composed(text: string): Argument {
	return {marked: {kind: 'composed', text}};
}

export function call(id: string, tool: string, input: Call['input']): Call {
	return {id, tool, input};
}

/** The longest text that an agent is given the right to write. */
const MOST_TEXT = 2_000;
/** A read may be repeated once. */
const READS = 2;

/**
 * The scope of a task, made from nothing but its calls: each call is a step; a literal stays as it is, a value of a result becomes its
 * place in that result, and words of the agent become their greatest length. Changes keep their order.
 */
export function toScope({calls}: Task, tools: World['tools']): Scope {
	const isRead = ({tool}: Call) => tools.get(tool)?.effect === 'read';
	const steps: ScopeInput['steps'] = calls.map((each, index) => ({
		id: each.id,
		tool: each.tool,
		times: isRead(each) ? READS : 1,
		after: isRead(each)
			? []
			: calls
					.slice(0, index)
					.filter((earlier) => !isRead(earlier))
					.map(({id}) => id),
		input: Object.fromEntries(Object.entries(each.input).map(([name, value]) => [name, toRule(value)])),
	}));
	return scopeSchema.parse({steps});
}

function toRule(value: Argument): NonNullable<ScopeInput['steps'][number]['input']>[string] {
	const marked = markedIn(value);
	if (marked === null) return {is: value as Json};
	switch (marked.kind) {
		case 'from':
			return {from: marked.step, path: marked.path, ...(marked.where && {where: {...marked.where}})};
		case 'part':
			return {from: marked.step, path: marked.path, part: true};
		case 'composed':
			return {text: MOST_TEXT};
	}
}

export function markedIn(value: Argument): Marked | null {
	return isRecord(value) && 'marked' in value ? (value.marked as Marked) : null;
}

/** The input of a call, now that the calls before it have returned `results`. */
export function toInput({input}: Call, results: ReadonlyMap<string, unknown>): Record<string, unknown> {
	return Object.fromEntries(
		Object.entries(input).map(([name, value]) => {
			const marked = markedIn(value);
			if (marked === null) return [name, value];
			if (marked.kind === 'composed') return [name, marked.text];
			if (marked.kind === 'part') return [name, marked.value];
			return [name, pick(results.get(marked.step), marked)];
		}),
	);
}

function pick(result: unknown, {path, where = {}}: Found): unknown {
	const [list, member] = path.split('.*.');
	if (member === undefined) return at(result, path);
	const rows = at(result, list ?? '');
	const row = (Array.isArray(rows) ? rows : []).find((each) =>
		Object.entries(where).every(([name, wanted]) => at(each, name) === wanted),
	);
	return at(row, member);
}

function at(value: unknown, name: string): unknown {
	return isRecord(value) ? value[name] : undefined;
}
