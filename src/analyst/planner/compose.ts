/** A draft as a query plan: tables, joins and every clause. */
import type {Dataset, TableProfile} from '#contract/dataset.ts';
import {MAX_PLAN_LIMIT, type QueryPlanInput, type SelectItem} from '#contract/query-plan.ts';
import {composeConditions, composeHaving, composeShare} from './compose-conditions.ts';
import {composeListing} from './compose-listing.ts';
import {assume, type Clause, composeMeasures, groupItem, type Part, rankMeasure} from './compose-measures.ts';
import type {Draft, Measure, Rank, Ref, Thing} from './draft.ts';
import {assumeAnyTime, comparesGroups, whyTwoSteps} from './group-conditions.ts';
import {isRowNoun} from './grouping.ts';
import {revenueOf} from './revenue.ts';
import {chooseSource, parentsOf, resolve, type Source} from './tables.ts';

export type Composed = {readonly plan: QueryPlanInput} | {readonly problem: string};

/** Everything the clauses are made from. */
export type Making = {
	readonly draft: Draft;
	readonly dataset: Dataset;
	readonly source: Source;
	readonly name: (col: {readonly table: TableProfile; readonly column: {readonly name: string}}) => string;
};

export function compose(draft: Draft, dataset: Dataset): Composed {
	if (
		draft.subject === null &&
		draft.measures.length + draft.columns.length + draft.filters.length + draft.groups.length + draft.having.length === 0 &&
		draft.rank === null &&
		draft.share === null
	)
		return {problem: 'nothing in it names anything in this dataset'};
	if (usesRevenue(draft) && !revenueOf(dataset))
		return {problem: 'no column holds revenue, and no table has one price and one quantity to compute it from'};
	const places = draft.rank?.limit ?? 1;
	if (places !== 'all' && (!Number.isInteger(places) || places < 1 || places > MAX_PLAN_LIMIT))
		return {problem: `a ranking has from 1 to ${MAX_PLAN_LIMIT} places, not ${places}`};
	const source = chooseSource(
		{
			refs: refsOf(draft),
			measured: measuredTables(draft, dataset),
			preferred: preferredTables(draft),
			needsMoment: needsMoment(draft),
		},
		dataset,
	);
	if (!source) return {problem: whyNoSource(draft)};
	const attempt = withNames(draft, dataset, source, false);
	const plan = source.joined.size > 0 ? withNames(draft, dataset, source, true) : attempt;
	if ('problem' in plan) return plan;
	const joins = joinsOf(source);
	return {plan: {...plan.plan, ...(joins.length > 0 ? {joins} : {})}};
}

/** Columns are written with their table as soon as there is more than one, which is known only after composing once. */
function withNames(draft: Draft, dataset: Dataset, source: Source, isQualified: boolean): Composed {
	const notes = [...draft.assumptions];
	const making: Making = {
		draft,
		dataset,
		source,
		name: ({table, column}) => (isQualified ? `${table.name}.${column.name}` : column.name),
	};
	const composed = composeMode(making);
	if (!isQualified && source.joined.size > 0) draft.assumptions.splice(0, draft.assumptions.length, ...notes);
	return composed;
}

function composeMode(making: Making): Composed {
	const {draft} = making;
	const twoSteps = whyTwoSteps(making);
	if (twoSteps !== null) return {problem: twoSteps};
	const isComputed = draft.measures.length > 0 || draft.isCounted || draft.share !== null || draft.isSpread || draft.isTrend;
	const isGrouped = draft.groups.length > 0;
	if (draft.rank && !isComputed) return composeRank(making, draft.rank);
	// how many things have so many rows is how long their list is
	if (!isGrouped && comparesGroups(making)) return composeListing(making);
	if (isComputed || isGrouped) return composeAggregate(making);
	return composeListing(making);
}

function composeAggregate(making: Making): Composed {
	const {draft} = making;
	if (isOnlyGroups(draft)) return {problem: 'what to compute for each group is not said'};
	assumeAnyTime(making);
	const ranked = rankedThing(draft);
	if (ranked && 'problem' in ranked) return ranked;
	const parts: Part[] = [];
	for (const group of new Set([...(ranked ? [ranked] : []), ...allGroups(making)])) {
		const part = groupItem(making, group);
		if (!part) return {problem: 'I cannot tell what to group by'};
		parts.push(part);
	}
	const share = draft.share ? composeShare(making, draft.share) : null;
	if (share && 'problem' in share) return share;
	const measures = share ? share.items : composeMeasures(making);
	if ('problem' in measures) return measures;
	const {rank} = draft;
	const ending = rank ? {direction: rank.direction, limit: limitOf(draft, rank)} : {direction: draft.sort ?? 'desc', limit: null};
	return finish(making, {groups: parts, measures, ...ending});
}

/** What is ranked by a share, as in "which category has the lowest return rate"; nothing else that is computed can be ranked here. */
function rankedThing({rank, share, groups}: Draft): Thing | {readonly problem: string} | null {
	if (!rank) return null;
	const object = rank.object ?? groups[0];
	return share && object ? object : {problem: 'it asks for the first of a ranking and for a figure in one'};
}

function isOnlyGroups({subject, measures, columns, share, filters, isCounted, isSpread}: Draft): boolean {
	return subject === null && share === null && !isCounted && !isSpread && measures.length + columns.length + filters.length === 0;
}

/** The groups asked for; of a development over time, also the time. */
function allGroups(making: Making): readonly Thing[] {
	const {draft} = making;
	return draft.isTrend && !draft.groups.some(({kind}) => kind === 'bucket')
		? [...draft.groups, {kind: 'bucket', bucket: 'day'}]
		: draft.groups;
}

function composeRank(making: Making, rank: Rank): Composed {
	const {draft, source} = making;
	const {by} = rank;
	const object = rank.object ?? draft.groups[0] ?? draft.subject;
	if (!object && rank.limit !== null && by.operand?.kind === 'column' && by.func === 'default') return composeListing(making);
	const isObjectNamed =
		rank.object !== null || rank.limit === 'all' || by.operand === null || draft.groups.length > 0 || isListedRank(draft);
	if (!object || !isObjectNamed) return composeExtreme(making, rank);
	if (by.operand?.kind === 'moment' || (isRawColumn(by) && isRowNoun(object, source.base))) return composeListing(making);
	const group = groupItem(making, object);
	const measure = rankMeasure(making, rank);
	if (!group || 'problem' in measure) return {problem: 'I cannot tell what to rank by what'};
	leaveOutNameless(making, object);
	const limit = limitOf(draft, rank);
	return finish(making, {groups: [group, ...groupsBut(making, object)], measures: [measure], direction: rank.direction, limit});
}

/** As many as are asked for; of "which category" one, of "which categories" ten, and all groups of a breakdown. */
function limitOf(draft: Draft, {object, limit}: Rank): number | null {
	if (limit === 'all') return null;
	if (limit !== null || (object === null && draft.groups.length > 0)) return limit;
	return isPluralObject(draft) ? 10 : 1;
}

/** A value that each row has by itself. */
function isRawColumn({func, operand}: Measure): boolean {
	return operand?.kind === 'column' && (func === 'default' || func === 'sum' || func === 'max' || func === 'min');
}

/** Rows that name none of what is ranked are no part of a ranking. */
function leaveOutNameless({draft, source}: Making, object: Thing): void {
	const col = object.kind === 'column' ? resolve(object.ref, source) : null;
	if (
		!col ||
		col.column.nulls === 0 ||
		draft.filters.some(({op, ref}) => op === 'is_not_null' && ref.some(({column}) => column === col.column))
	)
		return;
	draft.filters.push({ref: [col], op: 'is_not_null', at: -1});
	assume(draft, `rows without ${col.column.name} are left out`);
}

function groupsBut(making: Making, object: Thing): readonly Part[] {
	return making.draft.groups.flatMap((group) => (group === object ? [] : (groupItem(making, group) ?? [])));
}

function isListedRank({chunks, subject}: Draft): boolean {
	return (
		subject !== null &&
		chunks.some((chunk) => chunk.kind === 'keyword' && (chunk.keyword.kind === 'show' || chunk.keyword.kind === 'top'))
	);
}

/** "which categories", "who are our customers": more than one is asked for. */
function isPluralObject({chunks}: Draft): boolean {
	const first = chunks.find(({kind}) => kind === 'term' || kind === 'bucket');
	return first?.isPlural ?? false;
}

/** "the highest price of …": one number, or one for each group. */
function composeExtreme(making: Making, rank: Rank): Composed {
	if (rank.by.func !== 'default' || rank.by.operand === null)
		return {problem: 'of what the highest or lowest is asked is not said'};
	const func = rank.direction === 'desc' ? 'max' : 'min';
	const measure: Measure = {func, operand: rank.by.operand};
	const {draft} = making;
	const measures = composeMeasures({
		...making,
		draft: {...draft, measures: [measure], isCounted: false, rank: null, columns: []},
	});
	if ('problem' in measures) return measures;
	return finish(making, {
		groups: draft.groups.flatMap((group) => groupItem(making, group) ?? []),
		measures,
		direction: rank.direction,
		limit: null,
	});
}

type Ending = {
	readonly groups: readonly Part[];
	readonly measures: readonly Clause[];
	readonly direction: 'asc' | 'desc';
	readonly limit: number | null;
};

function finish(making: Making, {groups, measures, direction, limit}: Ending): Composed {
	const {draft, source} = making;
	const filters = composeConditions(making);
	if ('problem' in filters) return filters;
	const having = composeHaving(making);
	if ('problem' in having) return having;
	const first = measures[0]?.alias;
	const times = groups.filter(({isTime}) => isTime);
	const byTime = times.map(({alias}) => ({expr: alias, direction: 'asc' as const}));
	const order =
		draft.sort === null && draft.rank === null && times.length > 0
			? byTime
			: first === undefined
				? []
				: [{expr: first, direction}, ...byTime];
	const select: SelectItem[] = [...groups.flatMap(({items}) => items), ...measures.map(({item}) => item)];
	return {
		plan: {
			table: source.base.name,
			select,
			...(filters.length > 0 ? {filters: [...filters]} : {}),
			...(groups.length > 0 ? {group_by: groups.flatMap(({keys}) => keys)} : {}),
			...(having.length > 0 ? {having: [...having]} : {}),
			...(groups.length > 0 && order.length > 0 ? {order_by: order} : {}),
			...(limit !== null && groups.length > 0 ? {limit} : {}),
		},
	};
}

function refsOf(draft: Draft): readonly Ref[] {
	const operands = [...draft.measures, ...draft.having.map(({measure}) => measure), ...(draft.rank ? [draft.rank.by] : [])];
	const things = [...draft.groups, ...(draft.subject ? [draft.subject] : []), ...(draft.rank?.object ? [draft.rank.object] : [])];
	return [
		...draft.filters.map(({ref}) => ref),
		...(draft.share ? [draft.share.ref] : []),
		...draft.columns,
		...draft.moments,
		...operands.flatMap(({operand}) => (operand?.kind === 'column' && operand.ref.length > 0 ? [operand.ref] : [])),
		...things.flatMap((thing) => (thing.kind === 'column' ? [thing.ref] : [])),
		...things.flatMap((thing) => (thing.kind === 'noun' && thing.nouns.some(({entity}) => entity) ? [entityRef(thing)] : [])),
	];
}

function entityRef({nouns}: Extract<Thing, {kind: 'noun'}>): Ref {
	return nouns.flatMap(({entity, table}) => (entity ? [entity] : rowKey(table)));
}

function rowKey(table: TableProfile): Ref {
	return table.columns
		.filter((column) => column.nulls === 0 && column.distinct === table.rows)
		.slice(0, 1)
		.map((column) => ({table, column}));
}

/** Tables whose rows are counted or listed: the plan has to start at them or at what refers to them. */
function measuredTables(draft: Draft, dataset: Dataset): readonly TableProfile[] {
	const revenue = usesRevenue(draft) ? revenueOf(dataset)?.table : undefined;
	const isOfRows = draft.measures.length === 0;
	const nouns =
		draft.subject?.kind === 'noun' && isOfRows && draft.subject.nouns.every(({entity}) => entity === null)
			? draft.subject.nouns
			: [];
	const counted =
		draft.having.some(({measure}) => measure.operand === null) || draft.rank?.by.operand === null
			? (draft.extras[0] ?? []).filter(({entity}) => entity === null)
			: [];
	const tables = [...new Set([...nouns, ...counted].map(({table}) => table))];
	// one table that the others' rows refer to, or lead to, is the one that is meant
	const meant =
		tables.length > 1
			? tables.filter((table) => tables.every((other) => parentsOf(other, dataset).has(table))).slice(0, 1)
			: tables;
	return [...new Set([...(revenue ? [revenue] : []), ...(revenue ? [] : meant)])];
}

function preferredTables({subject, rank}: Draft): readonly TableProfile[] {
	const things = [subject, rank?.object ?? null];
	return things.flatMap((thing) =>
		thing?.kind === 'noun' ? thing.nouns.filter(({entity}) => entity === null).map(({table}) => table) : [],
	);
}

function usesRevenue(draft: Draft): boolean {
	return [...draft.measures, ...(draft.rank ? [draft.rank.by] : [])].some(({operand}) => operand?.kind === 'revenue');
}

function needsMoment(draft: Draft): boolean {
	const isBucketed = [...draft.groups, ...(draft.rank?.object ? [draft.rank.object] : [])].some(({kind}) => kind === 'bucket');
	const isMoment = [...draft.measures, ...(draft.rank ? [draft.rank.by] : [])].some(({operand}) => operand?.kind === 'moment');
	return draft.moments.length === 0 && (draft.windows.length > 0 || isBucketed || isMoment || draft.isTrend);
}

function whyNoSource(draft: Draft): string {
	if (needsMoment(draft)) return 'no column of time goes with what is asked';
	return 'what it asks for lies in tables that cannot be joined without counting rows twice';
}

function joinsOf({base, joined, dataset}: Source): NonNullable<QueryPlanInput['joins']> {
	const order = [...parentsOf(base, dataset)].filter(([table]) => joined.has(table));
	return order.flatMap(([table, way]) => {
		const last = way.at(-1);
		return last
			? [
					{
						table: table.name,
						on: [{left: `${last.from.table.name}.${last.from.column.name}`, right: `${table.name}.${last.to.column.name}`}],
					},
				]
			: [];
	});
}
