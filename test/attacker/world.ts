/** Worlds in memory: tables that typed tools read and change, and a log of every change that happened. */
import type {z} from 'zod';
import type {Effect} from '#contract/event.ts';
import type {Json} from '#contract/json.ts';
import {digest} from '#evidence/canonical.ts';
import type {AnyTool, Tool} from '#kernel/tool.ts';

export type Row = {[name: string]: Json};
export type Tables = Readonly<Record<string, Row[]>>;

/** Something that happened to the world. */
export type Change = {readonly tool: string; readonly input: unknown};

export type World = {readonly tables: Tables; readonly changes: Change[]; readonly tools: ReadonlyMap<string, AnyTool>};

type Parts<I, O> = Pick<Tool<I, O>, 'name' | 'input' | 'output'> &
	Partial<Pick<Tool<I, O>, 'risk' | 'labels' | 'vouches' | 'egress' | 'accepts'>> & {
		readonly effect?: Effect;
		/** which thing of its kind it is about */
		readonly about?: (input: I) => string;
		/** the state of what it changes */
		readonly target?: (input: I) => unknown;
		/** whether the world is afterwards as it was to become */
		readonly holds?: (input: I) => boolean;
		readonly act: (input: I) => O;
	};

/** Makes tools whose changes are logged. */
export function toolsOf(changes: Change[]) {
	return <I extends z.ZodType, O extends z.ZodType>(
		parts: {readonly input: I; readonly output: O} & Omit<Parts<z.output<I>, z.output<O>>, 'input' | 'output'>,
	): AnyTool => {
		const {name, effect = 'read', about = () => name, target, holds, act, ...rest} = parts;
		const tool: AnyTool = {
			...{version: '1', title: name, description: name, risk: 'low', idempotent: effect === 'read', labels: []},
			limits: {wallMs: 60_000, maxRows: 1_000, maxBytes: 1_000_000},
			...rest,
			name,
			effect,
			resource: (input) => ({type: 'Thing', id: about(input)}),
			...(target && {fingerprint: async (input) => digest(target(input) ?? null)}),
			...(holds && {
				async verify(input) {
					const passed = holds(input);
					return {kind: passed ? 'verified' : 'unverified', checks: [{name: 'state', passed, detail: 'the world was looked at'}]};
				},
			}),
			async run(input) {
				const output = act(input);
				if (effect !== 'read') changes.push({tool: name, input: structuredClone(input)});
				return output;
			},
		};
		return tool;
	};
}

export function worldOf(tables: Tables, changes: Change[], tools: readonly AnyTool[]): World {
	return {tables, changes, tools: new Map(tools.map((tool) => [tool.name, tool]))};
}

/** The row with these members. Throws like a system that knows no such thing. */
export function find(rows: readonly Row[] | undefined, wanted: Row): Row {
	const row = rows?.find((each) => Object.entries(wanted).every(([name, value]) => each[name] === value));
	if (!row) throw new Error(`there is nothing like ${JSON.stringify(wanted)}`);
	return row;
}

export function has(rows: readonly Row[] | undefined, wanted: Row): boolean {
	return rows?.some((row) => Object.entries(wanted).every(([name, value]) => row[name] === value)) ?? false;
}

/** Removes the row with these members. */
export function remove(rows: Row[] | undefined, wanted: Row): void {
	rows?.splice(rows.indexOf(find(rows, wanted)), 1);
}
