/** Reads rankings: "top 10 products by revenue", "which category has the lowest average", "oldest open tickets". */

import {
	columnsAt,
	type Draft,
	isKeyword,
	isMoment,
	isNumeric,
	keywordAt,
	keywordsOf,
	type Measure,
	near,
	nounsAt,
	quantitiesAt,
	type Rank,
	type Ref,
	rivals,
	type Thing,
	thingAt,
	use,
} from './draft.ts';
import {conceptOf} from './lexicon.ts';
import {unitOf} from './units.ts';
import {type Col, isYear} from './vocabulary.ts';

export function readRanking(draft: Draft): void {
	readSorting(draft);
	const [at] = [...keywordsOf(draft, 'top'), ...keywordsOf(draft, 'superlative')];
	if (at === undefined) return;
	const keyword = keywordAt(draft, at);
	if (keyword?.kind === 'top') readTop(draft, at, keyword.direction);
	if (keyword?.kind === 'superlative') readSuperlativeAt(draft, at);
}

function readSuperlativeAt(draft: Draft, at: number): void {
	const keyword = keywordAt(draft, at);
	if (keyword?.kind === 'superlative') readSuperlative(draft, at, {direction: keyword.direction, concept: keyword.concept});
}

function readSorting(draft: Draft): void {
	for (const at of keywordsOf(draft, 'sorted')) {
		const keyword = keywordAt(draft, at);
		if (keyword?.kind !== 'sorted') continue;
		if (keyword.direction !== null) {
			draft.sort = keyword.direction;
			use(draft, at);
			continue;
		}
		const measure = measureAt(draft, near(draft, at, 1));
		if (!measure) continue;
		use(draft, at);
		draft.sort ??= 'desc';
		draft.rank = {direction: draft.sort, limit: 'all', object: null, by: measure};
	}
}

type Counted = {readonly at: number; readonly value: number};

/** A bare number before what is ranked: "10 products", "5 largest". */
function limitBefore(draft: Draft, at: number): Counted | null {
	for (const [index, chunk] of draft.chunks.entries()) {
		if (index >= at || chunk.kind !== 'number' || chunk.mark !== null || draft.used.has(index)) continue;
		const next = near(draft, index, 1);
		if (next === at || thingAt(draft, next) || hasValue(draft, next)) return {at: index, value: chunk.value};
	}
	return null;
}

function hasValue({chunks}: Draft, at: number): boolean {
	const chunk = chunks[at];
	return chunk?.kind === 'term' && chunk.terms.values.length > 0;
}

function readTop(draft: Draft, top: number, direction: 'asc' | 'desc'): void {
	use(draft, top);
	const next = near(draft, top, 1);
	const number = draft.chunks[next];
	const limit = number?.kind === 'number' ? number.value : null;
	const start = limit === null ? top : next;
	const superlative = keywordsOf(draft, 'superlative')[0];
	if (superlative !== undefined && near(draft, start, 1) === superlative) {
		readSuperlativeAt(draft, superlative);
		return;
	}
	if (limit !== null) use(draft, next);
	const object = objectFrom(draft, start);
	const [head, by] = rankedBy(draft, superlative);
	const rank = {direction, limit: limit ?? 10, object};
	if (head !== null) {
		use(draft, head);
		setRank(draft, {...rank, by});
	} else if (draft.groups.length > 0 && object === null)
		draft.rank = {...rank, by: {func: 'default', operand: {kind: 'column', ref: []}}};
	else draft.problems.push('by what to rank is not said');
}

/** The measure after "by", or after a superlative, with the keyword before it. */
function rankedBy(draft: Draft, superlative: number | undefined): readonly [number, Measure] | readonly [null, null] {
	for (const head of [...keywordsOf(draft, 'by'), ...(superlative === undefined ? [] : [superlative])]) {
		const measure = measureAt(draft, near(draft, head, 1));
		if (measure) return [head, measure];
	}
	return [null, null];
}

/** The thing after a number or keyword, past values that only qualify it. */
function objectFrom(draft: Draft, start: number): Thing | null {
	let at = near(draft, start, 1);
	for (let seen = 0; at >= 0 && seen < 4; at = near(draft, at, 1), seen += 1) {
		if (draft.chunks[at]?.kind === 'keyword') return null;
		const isCondition = hasValue(draft, at) && nounsAt(draft, at).length === 0;
		const thing = isCondition || draft.used.has(at) ? null : thingAt(draft, at);
		if (thing) return takeObject(draft, at, thing);
	}
	return null;
}

function takeObject(draft: Draft, at: number, thing: Thing): Thing {
	use(draft, at);
	const next = near(draft, at, 1);
	const qualified = thing.kind === 'noun' && next === at + 1 ? thingAt(draft, next) : null;
	if (qualified?.kind !== 'column' || qualified.ref.every(isNumeric)) return thing;
	use(draft, next);
	return qualified;
}

/** The measure that begins at a chunk: marks what it takes as used only when there is one. */
function measureAt(draft: Draft, at: number): Measure | null {
	if (at < 0 || draft.used.has(at)) return null;
	const keyword = keywordAt(draft, at);
	if (keyword?.kind === 'revenue') {
		use(draft, at);
		return {func: 'sum', operand: {kind: 'revenue'}};
	}
	if (keyword?.kind === 'count') return countAt(draft, at);
	if (keyword?.kind !== 'func') return columnMeasureAt(draft, at) ?? qualifiedCountAt(draft, at);
	const inner = measureAt(draft, near(draft, at, 1));
	if (!inner) return null;
	use(draft, at);
	if (inner.operand === null) return keyword.func === 'sum' ? inner : null;
	return {func: keyword.func, operand: inner.operand};
}

function countAt(draft: Draft, at: number): Measure {
	const noun = near(draft, at, 1);
	if (nounsAt(draft, noun).length > 0 && !draft.used.has(noun)) {
		use(draft, noun);
		draft.subject ??= {kind: 'noun', nouns: nounsAt(draft, noun)};
	}
	use(draft, at);
	return {func: 'count', operand: null};
}

/** "the most anomalies", "the most open tickets": rows for which a condition holds, which is read later. */
function qualifiedCountAt(draft: Draft, at: number): Measure | null {
	const isCondition = hasValue(draft, at) || columnsAt(draft, at, ({column}) => column.type === 'boolean').length > 0;
	if (!isCondition) return null;
	const next = near(draft, at, 1);
	if (nounsAt(draft, next).length > 0 && !draft.used.has(next)) {
		draft.subject ??= {kind: 'noun', nouns: nounsAt(draft, next)};
		use(draft, next);
	}
	return {func: 'count', operand: null};
}

function columnMeasureAt(draft: Draft, at: number): Measure | null {
	const ref = quantitiesAt(draft, at);
	const described = ref.length > 0 ? ref : spentAt(draft, at);
	if (described.length > 0) {
		const names = rivals(described);
		if (names.length > 0) draft.problems.push(`“${draft.chunks[at]?.text}” could be ${names.join(' or ')}`);
		use(draft, at);
		return {func: 'default', operand: {kind: 'column', ref: described}};
	}
	const next = near(draft, at, 1);
	if (nounsAt(draft, at).length === 0) return null;
	if (next === at + 1 && quantitiesAt(draft, next).length > 0) {
		use(draft, at);
		return columnMeasureAt(draft, next);
	}
	draft.subject ??= {kind: 'noun', nouns: nounsAt(draft, at)};
	use(draft, at);
	return {func: 'count', operand: null};
}

/** A word that no name has, such as "spend", but that means what one description of an amount of money says. */
export function spentAt(draft: Draft, at: number): Ref {
	const chunk = draft.chunks[at];
	if (chunk?.kind !== 'unknown' && chunk?.kind !== 'term') return [];
	const concept = conceptOf(chunk.lower);
	if (concept !== 'cost') return [];
	const found = draft.vocabulary.columns.filter(
		(col) =>
			unitOf(col) === '$' &&
			col.column.description
				.toLowerCase()
				.split(/[^a-z]+/)
				.some((word) => conceptOf(word) === concept),
	);
	return found.length === 1 ? found.map(({table, column}) => ({table, column})) : [];
}

type Superlative = {readonly direction: 'asc' | 'desc'; readonly concept: string | undefined};

function readSuperlative(draft: Draft, at: number, {direction, concept}: Superlative): void {
	const counted = limitBefore(draft, at) ?? limitAfter(draft, at);
	if (counted) use(draft, counted.at);
	const limit = counted?.value ?? null;
	const which = keywordsOf(draft, 'which')[0] ?? keywordsOf(draft, 'show')[0] ?? -1;
	use(draft, at);
	if (concept !== undefined) readConcept(draft, at, {direction, concept, limit: counted, which});
	else if (!readNamedRank(draft, at, direction, limit)) readPlainRank(draft, at, {direction, limit: counted, which});
}

function readPlainRank(draft: Draft, at: number, {direction, limit: counted, which}: Omit<Concept, 'concept'>): void {
	const limit = counted?.value ?? null;
	const measure = measureAt(draft, near(draft, at, 1)) ?? spentBefore(draft, at) ?? shareAfter(draft, at);
	const isBefore = counted !== null && counted.at < at && near(draft, counted.at, 1) !== at;
	const start = which >= 0 && which < at ? which : at > 0 ? -1 : at;
	const object = objectFrom(draft, isBefore ? counted.at : start);
	const isOfRows = measure !== null && measure.operand === null && object === null && draft.groups.length === 0;
	if (isOfRows) rankRows(draft, direction, limit);
	else if (measure) setRank(draft, {direction, limit, object, by: measure});
	else rankBySize(draft, {direction, limit, object});
}

function rankBySize(draft: Draft, rank: Omit<Rank, 'by'>): void {
	const size = sizeOf(draft);
	if (size.length === 0) draft.problems.push('what should be the highest or lowest is not said');
	else setRank(draft, {...rank, by: {func: 'default', operand: {kind: 'column', ref: size}}});
}

/** "the 10 best products by sales": an adjective for which "by" says what it means. */
function readNamedRank(draft: Draft, at: number, direction: 'asc' | 'desc', limit: number | null): boolean {
	const next = near(draft, at, 1);
	if (thingAt(draft, next) === null || quantitiesAt(draft, near(draft, next, 1)).length > 0) return false;
	if (quantitiesAt(draft, next).length > 0 && nounsAt(draft, next).length === 0) return false;
	const [head, by] = rankedBy(draft, undefined);
	if (head === null) return false;
	use(draft, head);
	setRank(draft, {direction, limit, object: objectFrom(draft, at), by});
	return true;
}

/** "the lowest percentage of …": of what, is read later. */
function shareAfter(draft: Draft, at: number): Measure | null {
	return isKeyword(draft, near(draft, at, 1), 'share') ? {func: 'count', operand: null} : null;
}

/** "who spent the most": the verb is the measure. */
function spentBefore(draft: Draft, at: number): Measure | null {
	const before = near(draft, at, -1);
	const ref = draft.used.has(before) || thingAt(draft, before) ? [] : spentAt(draft, before);
	if (ref.length === 0) return null;
	use(draft, before);
	return {func: 'sum', operand: {kind: 'column', ref}};
}

function limitAfter(draft: Draft, at: number): Counted | null {
	const next = near(draft, at, 1);
	const chunk = draft.chunks[next];
	return chunk?.kind === 'number' && chunk.mark === null && thingAt(draft, near(draft, next, 1))
		? {at: next, value: chunk.value}
		: null;
}

/** "the 5 largest orders": of the rows, by the one amount they have. */
function rankRows(draft: Draft, direction: 'asc' | 'desc', limit: number | null): void {
	const object = draft.subject;
	const size = sizeOf(draft);
	if (!object || size.length !== 1) return void draft.problems.push('by what to rank is not said');
	draft.assumptions.push(`size is measured by ${size[0]?.column.name}`);
	setRank(draft, {direction, limit: limit ?? null, object, by: {func: 'default', operand: {kind: 'column', ref: size}}});
}

/** The amount of what is ranked, where it has exactly one. */
function sizeOf(draft: Draft): Ref {
	const tables = new Set(draft.subject?.kind === 'noun' ? draft.subject.nouns.map(({table}) => table) : []);
	const amounts = draft.vocabulary.columns.filter(
		(col) =>
			isNumeric(col) &&
			tables.has(col.table) &&
			col.words.some(({concept}) => ['amount', 'size', 'population', 'magnitude'].includes(concept)),
	);
	return amounts.length === 1 ? amounts.map(({table, column}) => ({table, column})) : [];
}

type Concept = {
	readonly direction: 'asc' | 'desc';
	readonly concept: string;
	readonly limit: Counted | null;
	readonly which: number;
};

function readConcept(draft: Draft, at: number, {direction, concept, limit, which}: Concept): void {
	const count = limit?.value ?? null;
	const named = measureNext(draft, at, concept);
	const start = limit && limit.at > at ? limit.at : at;
	const object = named ? objectFrom(draft, which) : ((which >= 0 ? objectFrom(draft, which) : null) ?? objectFrom(draft, start));
	const isWaiting = concept === 'duration' && !named && WAITING.test(around(draft, at));
	const rank = {direction, limit: count, object};
	if (named) setRank(draft, {...rank, by: named});
	else if (concept === 'often') setRank(draft, {...rank, by: {func: 'count', operand: null}});
	else if (concept === 'moment') setRank(draft, {...rank, by: BY_MOMENT});
	else if (isWaiting) setRank(draft, {...rank, direction: direction === 'desc' ? 'asc' : 'desc', by: BY_MOMENT});
	else rankByConcept(draft, at, concept, rank);
}

const WAITING = /\b(open|waiting|pending|unresolved|active|running|in progress)\b/;
const BY_MOMENT: Measure = {func: 'default', operand: {kind: 'moment'}};

function rankByConcept(draft: Draft, at: number, concept: string, rank: Omit<Rank, 'by'>): void {
	const word = draft.chunks[at]?.text;
	const ref = conceptColumns(draft, concept, rank.object);
	if (ref.length === 1) setRank(draft, {...rank, by: {func: 'default', operand: {kind: 'column', ref}}});
	else if (ref.length === 0) draft.problems.push(`no column says what “${word}” measures`);
	else draft.problems.push(`“${word}” could be measured by ${ref.map(({column}) => column.name).join(' or ')}`);
}

/** "longest resolution time", "first release date": the column is named. */
function measureNext(draft: Draft, at: number, concept: string): Measure | null {
	const next = near(draft, at, 1);
	if (concept === 'often' || draft.used.has(next)) return null;
	if (concept === 'moment') {
		const ref = columnsAt(draft, next, (col) => isMoment(col) || isYear(col));
		if (ref.length !== 1 || nounsAt(draft, next).length > 0) return null;
		use(draft, next);
		return {func: 'default', operand: {kind: 'column', ref}};
	}
	return quantitiesAt(draft, next).length > 0 && nounsAt(draft, next).length === 0 ? measureAt(draft, next) : null;
}

function around(draft: Draft, at: number): string {
	return [near(draft, at, -1), near(draft, at, 1)].map((side) => draft.chunks[side]?.lower ?? '').join(' ');
}

const DURATIONS: ReadonlySet<string> = new Set(['duration', 'runtime', 'running', 'length', 'resolution', 'elapsed']);
const PRICES: ReadonlySet<string> = new Set(['price', 'cost']);

function conceptColumns({vocabulary}: Draft, concept: string, object: Thing | null): Ref {
	const tables = new Set(object?.kind === 'noun' ? object.nouns.map(({table}) => table) : []);
	const wanted = concept === 'duration' ? DURATIONS : concept === 'price' ? PRICES : new Set([concept]);
	const found = vocabulary.columns.filter((col) => isNumeric(col) && col.words.some((word) => wanted.has(word.concept)));
	const near_ = found.filter(({table}) => tables.has(table));
	return (near_.length > 0 ? near_ : found).map(({table, column}: Col) => ({table, column}));
}

function setRank(draft: Draft, rank: Rank): void {
	draft.rank = rank;
	const which = keywordsOf(draft, 'which');
	use(draft, ...which, ...keywordsOf(draft, 'show'));
}
