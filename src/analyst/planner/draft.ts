/** What a question asks for, before tables are chosen: filled in by readers that each know one kind of phrase. */
import type {AggregateFunc, Bucket, FilterOp, FilterValue} from '#contract/query-plan.ts';
import type {Chunk} from './chunks.ts';
import type {Keyword} from './lexicon.ts';
import type {TimeWindow} from './time-phrases.ts';
import {type Col, isKey, type Noun, type Vocabulary} from './vocabulary.ts';

/** Columns that the same words name; more than one only in different tables. */
export type Ref = readonly Col[];

/** What is counted, listed, grouped or ranked. */
export type Thing =
	| {readonly kind: 'noun'; readonly nouns: readonly Noun[]}
	| {readonly kind: 'column'; readonly ref: Ref}
	| {readonly kind: 'bucket'; readonly bucket: Bucket};

export type Operand = {readonly kind: 'column'; readonly ref: Ref} | {readonly kind: 'revenue'} | {readonly kind: 'moment'};
export type Measure =
	| {readonly func: AggregateFunc | 'default'; readonly operand: Operand}
	| {readonly func: 'count'; readonly operand: null};
export type Filter = {
	readonly ref: Ref;
	readonly op: FilterOp;
	readonly value?: FilterValue;
	readonly at: number;
	/** said with "never" or "without": of a thing with many rows it holds when it holds for all of them */
	readonly isNever?: boolean;
};
export type Having = {readonly measure: Measure; readonly op: FilterOp; readonly value: number | readonly [number, number]};
export type Rank = {
	readonly direction: 'asc' | 'desc';
	/** null: one, or ten where more than one is asked for */
	readonly limit: number | 'all' | null;
	readonly object: Thing | null;
	readonly by: Measure;
};

export type Draft = {
	readonly chunks: readonly Chunk[];
	readonly vocabulary: Vocabulary;
	/** indexes of chunks whose meaning is in the draft */
	readonly used: Set<number>;
	readonly measures: Measure[];
	readonly filters: Filter[];
	readonly windows: TimeWindow[];
	readonly groups: Thing[];
	readonly having: Having[];
	readonly columns: Ref[];
	/** columns of time that the question itself names */
	readonly moments: Ref[];
	readonly extras: Noun[][];
	readonly assumptions: string[];
	/** why the question is not answered */
	readonly problems: string[];
	subject: Thing | null;
	rank: Rank | null;
	share: Filter | null;
	sort: 'asc' | 'desc' | null;
	isCounted: boolean;
	isDistinct: boolean;
	isSpread: boolean;
	isTrend: boolean;
	/** the function of everything that names none, as "on average" says */
	usual: AggregateFunc | null;
	/** how many small guesses were made */
	doubts: number;
};

export function emptyDraft(chunks: readonly Chunk[], vocabulary: Vocabulary): Draft {
	return {
		...{
			chunks,
			vocabulary,
			used: new Set(),
			measures: [],
			filters: [],
			windows: [],
			groups: [],
			having: [],
			columns: [],
			moments: [],
			extras: [],
		},
		...{assumptions: [], problems: [], subject: null, rank: null, share: null, sort: null, isCounted: false, isDistinct: false},
		...{isSpread: false, isTrend: false, usual: null, doubts: 0},
	};
}

/** The index of the nearest chunk in a direction that says something, or -1. */
export function near({chunks}: Pick<Draft, 'chunks'>, from: number, step: 1 | -1): number {
	for (let at = from + step; at >= 0 && at < chunks.length; at += step) if (chunks[at]?.kind !== 'filler') return at;
	return -1;
}

export function keywordAt({chunks}: Pick<Draft, 'chunks'>, at: number): Keyword | null {
	const chunk = chunks[at];
	return chunk?.kind === 'keyword' ? chunk.keyword : null;
}

export function isKeyword(draft: Pick<Draft, 'chunks'>, at: number, ...kinds: readonly Keyword['kind'][]): boolean {
	const keyword = keywordAt(draft, at);
	return keyword !== null && kinds.includes(keyword.kind);
}

const CONTRASTS = /^(compare|vs|versus|compared (with|to)|as opposed to)$/;

/** "email vs chat" asks for each of them, where "email or chat" asks for both together. */
export function isContrast({chunks}: Pick<Draft, 'chunks'>): boolean {
	return chunks.some(({lower}) => CONTRASTS.test(lower));
}

/** Unused keywords of a kind, in order. */
export function keywordsOf(draft: Draft, kind: Keyword['kind']): readonly number[] {
	return draft.chunks.flatMap((_, at) => (isKeyword(draft, at, kind) && !draft.used.has(at) ? [at] : []));
}

const NUMBERS: ReadonlySet<string> = new Set(['integer', 'decimal', 'double']);
const MOMENTS: ReadonlySet<string> = new Set(['date', 'timestamp', 'timestamptz']);

export function isNumeric({column}: Pick<Col, 'column'>): boolean {
	return NUMBERS.has(column.type);
}

export function isMoment({column}: Pick<Col, 'column'>): boolean {
	return MOMENTS.has(column.type);
}

/** The columns a chunk can name, of those that pass; empty when it names none. */
export function columnsAt({chunks}: Pick<Draft, 'chunks'>, at: number, test: (col: Col) => boolean = () => true): Ref {
	const chunk = chunks[at];
	const terms = chunk?.kind === 'term' ? chunk.terms : chunk?.kind === 'bucket' ? chunk.terms : null;
	return (terms?.columns ?? []).filter(test).map(({table, column}) => ({table, column}));
}

export function nounsAt({chunks}: Pick<Draft, 'chunks'>, at: number): readonly Noun[] {
	const chunk = chunks[at];
	return chunk?.kind === 'term' || chunk?.kind === 'bucket' ? (chunk.terms?.nouns ?? []) : [];
}

/** Quantities: numbers that are neither keys nor years. */
export function quantitiesAt(draft: Pick<Draft, 'chunks'>, at: number): Ref {
	return columnsAt(draft, at, (col) => isNumeric(col) && !/(^|[^a-z])(id|year)$/i.test(col.column.name));
}

export function use(draft: Draft, ...indexes: readonly number[]): void {
	for (const at of indexes) draft.used.add(at);
}

/** The words for several columns that a phrase can mean, when one table has more than one of them. */
export function rivals(ref: Ref): readonly string[] {
	const tables = new Set(ref.map(({table}) => table.name));
	return tables.size === ref.length ? [] : ref.map(({column}) => column.name);
}

/** What a chunk names as something to count, list, group by or rank. */
export function thingAt(draft: Pick<Draft, 'chunks'>, at: number): Thing | null {
	const chunk = draft.chunks[at];
	if (chunk?.kind === 'bucket') {
		const nouns = nounsAt(draft, at);
		return nouns.length > 0 ? {kind: 'noun', nouns} : {kind: 'bucket', bucket: chunk.bucket};
	}
	if (chunk?.kind !== 'term') return null;
	const whole = chunk.terms.columns.filter(({strength}) => strength >= 0.9);
	const nouns = chunk.terms.nouns;
	const isKeyOfNoun = ({column}: Col) =>
		nouns.some(({entity, table}) => entity?.column === column || table.columns.includes(column));
	if (
		nouns.length > 0 &&
		(whole.length === 0 || whole.every((col) => isKeyOfNoun(col) && (/id$/i.test(col.column.name) || isKey(col))))
	)
		return {kind: 'noun', nouns};
	if (whole.length > 0) return {kind: 'column', ref: whole};
	if (chunk.terms.columns.length > 0) return {kind: 'column', ref: chunk.terms.columns};
	return null;
}
