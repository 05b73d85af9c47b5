/** Moments as ISO 8601 text without zone, and windows of time counted from a dataset's now. No clock is ever read. */
import type {Period, TimeUnit} from '#contract/query-plan.ts';
import type {ColumnType} from '#contract/table.ts';

const MOMENT = /^(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,6}))?)?)?(Z|[+-]00:?00)?$/;

/** Milliseconds of a written moment, read as UTC; undefined when it is not one that the calendar has. */
export function parseMoment(text: string): number | undefined {
	const match = MOMENT.exec(text);
	if (!match) return undefined;
	const [, year = '', month = '', day = '', hour = '00', minute = '00', second = '00', fraction = ''] = match;
	const whole = `${year}-${month}-${day}T${hour}:${minute}:${second}`;
	const ms = Date.parse(`${whole}.${fraction.padEnd(3, '0').slice(0, 3)}Z`);
	return Number.isNaN(ms) || !new Date(ms).toISOString().startsWith(whole) ? undefined : ms;
}

export function isDateOnly(text: string): boolean {
	return /^\d{4}-\d{2}-\d{2}$/.test(text);
}

/** A moment as a typed literal for a column of `type`; a date column gets the day the moment lies in. */
export function momentSql(ms: number, type: ColumnType): string {
	const iso = new Date(ms).toISOString();
	if (type === 'date') return `DATE '${iso.slice(0, 10)}'`;
	const text = `${iso.slice(0, 10)} ${iso.slice(11, iso.endsWith('.000Z') ? 19 : 23)}`;
	return type === 'timestamptz' ? `TIMESTAMPTZ '${text}+00'` : `TIMESTAMP '${text}'`;
}

export function momentWords(ms: number, type: ColumnType): string {
	const iso = new Date(ms).toISOString();
	return type === 'date' || iso.endsWith('T00:00:00.000Z') ? iso.slice(0, 10) : `${iso.slice(0, 10)} ${iso.slice(11, 16)}`;
}

const FIXED_MS: Readonly<Partial<Record<TimeUnit, number>>> = {
	minute: 60_000,
	hour: 3_600_000,
	day: 86_400_000,
	week: 604_800_000,
};
const MONTHS: Readonly<Partial<Record<TimeUnit, number>>> = {month: 1, quarter: 3, year: 12};

/** `ms` moved by `amount` units; a month later than the 31st is the last day of a shorter month. */
export function shift(ms: number, amount: number, unit: TimeUnit): number {
	const fixed = FIXED_MS[unit];
	if (fixed !== undefined) return ms + amount * fixed;
	const from = new Date(ms);
	const months = amount * (MONTHS[unit] ?? 0);
	const target = new Date(Date.UTC(from.getUTCFullYear(), from.getUTCMonth() + months, 1));
	const lastDay = new Date(Date.UTC(target.getUTCFullYear(), target.getUTCMonth() + 1, 0)).getUTCDate();
	target.setUTCDate(Math.min(from.getUTCDate(), lastDay));
	return target.getTime() + (ms - Date.UTC(from.getUTCFullYear(), from.getUTCMonth(), from.getUTCDate()));
}

/** `from` up to but without `to`. Weeks start on Monday. */
export function periodBounds(period: Period, now: number): {readonly from: number; readonly to: number} {
	if (period === 'today' || period === 'yesterday') {
		const today = startOf('day', now);
		return period === 'today' ? {from: today, to: shift(today, 1, 'day')} : {from: shift(today, -1, 'day'), to: today};
	}
	const unit = PERIOD_UNITS[period];
	const from = startOf(unit, now);
	return period.startsWith('this') ? {from, to: shift(from, 1, unit)} : {from: shift(from, -1, unit), to: from};
}

const PERIOD_UNITS: Readonly<Record<Exclude<Period, 'today' | 'yesterday'>, TimeUnit>> = {
	this_week: 'week',
	this_month: 'month',
	this_quarter: 'quarter',
	this_year: 'year',
	previous_week: 'week',
	previous_month: 'month',
	previous_quarter: 'quarter',
	previous_year: 'year',
};

function startOf(unit: TimeUnit, ms: number): number {
	const date = new Date(ms);
	const [year, month, day] = [date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate()];
	if (unit === 'week') return Date.UTC(year, month, day - ((date.getUTCDay() + 6) % 7));
	if (unit === 'month') return Date.UTC(year, month, 1);
	if (unit === 'quarter') return Date.UTC(year, month - (month % 3), 1);
	if (unit === 'year') return Date.UTC(year, 0, 1);
	return Date.UTC(year, month, day);
}
