/** Cuts a question into stretches that mean something: keywords, times, numbers, names, and what is not understood. */
import type {Bucket} from '#contract/query-plan.ts';
import {FILLERS, findKeyword, isMoneyWord, type Keyword} from './lexicon.ts';
import {findLink, type Link, type Terms} from './link.ts';
import {findBucket, findWindow, type TimeWindow} from './time-phrases.ts';
import type {Token} from './tokens.ts';
import {isYear, type Vocabulary} from './vocabulary.ts';

type Meaning =
	| {readonly kind: 'keyword'; readonly keyword: Keyword}
	| {readonly kind: 'window'; readonly window: TimeWindow}
	| {readonly kind: 'bucket'; readonly bucket: Bucket; readonly terms: Terms | null}
	| {readonly kind: 'number'; readonly value: number; readonly mark: 'percent' | 'money' | null}
	| {readonly kind: 'term'; readonly terms: Terms}
	| {readonly kind: 'literal'; readonly value: string}
	| {readonly kind: 'filler' | 'unknown'};

export type Chunk = Meaning & {
	readonly text: string;
	readonly lower: string;
	/** names more than one */
	readonly isPlural: boolean;
};

export function chunksOf(tokens: readonly Token[], vocabulary: Vocabulary): readonly Chunk[] {
	const chunks: Chunk[] = [];
	for (let at = 0; at < tokens.length; ) {
		const {meaning, length} = meaningAt(tokens, {at, vocabulary, before: chunks.at(-1)});
		const stretch = tokens.slice(at, at + length);
		const last = stretch.at(-1);
		chunks.push({
			...meaning,
			text: stretch.map(({text}) => text).join(' '),
			lower: stretch.map(({lower}) => lower).join(' '),
			isPlural: last !== undefined && last.lower !== last.stem && /s$|^(people|men|women|children)$/.test(last.lower),
		});
		at += length;
	}
	return chunks.map((chunk, at) => (isDescribed(chunk, chunks[at + 1]) ? {...chunk, kind: 'filler'} : chunk));
}

/** "customer satisfaction": a word that only the description of the column after it has. */
function isDescribed(chunk: Chunk, next: Chunk | undefined): boolean {
	if (chunk.kind !== 'unknown' || next?.kind !== 'term' || next.terms.columns.length === 0) return false;
	return next.terms.columns.every(({column}) =>
		column.description
			.toLowerCase()
			.split(/[^\p{L}\p{N}]+/u)
			.includes(chunk.lower),
	);
}

type Place = {readonly at: number; readonly vocabulary: Vocabulary; readonly before: Chunk | undefined};

function meaningAt(all: readonly Token[], {at, vocabulary, before}: Place): {readonly meaning: Meaning; readonly length: number} {
	const tokens = all.slice(at, at + 12);
	const link = findLink(tokens, vocabulary);
	const reach = link?.length ?? 0;
	const window = timeAt(tokens, vocabulary, before);
	if (window && window.length >= reach) return {meaning: {kind: 'window', window: window.found}, length: window.length};
	const keyword = findKeyword(tokens.map(({lower}) => lower));
	if (keyword && !isOutdone(keyword, link, {tokens, vocabulary}))
		return {meaning: {kind: 'keyword', keyword: keyword.keyword}, length: keyword.length};
	const bucket = findBucket(tokens);
	if (bucket && bucket.length >= reach && !isWhole(link)) {
		const terms = reach === bucket.length ? (link?.terms ?? null) : null;
		return {meaning: {kind: 'bucket', bucket: bucket.found, terms}, length: bucket.length};
	}
	return link ? {meaning: {kind: 'term', terms: link.terms}, length: link.length} : plainMeaning(tokens, vocabulary);
}

/** Of a word that names nothing. */
function plainMeaning(tokens: readonly Token[], vocabulary: Vocabulary): {readonly meaning: Meaning; readonly length: number} {
	const [first] = tokens;
	if (first?.value !== undefined) return {meaning: {kind: 'number', value: first.value, mark: first.mark ?? null}, length: 1};
	if (first?.kind === 'quoted') return {meaning: {kind: 'literal', value: first.text}, length: 1};
	if (first === undefined || FILLERS.has(first.lower)) return {meaning: {kind: 'filler'}, length: 1};
	return first.isName ? nameAt(tokens, vocabulary) : {meaning: {kind: 'unknown'}, length: 1};
}

/** Capitalised words in a row that nothing in the dataset is known by: perhaps a value that the profile does not list. */
function nameAt(tokens: readonly Token[], vocabulary: Vocabulary): {readonly meaning: Meaning; readonly length: number} {
	let length = 1;
	while (tokens[length]?.isName && !findLink(tokens.slice(length), vocabulary) && !FILLERS.has(tokens[length]?.lower ?? ''))
		length += 1;
	const value = tokens
		.slice(0, length)
		.map(({text}) => text)
		.join(' ');
	return {meaning: {kind: 'literal', value}, length};
}

function timeAt(
	tokens: readonly Token[],
	{dataset, columns}: Vocabulary,
	before: Chunk | undefined,
): ReturnType<typeof findWindow> {
	if (!columns.some((col) => isYear(col) || ['date', 'timestamp', 'timestamptz'].includes(col.column.type))) return null;
	const isCompared =
		before?.kind === 'keyword' &&
		(before.keyword.kind === 'compare' || before.keyword.kind === 'top' || before.keyword.kind === 'count');
	return isCompared && tokens[0]?.kind === 'number' ? null : findWindow(tokens, dataset.now);
}

function isWhole(link: Link | null): boolean {
	return link?.terms.columns.some(({strength}) => strength >= 0.9) ?? false;
}

/** A name goes before a keyword when it is longer, or when the keyword has nothing after it to work on. */
function isOutdone(
	{keyword, length}: {readonly keyword: Keyword; readonly length: number},
	link: Link | null,
	{tokens, vocabulary}: {readonly tokens: readonly Token[]; readonly vocabulary: Vocabulary},
): boolean {
	if (!link || link.length < length) return false;
	if (link.length > length) return true;
	if (link.terms.values.length > 0 && keyword.kind !== 'func') return true;
	if (!isWhole(link)) return false;
	const rest = tokens.slice(length).filter(({lower}) => !FILLERS.has(lower));
	const isFunction = keyword.kind === 'func' || keyword.kind === 'superlative';
	const followed =
		rest[0] !== undefined &&
		(findLink(rest, vocabulary) !== null ||
			isMoneyWord(rest[0].lower) ||
			findKeyword([rest[0].lower])?.keyword.kind === 'revenue');
	return isFunction ? !followed : keyword.kind !== 'by' && keyword.kind !== 'and' && keyword.kind !== 'or';
}
