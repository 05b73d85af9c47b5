/** Questions that go on from the one before: "and by category?", "only for Electronics", "same for last month". */
import type {Dataset} from '#contract/dataset.ts';
import type {Condition, Expr, QueryPlan, QueryPlanInput, SelectItem} from '#contract/query-plan.ts';
import {composeConditions} from './compose-conditions.ts';
import {groupItem, type Part} from './compose-measures.ts';
import type {Draft} from './draft.ts';
import {readQuestion} from './read-question.ts';
import type {Source} from './tables.ts';
import {tokenise} from './tokens.ts';
import {vocabularyOf} from './vocabulary.ts';

const OPENING =
	/^\s*(?:and|what about|how about|now|only|just|same|the same|again|also|but|then|instead|break (?:it|that|this|them) down|split (?:it|that|them)|by|per|for|in|group (?:it|that|them))\b(?:[\s,]+(?:only|just|the same|same|what about|show|again|it|that|them|thing|now|with|for|the ones|those|ones)\b)*/i;

type Continued = {readonly plan: QueryPlanInput; readonly assumptions: readonly string[]};

export function followUp(question: string, dataset: Dataset, previous: QueryPlan): Continued | null {
	const opening = OPENING.exec(question);
	if (!opening) return null;
	const kept = /\b(by|per|for|in)\s*$/i.exec(opening[0])?.[0] ?? '';
	const rest = `${kept} ${question.slice(opening[0].length).replace(/\b(instead|please|too|as well|again|ones?|only)\b/gi, ' ')}`;
	const draft = readQuestion(tokenise(rest), vocabularyOf(dataset));
	if (draft.problems.length > 0 || draft.measures.length > 0 || draft.isCounted || draft.rank || draft.share) return null;
	const base = dataset.tables.find(({name}) => name === previous.table);
	if (!base) return null;
	const groups = [...draft.groups, ...loneGroup(draft)];
	if (groups.length + draft.filters.length + draft.windows.length === 0) return null;
	const joined = new Set(dataset.tables.filter(({name}) => previous.joins.some((join) => join.table === name)));
	const source: Source = {base, joined, dataset};
	const before = joined.size;
	const name: Parameters<typeof groupItem>[0]['name'] = ({table, column}) =>
		previous.joins.length > 0 ? `${table.name}.${column.name}` : column.name;
	const making = {draft, dataset, source, name};
	const parts = groups.flatMap((group) => groupItem(making, group) ?? []);
	const conditions = composeConditions(making);
	if (parts.length !== groups.length || 'problem' in conditions || joined.size !== before) return null;
	const assumptions = [...draft.assumptions, 'the rest is as in the question before'];
	return {plan: change(asInput(previous), parts, conditions), assumptions};
}

/** "and category?" names a column and nothing else. */
function loneGroup({subject, groups, filters, windows}: Draft): Draft['groups'] {
	return subject && groups.length + filters.length + windows.length === 0 ? [subject] : [];
}

function asInput({
	dataset_id: _id,
	notes: _notes,
	select,
	joins,
	filters,
	group_by,
	having,
	qualify,
	order_by,
	distinct,
	limit,
	...rest
}: QueryPlan): QueryPlanInput {
	return {
		...rest,
		...(select ? {select: [...select]} : {}),
		...(joins.length > 0 ? {joins: joins.map((join) => ({...join, on: [...join.on]}))} : {}),
		...(distinct ? {distinct} : {}),
		filters: [...filters],
		group_by: [...group_by],
		...(having.length > 0 ? {having: [...having]} : {}),
		...(qualify.length > 0 ? {qualify: [...qualify]} : {}),
		order_by: [...order_by],
		...(limit === null ? {} : {limit}),
	};
}

function change(plan: QueryPlanInput, parts: readonly Part[], conditions: readonly Condition[]): QueryPlanInput {
	const old = (plan.filters ?? []) as readonly Condition[];
	const touched = new Set(
		conditions.flatMap((condition) => ('column' in condition && condition.column !== undefined ? [condition.column] : [])),
	);
	const filters = [
		...old.filter((condition) => !('column' in condition && condition.column !== undefined && touched.has(condition.column))),
		...conditions,
	];
	const next = {...plan, filters};
	if (parts.length === 0) return next;
	const isAggregated = (plan.group_by ?? []).length > 0 || (plan.select ?? []).some(isMeasure);
	const measures = (plan.select ?? []).filter(isMeasure);
	const counted: SelectItem[] = isAggregated ? measures : [{func: 'count', alias: 'count'}];
	const [first] = counted as {alias?: string}[];
	const order = parts[0]?.isTime ? parts[0].alias : first?.alias;
	const {having: _having, qualify: _qualify, limit: _limit, ...kept} = next;
	return {
		...kept,
		select: [...parts.flatMap(({items}) => items), ...counted],
		group_by: parts.flatMap(({keys}) => keys),
		order_by: order === undefined ? [] : [{expr: order as Expr, direction: parts[0]?.isTime ? 'asc' : 'desc'}],
	};
}

function isMeasure(item: SelectItem): boolean {
	return typeof item === 'object' && ('func' in item || 'window' in item || ('expr' in item && !('bucket' in item)));
}
