/** What to do about an error, in words for a person: names that were missed are answered with the names there are. */
import type {ErrorBody} from '#contract/errors.ts';

/** Enough to find a misspelling; the datasets page has all of them. */
const MOST_NAMES = 40;
const MOST_TABLES = 8;

export function hintOf({hint, details}: Pick<ErrorBody, 'hint' | 'details'>): string | undefined {
	const schema = details.schema_hint;
	if (typeof schema !== 'object' || schema === null || Array.isArray(schema)) return hint;
	const tables = Object.entries(schema).filter((entry): entry is [string, string[]] => Array.isArray(entry[1]));
	if (tables.length === 0) return hint;
	const named = tables.slice(0, MOST_TABLES).map(([table, columns]) => `${table} (${list(columns, MOST_NAMES)})`);
	const left = tables.length - named.length;
	return `the names there are: ${named.join('; ')}${left > 0 ? `; and ${left} more tables` : ''}`;
}

function list(names: readonly string[], most: number): string {
	const left = names.length - most;
	return left > 0 ? `${names.slice(0, most).join(', ')} and ${left} more` : names.join(', ');
}
