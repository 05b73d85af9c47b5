/** What a stretch of a question can mean in a dataset. */
import {conceptOf, ROW_WORDS} from './lexicon.ts';
import type {Token} from './tokens.ts';
import type {Col, ColumnName, Definition, Noun, ValueName, Vocabulary} from './vocabulary.ts';

/** Everything the stretch may mean; `strength` 1 is the whole name. */
export type Terms = {
	readonly columns: readonly (Col & {readonly strength: number; readonly words: readonly string[]})[];
	readonly values: readonly ValueName[];
	readonly nouns: readonly Noun[];
	readonly definitions: readonly Definition[];
	/** any row, whatever the table */
	readonly isRow: boolean;
};

export type Link = {readonly terms: Terms; readonly length: number};

const MAX_WORDS = 7;
const MIN_PART = 0.25;
/** May stand inside a name without being part of it. */
const INNER: ReadonlySet<string> = new Set(['of', 'the', 'per', 'in', 'their', 'its', 'our', 'and']);

/** The longest stretch at the beginning of `tokens` that names something. */
export function findLink(tokens: readonly Token[], vocabulary: Vocabulary): Link | null {
	const [first] = tokens;
	if (!first || first.kind === 'symbol' || first.kind === 'date') return null;
	for (let length = Math.min(MAX_WORDS, tokens.length); length > 0; length -= 1) {
		const stretch = tokens.slice(0, length);
		const last = stretch.at(-1);
		if (!last || INNER.has(first.lower) || (length > 1 && INNER.has(last.lower))) continue;
		if (first.kind === 'number' && length === 1) continue;
		const terms = termsOf(
			stretch.filter(({lower}) => length === 1 || !INNER.has(lower)),
			vocabulary,
		);
		if (terms) return {terms, length};
	}
	return null;
}

function termsOf(words: readonly Token[], vocabulary: Vocabulary): Terms | null {
	if (words.some(({kind}) => kind === 'symbol' || kind === 'date')) return null;
	const columns = columnsFor(words, vocabulary);
	const values = valuesFor(words, vocabulary);
	const nouns = nounsFor(words, vocabulary);
	const concepts = words.map(({stem}) => stem).join(' ');
	const definitions = vocabulary.definitions.filter((definition) => definition.concepts.join(' ') === concepts);
	const isRow = words.length === 1 && ROW_WORDS.has(words[0]?.stem ?? '');
	if (columns.length + values.length + nouns.length + definitions.length === 0 && !isRow) return null;
	return {columns, values, nouns, definitions, isRow};
}

/** Those whose name has all of the words; the ones with the fewest other words. */
function columnsFor(words: readonly Token[], {columns}: Vocabulary): Terms['columns'] {
	const found = columns.flatMap((name) => {
		const strength = strengthOf(words, name);
		return strength > 0 ? [{table: name.table, column: name.column, strength, words: words.map(({lower}) => lower)}] : [];
	});
	const best = Math.max(0, ...found.map(({strength}) => strength));
	// a part of several names is not settled by which of them is shorter
	return found.filter(({strength}) => (best >= 0.85 ? strength >= best - 0.01 : strength >= MIN_PART));
}

function strengthOf(words: readonly Token[], {words: name, initials}: ColumnName): number {
	if (words.length === 1 && initials !== '' && words[0]?.lower === initials) return 1;
	const left = [...name];
	let matched = 0;
	let exact = 1;
	for (const word of words) {
		const same = left.findIndex(({concept}) => concept === conceptOf(word.stem));
		const at = same >= 0 ? same : left.findIndex(({root}) => root === word.root && root.length >= 3);
		const found = left[at];
		if (!found) return 0;
		if (same < 0) exact = 0.9;
		matched += found.weight;
		left.splice(at, 1);
	}
	const whole = name.reduce((sum, {weight}) => sum + weight, 0);
	return whole === 0 ? 0 : (exact * matched) / whole;
}

function valuesFor(words: readonly Token[], {values}: Vocabulary): readonly ValueName[] {
	const [first] = words;
	if (!first) return [];
	const near = [...new Set([...(values.get(conceptOf(first.stem)) ?? []), ...(values.get(`~${first.root}`) ?? [])])];
	const sameLength = near.filter((value) => value.words.length === words.length);
	const exact = sameLength.filter((value) =>
		value.words.every(({concept}, index) => concept === conceptOf(words[index]?.stem ?? '')),
	);
	if (exact.length > 0) return exact;
	return sameLength.filter((value) =>
		value.words.every(
			({root, isParticiple}, index) =>
				root === words[index]?.root && root.length >= 3 && (!isParticiple || words[index]?.lower.endsWith('ed') === true),
		),
	);
}

function nounsFor(words: readonly Token[], {nouns}: Vocabulary): readonly Noun[] {
	const stem = words.map((word) => word.stem).join(' ');
	const concept = words.map((word) => conceptOf(word.stem)).join(' ');
	const whole = nouns.filter(
		(noun) =>
			noun.stem === stem || noun.stem.split(' ').map(conceptOf).join(' ') === concept || noun.stem === stem.replaceAll(' ', ''),
	);
	if (whole.length > 0) return whole;
	const [only] = words;
	return words.length === 1 && only && only.stem.length >= 4 ? nouns.filter((noun) => noun.stem.endsWith(only.stem)) : [];
}
