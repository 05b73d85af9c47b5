import type {Json} from '#contract/json.ts';
import type {Table, Truncation} from '#contract/table.ts';

/** What a result says, in words made from nothing but the result. */
export function summarise({columns, rows, totalRows, truncated}: Table): string {
	const [first] = rows;
	if (!first) return truncated ? 'The first row is larger than the output limit, so no row could be shown.' : 'No rows matched.';
	const names = columns.map((column) => column.name);
	if (rows.length === 1 && names.length === 1 && !truncated) return scalar(names[0] ?? '', first[0] ?? null);
	const total = totalRows ?? rows.length;
	const count = countOf(totalRows, total);
	if (rows.length <= 5 && names.length <= 4) return few({columns, rows, truncated}, names, count);
	const shape = `${count} of ${names.length} ${names.length === 1 ? 'column' : 'columns'}`;
	const shown = truncated ? `, which shows the first ${number(rows.length)}` : '';
	const top = names.length > 1 && names.length <= 4 && !truncated ? ` The first: ${pairs(names, first)}.` : '';
	return `${shape} ${total === 1 ? 'is' : 'are'} in the result table${shown}.${top}`;
}

function countOf(totalRows: number | null, seen: number): string {
	return `${totalRows === null ? 'More than ' : ''}${number(seen)} ${seen === 1 ? 'row' : 'rows'}`;
}

function few(
	{columns, rows, truncated}: Pick<Table, 'columns' | 'rows' | 'truncated'>,
	names: readonly string[],
	count: string,
): string {
	const first = pairs(names, rows[0] ?? []);
	if (truncated) return `${count}, the first: ${first}. The result table shows the first ${number(rows.length)}.`;
	if (rows.length === 1) return `${first}. The result table has it too.`;
	const measured = oneMeasure(columns, rows);
	return measured ? `${measured}. The result table has them too.` : `${count}, the first: ${first}. All are in the result table.`;
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
	const [, things] = /^total_(\w+s)$/i.exec(name) ?? [];
	if (things !== undefined && Number.isInteger(value)) return `There are ${text(value)} total ${human(things)}.`;
	return `${sentenceCase(human(name).replace(/^total total\b/, 'total'))}: ${text(value, name)}.`;
}

/** Few groups with one number each are said whole: "Average discount by category: Books 9.3, Toys 8.1". */
function oneMeasure(columns: Table['columns'], rows: Table['rows']): string | null {
	const [group, measure, more] = columns;
	if (!group || !measure || more || group.type !== 'text' || !NUMBERS.has(measure.type)) return null;
	const said = rows.map((row) => `${text(row[0] ?? null)} ${text(row[1] ?? null)}`);
	const measured = COUNT_NAMES.has(measure.name.toLowerCase()) ? 'Count' : sentenceCase(human(measure.name));
	return `${measured} by ${human(group.name)}: ${said.join(', ')}`;
}

const NUMBERS: ReadonlySet<string> = new Set(['integer', 'decimal', 'double']);

function pairs(names: readonly string[], row: readonly Json[]): string {
	return names.map((name, index) => `${human(name)} = ${text(row[index] ?? null, name)}`).join(', ');
}

/** Numbers that name something: nobody groups the digits of an id or a year. */
const NAMING = /(?:^|_)(?:id|year|zip|code)$/i;

/** A cell as people write it. The table has every digit. */
function text(value: Json, name = ''): string {
	if (value === null) return 'empty';
	if (typeof value === 'number') return NAMING.test(name) ? String(value) : number(value);
	return clipped(typeof value === 'string' ? value : JSON.stringify(value));
}

/** More of a text than this is for the table to show. */
const MOST_CHARACTERS = 80;

function clipped(words: string): string {
	return words.length > MOST_CHARACTERS ? `${words.slice(0, MOST_CHARACTERS - 1).toWellFormed()}…` : words;
}

/** Digits as they came when they are few, else as many as say something: 95.24180967 is 95.24, 0.000123456 is 0.0001235. */
function number(value: number): string {
	const short = Number(value.toFixed(4)) === value || value === 0;
	if (short) return inDigits('short', value);
	return inDigits(Math.abs(value) >= 10 ? 'large' : 'small', value);
}

const DIGITS = {
	short: {maximumFractionDigits: 4},
	large: {maximumFractionDigits: 2},
	small: {maximumSignificantDigits: 4},
} as const;

/** Made when first used and kept: the first takes longer than a start can spare, and another for each number much longer than the number. */
const formats = new Map<keyof typeof DIGITS, Intl.NumberFormat>();

function inDigits(digits: keyof typeof DIGITS, value: number): string {
	const format = formats.get(digits) ?? new Intl.NumberFormat('en-US', DIGITS[digits]);
	formats.set(digits, format);
	return format.format(value);
}

const UNITS: Readonly<Record<string, string>> = {
	c: '°C',
	f: '°F',
	pct: '%',
	percent: '%',
	hours: 'hours',
	minutes: 'minutes',
	seconds: 'seconds',
	days: 'days',
	ms: 'ms',
	hpa: 'hPa',
	mm_s: 'mm/s',
	km: 'km',
	kg: 'kg',
	usd: 'USD',
	eur: 'EUR',
};
const UNIT = new RegExp(`^(.*[a-z].*)_(${Object.keys(UNITS).join('|')})$`);

/** A name of a column as words: `temperature_c` is "temperature (°C)". */
export function human(name: string): string {
	const [, bare = name, unit = ''] = UNIT.exec(name) ?? [];
	const words = bare.replaceAll('_', ' ').trim();
	return clipped(unit ? `${words} (${UNITS[unit]})` : words);
}

function sentenceCase(words: string): string {
	return words.charAt(0).toUpperCase() + words.slice(1);
}
