/** Groups and measures of a plan, with the names their results get. */
import type {Bucket, Expr, SelectItem} from '#contract/query-plan.ts';
import type {Making} from './compose.ts';
import {isMoment, isNumeric, type Measure, type Operand, type Rank, type Thing} from './draft.ts';
import {ADDITIVE, conceptOf} from './lexicon.ts';
import {revenueOf} from './revenue.ts';
import {keyOf, momentOf, parentsOf, resolve} from './tables.ts';
import {wordsOf} from './tokens.ts';
import {unitOf} from './units.ts';
import {type Col, isKey, isYear} from './vocabulary.ts';

export type Part = {
	readonly items: readonly SelectItem[];
	readonly keys: readonly Expr[];
	readonly alias: string;
	readonly isTime: boolean;
};
export type Clause = {readonly item: SelectItem; readonly alias: string};
type Problem = {readonly problem: string};

export function groupItem(making: Making, thing: Thing): Part | null {
	if (thing.kind === 'bucket') return bucketPart(making, thing.bucket);
	if (thing.kind === 'column') {
		const col = resolve(thing.ref, making.source);
		return col && isMoment(col) ? timePart(making, col, spanBucket(col)) : col && columnPart(making, col);
	}
	const entities = thing.nouns.flatMap(({entity, table}) => (entity ? [entity] : rowKey({table})));
	const col = resolve(entities, making.source);
	return col ? entityPart(making, col) : null;
}

function rowKey({table}: Pick<Col, 'table'>): readonly Col[] {
	return table.columns
		.map((column) => ({table, column}))
		.filter(isKey)
		.slice(0, 1);
}

function columnPart({name}: Making, col: Col): Part {
	return {items: [{column: name(col)}], keys: [{column: name(col)}], alias: col.column.name, isTime: isYear(col)};
}

/** The key with what it is called, where the table it belongs to says. */
function entityPart(making: Making, col: Col): Part {
	const {source, name} = making;
	const owner = [...parentsOf(source.base, source.dataset)].find(
		([, way]) => way.at(-1)?.from.table === col.table && way.at(-1)?.from.column === col.column,
	)?.[0];
	const label = owner?.columns.find((column) => column.type === 'text' && /^(name|title|label)$/i.test(column.name));
	const part = columnPart(making, col);
	if (!owner || !label) return part;
	const labelled = resolve([{table: owner, column: label}], source);
	if (!labelled) return part;
	return {...part, items: [...part.items, {column: name(labelled)}], keys: [...part.keys, {column: name(labelled)}]};
}

function bucketPart(making: Making, bucket: Bucket): Part | null {
	const col = momentColumn(making);
	if (!col) return null;
	if (isYear(col)) return bucket === 'year' || making.draft.isTrend ? columnPart(making, col) : null;
	if (col.column.type === 'date' && (bucket === 'hour' || bucket === 'hour_of_day')) return null;
	const isAny = making.draft.isTrend && !making.draft.groups.some(({kind}) => kind === 'bucket');
	return timePart(making, col, isAny ? spanBucket(col) : bucket);
}

function timePart({name, draft}: Making, col: Col, bucket: Bucket): Part {
	if (draft.vocabulary.columns.filter((each) => each.table === col.table && isMoment(each)).length > 1)
		assume(draft, `time is ${col.column.name}`);
	return {items: [{bucket, column: name(col), alias: bucket}], keys: [bucket], alias: bucket, isTime: true};
}

const DAY_MS = 86_400_000;

/** Buckets of which a chart shows neither three nor three thousand. */
function spanBucket({column: {min, max}}: Col): Bucket {
	const days = (Date.parse(String(max)) - Date.parse(String(min))) / DAY_MS;
	if (days <= 2) return 'hour';
	if (days <= 92) return 'day';
	return days <= 4 * 366 ? 'month' : 'year';
}

/** The column of time the question names, else the one that says when rows were recorded. */
export function momentColumn({draft, source}: Making): Col | null {
	const [named] = draft.moments;
	if (named) return resolve(named, source);
	const found = momentOf(source.base, source.dataset);
	return found && resolve([found], source);
}

export function composeMeasures(making: Making): readonly Clause[] | Problem {
	const {draft} = making;
	if (draft.isSpread) return composeSpread(making);
	const named: readonly Measure[] =
		draft.measures.length > 0 ? draft.measures : draft.columns.map((ref) => ({func: 'default', operand: {kind: 'column', ref}}));
	const isCounted = draft.isCounted || named.length === 0;
	if (draft.usual !== null && draft.isCounted) return {problem: 'an average of counts takes two steps, and a plan has one'};
	if (named.some((measure) => isOfTotals(making, measure)))
		return {problem: 'an average per group of what adds up can be the average of its rows or of its totals'};
	const clauses: Clause[] = [];
	for (const measure of [...(isCounted ? [COUNT] : []), ...named]) {
		const clause = measure.operand === null ? countClause(making) : measureClause(making, measure.func, measure.operand);
		if ('problem' in clause) return clause;
		clauses.push(clause);
	}
	return clauses;
}

const COUNT: Measure = {func: 'count', operand: null};

/** Each group's count, or measure, and its share of the whole. */
function composeSpread(making: Making): readonly Clause[] | Problem {
	const [own] = making.draft.measures;
	const counted = own && own.operand !== null ? measureClause(making, own.func, own.operand) : countClause(making);
	if ('problem' in counted) return counted;
	return [counted, {item: {window: 'percent_of_total', column: counted.alias, alias: 'percent'}, alias: 'percent'}];
}

/** "average revenue per order": of lines, or of orders? */
function isOfTotals({draft, source}: Making, {func, operand}: Measure): boolean {
	if (func !== 'avg' || operand === null || operand.kind === 'moment') return false;
	const isPerThing = draft.chunks.some(({lower}) => lower === 'per') && draft.groups.some(({kind}) => kind === 'noun');
	const col = operand.kind === 'column' ? resolve(operand.ref, source) : null;
	return isPerThing && (operand.kind === 'revenue' || (col !== null && isAdditive(col)));
}

export function rankMeasure(making: Making, {by, direction}: Rank): Clause | Problem {
	const {draft} = making;
	if (by.operand === null) return countClause(making);
	if (by.func !== 'default') return measureClause(making, by.func, by.operand);
	if (by.operand.kind !== 'column') return measureClause(making, direction === 'desc' ? 'max' : 'min', by.operand);
	const [ref] = by.operand.ref.length > 0 ? [by.operand.ref] : draft.columns;
	const col = ref ? resolve(ref, making.source) : null;
	if (!ref || !col) return countClause(making);
	const func = draft.usual ?? usualFor(col, direction);
	if (func === 'sum' || func === 'avg') assume(draft, `${col.column.name} is ${func === 'sum' ? 'added up' : 'averaged'}`);
	return measureClause(making, func, {kind: 'column', ref});
}

/** How a group is judged by a column when the question names no function. */
function usualFor(col: Col, direction: 'asc' | 'desc'): 'sum' | 'avg' | 'max' | 'min' {
	if (isAdditive(col)) return 'sum';
	if (isScore(col)) return 'avg';
	return direction === 'desc' ? 'max' : 'min';
}

/** Counts what is asked about: rows, or the different things they are of. */
export function countClause(making: Making): Clause | Problem {
	const {draft, source, name} = making;
	const subject = draft.subject;
	const alias = 'count';
	if (subject?.kind === 'column') {
		const col = resolve(subject.ref, source);
		if (!col) return {problem: 'what is to be counted cannot be joined'};
		return {item: {func: 'count_distinct', column: name(col), alias}, alias};
	}
	if (subject?.kind === 'bucket') return {problem: 'periods of time cannot be counted'};
	const noun =
		subject?.nouns.find(({table}) => table === source.base) ??
		subject?.nouns.find(({table}) => parentsOf(source.base, source.dataset).has(table));
	if (!noun || (noun.entity === null && noun.table === source.base)) return {item: {func: 'count', alias}, alias};
	const entity = noun.entity
		? resolve(subject?.nouns.flatMap((each) => each.entity ?? []) ?? [], source)
		: keyOf(noun.table, source);
	const key = entity && resolve([entity], source);
	return key ? {item: {func: 'count_distinct', column: name(key), alias}, alias} : {problem: 'what is to be counted has no key'};
}

export function measureClause(making: Making, wanted: Measure['func'], operand: Operand): Clause | Problem {
	const {source, name} = making;
	if (operand.kind === 'revenue') return revenueClause(making, wanted === 'default' || wanted === 'count' ? 'sum' : wanted);
	const col = operand.kind === 'moment' ? momentColumn(making) : resolve(operand.ref, source);
	if (!col) return {problem: 'what is to be computed cannot be joined'};
	const func = wanted === 'default' ? defaultFunc(making, col) : wanted;
	const problem = misuse(func, col, source.base);
	if (problem !== null) return {problem};
	const words = wordsOf(col.column.name).map(({lower}) => lower);
	const alias = identifier(`${WORDS[func] ?? func}_${words.join('_')}`);
	return {item: {func, column: name(col), alias}, alias};
}

/** Why a function of this column would say something wrong; null when it would not. */
function misuse(func: string, col: Col, base: Col['table']): string | null {
	const isExtreme = func === 'min' || func === 'max';
	if (!isNumeric(col) && !isMoment(col)) return `${col.column.name} holds no numbers`;
	if (func === 'sum' && isIntensive(col)) return `adding up ${col.column.name} means nothing`;
	if (isExtreme) return null;
	if (isMoment(col)) return `${col.column.name} is a time`;
	return col.table === base
		? null
		: `${col.column.name} belongs to ${col.table.name}, whose rows would be counted more than once`;
}

const WORDS: Readonly<Record<string, string>> = {avg: 'average', sum: 'total', min: 'lowest', max: 'highest'};

function defaultFunc({draft}: Making, col: Col): Exclude<Measure['func'], 'default' | 'count'> {
	if (draft.usual !== null && draft.usual !== 'count') return draft.usual;
	const func = isAdditive(col) ? 'sum' : 'avg';
	draft.doubts += 1;
	assume(draft, `${col.column.name} is ${func === 'sum' ? 'added up' : 'averaged'}`);
	return func;
}

export function assume({assumptions}: Making['draft'], text: string): void {
	if (!assumptions.includes(text)) assumptions.push(text);
}

const INTENSIVE: ReadonlySet<string> = new Set([
	'rate',
	'rating',
	'score',
	'percent',
	'average',
	'median',
	'temperature',
	'humidity',
	'csat',
	'latitude',
	'longitude',
]);

/** A sum of percentages, ratings or temperatures is no quantity. */
function isIntensive(col: Col): boolean {
	return unitOf(col) === '%' || unitOf(col) === '°' || wordsOf(col.column.name).some(({stem}) => INTENSIVE.has(conceptOf(stem)));
}

/** Marks that many rows share, so that the best single one tells groups apart badly. */
function isScore({column: {name}}: Col): boolean {
	return wordsOf(name).some(({stem}) => ['rate', 'rating', 'score', 'csat'].includes(conceptOf(stem)));
}

function isAdditive(col: Col): boolean {
	const unit = unitOf(col);
	const words = wordsOf(col.column.name).map(({stem}) => conceptOf(stem));
	if (isIntensive(col) || words.some((word) => ['price', 'maximum', 'minimum'].includes(word))) return false;
	return unit === '$' || unit === 'piece' || words.some((word) => ADDITIVE.has(word));
}

function revenueClause(making: Making, func: Exclude<Measure['func'], 'default'>): Clause | Problem {
	const {source, name, draft} = making;
	const revenue = revenueOf(source.dataset);
	if (!revenue || revenue.table !== source.base) return {problem: 'revenue would be counted more than once'};
	const {price, quantity, discount, isPercent} = revenue;
	const factors: Expr[] = [{column: name(price)}, {column: name(quantity)}];
	if (discount) {
		const column = {column: name(discount)};
		factors.push({op: '-', args: [1, isPercent ? {op: '/', args: [column, 100]} : column]});
	}
	assume(
		draft,
		`revenue is ${price.column.name} × ${quantity.column.name}${discount ? ` less ${discount.column.name}` : ''}, over all rows ${draft.filters.length > 0 ? 'that match' : 'whatever became of them'}`,
	);
	const alias = func === 'sum' ? 'revenue' : `${WORDS[func] ?? func}_revenue`;
	return {item: {func, expr: {op: '*', args: factors}, alias}, alias};
}

export function identifier(text: string): string {
	return (
		text
			.replaceAll(/[^\p{L}\p{N}_]+/gu, '_')
			.replaceAll(/_+/g, '_')
			.replaceAll(/^_|_$/g, '')
			.slice(0, 60) || 'value'
	);
}
