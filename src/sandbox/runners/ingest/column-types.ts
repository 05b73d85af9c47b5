/**
 * The types a column of text may turn out to have, most specific first. Each says in SQL which texts belong to it and how they become
 * values; a type is chosen only when every cell of the column belongs to it.
 */
import type {ColumnType} from '#contract/table.ts';

export type Candidate = {
	readonly id: string;
	readonly type: ColumnType;
	/** what a whole text has to look like, in the syntax that the engine and JavaScript share */
	readonly pattern: string;
	/** a condition over the trimmed text `v` */
	readonly accepts: (v: string) => string;
	/** the value of an accepted text */
	readonly cast: (v: string) => string;
	readonly engineType: string;
};

const INTEGER = '-?(0|[1-9][0-9]*)';

function matches(pattern: string): (v: string) => string {
	return (v) => `regexp_full_match(${v}, '${pattern}')`;
}

function number(id: string, type: ColumnType, engineType: string, pattern: string): Candidate {
	const cast = (v: string) => `TRY_CAST(${v} AS ${engineType})`;
	return {id, type, pattern, engineType, cast, accepts: (v) => `(${matches(pattern)(v)} AND ${cast(v)} IS NOT NULL)`};
}

/** Texts written for people, read after `rewrite` has made them plain. */
function written(id: string, pattern: string, rewrite: (v: string) => string): Candidate {
	return {
		id,
		type: 'double',
		pattern,
		engineType: 'DOUBLE',
		accepts: matches(pattern),
		cast: (v) => `TRY_CAST(${rewrite(v)} AS DOUBLE)`,
	};
}

function parsed(format: string, pattern: string, type: 'date' | 'timestamp'): Candidate {
	const engineType = type === 'date' ? 'DATE' : 'TIMESTAMP';
	const read = (v: string) => `try_strptime(${v}, '${format}')`;
	return {
		id: format,
		type,
		pattern,
		engineType,
		accepts: (v) => `(${matches(pattern)(v)} AND ${read(v)} IS NOT NULL)`,
		cast: (v) => `CAST(${read(v)} AS ${engineType})`,
	};
}

const DATES: readonly (readonly [format: string, pattern: string])[] = [
	['%Y/%m/%d', '[0-9]{4}/[0-9]{1,2}/[0-9]{1,2}'],
	['%Y.%m.%d', '[0-9]{4}\\.[0-9]{1,2}\\.[0-9]{1,2}'],
	['%d/%m/%Y', '[0-9]{1,2}/[0-9]{1,2}/[0-9]{4}'],
	['%m/%d/%Y', '[0-9]{1,2}/[0-9]{1,2}/[0-9]{4}'],
	['%d-%m-%Y', '[0-9]{1,2}-[0-9]{1,2}-[0-9]{4}'],
	['%m-%d-%Y', '[0-9]{1,2}-[0-9]{1,2}-[0-9]{4}'],
	['%d.%m.%Y', '[0-9]{1,2}\\.[0-9]{1,2}\\.[0-9]{4}'],
	['%d/%m/%y', '[0-9]{1,2}/[0-9]{1,2}/[0-9]{2}'],
	['%m/%d/%y', '[0-9]{1,2}/[0-9]{1,2}/[0-9]{2}'],
	['%d %b %Y', '[0-9]{1,2} [A-Za-z]{3} [0-9]{4}'],
	['%d-%b-%Y', '[0-9]{1,2}-[A-Za-z]{3}-[0-9]{4}'],
	['%d %B %Y', '[0-9]{1,2} [A-Za-z]{3,9} [0-9]{4}'],
	['%b %d, %Y', '[A-Za-z]{3} [0-9]{1,2}, [0-9]{4}'],
	['%B %d, %Y', '[A-Za-z]{3,9} [0-9]{1,2}, [0-9]{4}'],
];

const TIMES: readonly (readonly [format: string, pattern: string])[] = [
	[' %H:%M', ' [0-9]{1,2}:[0-9]{2}'],
	[' %H:%M:%S', ' [0-9]{1,2}:[0-9]{2}:[0-9]{2}'],
	[' %I:%M %p', ' [0-9]{1,2}:[0-9]{2} [AaPp][Mm]'],
	[' %I:%M:%S %p', ' [0-9]{1,2}:[0-9]{2}:[0-9]{2} [AaPp][Mm]'],
];

const ISO_DATE = '[0-9]{4}-[0-9]{2}-[0-9]{2}';
const ISO_TIME = '[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\\.[0-9]{1,6})?)?';
const ZONE = ' ?(Z|UTC|[+-][0-9]{2}(:?[0-9]{2})?)';

export const CANDIDATES: readonly Candidate[] = [
	{
		id: 'boolean',
		type: 'boolean',
		pattern: '(?i:true|false|yes|no)',
		engineType: 'BOOLEAN',
		accepts: (v) => `lower(${v}) IN ('true', 'false', 'yes', 'no')`,
		cast: (v) => `lower(${v}) IN ('true', 'yes')`,
	},
	number('integer', 'integer', 'BIGINT', INTEGER),
	number('big integer', 'decimal', 'DECIMAL(38,0)', INTEGER),
	number('decimal', 'decimal', 'DECIMAL(38,18)', `${INTEGER}(\\.[0-9]{1,4})?`),
	number('double', 'double', 'DOUBLE', '-?(?i:inf|infinity)|-?(0|[1-9][0-9]*)?(\\.[0-9]*)?([eE][-+]?[0-9]+)?'),
	written('1,234.5', '-?[0-9]{1,3}(,[0-9]{3})+(\\.[0-9]+)?|-?(0|[1-9][0-9]{0,2})(\\.[0-9]+)?', (v) => `replace(${v}, ',', '')`),
	written(
		'1.234,5',
		'-?[0-9]{1,3}(\\.[0-9]{3})+(,[0-9]+)?|-?(0|[1-9][0-9]*)(,[0-9]+)?',
		(v) => `replace(replace(${v}, '.', ''), ',', '.')`,
	),
	number('iso date', 'date', 'DATE', ISO_DATE),
	number('iso timestamp', 'timestamp', 'TIMESTAMP', `${ISO_DATE}(${ISO_TIME})?`),
	number('iso timestamp with zone', 'timestamptz', 'TIMESTAMPTZ', `${ISO_DATE}${ISO_TIME}${ZONE}`),
	number('time', 'time', 'TIME', '[0-9]{2}:[0-9]{2}(:[0-9]{2}(\\.[0-9]{1,6})?)?'),
	...DATES.map(([format, pattern]) => parsed(format, pattern, 'date')),
	...DATES.flatMap(([date, pattern]) => TIMES.map(([time, clock]) => parsed(date + time, pattern + clock, 'timestamp'))),
];

export const TEXT: Candidate = {
	id: 'text',
	type: 'text',
	pattern: '',
	engineType: 'VARCHAR',
	accepts: () => 'true',
	cast: (v) => v,
};

/** What people write where a value is missing. In a column of text these stay as they are. */
export const MISSING = ['', 'na', 'n/a', '#n/a', 'nan', 'null', 'none', '-', '?'];
