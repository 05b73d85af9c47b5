/** Lists: rows with the columns that matter, or the different things that rows are of. */
import type {Expr, QueryPlanInput, SelectItem} from '#contract/query-plan.ts';
import type {Composed, Making} from './compose.ts';
import {composeConditions, composeHaving} from './compose-conditions.ts';
import {assume, countClause, groupItem, identifier, momentColumn} from './compose-measures.ts';
import {type Draft, isMoment, isNumeric, type Thing} from './draft.ts';
import {assumeAnyTime} from './group-conditions.ts';
import {isRowNoun} from './grouping.ts';
import {resolve} from './tables.ts';
import {wordsOf} from './tokens.ts';
import {type Col, isKey} from './vocabulary.ts';

const FEW_COLUMNS = 12;

export function composeListing(making: Making): Composed {
	const {draft} = making;
	if (draft.groups.length > 0) return {problem: 'a list for each group takes more than one plan'};
	const filters = composeConditions(making);
	if ('problem' in filters) return filters;
	const clauses = filters.length > 0 ? {filters: [...filters]} : {};
	assumeAnyTime(making);
	const subject = draft.rank?.object ?? draft.subject;
	if (subject && !isRowNoun(subject, making.source.base) && draft.rank?.by.operand?.kind !== 'moment')
		return listThings(making, subject, clauses);
	if (filters.length === 0 && draft.rank === null && draft.columns.length === 0)
		return {problem: 'it does not say what to show of it'};
	return listRows(making, clauses);
}

type Clauses = Pick<QueryPlanInput, 'filters'>;

/** Sensors rather than their readings: each once, with the extreme of what the conditions compare. */
function listThings(making: Making, subject: Thing, clauses: Clauses): Composed {
	const {draft, source, name} = making;
	const group = groupItem(making, subject);
	if (!group) return {problem: 'I cannot tell what to list'};
	const compared = draft.filters.flatMap((filter) => {
		const col = resolve(filter.ref, source);
		return col && isNumeric(col) && (filter.op === '<' || filter.op === '<=' || filter.op === '>' || filter.op === '>=')
			? [{col, op: filter.op}]
			: [];
	});
	const measures = compared.map(({col, op}): SelectItem => {
		const func = op.startsWith('<') ? 'min' : 'max';
		return {
			func,
			column: name(col),
			alias: identifier(
				`${func === 'min' ? 'lowest' : 'highest'}_${wordsOf(col.column.name)
					.map(({lower}) => lower)
					.join('_')}`,
			),
		};
	});
	const shown = draft.columns.flatMap((ref) => resolve(ref, source) ?? []);
	if (shown.length > 0) return listRows(making, clauses);
	const having = composeHaving(making);
	if ('problem' in having) return having;
	const counted = having.length > 0 && draft.having.some(({measure}) => measure.operand === null) ? countOf(making) : [];
	const others = draft.having.flatMap(({measure}, index) =>
		measure.operand === null ? [] : [{...(having[index] as {expr: object}).expr, alias: `measure_${index + 1}`} as SelectItem],
	);
	const [first] = [...measures, ...counted, ...others] as {alias?: string}[];
	const direction = compared[0]?.op.startsWith('<') ? ('asc' as const) : ('desc' as const);
	const order = first?.alias
		? {expr: first.alias, direction: draft.sort ?? direction}
		: {expr: group.alias, direction: draft.sort ?? ('asc' as const)};
	if (draft.rank !== null) return {problem: 'I cannot tell what to rank by what'};
	return {
		plan: {
			table: source.base.name,
			select: [...group.items, ...measures, ...counted, ...others],
			...clauses,
			group_by: [...group.keys],
			...(having.length > 0 ? {having: [...having]} : {}),
			order_by: [group.alias === order.expr && group.keys[0] ? {...order, expr: group.keys[0]} : order],
		},
	};
}

function countOf(making: Making): readonly SelectItem[] {
	const [nouns] = making.draft.extras;
	const clause = countClause({
		...making,
		draft: {...making.draft, subject: nouns ? {kind: 'noun', nouns} : null} satisfies Draft,
	});
	return 'problem' in clause ? [] : [clause.item];
}

function listRows(making: Making, clauses: Clauses): Composed {
	const {draft, source, name} = making;
	const {rank} = draft;
	if (draft.having.length > 0) return {problem: 'a number of rows is compared, but it is not said of what'};
	const cols = columnsOf(making);
	const moment = rank?.by.operand?.kind === 'moment' ? momentColumn(making) : null;
	const by = rank?.by.operand?.kind === 'column' ? resolve(rank.by.operand.ref, source) : moment;
	if (rank && !by) return {problem: 'I cannot tell what to rank by what'};
	const select: SelectItem[] = [...cols, ...(by && !cols.some(({column}) => column === by.column) ? [by] : [])].map((col) => ({
		column: name(col),
	}));
	const order = orderOf(making, by);
	return {
		plan: {
			table: source.base.name,
			select,
			...clauses,
			...(order ? {order_by: [order]} : {}),
			...(rank && rank.limit !== 'all' ? {limit: limitOf(rank.limit, draft)} : {}),
		},
	};
}

function limitOf(limit: number | null, {chunks}: Draft): number {
	if (limit !== null) return limit;
	const isPlural = chunks.some(({isPlural: many, kind}) => many && (kind === 'term' || kind === 'bucket'));
	return isPlural ? 10 : 1;
}

function orderOf(
	{draft, source, name}: Making,
	by: Col | null,
): {readonly expr: Expr; readonly direction: 'asc' | 'desc'} | null {
	if (by && draft.rank) return {expr: {column: name(by)}, direction: draft.rank.direction};
	const compared = draft.filters.find(({op}) => op === '<' || op === '<=' || op === '>' || op === '>=');
	const col = compared && resolve(compared.ref, source);
	if (compared && col)
		return {expr: {column: name(col)}, direction: draft.sort ?? (compared.op.startsWith('<') ? 'asc' : 'desc')};
	const moment =
		draft.windows.length > 0 ? source.base.columns.map((column) => ({table: source.base, column})).find(isMoment) : undefined;
	return moment ? {expr: {column: name(moment)}, direction: draft.sort ?? 'desc'} : null;
}

/** All columns of a narrow table; of a wide one its key, what the question is about, when it happened, and then others. */
function columnsOf(making: Making): readonly Col[] {
	const {draft, source} = making;
	const own = source.base.columns.map((column) => ({table: source.base, column}));
	const asked = [...draft.filters.map(({ref}) => ref), ...draft.columns, ...draft.moments].flatMap(
		(ref) => resolve(ref, source) ?? [],
	);
	const foreign = asked.filter(({table}) => table !== source.base);
	if (own.length <= FEW_COLUMNS) return unique([...own, ...foreign]);
	const isLabel = ({column}: Col) => /(^|[^a-z])(name|title|id)$/i.test(column.name);
	const subject = draft.subject?.kind === 'column' ? (resolve(draft.subject.ref, source) ?? null) : null;
	const first = [...own.filter(isKey).slice(0, 1), ...own.filter(isLabel).slice(0, 2), ...(subject ? [subject] : [])];
	const chosen = unique([...first, ...asked, ...own.filter(isMoment).slice(0, 1)]);
	const rest = own.filter(({column}) => column.type === 'text' || column.type === 'boolean');
	assume(draft, 'not all columns are shown');
	return unique([...chosen, ...rest]).slice(0, Math.max(FEW_COLUMNS, chosen.length));
}

function unique(cols: readonly Col[]): readonly Col[] {
	return cols.filter((col, index) => cols.findIndex(({column}) => column === col.column) === index);
}
