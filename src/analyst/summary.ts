import type {Json} from '#contract/json.ts';
import type {Table, Truncation} from '#contract/table.ts';

/** What a result says, in words made from nothing but the result. */
export function summarise({columns, rows, totalRows, truncated}: Table): string {
	const [first] = rows;
	if (!first) return truncated ? 'The first row is larger than the output limit, so no row could be shown.' : 'No rows matched.';
	const names = columns.map((column) => column.name);
	if (rows.length === 1 && names.length === 1) return scalar(names[0] ?? '', first[0] ?? null);
	const count = `${number(totalRows ?? rows.length)} ${totalRows === 1 ? 'row' : 'rows'}`;
	if (rows.length <= 5 && names.length <= 4) {
		if (rows.length === 1) return `${pairs(names, first)}. The result table has it too.`;
		return `${count}, the first: ${pairs(names, first)}. All are in the result table.`;
	}
	return `${count} of ${names.length} ${names.length === 1 ? 'column' : 'columns'} are in the result table${truncated ? `, which shows the first ${number(rows.length)}` : ''}.`;
}

/** The notice that goes with every result that is not whole. */
export function truncationNotice({by, limit, total}: Truncation, shown: number): string {
	const of = total === null ? 'more rows' : `${number(total)} rows`;
	const cap =
		by === 'rows'
			? `the row limit is ${number(limit)} (MAX_ROWS)`
			: `the size limit is ${number(limit)} bytes (MAX_OUTPUT_BYTES)`;
	return `Showing ${number(shown)} of ${of}: ${cap}. Export the run for all of them.`;
}

const COUNT_NAMES = new Set(['count', 'n', 'total', 'total_count', 'row_count', 'count_star()']);

function scalar(name: string, value: Json): string {
	if (COUNT_NAMES.has(name.toLowerCase())) return `The answer is ${text(value)}.`;
	if (name.toLowerCase().startsWith('total_')) return `There are ${text(value)} total ${human(name.slice('total_'.length))}.`;
	return `${sentenceCase(human(name))}: ${text(value)}.`;
}

function pairs(names: readonly string[], row: readonly Json[]): string {
	return names.map((name, index) => `${human(name)} = ${text(row[index] ?? null)}`).join(', ');
}

/** A cell as people write it: never rounded beyond what the table shows. */
function text(value: Json): string {
	if (value === null) return 'empty';
	if (typeof value === 'number') return number(value);
	return typeof value === 'string' ? value : JSON.stringify(value);
}

function number(value: number): string {
	return value.toLocaleString('en-US', {maximumFractionDigits: 6});
}

function human(name: string): string {
	return name.replaceAll('_', ' ').trim();
}

function sentenceCase(words: string): string {
	return words.charAt(0).toUpperCase() + words.slice(1);
}
