/** Stretches of a question that name a time: windows counted from now, calendar periods, dates, and buckets to group by. */
import type {Bucket, Period, TimeUnit} from '#contract/query-plan.ts';
import type {Token} from './tokens.ts';

/** `years` are inclusive and there when the window is made of whole years. `to` is exclusive. */
export type TimeWindow =
	| {readonly kind: 'last'; readonly amount: number; readonly unit: TimeUnit}
	| {readonly kind: 'older'; readonly amount: number; readonly unit: TimeUnit}
	| {readonly kind: 'period'; readonly period: Period}
	| {
			readonly kind: 'range';
			readonly from: string | null;
			readonly to: string | null;
			readonly years: readonly [number | null, number | null] | null;
	  };

type Found<T> = {readonly found: T; readonly length: number} | null;

const UNITS: readonly TimeUnit[] = ['minute', 'hour', 'day', 'week', 'month', 'quarter', 'year'];
const LEAD: ReadonlySet<string> = new Set('in over during within for from of the on throughout'.split(' '));
const MONTHS = 'january february march april may june july august september october november december'.split(' ');

export function findWindow(tokens: readonly Token[], now: string | null): Found<TimeWindow> {
	let lead = 0;
	while (lead < 2 && LEAD.has(tokens[lead]?.lower ?? '')) lead += 1;
	for (let skip = lead; skip >= 0; skip -= 1) {
		const rest = tokens.slice(skip);
		const hasLead = skip > 0;
		const result = rolling(rest) ?? period(rest) ?? bounded(rest, now) ?? named(rest, {now, hasLead});
		if (result) return {found: result.found, length: result.length + skip};
	}
	return null;
}

function unitOf(token: Token | undefined): TimeUnit | undefined {
	return UNITS.find((unit) => unit === token?.stem);
}

function rolling(tokens: readonly Token[]): Found<TimeWindow> {
	const [first, second, third] = tokens;
	const isPast = /^(last|past|previous|preceding|recent|latest)$/.test(first?.lower ?? '');
	if (isPast && second?.value !== undefined && unitOf(third)) return whole(second.value, unitOf(third), 3);
	if (first?.lower === 'past' && unitOf(second)) return whole(1, unitOf(second), 2);
	return older(tokens);
}

/** "older than 30 days", "more than 2 weeks ago" */
function older([first, second, third, fourth, fifth]: readonly Token[]): Found<TimeWindow> {
	const unit = unitOf(fourth);
	const amount = third?.value;
	if (second?.lower !== 'than' || amount === undefined || !Number.isInteger(amount) || amount < 1 || unit === undefined)
		return null;
	const isAgo = fifth?.lower === 'ago';
	const isOlder = first?.lower === 'older' || (first?.lower === 'more' && isAgo);
	return isOlder ? {found: {kind: 'older', amount, unit}, length: isAgo ? 5 : 4} : null;
}

function whole(amount: number, unit: TimeUnit | undefined, length: number): Found<TimeWindow> {
	return unit && Number.isInteger(amount) && amount >= 1 && amount <= 100_000
		? {found: {kind: 'last', amount, unit}, length}
		: null;
}

function period(tokens: readonly Token[]): Found<TimeWindow> {
	const [first, second] = tokens;
	const word = first?.lower;
	if (word === 'today' || word === 'yesterday') return {found: {kind: 'period', period: word}, length: 1};
	const unit = unitOf(second);
	if (unit === 'day' && (word === 'last' || word === 'previous'))
		return {found: {kind: 'period', period: 'yesterday'}, length: 2};
	if (unit === undefined || unit === 'minute' || unit === 'hour' || unit === 'day') return null;
	if (word === 'this' || word === 'current') return {found: {kind: 'period', period: `this_${unit}`}, length: 2};
	if (word === 'last' || word === 'previous') return {found: {kind: 'period', period: `previous_${unit}`}, length: 2};
	return null;
}

type Point = {readonly from: string; readonly to: string; readonly year: number | null};

/** A day, a month or a year, as its bounds. */
function pointAt(tokens: readonly Token[], now: string | null): Found<Point> {
	const [first, second, third] = tokens;
	if (first?.kind === 'date') return {found: day(first.text.slice(0, 10)), length: 1};
	const year = yearOf(first);
	if (year !== null) return {found: {from: `${year}-01-01`, to: `${year + 1}-01-01`, year}, length: 1};
	const quarter = /^q([1-4])$/.exec(first?.lower ?? '')?.[1];
	if (quarter && yearOf(second) !== null) return {found: months(yearOf(second) ?? 0, Number(quarter) * 3 - 3, 3), length: 2};
	const month = monthOf(first);
	if (month >= 0) return afterMonth(month, tokens.slice(1), now);
	if (isDayNumber(first) && monthOf(second) >= 0 && yearOf(third) !== null)
		return {found: day(iso(yearOf(third) ?? 0, monthOf(second), first?.value ?? 1)), length: 3};
	return null;
}

function afterMonth(month: number, [second, third, fourth]: readonly Token[], now: string | null): Found<Point> {
	const year = yearOf(second) ?? (second?.lower === 'of' ? yearOf(third) : null);
	if (year !== null) return {found: months(year, month, 1), length: second?.lower === 'of' ? 3 : 2};
	if (isDayNumber(second)) {
		const comma = third?.text === ',' ? 1 : 0;
		const written = yearOf(comma ? fourth : third);
		if (written !== null) return {found: day(iso(written, month, dayNumber(second))), length: 3 + comma};
		const latest = latestYear(month, now);
		return latest === null ? null : {found: day(iso(latest, month, dayNumber(second))), length: 2};
	}
	const latest = latestYear(month, now);
	return latest === null ? null : {found: months(latest, month, 1), length: 1};
}

/** A month without a year is the last one that has begun. */
function latestYear(month: number, now: string | null): number | null {
	if (now === null) return null;
	const [year, current] = [Number(now.slice(0, 4)), Number(now.slice(5, 7)) - 1];
	return month <= current ? year : year - 1;
}

function monthOf(token: Token | undefined): number {
	const word = token?.lower ?? '';
	if (word.length < 3 || (word === 'may' && !token?.isName) || (word === 'march' && !token?.isName)) return -1;
	return MONTHS.findIndex(
		(month) => month === word || (month.slice(0, 3) === word && word !== 'may') || (word === 'sept' && month === 'september'),
	);
}

function yearOf(token: Token | undefined): number | null {
	return token?.kind === 'number' && /^(1[5-9]|20)\d\d$/.test(token.text) ? Number(token.text) : null;
}

function dayNumber(token: Token | undefined): number {
	return token?.value ?? Number(/^(\d{1,2})(st|nd|rd|th)$/.exec(token?.lower ?? '')?.[1] ?? Number.NaN);
}

function isDayNumber(token: Token | undefined): boolean {
	const number = dayNumber(token);
	return Number.isInteger(number) && number >= 1 && number <= 31;
}

function iso(year: number, month: number, dayOfMonth: number): string {
	return new Date(Date.UTC(year, month, dayOfMonth)).toISOString().slice(0, 10);
}

function months(year: number, month: number, count: number): Point {
	return {from: iso(year, month, 1), to: iso(year, month + count, 1), year: null};
}

function day(from: string): Point {
	const ms = Date.parse(`${from}T00:00:00Z`);
	return {from, to: Number.isNaN(ms) ? from : new Date(ms + 86_400_000).toISOString().slice(0, 10), year: null};
}

const BOUNDS: Readonly<Record<string, 'from' | 'after' | 'before' | 'until'>> = {
	...{
		since: 'from',
		from: 'from',
		after: 'after',
		before: 'before',
		until: 'until',
		till: 'until',
		by: 'until',
		starting: 'from',
	},
};

/** `since`, `before`, `after`, `until`, `between … and …`, `from … to …`, `2000-2005`. */
function bounded(tokens: readonly Token[], now: string | null): Found<TimeWindow> {
	const pair = between(tokens, now);
	if (pair) return pair;
	const word = tokens[0]?.lower ?? '';
	const bound = Object.hasOwn(BOUNDS, word) ? BOUNDS[word] : undefined;
	const point = bound ? pointAt(tokens.slice(1), now) : null;
	return bound && point ? {found: halfOpen(bound, point.found), length: point.length + 1} : null;
}

function between(tokens: readonly Token[], now: string | null): Found<TimeWindow> {
	const word = tokens[0]?.lower ?? '';
	const lead = word === 'between' || word === 'from' ? 1 : 0;
	const start = pointAt(tokens.slice(lead), now);
	if (!start) return null;
	const at = start.length + lead;
	const joint = tokens[at]?.lower ?? '';
	const joins = word === 'between' ? /^and$/ : lead === 1 ? /^(to|until|till|through|and|-|–)$/ : /^(to|through|-|–)$/;
	const end = joins.test(joint) ? pointAt(tokens.slice(at + 1), now) : null;
	return end ? {found: range(start.found, end.found), length: at + 1 + end.length} : null;
}

function halfOpen(bound: 'from' | 'after' | 'before' | 'until', {from, to, year}: Point): TimeWindow {
	const years = (first: number | null, last: number | null) => (year === null ? null : ([first, last] as const));
	const next = (year ?? 0) + (bound === 'after' ? 1 : -1);
	if (bound === 'from') return {kind: 'range', from, to: null, years: years(year, null)};
	if (bound === 'after') return {kind: 'range', from: to, to: null, years: years(next, null)};
	if (bound === 'before') return {kind: 'range', from: null, to: from, years: years(null, next)};
	return {kind: 'range', from: null, to, years: years(null, year)};
}

function range(start: Point, end: Point): TimeWindow {
	const years = start.year !== null && end.year !== null ? ([start.year, end.year] as const) : null;
	return {kind: 'range', from: start.from, to: end.to, years};
}

function named(
	tokens: readonly Token[],
	{now, hasLead}: {readonly now: string | null; readonly hasLead: boolean},
): Found<TimeWindow> {
	const decade = /^((?:1[5-9]|20)\d)0s$/.exec(tokens[0]?.lower ?? '')?.[1];
	if (decade) {
		const year = Number(`${decade}0`);
		return {found: {kind: 'range', from: `${year}-01-01`, to: `${year + 10}-01-01`, years: [year, year + 9]}, length: 1};
	}
	const point = pointAt(tokens, now);
	if (!point || (!hasLead && point.found.year !== null && tokens[0]?.mark !== undefined)) return null;
	const {from, to, year} = point.found;
	return {found: {kind: 'range', from, to, years: year === null ? null : [year, year]}, length: point.length};
}

const BUCKETS: Readonly<Record<string, Bucket>> = {
	...{
		hour: 'hour',
		hours: 'hour',
		hourly: 'hour',
		day: 'day',
		days: 'day',
		daily: 'day',
		date: 'day',
		dates: 'day',
		week: 'week',
		weeks: 'week',
		weekly: 'week',
	},
	...{
		month: 'month',
		months: 'month',
		monthly: 'month',
		quarter: 'quarter',
		quarters: 'quarter',
		quarterly: 'quarter',
		year: 'year',
		years: 'year',
		yearly: 'year',
		annual: 'year',
		annually: 'year',
	},
	...{
		weekday: 'day_of_week',
		weekdays: 'day_of_week',
		'day of week': 'day_of_week',
		'day of the week': 'day_of_week',
		'days of the week': 'day_of_week',
	},
	...{
		'hour of day': 'hour_of_day',
		'hour of the day': 'hour_of_day',
		'month of year': 'month_of_year',
		'month of the year': 'month_of_year',
		'calendar month': 'month_of_year',
	},
	...{
		'day of month': 'day_of_month',
		'day of the month': 'day_of_month',
		'quarter of the year': 'quarter_of_year',
		'week of the year': 'week_of_year',
	},
};

export function findBucket(tokens: readonly Token[]): Found<Bucket> {
	for (let length = Math.min(4, tokens.length); length > 0; length -= 1) {
		const phrase = tokens
			.slice(0, length)
			.map(({lower}) => lower)
			.join(' ');
		const bucket = Object.hasOwn(BUCKETS, phrase) ? BUCKETS[phrase] : undefined;
		if (bucket) return {found: bucket, length};
	}
	return null;
}
