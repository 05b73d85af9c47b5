/** A plan in one plain English sentence, for the person who asked. */

import type {ColumnType} from '#contract/table.ts';
import type {BoundPlan} from './bind-plan.ts';
import {operandWords} from './calls.ts';
import {familyOf} from './literal.ts';
import {type Bound, STRENGTH} from './scope.ts';
import type {BoundItem} from './select-names.ts';

export function sentenceOf(bound: BoundPlan): string {
	const {filters, having, qualify} = bound;
	const clauses = [
		`${what(bound)}`,
		...conditionWords(' where ', filters),
		...conditionWords(', only groups where ', having),
		...conditionWords(', keeping rows where ', qualify),
		orderWords(bound),
		limitWords(bound),
	];
	const text = clauses.join('');
	return `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
}

function what(bound: BoundPlan): string {
	const {plan, items, groups, isStar, isAggregated} = bound;
	const distinct = plan.distinct ? 'distinct ' : '';
	const source = sourceWords(bound);
	if (isStar) return `show ${distinct ? 'distinct rows' : 'all columns'} of ${source}`;
	if (!isAggregated) return `show ${distinct}${list(items.map(itemWords))} of ${source}`;
	const keys = new Set(groups.map(({sql}) => sql));
	const measures = items.filter((item) => !keys.has(item.bound.sql)).map((item) => measureWords(item, bound.base.name));
	const by = groups.length > 0 ? ` by ${list(groups.map(({words}) => words))}` : '';
	if (measures.length === 0) return `show the ${distinct}values${by.replace(' by ', ' of ')} in ${source}`;
	const isPlaced = bound.joins.length === 0 && measures[0]?.includes(bound.base.name);
	return `${distinct}${list(measures)}${by}${isPlaced ? '' : ` in ${source}`}`;
}

function sourceWords({base, joins}: BoundPlan): string {
	const joined = joins.map(({table, type}) =>
		type === 'left' ? `, with ${table.name} where there is one` : ` joined with ${table.name}`,
	);
	return `${base.name}${joined.join('')}`;
}

function itemWords({bound, name, isCited}: BoundItem): string {
	return isCited ? `${bound.words} as ${name}` : bound.words;
}

/** A bare count reads as a command: "count tickets", not "count of tickets". */
function measureWords(item: BoundItem, table: string): string {
	return item.bound.sql === 'COUNT(*)' ? `count ${table}` : itemWords(item);
}

function conditionWords(lead: string, conditions: readonly Bound[]): readonly string[] {
	const [only, ...more] = conditions;
	if (!only) return [];
	return [`${lead}${more.length === 0 ? only.words : conditions.map((each) => operandWords(each)).join(' and ')}`];
}

function orderWords(bound: BoundPlan): string {
	if (bound.order.length === 0) return '';
	return `, ${bound.order.map((each) => orderTerm(each.bound, each.direction, bound)).join(', then ')}`;
}

function orderTerm(by: Bound, direction: 'asc' | 'desc', {items, isAggregated, base}: BoundPlan): string {
	const isDown = direction === 'desc';
	const measures = items.filter((item) => isAggregated && item.bound.kind === 'aggregate');
	const isOnly = measures.length === 1 && measures[0]?.bound.sql === by.sql;
	if (by.sql === 'COUNT(*)') return `${isDown ? 'most' : 'fewest'}${isOnly ? '' : ` ${base.name}`} first`;
	const [up, down] = ends(by.type);
	if (familyOf(by.type) === 'text') return `${operandWords(by, STRENGTH.comparison)} from ${isDown ? 'Z to A' : 'A to Z'}`;
	return `${isDown ? down : up}${isOnly && !by.isNamed ? '' : ` ${operandWords(by, STRENGTH.comparison)}`} first`;
}

function ends(type: ColumnType): readonly [string, string] {
	const family = familyOf(type);
	if (family === 'date' || family === 'time') return ['earliest', 'latest'];
	if (family === 'boolean') return ['false', 'true'];
	return ['lowest', 'highest'];
}

function limitWords({plan, order, groups, isAggregated}: BoundPlan): string {
	if (plan.limit === null || (isAggregated && groups.length === 0)) return '';
	if (order.length > 0) return `, top ${plan.limit}`;
	return `, at most ${plan.limit} ${isAggregated ? 'groups' : 'rows'}`;
}

function list(words: readonly string[]): string {
	if (words.length < 2) return words.join('');
	return `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`;
}
