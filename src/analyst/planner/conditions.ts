/** Reads conditions that name a value: of a text column, of a boolean one, a missing one, or an adjective that a description defines. */
import type {FilterOp} from '#contract/query-plan.ts';
import {
	columnsAt,
	type Draft,
	type Filter,
	isContrast,
	isKeyword,
	isMoment,
	keywordsOf,
	near,
	nounsAt,
	type Ref,
	rivals,
	use,
} from './draft.ts';
import type {Terms} from './link.ts';
import {tokenise} from './tokens.ts';
import {type Col, isKey, type ValueName} from './vocabulary.ts';

export function readConditions(draft: Draft): void {
	readNulls(draft);
	for (const at of draft.chunks.keys()) {
		const chunk = draft.chunks[at];
		if (draft.used.has(at)) continue;
		if (chunk?.kind === 'literal') readLiteral(draft, at, chunk.value);
		if (chunk?.kind === 'term') readTerm(draft, at, chunk.terms);
	}
}

function readTerm(draft: Draft, at: number, terms: Terms): void {
	const booleans = columnsAt(draft, at, ({column}) => column.type === 'boolean');
	if (booleans.length > 0) {
		readBoolean(draft, at, booleans);
		return;
	}
	if (terms.values.length > 0 && !isNoun(draft, at, terms)) {
		readValue(draft, at, terms.values);
		return;
	}
	const [definition] = terms.definitions;
	if (!definition || terms.columns.length + terms.nouns.length > 0) return;
	use(draft, at);
	const {op, value} = definition;
	if (
		draft.filters.some(
			({ref, op: other, value: same}) => ref.some(({column}) => column === definition.column) && op === other && value === same,
		)
	)
		return;
	draft.filters.push({ref: [definition], op, value, at});
	draft.assumptions.push(`“${draft.chunks[at]?.text}” means ${definition.column.name} ${op} ${value}, as its description says`);
}

/** A word that is both a noun and a value is the noun where something is counted, listed or grouped. */
function isNoun(draft: Draft, at: number, {nouns}: Terms): boolean {
	return nouns.length > 0 && isKeyword(draft, near(draft, at, -1), 'count', 'which', 'show', 'by', 'top');
}

function readNulls(draft: Draft): void {
	for (const at of keywordsOf(draft, 'missing')) readNull(draft, at, true);
	for (const at of keywordsOf(draft, 'present')) readNull(draft, at, false);
	for (const at of keywordsOf(draft, 'not')) readLack(draft, at);
}

function readNull(draft: Draft, at: number, isMissing: boolean): void {
	const before = near(draft, at, -1);
	const isNegated = isKeyword(draft, before, 'not');
	const side = [before, near(draft, at, 1)].find(
		(each) => each >= 0 && !draft.used.has(each) && columnsAt(draft, each).length > 0,
	);
	if (side === undefined) return;
	const op = isMissing !== isNegated ? 'is_null' : 'is_not_null';
	if (pushFilter(draft, {ref: columnsAt(draft, side), op, at: side})) use(draft, at, side, ...(isNegated ? [before] : []));
}

/** "no satisfaction score", "without a battery". */
function readLack(draft: Draft, at: number): void {
	const after = near(draft, at, 1);
	const chunk = draft.chunks[after];
	if (chunk?.kind !== 'term' || draft.used.has(after) || chunk.terms.values.length + chunk.terms.nouns.length > 0) return;
	const ref = columnsAt(draft, after, ({column}) => column.type !== 'boolean');
	if (ref.length === 0 || isKeyword(draft, near(draft, after, 1), 'compare')) return;
	if (!['no', 'without', 'lacking', 'lack'].includes(draft.chunks[at]?.lower ?? '')) return;
	if (pushFilter(draft, {ref, op: 'is_null', at: after})) use(draft, at, after);
}

function readBoolean(draft: Draft, at: number, ref: Ref): void {
	const before = negationBefore(draft, at, 2);
	const negation = before.length > 0 ? before : negationAfter(draft, at);
	use(draft, at, ...negation);
	pushFilter(draft, {ref, op: '=', value: negation.length === 0, at, isNever: isNever(draft, negation)});
}

/** "not" may be said of one row of many; these are said of all. */
function isNever({chunks}: Draft, negation: readonly number[]): boolean {
	return negation.some((at) => /^(never|no|without|lacking|lack|hasnt|havent)$/.test(chunks[at]?.lower ?? ''));
}

/** "the SLA was not met", "SLA missed" */
function negationAfter(draft: Draft, at: number): readonly number[] {
	const next = near(draft, at, 1);
	const isVerb = /^(not met|not|missed|failed|breached|violated|wasnt|isnt|werent)$/.test(draft.chunks[next]?.lower ?? '');
	const after = draft.chunks[near(draft, next, 1)];
	const isFree = after === undefined || after.kind === 'window' || draft.chunks[next]?.lower !== 'not';
	return isKeyword(draft, next, 'not') && isVerb && isFree && !draft.used.has(next) ? [next] : [];
}

/** The index of a negation among the few chunks before, as a list. */
function negationBefore(draft: Draft, at: number, reach: number): readonly number[] {
	let index = at;
	for (let step = 0; step < reach; step += 1) {
		index = near(draft, index, -1);
		if (isKeyword(draft, index, 'not') && !draft.used.has(index)) return [index];
		if (draft.chunks[index]?.kind !== 'term' || nounsAt(draft, index).length === 0) return [];
	}
	return [];
}

function readValue(draft: Draft, at: number, values: readonly ValueName[]): void {
	if (readAsMoment(draft, at, values)) return;
	const qualifier = qualifierOf(draft, at, values);
	const before = near(draft, at, -1);
	const options = byRole(draft, at, qualifier ? values.filter(({column}) => qualifier.columns.has(column.name)) : values);
	const direct = negationBefore(draft, at, 1);
	const negation = direct.length > 0 || !qualifier || qualifier.at > at ? direct : negationBefore(draft, qualifier.at, 1);
	const isEqual = isKeyword(draft, before, 'compare') && !draft.used.has(before);
	use(draft, at, ...negation, ...(qualifier ? [qualifier.at] : []), ...(isEqual ? [before] : []));
	const others = readAlternatives(draft, at, options);
	const value = options[0]?.value ?? '';
	const op: FilterOp = negation.length > 0 ? (others.length > 0 ? 'not_in' : '!=') : others.length > 0 ? 'in' : '=';
	pushFilter(draft, {
		ref: options,
		op,
		value: others.length > 0 ? [value, ...others] : value,
		at,
		isNever: isNever(draft, negation),
	});
}

/** "were resolved in January" is about when it happened, where a column says so. */
function readAsMoment(draft: Draft, at: number, values: readonly ValueName[]): boolean {
	if (draft.chunks[near(draft, at, 1)]?.kind !== 'window') return false;
	const [word] = tokenise(draft.chunks[at]?.text ?? '');
	const moments = draft.vocabulary.columns.filter(
		(col) => isMoment(col) && col.words.some(({root}) => root === word?.root) && values.some(({table}) => table === col.table),
	);
	if (moments.length !== 1) {
		const isHappening = /ed$/.test(word?.lower ?? '') && /^(was|were|got|been|get|gets)$/.test(draft.chunks[at - 1]?.lower ?? '');
		const times = draft.vocabulary.columns.filter((col) => isMoment(col) && values.some(({table}) => table === col.table));
		if (isHappening && times.length > 1) draft.problems.push(`no column says when something was ${word?.lower}`);
		return false;
	}
	use(draft, at);
	draft.moments.push(moments.map(({table, column}) => ({table, column})));
	return true;
}

/** The column's own name beside the value, as in "North zone" and "status is open". */
function qualifierOf(
	draft: Draft,
	at: number,
	values: readonly ValueName[],
): {readonly at: number; readonly columns: ReadonlySet<string>} | null {
	for (const step of [1, -1] as const) {
		let side = near(draft, at, step);
		if (step === -1 && isKeyword(draft, side, 'not', 'compare')) side = near(draft, side, -1);
		if (side < 0 || draft.used.has(side)) continue;
		const names = columnsAt(draft, side).map(({column}) => column.name);
		const shared = names.filter((name) => values.some(({column}) => column.name === name));
		if (shared.length > 0) return {at: side, columns: new Set(shared)};
	}
	return null;
}

const ORIGINS = /origin|source|from|start|depart/i;
const TARGETS = /dest|target|\bto\b|arriv|end/i;

/** "from A" and "to B" choose between columns that hold the same values. */
function byRole<T extends Col>(draft: Draft, at: number, options: readonly T[]): readonly T[] {
	if (rivals(options).length === 0) return options;
	const word = draft.chunks[at - 1]?.lower ?? '';
	const pattern = /^(from|departing|leaving)$/.test(word) ? ORIGINS : /^(to|into|towards)$/.test(word) ? TARGETS : null;
	const chosen = pattern ? options.filter(({column}) => pattern.test(column.name)) : [];
	return chosen.length > 0 ? chosen : options;
}

/** Further values of the same column, joined by "or", "and" or a comma. */
function readAlternatives(draft: Draft, at: number, options: readonly ValueName[]): readonly string[] {
	const found: string[] = [];
	for (let last = at; ; ) {
		const joint = near(draft, last, 1);
		const hasComma = draft.chunks[last + 1]?.lower === ',';
		const next = isKeyword(draft, joint, 'or', 'and') ? near(draft, joint, 1) : hasComma ? joint : -1;
		const chunk = draft.chunks[next];
		if (chunk?.kind !== 'term' || draft.used.has(next)) return found;
		const value = chunk.terms.values.find(({column, table}) =>
			options.some((option) => option.column === column && option.table === table),
		);
		if (!value) return found;
		if (isKeyword(draft, joint, 'or', 'and')) use(draft, joint);
		use(draft, next);
		found.push(value.value);
		last = next;
	}
}

/** A name the profile does not list, as a value of the one column that can hold it. */
function readLiteral(draft: Draft, at: number, value: string): void {
	const sides = [near(draft, at, -1), near(draft, at, 1)].filter((side) => side >= 0 && !draft.used.has(side));
	for (const side of sides) {
		const ref = columnsAt(draft, side, isOpen);
		if (ref.length === 0) continue;
		const before = near(draft, side, -1);
		use(draft, at, side, ...(isKeyword(draft, before, 'by') ? [before] : []));
		pushFilter(draft, {ref, op: 'iequals', value, at});
		draft.assumptions.push(`“${value}” is taken as a value of ${ref[0]?.column.name}`);
		return;
	}
	const candidates = byRole(
		draft,
		at,
		draft.vocabulary.columns.filter((col) => isOpen(col) && isBetween(value, col) && isMentioned(draft, col)),
	);
	const [only, second] = candidates;
	if (!only || second) return;
	use(draft, at);
	draft.doubts += 1;
	pushFilter(draft, {ref: [only], op: 'iequals', value, at});
	draft.assumptions.push(`“${value}” is taken as a value of ${only.column.name}`);
}

/** The question is about the column's table anyway, or about none. */
function isMentioned({chunks, vocabulary}: Draft, {table}: Col): boolean {
	const terms = chunks.flatMap((chunk) => (chunk.kind === 'term' ? [chunk.terms] : []));
	const tables = terms.flatMap(({columns, nouns}) =>
		[...nouns.filter(({entity}) => entity === null), ...columns].map((each) => each.table),
	);
	return tables.includes(table) || (tables.length === 0 && vocabulary.dataset.tables.length === 1);
}

/** Text of which the profile lists only a part, and which is no date. */
function isOpen({table, column}: Col): boolean {
	if (column.type !== 'text' || column.distinct <= (column.values?.length ?? 0)) return false;
	const sample = tokenise(String(column.min ?? ''));
	return (
		!(
			sample.length > 0 &&
			sample.every(({kind, lower}) => kind !== 'word' || /^(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)/.test(lower))
		) && !isKey({table, column})
	);
}

function isBetween(value: string, {column: {min, max}}: Col): boolean {
	const lower = value.toLowerCase();
	return String(min).toLowerCase() <= lower && lower <= String(max).toLowerCase();
}

function pushFilter(draft: Draft, filter: Filter): boolean {
	const names = rivals(filter.ref);
	if (names.length > 0) {
		draft.problems.push(`“${draft.chunks[filter.at]?.text}” could be about ${[...new Set(names)].join(' or ')}`);
		return false;
	}
	const ref = filter.ref.map(({table, column}) => ({table, column}));
	draft.filters.push({...filter, ref});
	if (filter.op === 'in' && isContrast(draft)) draft.groups.push({kind: 'column', ref});
	return true;
}
