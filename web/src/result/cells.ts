/** How values of a result read. Formatting is by the column's type and, as a reader would, by its name. */
import type {Result} from '#contract/api.ts';
import type {ColumnType} from '#contract/table.ts';

export type Cell = Result['rows'][number][number];
export type Column = {
	readonly name: string;
	readonly type: ColumnType;
	readonly look: Look;
	/** decimals of a column whose values have more than anybody reads; null shows them as they are */
	readonly digits: number | null;
};
type Look = 'number' | 'plain-number' | 'money' | 'text';

const MONEY = /revenue|price|amount|cost|total|sales|profit|discount|spend|spent/i;
/** Numbers that name something: nobody groups the digits of a year or an id. */
const NAMES = /(^|[_\s.-])(id|ids|year|yr|zip|zipcode|postcode|postal_code|phone)$|[a-z]I[dD]$|year_number$/i;

export function columnsOf({
	columns,
	column_types,
	rows = [],
}: Pick<Result, 'columns' | 'column_types'> & Partial<Pick<Result, 'rows'>>): Column[] {
	return columns.map((name, index) => {
		const type = column_types[index] ?? 'text';
		return {name, type, look: lookOf(name, type), digits: type === 'double' ? digitsOf(rows, index) : null};
	});
}

export function isNumeric(type: ColumnType): boolean {
	return type === 'integer' || type === 'decimal' || type === 'double';
}

/** Data that was written with few decimals keeps them; a computed average gets as many as its size deserves. */
function digitsOf(rows: Result['rows'], index: number): number | null {
	let most = 0;
	let isLong = false;
	for (const row of rows) {
		const value = row[index];
		if (typeof value !== 'number') continue;
		most = Math.max(most, Math.abs(value));
		isLong ||= Number(value.toFixed(6)) !== value;
	}
	if (!isLong) return null;
	return most >= 10 ? 2 : most >= 1 ? 3 : 4;
}

function lookOf(name: string, type: ColumnType): Look {
	if (!isNumeric(type)) return 'text';
	if (NAMES.test(name)) return 'plain-number';
	return MONEY.test(name) && type !== 'integer' ? 'money' : 'number';
}

const WHOLE = new Intl.NumberFormat('en-US', {maximumFractionDigits: 0});
const MONEY_FORMAT = new Intl.NumberFormat('en-US', {minimumFractionDigits: 2, maximumFractionDigits: 2});
const FLOAT = new Intl.NumberFormat('en-US', {maximumFractionDigits: 6});

/** Null is the caller's to show: it must not look like text. */
export function formatCell(value: Exclude<Cell, null>, {type, look, digits}: Column): string {
	if (look === 'number' && digits !== null && typeof value === 'number') return formatDouble(value, digits);
	if (look !== 'text' && (typeof value === 'number' || typeof value === 'string')) return formatNumber(value, look);
	if (typeof value === 'object') return JSON.stringify(value);
	if (typeof value === 'string' && (type === 'timestamp' || type === 'timestamptz'))
		return value.replace('T', ' ').replace(/\.0+(?=Z|$)/, '');
	return String(value);
}

function formatDouble(value: number, digits: number): string {
	const isTiny = value !== 0 && Math.abs(value) < 0.5 * 10 ** -digits;
	if (isTiny || Math.abs(value) >= 1e15) return value.toPrecision(3);
	return value.toLocaleString('en-US', {minimumFractionDigits: digits, maximumFractionDigits: digits});
}

function formatNumber(value: number | string, look: Look): string {
	if (look === 'plain-number') return String(value);
	if (typeof value === 'string') return groupDigits(value);
	if (look === 'money') return MONEY_FORMAT.format(value);
	if (Number.isInteger(value)) return WHOLE.format(value);
	// Rounding to six places would show a small number as none.
	return Math.abs(value) < 1e-6 || Math.abs(value) >= 1e15 ? String(value) : FLOAT.format(value);
}

/** Integers and decimals that a double cannot hold stay text, with every digit. */
function groupDigits(value: string): string {
	const [, sign = '', whole, rest = ''] = /^(-?)(\d+)(\.\d+)?$/.exec(value) ?? [];
	return whole === undefined ? value : `${sign}${whole.replace(/\B(?=(\d{3})+$)/g, ',')}${rest}`;
}

/** The value itself, unformatted: what belongs into another program. */
function rawCell(value: Cell): string {
	if (value === null) return '';
	return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** Tabs and line breaks would move cells; a leading `=`, `+`, `-` or `@` of text would run as a formula where it is pasted. */
export function toTsv(columns: readonly Column[], rows: readonly (readonly Cell[])[], header: boolean): string {
	const clean = (text: string) => text.replace(/[\t\r\n]+/g, ' ');
	const guard = (text: string) => (/^\s*[=+\-@]/.test(text) ? `'${text}` : text);
	const cell = (value: Cell, column: Column | undefined) =>
		column && isNumeric(column.type) ? rawCell(value) : guard(clean(rawCell(value)));
	const lines = rows.map((row) => row.map((value, index) => cell(value, columns[index])).join('\t'));
	return (header ? [columns.map(({name}) => guard(clean(name))).join('\t'), ...lines] : lines).join('\n');
}

export function toMarkdown(columns: readonly Column[], rows: readonly (readonly Cell[])[]): string {
	const clean = (text: string) =>
		text
			.replace(/\\/g, '\\\\')
			.replace(/\|/g, '\\|')
			.replace(/</g, '&lt;')
			.replace(/[\r\n]+/g, ' ');
	const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
	const rule = columns.map((column) => (isNumeric(column.type) ? '---:' : '---'));
	return [
		line(columns.map(({name}) => clean(name))),
		line(rule),
		...rows.map((row) => line(row.map((value) => clean(rawCell(value))))),
	].join('\n');
}

const SAMPLE = 200;

/** Wide enough for what is there, within reason; measured in characters because nothing is drawn yet. */
export function columnWidths(columns: readonly Column[], rows: readonly (readonly Cell[])[]): number[] {
	return columns.map((column, index) => {
		let longest = Math.max(column.name.length + 2, column.type.length);
		for (const row of rows.slice(0, SAMPLE)) {
			const value = row[index] ?? null;
			longest = Math.max(longest, value === null ? 4 : formatCell(value, column).length);
		}
		return Math.round(Math.min(340, Math.max(72, longest * 7.4 + 26)));
	});
}

export type Sort = {readonly column: number; readonly descending: boolean} | null;

/** Sorts what is shown, nulls last; the query's own order is `null`. */
export function sortRows(rows: readonly (readonly Cell[])[], sort: Sort): readonly (readonly Cell[])[] {
	if (!sort) return rows;
	const {column, descending} = sort;
	const direction = descending ? -1 : 1;
	return rows.toSorted((left, right) => {
		const [a, b] = [left[column] ?? null, right[column] ?? null];
		if (a === null || b === null) return (a === null ? 1 : 0) - (b === null ? 1 : 0);
		return direction * compare(a, b);
	});
}

const COLLATOR = new Intl.Collator(undefined, {numeric: true});

function compare(a: Exclude<Cell, null>, b: Exclude<Cell, null>): number {
	if (typeof a === 'number' && typeof b === 'number') return a - b;
	return COLLATOR.compare(rawCell(a), rawCell(b));
}
