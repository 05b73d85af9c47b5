/** Names of tables and columns, made from what files call them. */
import {quoted} from '../views.ts';

/** The file's stem, or a sheet's name, as an identifier that SQL needs no quotes for and nobody has taken. */
export function toTableName(name: string, taken: Set<string>, reserved: ReadonlySet<string>): string {
	const plain = name
		.normalize('NFKD')
		.replace(/\p{M}/gu, '')
		.toLowerCase()
		.replace(/[^a-z0-9_]+/g, '_')
		.replace(/^_+|_+$/g, '')
		.slice(0, 55);
	const started = /^[a-z_]/.test(plain) ? plain : plain === '' ? 'table_1' : `t_${plain}`;
	const base = reserved.has(started) ? `${started}_` : started;
	let unique = base;
	for (let suffix = 2; taken.has(unique); suffix++) unique = `${base}_${suffix}`;
	taken.add(unique);
	return unique;
}

/** `orders.csv.gz` is about `orders`. */
export function stemOf(file: string): string {
	return file.replace(/^.*\//, '').replace(/(\.(csv|tsv|txt|json|ndjson|jsonl|parquet|xlsx|gz))+$/i, '');
}

export type ColumnName = {readonly name: string; readonly originalName?: string};

/** Headers as they are, trimmed; empty ones are numbered, and of equal ones (the engine ignores case) the later get a suffix. */
export function toColumnNames(headers: readonly string[], notices: string[]): ColumnName[] {
	const taken = new Set<string>();
	const columns = headers.map((header, index) => {
		const wanted = header.trim() || `column_${index + 1}`;
		let name = wanted;
		for (let suffix = 2; taken.has(name.toLowerCase()); suffix++) name = `${wanted}_${suffix}`;
		taken.add(name.toLowerCase());
		return name === header ? {name} : {name, originalName: header};
	});
	const empty = columns.filter(({originalName}) => originalName?.trim() === '').map(({name}) => name);
	if (empty.length > 0) notices.push(`${plural(empty.length, 'column')} had no name: now ${listed(empty)}`);
	const renamed = columns.filter(({name, originalName}) => originalName?.trim() && originalName.trim() !== name);
	if (renamed.length > 0) {
		const pairs = renamed.map(({name, originalName}) => `${originalName?.trim()} → ${name}`);
		notices.push(`${plural(renamed.length, 'column')} had a name that was taken: ${listed(pairs)}`);
	}
	return columns;
}

const LISTED = 5;

export function listed(names: readonly string[]): string {
	const more = names.length - LISTED;
	return names.slice(0, LISTED).join(', ') + (more > 0 ? ` and ${more} more` : '');
}

export function plural(count: number, noun: string): string {
	return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

/** A column of the raw table, by position. */
export function rawColumn(index: number): string {
	return quoted(`c${index}`);
}
