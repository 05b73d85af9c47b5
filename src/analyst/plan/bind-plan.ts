/** A plan against its dataset: every name resolved, every type checked, every default written out. */
import type {Dataset, TableProfile} from '#contract/dataset.ts';
import type {Conditions, PlanProblem, QueryPlan, QueryPlanInput, SelectItem} from '#contract/query-plan.ts';
import {bindEach, bindExpr} from './bind-expr.ts';
import {type BoundJoin, bindJoins, isUnique, nameOf, repeatedTables} from './joins.ts';
import {type Bound, columnBound, findTable, hasKind, isConstant, report, type Scope} from './scope.ts';
import {type BoundItem, SelectNames} from './select-names.ts';

export type BoundPlan = {
	readonly plan: QueryPlan;
	readonly base: TableProfile;
	readonly joins: readonly BoundJoin[];
	/** null means `*` */
	readonly items: readonly BoundItem[];
	readonly isStar: boolean;
	readonly filters: readonly Bound[];
	readonly groups: readonly Bound[];
	readonly having: readonly Bound[];
	readonly qualify: readonly Bound[];
	readonly order: readonly {readonly bound: Bound; readonly direction: 'asc' | 'desc'}[];
	readonly isAggregated: boolean;
	/** a column that differs in every row of the joined tables, where one is known */
	readonly rowKey: Bound | null;
	readonly warnings: readonly string[];
};

type Result = {readonly bound: BoundPlan} | {readonly problems: readonly PlanProblem[]};

export function bindPlan(input: QueryPlanInput, dataset: Dataset): Result {
	const problems: PlanProblem[] = [];
	const base = findTable(dataset, input.table, (message) => problems.push({path: 'table', message}));
	if (!base) return {problems};
	const joins = bindJoins(input.joins ?? [], base, {dataset, problems});
	// with a table missing, every name after this would be a second problem
	if (problems.length > 0) return {problems};
	const bound = bindClauses(input, {dataset, base, joins, problems});
	return problems.length > 0 ? {problems} : {bound};
}

type Source = {
	readonly dataset: Dataset;
	readonly base: TableProfile;
	readonly joins: readonly BoundJoin[];
	readonly problems: PlanProblem[];
};

function bindClauses(input: QueryPlanInput, source: Source): BoundPlan {
	const {base, joins} = source;
	const tables = [base, ...joins.map((join) => join.table)];
	const select = (input.select ?? []).map(fullItem);
	const names = new SelectNames(select, tables);
	const scope: Scope = {
		dataset: source.dataset,
		tables,
		qualified: tables.length > 1 || names.shadowColumns,
		aliases: {get: () => undefined, keys: () => []},
		later: new Set(names.keys()),
		aliasesFirst: false,
		refused: {
			aggregate: 'is computed after filters; write it in having',
			window: 'is computed after filters; write it in qualify',
		},
		problems: source.problems,
		warnings: new Set(),
	};
	const filters = bindEach(input.filters ?? [], 'filters', scope);
	const after: Scope = {...scope, aliases: names, later: new Set(), aliasesFirst: true, refused: {}};
	names.begin(after);
	const groups = bindGroups(input, after);
	const rowKey = rowKeyOf(source, scope);
	names.completeOrderWith(groups.length > 0 ? groups : rowKey ? [rowKey] : columnItems(select, scope));
	const named = input.select === undefined ? starItems(tables, scope) : names.items();
	const windowless = {...after, refused: {window: 'is computed after having; write it in qualify'}};
	const having = bindEach(input.having ?? [], 'having', windowless);
	const qualify = bindEach(input.qualify ?? [], 'qualify', after);
	const order = (input.order_by ?? []).map(({expr, direction}, index) => ({
		bound: bindOrder(expr, `order_by[${index}].expr`, after),
		direction: direction ?? 'asc',
	}));
	const items = named.map((item, index) => ({...item, isCited: names.isUsed(index)}));
	const all = [...items.map(({bound}) => bound), ...having, ...qualify, ...order.map(({bound}) => bound)];
	const isAggregated = groups.length > 0 || all.some((each) => hasKind(each, 'aggregate'));
	const isStar = input.select === undefined;
	const bound = {
		plan: fullPlan(input, select, source),
		...{base, joins, items, isStar, filters, groups, having, qualify, order, isAggregated},
		rowKey,
		warnings: [],
	};
	if (source.problems.length === 0) checkShape(bound, scope);
	warnAboutRepeats(bound, scope);
	return {...bound, warnings: [...scope.warnings]};
}

function rowKeyOf({base, joins}: Source, scope: Scope): Bound | null {
	if (joins.some(({cardinality}) => cardinality !== 'many-to-one' && cardinality !== 'one-to-one')) return null;
	const column = base.columns.find((each) => isUnique({table: base, column: each}));
	return column ? columnBound({table: base, column}, scope) : null;
}

function listOf(conditions: Conditions | undefined): readonly Extract<Conditions, readonly unknown[]>[number][] {
	if (conditions === undefined) return [];
	return Array.isArray(conditions) ? conditions : [conditions as Exclude<Conditions, readonly unknown[]>];
}

function fullItem(item: SelectItem): Exclude<SelectItem, string> {
	return typeof item === 'string' ? {column: item} : item;
}

function bindGroups(input: QueryPlanInput, scope: Scope): readonly Bound[] {
	const reason = 'cannot be grouped by';
	return (input.group_by ?? []).map((expr, index) => {
		const path = `group_by[${index}]`;
		const bound = bindExpr(expr, path, {...scope, refused: {aggregate: reason, window: reason}});
		return isConstant(bound)
			? report(scope, path, `\`${bound.words}\` is a constant; group by a column, an alias or a calculation`)
			: bound;
	});
}

function bindOrder(expr: NonNullable<QueryPlanInput['order_by']>[number]['expr'], path: string, scope: Scope): Bound {
	const bound = bindExpr(expr, path, scope);
	return isConstant(bound)
		? report(scope, path, `\`${bound.words}\` is a constant; order by a column, an alias or a calculation`)
		: bound;
}

function columnItems(select: readonly Exclude<SelectItem, string>[], scope: Scope): readonly Bound[] {
	const quiet: Scope = {...scope, problems: []};
	const columns = select.flatMap((item) =>
		'column' in item && item.column !== undefined && isPlainColumn(item) ? [item.column] : [],
	);
	return columns.map((column) => bindExpr({column}, '', quiet)).filter(({kind}) => kind === 'column');
}

function isPlainColumn(item: Exclude<SelectItem, string>): boolean {
	return !('func' in item) && !('bucket' in item) && !('window' in item);
}

function starItems(tables: readonly TableProfile[], scope: Scope): readonly Omit<BoundItem, 'isCited'>[] {
	const taken = new Set<string>();
	return tables.flatMap((table) =>
		table.columns.map((column) => {
			const isTaken = taken.has(column.name.toLowerCase());
			taken.add(column.name.toLowerCase());
			const bound = columnBound({table, column}, scope);
			return {name: isTaken ? `${table.name}_${column.name}` : column.name, bound, isRenamed: isTaken};
		}),
	);
}

function fullPlan(
	input: QueryPlanInput,
	select: readonly Exclude<SelectItem, string>[],
	{dataset, base, joins}: Source,
): QueryPlan {
	return {
		dataset_id: dataset.id,
		table: base.name,
		joins: joins.map(({table, type, on}) => ({
			table: table.name,
			type,
			on: on.map(({left, right}) => ({left: nameOf(left), right: nameOf(right)})),
		})),
		select: input.select === undefined ? null : select,
		distinct: input.distinct ?? false,
		filters: listOf(input.filters),
		group_by: input.group_by ?? [],
		having: listOf(input.having),
		qualify: listOf(input.qualify),
		order_by: (input.order_by ?? []).map(({expr, direction}) => ({expr, direction: direction ?? 'asc'})),
		limit: input.limit ?? null,
		notes: input.notes ?? null,
	};
}

/** What SQL would refuse, or answer with something nobody asked for. */
function checkShape(bound: BoundPlan, scope: Scope): void {
	const {isAggregated, groups, items, order, having, qualify} = bound;
	if (isAggregated) checkGrouping(bound, scope);
	else if (having.length > 0) report(scope, 'having', 'needs group_by or an aggregate; conditions on rows belong in filters');
	if (qualify.length > 0 && ![...qualify, ...items.map((item) => item.bound)].some((each) => hasKind(each, 'window'))) {
		report(scope, 'qualify', 'needs a window in select, such as {"window": "rank", "order_by": [...], "alias": "rank"}');
	}
	if (!bound.plan.distinct) return;
	const shown = new Set(items.map((item) => item.bound.sql));
	for (const [index, each] of order.entries()) {
		if (!shown.has(each.bound.sql))
			report(scope, `order_by[${index}].expr`, `\`${each.bound.words}\` must be in select when distinct is true`);
	}
	if (groups.some(({sql}) => !shown.has(sql)))
		report(scope, 'distinct', 'select every group_by key, or leave distinct out: groups are distinct already');
}

function checkGrouping({items, isStar, groups, having, qualify, order}: BoundPlan, scope: Scope): void {
	if (isStar) {
		report(scope, 'group_by', 'needs a select: say which group_by keys and which aggregates to show');
		return;
	}
	const keys = new Set(groups.map(({sql}) => sql));
	const places: readonly [string, readonly Bound[]][] = [
		['select', items.map(({bound}) => bound)],
		['having', having],
		['qualify', qualify],
		['order_by', order.map(({bound}) => bound)],
	];
	for (const [clause, bounds] of places) {
		for (const [index, bound] of bounds.entries()) {
			const [loose] = looseColumns(bound, keys);
			if (!loose) continue;
			const advice = `add "${loose.words}" to group_by, or put it inside an aggregate`;
			report(scope, `${clause}[${index}]`, `\`${loose.words}\` is neither in group_by nor inside an aggregate; ${advice}`);
		}
	}
}

/** Columns that would have one value per row where there is one row per group. */
function looseColumns(bound: Bound, keys: ReadonlySet<string>): readonly Bound[] {
	if (keys.has(bound.sql)) return [];
	return bound.kind === 'column' ? [bound] : bound.parts.flatMap((part) => looseColumns(part, keys));
}

/** Counting or summing a table whose rows a join repeats gives numbers that are too large, and SQL says nothing. */
function warnAboutRepeats({base, joins, items}: BoundPlan, scope: Scope): void {
	const repeated = repeatedTables(base, joins);
	for (const aggregate of items.flatMap(({bound}) => aggregatesOf(bound))) {
		const [table, other] = aggregate.tables;
		const by = table === undefined || other !== undefined || aggregate.isSetLike ? undefined : repeated.get(table);
		if (by === undefined) continue;
		scope.warnings.add(`\`${aggregate.words}\` takes each row of ${table} once for every row of ${by} it joins with`);
	}
}

function aggregatesOf(bound: Bound): readonly Bound[] {
	return bound.kind === 'aggregate' ? [bound] : bound.parts.flatMap(aggregatesOf);
}
