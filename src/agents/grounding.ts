/**
 * Whether an answer says what was computed. Every number in it has to be found in a result of the run, in the question or in what
 * was shown of the schema, as it is or rounded to the digits shown, or as the percentage of a ratio. Sums and differences that
 * no result holds are not found: whoever needs one can compute it.
 */
import type {EventData} from '#contract/event.ts';
import type {Json} from '#contract/json.ts';
import type {Table} from '#contract/table.ts';
import {type Reading, readNumbers, type Stated} from './numbers.ts';

export type Claim = {
	readonly answer: string;
	readonly question: string;
	/** results of this run's successful executions, whole, not as much as the model was shown */
	readonly results: readonly Pick<Table, 'columns' | 'rows' | 'totalRows'>[];
	/** text that was true before the run: the schema, and what tools said beside their results */
	readonly facts: readonly string[];
};

/** Numbers named one by one; more are counted. */
const MOST_NAMED = 5;

export function checkAnswer(claim: Claim): EventData<'answer.checked'> {
	const pool = poolOf(claim);
	const numbers = readNumbers(claim.answer).map((stated) => ({text: stated.text, found: isFound(stated, pool)}));
	const missing = [...new Set(numbers.filter(({found}) => !found).map(({text}) => text))];
	const executed = claim.results.length > 0;
	const warnings = [
		...(!executed && (missing.length > 0 || needsExecution(claim)) ? [NOT_COMPUTED] : []),
		...(missing.length > 0 ? [missingWarning(missing)] : []),
	];
	return {executed, numbers, warnings};
}

const NOT_COMPUTED = 'This answer was not computed: nothing was run on the data for it.';

function missingWarning(missing: readonly string[]): string {
	const named = missing.slice(0, MOST_NAMED);
	const more = missing.length > named.length ? ` and ${missing.length - named.length} more` : '';
	return missing.length === 1
		? `The number ${named[0]} is in no result of this run.`
		: `The numbers ${named.join(', ')}${more} are in no result of this run.`;
}

type Pool = {
	/** ascending */
	readonly values: readonly number[];
	readonly exact: ReadonlySet<bigint>;
	/** text with moments in it, in ISO form */
	readonly moments: readonly string[];
	readonly mostRows: number;
};

function poolOf({question, results, facts}: Claim): Pool {
	const values: number[] = [];
	const exact = new Set<bigint>();
	const moments = new Set<string>();
	const add = (value: number) => {
		if (!Number.isFinite(value)) return;
		values.push(value);
		if (Number.isSafeInteger(value)) exact.add(BigInt(value));
	};
	const addText = (text: string) => {
		for (const {readings, moment} of readNumbers(text)) {
			if (moment !== null) moments.add(moment);
			for (const reading of readings) {
				add(reading.value);
				if (reading.exact !== null) exact.add(reading.exact);
			}
		}
	};
	const read = new Set<string>();
	const addCell = (cell: Json): void => {
		if (typeof cell === 'number') add(cell);
		else if (typeof cell === 'string') {
			if (/\d/.test(cell) && !read.has(cell)) addText(cell);
			read.add(cell);
		} else if (cell !== null && typeof cell === 'object') for (const inner of Object.values(cell)) addCell(inner);
	};
	for (const {columns, rows, totalRows} of results) {
		for (const count of [rows.length, totalRows, columns.length]) if (count !== null) add(count);
		for (const {name} of columns) addText(name);
		for (const row of rows) for (const cell of row) addCell(cell);
	}
	for (const text of [question, ...facts]) addText(text);
	const mostRows = Math.max(0, ...results.map(({rows}) => rows.length));
	return {values: values.sort((one, other) => one - other), exact, moments: [...moments], mostRows};
}

function isFound({readings, moment, pointsAtRows}: Stated, pool: Pool): boolean {
	if (moment !== null) return pool.moments.some((known) => saysSame(known, moment)) || isYearOf(moment, pool);
	return readings.some(
		(reading) =>
			(pointsAtRows && reading.value >= 0 && reading.value <= pool.mostRows) || isIn(reading, pool) || isYear(reading, pool),
	);
}

/** `-03-15` is a day of any year, `2024-03` a month of any precision, `10:30` a time of any day. */
function saysSame(known: string, said: string): boolean {
	if (said.startsWith('-')) return known.includes(said);
	if (/^\d{2}:/.test(said)) return known.startsWith(said) || known.includes(`T${said}`);
	return known.startsWith(said) || (said.length > 10 && said.startsWith(known));
}

/** `March 2024` of a result that says month 3 of 2024 in two columns. */
function isYearOf(moment: string, {exact}: Pool): boolean {
	const [, year, month] = /^(\d{4})-(\d{2})$/.exec(moment) ?? [];
	return year !== undefined && exact.has(BigInt(year)) && exact.has(BigInt(month ?? 0));
}

function isYear({exact, value}: Reading, {moments}: Pool): boolean {
	return exact !== null && value >= 1000 && value <= 9999 && moments.some((known) => known.startsWith(`${value}-`));
}

/** A loss of 500 is said without a sign, so a number without one is found in its negative as well. */
function isIn(reading: Reading, pool: Pool): boolean {
	if (reading.exact !== null && (pool.exact.has(reading.exact) || pool.exact.has(-reading.exact))) return true;
	if (reading.exact !== null && !Number.isSafeInteger(reading.value)) return false;
	return (
		isNear(reading.value, reading.tolerance, pool.values) ||
		(reading.value >= 0 && isNear(-reading.value, reading.tolerance, pool.values))
	);
}

function isNear(value: number, tolerance: number, sorted: readonly number[]): boolean {
	const slack = tolerance + Math.abs(value) * 1e-12;
	let [low, high] = [0, sorted.length];
	while (low < high) {
		const middle = (low + high) >> 1;
		if ((sorted[middle] ?? 0) < value - slack) low = middle + 1;
		else high = middle;
	}
	return (sorted[low] ?? Number.NaN) <= value + slack;
}

const SMALL_TALK =
	/^\W*(?:hi|hello|hey|thanks?|thank you|good (?:morning|afternoon|evening)|bye|ok(?:ay)?|great)\b[\s\w]{0,20}\W*$/i;
const ABOUT_US =
	/\b(?:what (?:can|do) you|who are you|how do(?:es)? (?:you|this|it) work|help me understand what you|your (?:name|capabilities|tools))\b|^\W*help\W*$/i;
const ABOUT_SCHEMA =
	/\b(?:schema|columns?|fields?|tables?|data ?types?|data ?sets?|data dictionary|relationships?)\b|\bwhat (?:is|does) .{1,60} mean\b|\bdescribe the data\b|\bwhat data\b/i;
const ABOUT_DATA =
	/\b(?:how (?:many|much|long|often|old|big)|which|what|who|when|where|average|mean|median|total|sum|count|most|least|top|bottom|highest|lowest|best|worst|rate|share|percent(?:age)?|trend|compare|distribution|list|show|find|give|rank|per|by)\b/i;
/** An answer that claims nothing: it asks back, or says that it cannot. */
const CLAIMS_NOTHING =
	/\?\s*$|\b(?:can(?:not|'t|’t)|could ?n[o'’]t|unable|not able|no such|do(?:es)? not (?:have|contain|include)|do(?:es)?n['’]t (?:have|contain|include)|not available|please (?:clarify|specify)|sorry)\b/i;

function needsExecution({question, answer}: Claim): boolean {
	if (SMALL_TALK.test(question) || ABOUT_US.test(question) || ABOUT_SCHEMA.test(question)) return false;
	return ABOUT_DATA.test(question) && !CLAIMS_NOTHING.test(answer);
}
