/** Quoting: the only places where names and values of a plan or dataset become SQL text. */
import type {ColumnType} from '#contract/table.ts';

export type Scalar = string | number | boolean | null;

export function quoteIdentifier(name: string): string {
	return `"${name.replaceAll('"', '""')}"`;
}

export function quoteText(text: string): string {
	return `'${text.replaceAll("'", "''")}'`;
}

export function scalarSql(value: Scalar): string {
	if (value === null) return 'NULL';
	if (typeof value === 'boolean') return value ? 'TRUE' : 'FALSE';
	if (typeof value === 'number') return Object.is(value, -0) ? '0' : String(value);
	return quoteText(value);
}

/** LIKE pattern in which nothing of `text` is a wildcard; goes with `ESCAPE '\'`. */
export function likePattern(text: string, anchor: 'both' | 'start' | 'end'): string {
	const escaped = text.replaceAll(/[\\%_]/g, (character) => `\\${character}`);
	const pattern = `${anchor === 'start' ? '' : '%'}${escaped}${anchor === 'end' ? '' : '%'}`;
	return `${quoteText(pattern)} ESCAPE '\\'`;
}

/** A value as a reader sees it in a sentence. */
export function scalarWords(value: Scalar): string {
	if (value === null) return 'missing';
	if (typeof value !== 'string') return String(value);
	return /^[\p{L}\p{N}](?:[\p{L}\p{N} ._:-]*[\p{L}\p{N}])?$/u.test(value) ? value : JSON.stringify(value);
}

type Family = 'number' | 'text' | 'boolean' | 'date' | 'time' | 'interval' | 'blob' | 'json' | 'any';

const FAMILIES: Readonly<Record<ColumnType, Family>> = {
	boolean: 'boolean',
	integer: 'number',
	decimal: 'number',
	double: 'number',
	text: 'text',
	date: 'date',
	time: 'time',
	timestamp: 'date',
	timestamptz: 'date',
	interval: 'interval',
	blob: 'blob',
	json: 'json',
	null: 'any',
};

export function familyOf(type: ColumnType): Family {
	return FAMILIES[type];
}

/** Whether values of the two types can be compared without the engine guessing a conversion. */
export function isComparable(a: ColumnType, b: ColumnType): boolean {
	const [left, right] = [FAMILIES[a], FAMILIES[b]];
	return left === right || left === 'any' || right === 'any';
}

const TYPE_NAMES: Readonly<Partial<Record<ColumnType, string>>> = {
	integer: 'a whole number',
	decimal: 'a decimal number',
	double: 'a number',
	timestamptz: 'a timestamp with zone',
	boolean: 'a boolean',
	null: 'missing',
};

export function typeWords(type: ColumnType): string {
	return TYPE_NAMES[type] ?? (type === 'text' || type === 'json' ? type : `${/^[aeiou]/.test(type) ? 'an' : 'a'} ${type}`);
}
