/** A plan in one plain English sentence, for the person who asked. */

import {DEFAULT_PLAN_LIMIT} from '#contract/query-plan.ts';
import type {ColumnType} from '#contract/table.ts';
import type {BoundPlan} from './bind-plan.ts';
import {operandWords} from './calls.ts';
import {familyOf} from './literal.ts';
import type {Bound} from './scope.ts';

export function sentenceOf(bound: BoundPlan): string {
	const {filters, having, qualify} = bound;
	const clauses = [
		`${what(bound)}${joinWords(bound)}`,
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
	const {plan, items, isStar, isAggregated, base} = bound;
	const distinct = plan.distinct ? 'distinct ' : '';
	if (isStar) return `show ${distinct}${base.name}${bound.joins.length > 0 ? '' : distinct ? ' rows' : ' with all columns'}`;
	if (!isAggregated) return `show ${distinct}${list(items.map((item) => item.bound.words))} of ${base.name}`;
	const keys = new Set(bound.groups.map(({sql}) => sql));
	const measures = items.filter((item) => !keys.has(item.bound.sql)).map((item) => measureWords(item.bound, base.name));
	const by = bound.groups.length > 0 ? ` by ${list(bound.groups.map(({words}) => words))}` : '';
	const shown = measures.length > 0 ? `${distinct}${list(measures)}` : `show the ${distinct}groups of ${base.name}`;
	return `${shown}${by}${measures.some((words) => words.includes(base.name)) || measures.length === 0 ? '' : ` in ${base.name}`}`;
}

/** A bare count reads as a command: "count tickets", not "count of tickets". */
function measureWords({words}: Bound, table: string): string {
	return words === `count of ${table}` ? `count ${table}` : words;
}

function joinWords({joins}: BoundPlan): string {
	return joins
		.map(({table, type}) => (type === 'left' ? `, with ${table.name} where there is one` : `, joined with ${table.name}`))
		.join('');
}

function conditionWords(lead: string, conditions: readonly Bound[]): readonly string[] {
	const [only, ...more] = conditions;
	if (!only) return [];
	return [`${lead}${more.length === 0 ? only.words : conditions.map(operandWords).join(' and ')}`];
}

function orderWords(bound: BoundPlan): string {
	if (bound.order.length === 0) return '';
	return `, ${bound.order.map((each) => orderTerm(each.bound, each.direction, bound)).join(', then ')}`;
}

function orderTerm(by: Bound, direction: 'asc' | 'desc', {items, isAggregated}: BoundPlan): string {
	const isDown = direction === 'desc';
	const measures = items.filter((item) => isAggregated && item.bound.kind === 'aggregate');
	const isOnly = measures.length === 1 && measures[0]?.bound.sql === by.sql;
	if (isOnly && by.words.startsWith('count of')) return isDown ? 'most first' : 'fewest first';
	const [up, down] = ends(by.type);
	return `${isDown ? down : up}${isOnly ? '' : ` ${operandWords(by)}`} first`;
}

function ends(type: ColumnType): readonly [string, string] {
	const family = familyOf(type);
	if (family === 'date' || family === 'time') return ['earliest', 'latest'];
	if (family === 'text') return ['alphabetically first', 'alphabetically last'];
	if (family === 'boolean') return ['false', 'true'];
	return ['lowest', 'highest'];
}

function limitWords({plan, order, groups, isAggregated}: BoundPlan): string {
	if (isAggregated && groups.length === 0) return '';
	if (order.length > 0 && plan.limit < DEFAULT_PLAN_LIMIT) return `, top ${plan.limit}`;
	return `, at most ${plan.limit} ${isAggregated ? 'groups' : 'rows'}`;
}

function list(words: readonly string[]): string {
	if (words.length < 2) return words.join('');
	return `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`;
}
