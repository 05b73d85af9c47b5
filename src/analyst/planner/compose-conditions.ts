/** Filters, windows of time, conditions on groups, and shares. */
import type {Condition, Conditions} from '#contract/query-plan.ts';
import type {Making} from './compose.ts';
import {assume, type Clause, countClause, measureClause, momentColumn} from './compose-measures.ts';
import type {Draft, Filter, Having} from './draft.ts';
import {isOfAllRows} from './group-conditions.ts';
import {keyOf, resolve} from './tables.ts';
import type {TimeWindow} from './time-phrases.ts';
import {stemOf} from './tokens.ts';
import {type Col, isYear} from './vocabulary.ts';

type Problem = {readonly problem: string};

export function composeConditions(making: Making): readonly Condition[] | Problem {
	const {draft} = making;
	const conditions: Condition[] = [];
	const impossible = contradictionOf(making);
	if (impossible) return impossible;
	for (const filter of draft.filters) {
		if (isOfAllRows(filter, making)) continue;
		assumeUndecided(making, filter);
		const condition = composeFilter(making, filter);
		if ('problem' in condition) return condition;
		conditions.push(condition);
	}
	if (draft.windows.length > 1) return {problem: 'it names more than one time'};
	for (const window of draft.windows) {
		const col = momentColumn(making);
		const conditionsOf = col && windowConditions(making, col, window);
		if (!conditionsOf) return {problem: 'the time it names does not fit a column of this dataset'};
		conditions.push(...conditionsOf);
	}
	return conditions;
}

/** Two values that one column cannot have in the same row. */
function contradictionOf({draft, source}: Making): Problem | null {
	const seen = new Map<string, Filter>();
	for (const filter of draft.filters) {
		const col = filter.op === '=' ? resolve(filter.ref, source) : null;
		if (!col) continue;
		const key = `${col.table.name}.${col.column.name}`;
		const other = seen.get(key);
		if (other && other.value !== filter.value)
			return {problem: `no row has both ${other.value} and ${filter.value} as its ${col.column.name}`};
		seen.set(key, filter);
	}
	return null;
}

function composeFilter({source, name}: Making, {ref, op, value}: Filter): Condition | Problem {
	const col = resolve(ref, source);
	if (!col) return {problem: 'a condition cannot be joined'};
	return {column: name(col), op, ...(value === undefined ? {} : {value})};
}

function windowConditions({name, draft, dataset}: Making, col: Col, window: TimeWindow): readonly Condition[] | null {
	const column = name(col);
	if (isYear(col)) return yearConditions(column, window);
	const isOneOfMany =
		draft.vocabulary.columns.filter((each) => each.table === col.table && /^(date|timestamp)/.test(each.column.type)).length > 1;
	if (isOneOfMany) assume(draft, `time is ${col.column.name}`);
	if (window.kind !== 'range') {
		if (dataset.now === null) return null;
		assume(draft, `now is ${dataset.now.replace('T', ' ')}, the end of the data`);
		if (window.kind === 'period') return [{column, op: 'in_period', value: window.period}];
		if (col.column.type === 'date' && (window.unit === 'hour' || window.unit === 'minute')) return null;
		return [{column, op: window.kind === 'last' ? 'in_last' : 'older_than', value: {amount: window.amount, unit: window.unit}}];
	}
	const {from, to} = window;
	return [
		...(from === null ? [] : [{column, op: '>=' as const, value: from}]),
		...(to === null ? [] : [{column, op: '<' as const, value: to}]),
	];
}

function yearConditions(column: string, window: TimeWindow): readonly Condition[] | null {
	if (window.kind !== 'range' || window.years === null) return null;
	const [from, to] = window.years;
	if (from !== null && from === to) return [{column, op: '=', value: from}];
	if (from !== null && to !== null) return [{column, op: 'between', value: [from, to]}];
	return from === null ? [{column, op: '<=', value: to ?? 0}] : [{column, op: '>=', value: from}];
}

export function composeHaving(making: Making): readonly Condition[] | Problem {
	const {having, filters} = making.draft;
	const never = filters.filter((filter) => isOfAllRows(filter, making));
	const conditions: Condition[] = [];
	for (const each of [...having.map((one) => groupCondition(making, one)), ...never.map((one) => noneCondition(making, one))]) {
		if ('problem' in each) return each;
		conditions.push(each);
	}
	return conditions;
}

function groupCondition(making: Making, {measure, op, value}: Having): Condition | Problem {
	const clause =
		measure.operand === null
			? countClause(withoutSubject(making))
			: measureClause(making, measure.func === 'default' ? 'avg' : measure.func, measure.operand);
	if ('problem' in clause) return clause;
	const {alias: _alias, ...expr} = clause.item as Extract<Clause['item'], {func: string}>;
	return {expr, op, value: typeof value === 'number' ? value : [...value]};
}

function noneCondition(making: Making, filter: Filter): Condition | Problem {
	const condition = composeFilter(making, affirmed(filter));
	return 'problem' in condition ? condition : {expr: {func: 'count', where: condition}, op: '=', value: 0};
}

/** The condition that "never" or "without" negates. */
function affirmed(filter: Filter): Filter {
	if (typeof filter.value === 'boolean') return {...filter, value: !filter.value};
	return {...filter, op: filter.op === 'not_in' ? 'in' : '='};
}

/** What a group has more than so many of is the noun after the number, not what is listed. */
function withoutSubject(making: Making): Making {
	const [nouns] = making.draft.extras;
	return {...making, draft: {...making.draft, subject: nouns ? {kind: 'noun', nouns} : null} satisfies Draft};
}

/** The percentage of rows, or of the things that rows are of, for which the condition holds. */
export function composeShare(making: Making, share: Filter): {readonly items: readonly Clause[]} | Problem {
	const {draft, source, name} = making;
	const col = resolve(share.ref, source);
	const condition = composeFilter(making, share);
	if (!col || 'problem' in condition) return {problem: 'the share cannot be computed over joined tables'};
	leaveOutUndecided(draft, col);
	const alias = 'percent';
	const counted = countClause(making);
	if ('problem' in counted) return counted;
	const isOfRows = col.table === source.base && (counted.item as {func?: string}).func === 'count';
	if (isOfRows) return {items: [{item: {func: 'rate', if: condition, alias}, alias}, counted]};
	const key = (counted.item as {func?: string; column?: string}).func === 'count_distinct' ? counted.item : keyItem(making, col);
	if (!key) return {problem: 'the share cannot be computed over joined tables'};
	const {column} = key as {column: string};
	assume(draft, `each ${name(col).split('.')[0]} row counts once in each group`);
	const part = {func: 'count_distinct' as const, column, where: condition as Conditions};
	const all = {func: 'count_distinct' as const, column};
	const percent = {op: '/' as const, args: [{op: '*' as const, args: [100, part]}, all]};
	return {
		items: [
			{item: {expr: percent, alias}, alias},
			{item: {...all, alias: 'count'}, alias: 'count'},
		],
	};
}

function keyItem({source, name}: Making, col: Col): {readonly column: string} | null {
	const key = keyOf(col.table, source);
	const resolved = key && resolve([key], source);
	return resolved ? {column: name(resolved)} : null;
}

function leaveOutUndecided(draft: Draft, col: Col): void {
	for (const {column, value} of undecidedOf(draft, col)) {
		draft.filters.push({ref: [{table: col.table, column}], op: '!=', value, at: -1});
		assume(draft, `rows with ${column.name} ${value} are left out, because ${col.column.name} is not decided for them`);
	}
}

/** Of a count or a list they are a part, since each of them has the value that is asked for. */
function assumeUndecided({draft, source}: Making, {ref, value}: Filter): void {
	const col = value === false ? resolve(ref, source) : null;
	if (!col) return;
	for (const {column, value: state} of undecidedOf(draft, col))
		assume(draft, `rows with ${column.name} ${state} count too, although ${col.column.name} is not decided for them`);
}

type Undecided = {readonly column: Col['column']; readonly value: string};

/** "false while it is open" says that for open rows nothing is decided yet. */
function undecidedOf(draft: Draft, {table, column}: Col): readonly Undecided[] {
	const [, state] = /\b(?:false|true|no|yes) (?:while|until|unless|as long as)\b([^.;,]*)/i.exec(column.description) ?? [];
	if (state === undefined) return [];
	const words = new Set(
		state
			.toLowerCase()
			.split(/[^\p{L}]+/u)
			.map(stemOf),
	);
	return table.columns.flatMap((other) => {
		const value = other.values?.find((each) => typeof each.value === 'string' && words.has(stemOf(each.value.toLowerCase())));
		if (!value || typeof value.value !== 'string' || draft.filters.some(({ref}) => ref.some((each) => each.column === other)))
			return [];
		return [{column: other, value: value.value}];
	});
}
