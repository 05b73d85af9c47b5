/** Proposes how to read each column of text: by the cells seen so far, and where those leave a choice, by what else the file shows. */
import {MISSING, proposals, type Reading, TEXT} from './column-types.ts';

/** What is known of one column. `reading` is null as long as no cell with a value was seen. */
export type Guess = {
	readonly index: number;
	/** distinct cells with a value, trimmed */
	readonly cells: readonly string[];
	/** some cells have spaces around them */
	readonly spaced: boolean;
	/** some cells say that a value is missing */
	readonly gaps: boolean;
	/** readings that some cell of the column contradicted */
	readonly refused: ReadonlySet<string>;
	readonly reading: Reading | null;
	/** what made the choice between two readings of equal right; null when there was none to make */
	readonly choice: Choice | null;
};

export type Choice = {readonly kind: 'order' | 'comma'; readonly by: 'column' | 'sequence' | 'delimiter' | 'custom'};

/** Cells kept of a column: as good as all of them for a proposal that every row will be held against. */
const KEPT_CELLS = 1_000;

/** The first guess at each of `width` columns, from the first records of a file. */
export function guessColumns(records: readonly (readonly (string | null)[])[], width: number, delimiter: string): Guess[] {
	const blank = {spaced: false, gaps: false, refused: new Set<string>(), reading: null, choice: null, cells: []};
	const guesses = Array.from({length: width}, (_, index) => {
		const seen = records.map((record) => record[index] ?? '');
		return notice({...blank, index}, seen);
	});
	return decide(guesses, delimiter);
}

/** The guesses again, after the engine found cells that do not belong. */
export function guessAgain(guesses: readonly Guess[], found: ReadonlyMap<number, readonly string[]>, delimiter: string): Guess[] {
	const learned = guesses.map((guess) => {
		const witnesses = found.get(guess.index);
		if (!witnesses) return guess;
		const next = notice(guess, witnesses);
		// Where the engine disagrees and nothing new was learned, it knows better.
		const refused = next.cells.length === guess.cells.length && next.spaced === guess.spaced && next.gaps === guess.gaps;
		return refused && guess.reading ? {...next, refused: new Set([...guess.refused, guess.reading.id])} : next;
	});
	return decide(learned, delimiter);
}

function notice(guess: Guess, seen: readonly string[]): Guess {
	const written = seen.filter((cell) => cell.trim() !== '');
	const valued = written.filter((cell) => !MISSING.includes(cell.trim().toLowerCase()));
	return {
		...guess,
		cells: [...new Set([...guess.cells, ...valued.map((cell) => cell.trim())])].slice(-KEPT_CELLS),
		spaced: guess.spaced || valued.some((cell) => cell.trim() !== cell),
		gaps: guess.gaps || valued.length < written.length,
	};
}

type Options = {readonly guess: Guess; readonly readings: readonly Reading[]};

function decide(guesses: readonly Guess[], delimiter: string): Guess[] {
	const all = guesses.map((guess): Options => {
		const readings = proposals(guess.cells).filter(({id}) => !guess.refused.has(id));
		return {guess, readings: guess.cells.length > 0 ? [...readings, TEXT] : []};
	});
	const order = settled(all, orderOf);
	const comma = settled(all, commaOf) ?? (delimiter === ';' ? 'decimal' : undefined);
	return all.map(({guess, readings}) => {
		const [first = null, ...others] = readings;
		if (!first) return {...guess, reading: null, choice: null};
		const other = others.find((reading) => rivals(first, reading));
		if (!other) return {...guess, reading: first, choice: null};
		return {...guess, ...(orderOf(first) ? byOrder(guess, first, other, order) : byComma(first, other, comma, delimiter))};
	});
}

type Verdict = Pick<Guess, 'reading' | 'choice'>;

function byOrder({cells}: Guess, dayFirst: Reading, monthFirst: Reading, order: string | undefined): Verdict {
	const pick = (first: string) => (orderOf(dayFirst) === first ? dayFirst : monthFirst);
	if (order) return {reading: pick(order), choice: {kind: 'order', by: 'column'}};
	const [days, months] = [backSteps(cells, ['day', 'month']), backSteps(cells, ['month', 'day'])];
	if (cells.length >= SEQUENCE && Math.min(days, months) === 0 && Math.max(days, months) > 1)
		return {reading: pick(days === 0 ? 'day' : 'month'), choice: {kind: 'order', by: 'sequence'}};
	return {reading: pick('day'), choice: {kind: 'order', by: 'custom'}};
}

function byComma(grouping: Reading, decimal: Reading, comma: string | undefined, delimiter: string): Verdict {
	const choice: Choice = {kind: 'comma', by: comma === undefined ? 'custom' : delimiter === ';' ? 'delimiter' : 'column'};
	return {reading: comma === 'decimal' ? decimal : grouping, choice};
}

/** Whether two readings take the same texts for different values. */
function rivals(a: Reading, b: Reading): boolean {
	const [orderA, orderB, commaA, commaB] = [orderOf(a), orderOf(b), commaOf(a), commaOf(b)];
	if (orderA && orderB) return orderA !== orderB && a.id.length === b.id.length;
	return commaA !== undefined && commaB !== undefined && commaA !== commaB;
}

/** `%d/%m/%Y` has the day first. */
export function orderOf({id}: Reading): 'day' | 'month' | undefined {
	if (/^%d.%m.%[Yy]/.test(id)) return 'day';
	return /^%m.%d.%[Yy]/.test(id) ? 'month' : undefined;
}

export function commaOf({id}: Reading): 'grouping' | 'decimal' | undefined {
	if (id.startsWith('1,234.5')) return 'grouping';
	return id.startsWith('1.234,5') ? 'decimal' : undefined;
}

/** The convention that all columns agree on which leave no choice. */
function settled<T extends string>(all: readonly Options[], conventionOf: (reading: Reading) => T | undefined): T | undefined {
	const votes = new Set<T>();
	for (const {readings} of all) {
		const conventions = new Set(readings.map(conventionOf).filter((each) => each !== undefined));
		const [only] = conventions;
		if (conventions.size === 1 && only) votes.add(only);
	}
	const [convention] = votes;
	return votes.size === 1 ? convention : undefined;
}

/** Fewer dates than this are in order by chance. */
const SEQUENCE = 6;

/** How often the dates go against the direction of most steps: 0 for a column in order, up or down. */
function backSteps(cells: readonly string[], [first]: readonly ['day' | 'month', string]): number {
	const moments = cells.map((cell) => {
		const [a = '', b = '', year = ''] = cell.split(/[^0-9]/);
		const [day, month] = first === 'day' ? [a, b] : [b, a];
		return Number(year) * 10_000 + Number(month) * 100 + Number(day);
	});
	const steps = moments.slice(1).map((moment, index) => Math.sign(moment - (moments[index] ?? 0)));
	return Math.min(steps.filter((step) => step < 0).length, steps.filter((step) => step > 0).length);
}
