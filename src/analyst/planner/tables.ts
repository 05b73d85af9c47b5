/** Chooses the table to start from and the joins, so that no row is counted twice: joins lead from a table to what its rows refer to. */
import type {Dataset, TableProfile} from '#contract/dataset.ts';
import type {Ref} from './draft.ts';
import {isMoment} from './draft.ts';
import {type Col, isYear} from './vocabulary.ts';

/** What a row of `from` refers to. */
type Step = {readonly from: Col; readonly to: Col};

export type Source = {
	readonly base: TableProfile;
	/** in the order in which they can be joined */
	readonly joined: Set<TableProfile>;
	readonly dataset: Dataset;
};

/** Tables that each row of `table` refers to exactly once, with the way there, nearest first. */
export function parentsOf(table: TableProfile, dataset: Dataset): ReadonlyMap<TableProfile, readonly Step[]> {
	const found = new Map<TableProfile, readonly Step[]>([[table, []]]);
	for (const [current, way] of found) {
		for (const step of stepsFrom(current, dataset)) {
			// two ways to one table leave open which is meant
			if (!found.has(step.to.table) && stepsFrom(current, dataset).filter(({to}) => to.table === step.to.table).length === 1)
				found.set(step.to.table, [...way, step]);
		}
	}
	return found;
}

function stepsFrom(table: TableProfile, {tables, relationships}: Dataset): readonly Step[] {
	return relationships.flatMap(({from, to, type}) => {
		const steps =
			type === 'many-to-one'
				? [[from, to]]
				: type === 'one-to-one'
					? [
							[from, to],
							[to, from],
						]
					: [];
		return steps.flatMap(([a = '', b = '']) => {
			const [left, right] = [columnNamed(a, tables), columnNamed(b, tables)];
			return left && right && left.table === table ? [{from: left, to: right}] : [];
		});
	});
}

function columnNamed(name: string, tables: readonly TableProfile[]): Col | null {
	const table = tables.find((each) => name.startsWith(`${each.name}.`));
	const column = table?.columns.find((each) => each.name === name.slice(table.name.length + 1));
	return table && column ? {table, column} : null;
}

type Needs = {
	/** every column of the question */
	readonly refs: readonly Ref[];
	/** whose rows or columns are measured: best the start itself */
	readonly measured: readonly TableProfile[];
	/** whose rows are what is asked about, if they can be the start */
	readonly preferred: readonly TableProfile[];
	readonly needsMoment: boolean;
};

/** The start with the fewest joins from which all columns are reached; null when there is none. */
export function chooseSource({refs, measured, preferred, needsMoment}: Needs, dataset: Dataset): Source | null {
	const costs = dataset.tables.flatMap((base) => {
		const parents = parentsOf(base, dataset);
		if (!measured.every((table) => parents.has(table))) return [];
		const resolved = refs.map((ref) => resolveIn(ref, parents));
		if (resolved.includes(null)) return [];
		const tables = new Set([...resolved.flatMap((col) => (col ? [col.table] : [])), ...measured]);
		const moment = needsMoment ? momentOf(base, dataset) : null;
		if (needsMoment && !moment) return [];
		if (moment) tables.add(moment.table);
		tables.delete(base);
		const distance = measured.filter((table) => table !== base).length;
		return [{base, cost: tables.size * 10 + distance * 5 + (preferred.length > 0 && !preferred.includes(base) ? 7 : 0)}];
	});
	const [best] = costs.toSorted((a, b) => a.cost - b.cost);
	return best ? {base: best.base, joined: new Set(), dataset} : null;
}

function resolveIn(ref: Ref, parents: ReadonlyMap<TableProfile, unknown>): Col | null {
	for (const table of parents.keys()) {
		const col = ref.find((each) => each.table === table);
		if (col) return col;
	}
	return null;
}

/** The column a ref means from here; its table becomes part of the plan. */
export function resolve(ref: Ref, source: Source): Col | null {
	const parents = parentsOf(source.base, source.dataset);
	const col = resolveIn(ref, parents);
	if (col) for (const {to} of parents.get(col.table) ?? []) source.joined.add(to.table);
	return col;
}

const RECORDED = /(^|[^a-z])(created|order(ed)?|event|date|time|timestamp|datetime|recorded|opened|started|day|at|on)([^a-z]|$)/i;

/** When the rows of a table happened: its own column of time, else that of what it refers to. */
export function momentOf(table: TableProfile, dataset: Dataset): Col | null {
	for (const each of parentsOf(table, dataset).keys()) {
		const candidates = each.columns.map((column) => ({table: each, column})).filter((col) => isMoment(col) || isYear(col));
		const [best] = candidates.toSorted((a, b) => plausibility(b) - plausibility(a));
		if (best) return best;
	}
	return null;
}

function plausibility(col: Col): number {
	return (isMoment(col) ? 4 : 0) + (RECORDED.test(col.column.name) ? 1 : 0) + (col.column.nulls === 0 ? 2 : 0);
}

/** The column of `base` that holds the key of a table it refers to. */
export function keyOf(table: TableProfile, {base, dataset}: Source): Col | null {
	const way = parentsOf(base, dataset).get(table);
	const last = way?.at(-1);
	if (last) return last.to;
	const column = table.columns.find((each) => each.nulls === 0 && each.distinct === table.rows && table.rows > 0);
	return column ? {table, column} : null;
}
