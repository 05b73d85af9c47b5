/** The words of one dataset: what its tables, columns and values can be called. */
import type {ColumnProfile, Dataset, TableProfile} from '#contract/dataset.ts';
import {conceptOf, SILENT_NAME_WORDS, WEAK_NAME_WORDS} from './lexicon.ts';
import {stemOf, type Token, wordsOf} from './tokens.ts';

export type Col = {readonly table: TableProfile; readonly column: ColumnProfile};

/** A word of a name under which it is looked up, and how much it says. */
export type NameWord = {readonly concept: string; readonly root: string; readonly weight: number};

export type ColumnName = Col & {readonly words: readonly NameWord[]; readonly initials: string};
/** `entity` is the key column when a row is not one of what the noun names. */
export type Noun = {readonly stem: string; readonly table: TableProfile; readonly entity: Col | null};
export type ValueName = Col & {
	readonly value: string;
	readonly words: readonly {readonly concept: string; readonly root: string; readonly isParticiple: boolean}[];
};
/** An adjective that a description defines, as in "above 15 is dangerous". */
export type Definition = Col & {readonly concepts: readonly string[]; readonly op: '>' | '<' | '='; readonly value: number};

export type Vocabulary = {
	readonly dataset: Dataset;
	readonly columns: readonly ColumnName[];
	readonly nouns: readonly Noun[];
	/** by the concept of their first word */
	readonly values: ReadonlyMap<string, readonly ValueName[]>;
	readonly definitions: readonly Definition[];
};

const built = new WeakMap<Dataset, Vocabulary>();

export function vocabularyOf(dataset: Dataset): Vocabulary {
	const known = built.get(dataset);
	if (known) return known;
	const cols = dataset.tables.flatMap((table) => table.columns.map((column) => ({table, column})));
	const columns = cols.map(nameOfColumn);
	const vocabulary = {
		dataset,
		columns,
		nouns: dataset.tables.flatMap((table) => nounsOf(table, dataset)),
		values: valuesOf(cols),
		definitions: cols.flatMap(definitionsOf),
	};
	built.set(dataset, vocabulary);
	return vocabulary;
}

function nameOfColumn(col: Col): ColumnName {
	const all = wordsOf(col.column.name);
	const initials = all.map(({lower}) => lower[0] ?? '').join('');
	const loud = all.filter((word) => !SILENT_NAME_WORDS.has(word.lower));
	const words = (loud.length > 0 ? loud : all).map((word) => ({
		concept: conceptOf(word.stem),
		root: word.root,
		weight: WEAK_NAME_WORDS.has(word.stem) ? 0.4 : 1,
	}));
	return {...col, words, initials: all.length >= 3 ? initials : ''};
}

/** What a row of the table is called: its name, what its description says, a day where no day comes twice. */
function nounsOf(table: TableProfile, dataset: Dataset): readonly Noun[] {
	const name = wordsOf(table.name);
	const described = /\bone row per ([\p{L}]+)(?= of\b|\.|$)/iu.exec(table.description)?.[1]?.toLowerCase();
	const stems = [name.map(({stem}) => stem).join(' '), name.length > 1 ? (name.at(-1)?.stem ?? '') : ''];
	const own = stems.filter((stem) => stem !== '').map((stem) => ({stem, table, entity: entityNamed(stem, table)}));
	const daily = table.columns.some((column) => column.type === 'date' && isKey({table, column}));
	const entities = table.columns.flatMap((column) => entityNoun({table, column}, dataset));
	return [
		...own,
		...(described === undefined ? [] : [{stem: stemOf(described), table, entity: null}]),
		...(daily ? [{stem: 'day', table, entity: null}] : []),
		...entities,
	];
}

/** `sensors` are not the rows of a table that has each `sensor_id` many times. */
function entityNamed(stem: string, table: TableProfile): Col | null {
	const column = table.columns.find(({name}) => keyStem(name) === stem);
	return column && !isKey({table, column}) ? {table, column} : null;
}

function keyStem(name: string): string | null {
	const words = wordsOf(name);
	return words.length > 1 && words.at(-1)?.lower === 'id'
		? words
				.slice(0, -1)
				.map(({stem}) => stem)
				.join(' ')
		: null;
}

function entityNoun(col: Col, {tables}: Dataset): readonly Noun[] {
	const stem = keyStem(col.column.name);
	if (stem === null) return [];
	const isOwn = isKey(col);
	const isElsewhere =
		!isOwn &&
		tables.some(
			(table) => table !== col.table && table.columns.some((column) => column.name === col.column.name && isKey({table, column})),
		);
	return isElsewhere ? [{stem, table: col.table, entity: col}] : [{stem, table: col.table, entity: isOwn ? null : col}];
}

/** No value comes twice. */
export function isKey({table, column}: Col): boolean {
	return table.rows > 0 && column.nulls === 0 && column.distinct === table.rows;
}

/** A whole number that stands for a calendar year. */
export function isYear({column: {name, type, min, max}}: Pick<Col, 'column'>): boolean {
	return type === 'integer' && /(^|[^a-z])year([^a-z]|$)/i.test(name) && Number(min) >= 1_000 && Number(max) <= 2_200;
}

function valuesOf(cols: readonly Col[]): ReadonlyMap<string, readonly ValueName[]> {
	const index = new Map<string, ValueName[]>();
	for (const name of cols.filter(({column}) => column.type === 'text').flatMap(valueNames)) {
		const [first] = name.words;
		const keys = first ? new Set([first.concept, `~${first.root}`]) : [];
		for (const key of keys) index.set(key, [...(index.get(key) ?? []), name]);
	}
	return index;
}

function valueNames(col: Col): readonly ValueName[] {
	return (col.column.values ?? []).flatMap(({value}) => {
		if (typeof value !== 'string') return [];
		const words = wordsOf(value).map(({stem, root, lower}: Token) => ({
			concept: conceptOf(stem),
			root,
			isParticiple: lower.endsWith('ed'),
		}));
		return [{...col, value, words}];
	});
}

const DEFINITION =
	/\b(?:(above|over|below|under) )?(\d+(?:\.\d+)?)[^.;,\d]{0,20}? (?:is|are|counts as|means) ([\p{L}]+(?: [\p{L}]+)?)/giu;

function definitionsOf(col: Col): readonly Definition[] {
	return [...col.column.description.matchAll(DEFINITION)].map(([, side = '', number = '', words = '']) => ({
		...col,
		concepts: words.toLowerCase().split(' ').map(stemOf),
		op: /above|over/i.test(side) ? '>' : side === '' ? '=' : '<',
		value: Number(number),
	}));
}
