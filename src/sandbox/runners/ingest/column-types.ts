/**
 * The ways to read a column of text, most specific first. A reading is proposed by looking at some cells; the engine then holds every
 * cell against it, and one that does not belong makes the column be read another way: nothing is rounded, and nothing is lost.
 */
import type {ColumnType} from '#contract/table.ts';

export type Reading = {
	readonly id: string;
	readonly type: ColumnType;
	/** an SQL condition over the text `v`: how a cell of this reading is written */
	readonly fits: (v: string) => string;
	/** its value in SQL; null where the text is written well and means nothing, such as 31 February */
	readonly read: (v: string) => string;
};

/** A reading under which all the cells belong, or null. There is at least one cell. */
type Proposal = (cells: readonly string[]) => Reading | null;

/** What people write where a value is missing. In a column of text these stay as they are. */
export const MISSING: readonly string[] = ['', 'na', 'n/a', '#n/a', 'nan', 'null', 'none', '-', '?'];

export const TEXT: Reading = {id: 'text', type: 'text', fits: () => 'true', read: (v) => v};

function matches(pattern: string): (v: string) => string {
	return (v) => `regexp_full_match(${v}, '${pattern}')`;
}

/** The engine and JavaScript share the syntax that is used here. */
function everyCell(pattern: string): (cells: readonly string[]) => boolean {
	const whole = new RegExp(`^(?:${pattern})$`);
	return (cells) => cells.every((cell) => whole.test(cell));
}

function casting(engineType: string): (v: string) => string {
	return (v) => `TRY_CAST(${v} AS ${engineType})`;
}

function fixed(id: string, type: ColumnType, pattern: string, read: (v: string) => string): Proposal {
	const reading: Reading = {id, type, fits: matches(pattern), read};
	const every = everyCell(pattern);
	return (cells) => (every(cells) ? reading : null);
}

/** Texts that are the engine's own notation, which it writes back as they were: that is quicker to ask than a pattern. */
function canonical(id: string, type: ColumnType, engineType: string, pattern: string): Proposal {
	const read = casting(engineType);
	const reading: Reading = {id, type, fits: (v) => `(CAST(${read(v)} AS VARCHAR) = ${v})`, read};
	const every = everyCell(pattern);
	return (cells) => (every(cells) ? reading : null);
}

// --- numbers -----------------------------------------------------------------------------------------------------------

/** Without leading zeros: those belong to codes, which stay text. */
const WHOLE = '(0|[1-9][0-9]*)';
const FLOATING = `-?(${WHOLE}(\\.[0-9]*)?|\\.[0-9]+)([eE][-+]?[0-9]+)?|-?(?i:inf|infinity)`;

/** Digits that a decimal of 64 bits, and a double, hold exactly; those that a double needs to be told from its neighbours. */
const [EXACT_DIGITS, DOUBLE_DIGITS, DECIMAL_DIGITS] = [15, 17, 38];
/** More decimal places than money has speak for a measurement, which is a double. */
const MONEY_SCALE = 4;

function shape(cells: readonly string[], point = '.'): {whole: number; scale: number} {
	const parts = cells.map((cell) => cell.split(point));
	const longest = (texts: readonly string[]) => Math.max(0, ...texts.map((text) => text.replace(/[^0-9]/g, '').length));
	return {whole: longest(parts.map(([whole = '']) => whole)), scale: longest(parts.map(([, fraction = '']) => fraction))};
}

function decimal(whole: number, scale: number, engineType: string): Reading {
	const pattern = `-?(0|[1-9][0-9]{0,${whole - 1}})${scale > 0 ? `(\\.[0-9]{1,${scale}})?` : ''}`;
	return {id: engineType, type: 'decimal', fits: matches(pattern), read: casting(engineType)};
}

const isMoney = everyCell(`-?${WHOLE}(\\.[0-9]{1,${MONEY_SCALE}})?`);
const isPlain = everyCell(`-?${WHOLE}(\\.[0-9]+)?`);
const isFloating = everyCell(FLOATING);

function money(cells: readonly string[]): Reading | null {
	if (!isMoney(cells)) return null;
	const {whole, scale} = shape(cells);
	return scale > 0 && whole + scale <= EXACT_DIGITS ? decimal(EXACT_DIGITS - scale, scale, `DECIMAL(18,${scale})`) : null;
}

function wideDecimal(cells: readonly string[]): Reading | null {
	if (!isPlain(cells)) return null;
	const {whole, scale} = shape(cells);
	return whole + scale <= DECIMAL_DIGITS ? decimal(DECIMAL_DIGITS - scale, scale, `DECIMAL(38,${scale})`) : null;
}

const DOUBLE: Reading = {
	id: 'double',
	type: 'double',
	fits: (v) =>
		`(${matches(FLOATING)(v)} AND (length(${v}) <= ${DOUBLE_DIGITS} OR length(ltrim(replace(${v}, '.', ''), '-0')) <= ${DOUBLE_DIGITS} OR contains(lower(${v}), 'e')))`,
	read: casting('DOUBLE'),
};

function double(cells: readonly string[]): Reading | null {
	const holds = (cell: string) => /e/i.test(cell) || cell.replace('.', '').replace(/^[-0]+/, '').length <= DOUBLE_DIGITS;
	return isFloating(cells) && cells.every(holds) ? DOUBLE : null;
}

/** Numbers as people write them: groups of three digits, and a decimal point or a decimal comma. */
function grouped(group: ',' | '.', point: '.' | ','): Proposal {
	const [g, p] = [group, point].map((sign) => (sign === '.' ? '\\.' : sign));
	const pattern = `-?([0-9]{1,3}(${g}[0-9]{3})+|0|[1-9][0-9]*)(${p}[0-9]+)?`;
	const plain = (v: string) => (point === '.' ? `replace(${v}, ',', '')` : `replace(replace(${v}, '.', ''), ',', '.')`);
	const every = everyCell(pattern);
	return (cells) => {
		if (!every(cells) || !cells.some((cell) => cell.includes(','))) return null;
		const {whole, scale} = shape(cells, point);
		if (whole + scale > EXACT_DIGITS) return null;
		const exact = scale <= MONEY_SCALE;
		const fits = (v: string) => `(${matches(pattern)(v)} AND length(${v}) <= ${EXACT_DIGITS + 5})`;
		const read = exact ? casting(`DECIMAL(18,${Math.max(scale, 1)})`) : casting('DOUBLE');
		const places = `(${p}[0-9]{1,${Math.max(scale, 1)}})?`;
		const exactly = (v: string) => `(${fits(v)} AND ${matches(pattern.replace(`(${p}[0-9]+)?`, places))(v)})`;
		const id = `1${group}234${point}5`;
		return {
			id: exact ? `${id} ${scale}` : id,
			type: exact ? 'decimal' : 'double',
			fits: exact ? exactly : fits,
			read: (v) => read(plain(v)),
		};
	};
}

// --- moments -----------------------------------------------------------------------------------------------------------

const [D, M, Y, YY] = ['(0?[1-9]|[12][0-9]|3[01])', '(0?[1-9]|1[0-2])', '[0-9]{4}', '[0-9]{2}'];
const MON = '(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)';
const MONTH = '(?i:january|february|march|april|may|june|july|august|september|october|november|december)';

const DATES: readonly (readonly [format: string, pattern: string])[] = [
	['%Y/%m/%d', `${Y}/${M}/${D}`],
	['%Y.%m.%d', `${Y}\\.${M}\\.${D}`],
	...['/', '-', '.'].flatMap((sign) => {
		const s = sign === '.' ? '\\.' : sign;
		return [
			[`%d${sign}%m${sign}%Y`, `${D}${s}${M}${s}${Y}`],
			[`%m${sign}%d${sign}%Y`, `${M}${s}${D}${s}${Y}`],
			[`%d${sign}%m${sign}%y`, `${D}${s}${M}${s}${YY}`],
			[`%m${sign}%d${sign}%y`, `${M}${s}${D}${s}${YY}`],
		] as const;
	}),
	['%d %b %Y', `${D} ${MON} ${Y}`],
	['%d-%b-%Y', `${D}-${MON}-${Y}`],
	['%d-%b-%y', `${D}-${MON}-${YY}`],
	['%d %B %Y', `${D} ${MONTH} ${Y}`],
	['%b %d, %Y', `${MON} ${D}, ${Y}`],
	['%B %d, %Y', `${MONTH} ${D}, ${Y}`],
];

const [HOURS, HOURS12, SIXTIETHS] = ['([01]?[0-9]|2[0-3])', '(0?[1-9]|1[0-2])', '[0-5][0-9]'];
const TIMES: readonly (readonly [format: string, pattern: string])[] = [
	[' %H:%M', ` ${HOURS}:${SIXTIETHS}`],
	[' %H:%M:%S', ` ${HOURS}:${SIXTIETHS}:${SIXTIETHS}`],
	[', %H:%M:%S', `, ${HOURS}:${SIXTIETHS}:${SIXTIETHS}`],
	[' %I:%M %p', ` ${HOURS12}:${SIXTIETHS} (?i:am|pm)`],
	[' %I:%M:%S %p', ` ${HOURS12}:${SIXTIETHS}:${SIXTIETHS} (?i:am|pm)`],
];

function parsed(format: string, pattern: string, type: 'date' | 'timestamp'): Proposal {
	return fixed(format, type, pattern, (v) => `CAST(try_strptime(${v}, '${format}') AS ${type.toUpperCase()})`);
}

const ISO_DATE = '[0-9]{4}-[0-9]{2}-[0-9]{2}';
const ISO_TIME = '[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\\.[0-9]{1,6})?)?';
const ZONE = ' ?(Z|UTC|[+-][0-9]{2}(:?[0-9]{2})?)';

const PROPOSALS: readonly Proposal[] = [
	fixed('boolean', 'boolean', '(?i:true|false|yes|no)', (v) => `(lower(${v}) IN ('true', 'yes'))`),
	canonical('integer', 'integer', 'BIGINT', '-?(0|[1-9][0-9]{0,18})'),
	fixed('big integer', 'decimal', '-?(0|[1-9][0-9]{0,37})', casting('DECIMAL(38,0)')),
	money,
	double,
	wideDecimal,
	grouped(',', '.'),
	grouped('.', ','),
	canonical('iso date', 'date', 'DATE', ISO_DATE),
	fixed('iso timestamp', 'timestamp', `${ISO_DATE}(${ISO_TIME})?`, casting('TIMESTAMP')),
	fixed('iso timestamp with zone', 'timestamptz', `${ISO_DATE}${ISO_TIME}${ZONE}`, casting('TIMESTAMPTZ')),
	fixed('time', 'time', '[0-9]{2}:[0-9]{2}(:[0-9]{2}(\\.[0-9]{1,6})?)?', casting('TIME')),
	...DATES.map(([format, pattern]) => parsed(format, pattern, 'date')),
	...[['%Y-%m-%d', ISO_DATE] as const, ...DATES].flatMap(([date, pattern]) =>
		TIMES.map(([time, clock]) => parsed(date + time, pattern + clock, 'timestamp')),
	),
];

/** Every reading under which all of these cells belong, most specific first. */
export function proposals(cells: readonly string[]): Reading[] {
	return cells.length === 0 ? [] : PROPOSALS.flatMap((propose) => propose(cells) ?? []);
}
