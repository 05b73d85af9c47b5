import {type Io, paint, printable} from './io.ts';

type Align = 'left' | 'right';
type Width = {readonly natural: number; width: number};

const GAP = 2;
/** A column is not squeezed below this; what still does not fit is left out, and said so. */
const MIN_WIDTH = 6;

/** Columns as wide as they need to be, squeezed until the line fits the terminal. Numbers stand right. */
export function renderTable(
	header: readonly string[],
	rows: readonly (readonly unknown[])[],
	io: Pick<Io, 'columns' | 'colour'>,
): string {
	const digits = header.map((_, index) => digitsOf(rows, index));
	const cells = rows.map((row) => header.map((_, index) => toText(row[index], digits[index] ?? null)));
	const aligns = header.map((_, index): Align => (rows.some((row) => isNumeric(row[index])) ? 'right' : 'left'));
	const widths = header.map((name, index): Width => {
		const natural = Math.max(widthOf(name), ...cells.map((row) => widthOf(row[index] ?? '')), 1);
		return {natural, width: natural};
	});
	const shown = squeeze(widths, io.columns);
	const line = (row: readonly string[]) =>
		row
			.slice(0, shown)
			.map((cell, index) => fit(cell, widths[index]?.width ?? 0, aligns[index] ?? 'left'))
			.join(' '.repeat(GAP))
			.trimEnd();
	const left = header.length - shown;
	const note = left > 0 ? [paint(io, 'dim', `… and ${left} more columns: ${header.slice(shown).map(printable).join(', ')}`)] : [];
	return [paint(io, 'bold', line(header.map(printable))), ...cells.map(line), ...note].join('\n');
}

/** Narrows the widest columns first. Returns how many fit. */
function squeeze(widths: Width[], columns: number): number {
	const total = (upTo: number) => widths.slice(0, upTo).reduce((sum, {width}) => sum + width + GAP, -GAP);
	while (total(widths.length) > columns) {
		const widest = widths.reduce((max, column) => (column.width > max.width ? column : max), {natural: 0, width: MIN_WIDTH});
		if (widest.width <= MIN_WIDTH) break;
		widest.width -= 1;
	}
	const fitting = widths.findIndex((_, index) => total(index + 1) > columns);
	return fitting === -1 ? widths.length : Math.max(1, fitting);
}

/** Decimals of a column of computed doubles; null where the values were written with few. `--json` and exports have all. */
function digitsOf(rows: readonly (readonly unknown[])[], index: number): number | null {
	const values = rows.map((row) => row[index]).filter((value) => typeof value === 'number');
	if (values.every((value) => Number(value.toFixed(6)) === value)) return null;
	const most = values.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
	return most >= 10 ? 2 : most >= 1 ? 3 : 4;
}

/** Rounding must not show a small number as none, nor a huge one as exact. */
function toRounded(value: number, digits: number): string {
	const isTiny = value !== 0 && Math.abs(value) < 0.5 * 10 ** -digits;
	return isTiny || Math.abs(value) >= 1e15 ? value.toPrecision(3) : value.toFixed(digits);
}

/** Times as the wire has them; people read a space. */
const MOMENT = /^\d{4}-\d{2}-\d{2}T[\d:.]+Z?$/;

function toText(value: unknown, digits: number | null): string {
	if (value === null || value === undefined) return '';
	if (typeof value === 'number' && digits !== null) return toRounded(value, digits);
	if (typeof value === 'string' && MOMENT.test(value)) return value.replace('T', ' ');
	return printable(typeof value === 'object' ? JSON.stringify(value) : String(value)).replace(/\s+/g, ' ');
}

function isNumeric(value: unknown): boolean {
	return typeof value === 'number' || (typeof value === 'string' && /^-?\d+(\.\d+)?$/.test(value));
}

/** Wide characters take two places in a terminal, marks none. */
function widthOf(text: string): number {
	let width = 0;
	for (const {segment} of new Intl.Segmenter().segment(text))
		width += /\p{Emoji_Presentation}|[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\uff00-\uff60]/u.test(segment) ? 2 : 1;
	return width;
}

function fit(text: string, width: number, align: Align): string {
	const cut = widthOf(text) > width ? `${cutTo(text, width - 1)}…` : text;
	const pad = ' '.repeat(Math.max(0, width - widthOf(cut)));
	return align === 'right' ? pad + cut : cut + pad;
}

function cutTo(text: string, width: number): string {
	let kept = '';
	for (const {segment} of new Intl.Segmenter().segment(text)) {
		if (widthOf(kept + segment) > width) break;
		kept += segment;
	}
	return kept;
}
