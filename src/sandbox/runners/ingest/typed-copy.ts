/** Writes delimited text as typed Parquet in one pass, and only where a late cell does not belong looks at every row first. */
import type {DuckDBConnection} from '@duckdb/node-api';
import {literal, quoted} from '../views.ts';
import {MISSING, TEXT} from './column-types.ts';
import {type Guess, guessAgain, orderOf} from './infer.ts';
import {rawColumn} from './names.ts';

export type Copy = {
	/** a table expression with columns `c0`, `c1`, … of text */
	readonly scan: string;
	readonly delimiter: string;
	/** of the typed columns */
	readonly names: readonly string[];
	readonly target: string;
	/** of the COPY */
	readonly options: string;
	readonly connection: DuckDBConnection;
};

/** How each column was read in the end, and how many of its cells said that they are missing. */
export type Written = {readonly guess: Guess; readonly gaps: number};

/** Looks at every row before a column that always has another exception is text. */
const ROUNDS = 8;

export async function copyTyped(copy: Copy, first: readonly Guess[]): Promise<Written[]> {
	let guesses: readonly Guess[] = first;
	// Words for missing values are counted for the owner, and only a look at every row counts.
	if (!guesses.some(({gaps, reading}) => gaps && reading !== TEXT) && (await attempt(copy, guesses)))
		return guesses.map((guess) => ({guess, gaps: 0}));
	for (let round = 1; ; round++) {
		const {exceptions, gaps} = await inspect(copy, guesses);
		if (exceptions.size === 0) {
			await write(copy, guesses, true);
			return guesses.map((guess, index) => ({guess, gaps: isText(guess) ? 0 : (gaps.get(index) ?? 0)}));
		}
		guesses =
			round < ROUNDS
				? guessAgain(guesses, exceptions, copy.delimiter)
				: guesses.map((guess) => (exceptions.has(guess.index) ? {...guess, reading: TEXT} : guess));
	}
}

function isText({reading}: Guess): boolean {
	return reading === null || reading === TEXT;
}

/** False when some cell did not belong. */
async function attempt(copy: Copy, guesses: readonly Guess[]): Promise<boolean> {
	try {
		await write(copy, guesses, false);
		return true;
	} catch (error) {
		if (error instanceof Error && error.message.includes(EXCEPTION)) return false;
		throw error;
	}
}

const EXCEPTION = 'writ: this cell does not belong';

async function write({scan, names, target, options, connection}: Copy, guesses: readonly Guess[], gaps: boolean): Promise<void> {
	const select = guesses.map((guess) => `${typed(guess, gaps)} AS ${quoted(names[guess.index] ?? '')}`);
	await connection.run(`COPY (SELECT ${select.join(',\n')} FROM ${scan}) TO ${literal(target)} (${options})`);
}

function typed(guess: Guess, gaps: boolean): string {
	const {reading, index} = guess;
	const raw = rawColumn(index);
	if (reading === TEXT) return raw;
	// A column without any value is text; should it turn out to have one, that has to be seen first.
	const value = reading
		? `WHEN ${reading.fits(text(guess))} THEN coalesce(${reading.read(text(guess))}, error('${EXCEPTION}'))`
		: '';
	const empty = gaps ? isMissing(raw) : `trim(${raw}) = ''`;
	const none = reading ? 'NULL' : raw;
	return `CASE ${value} WHEN ${raw} IS NULL OR ${empty} THEN ${none} ELSE error('${EXCEPTION}') END`;
}

function text({index, spaced}: Guess): string {
	return spaced ? `trim(${rawColumn(index)})` : rawColumn(index);
}

/** A list and not IN: of that the engine would make a hash join for each column. */
function isMissing(raw: string): string {
	return `list_contains([${MISSING.map(literal).join(', ')}], lower(trim(${raw})))`;
}

type Inspection = {readonly exceptions: Map<number, readonly string[]>; readonly gaps: Map<number, number>};

/** Holds every cell against the reading of its column: three that do not belong speak for the others. */
async function inspect({scan, connection}: Copy, guesses: readonly Guess[]): Promise<Inspection> {
	const checked = guesses.filter(({reading}) => reading !== TEXT);
	const [exceptions, gaps] = [new Map<number, readonly string[]>(), new Map<number, number>()];
	if (checked.length === 0) return {exceptions, gaps};
	// Of each cell: null when it belongs, an empty text when it says that it is missing, itself when it does not belong.
	const odd = checked.map((guess) => {
		const {reading, index} = guess;
		const raw = rawColumn(index);
		const belongs = reading ? `WHEN ${reading.fits(text(guess))} AND ${reading.read(text(guess))} IS NOT NULL THEN NULL` : '';
		return `CASE ${belongs} WHEN ${raw} IS NULL OR trim(${raw}) = '' THEN NULL WHEN ${isMissing(raw)} THEN '' ELSE ${raw} END AS o${index}`;
	});
	const facts = checked.map(({index}) => {
		const cell = `nullif(o${index}, '')`;
		return `count_if(o${index} = ''), min(${cell}), max(${cell}), arg_max(o${index}, length(${cell}))`;
	});
	const reader = await connection.runAndReadAll(`SELECT ${facts.join(',\n')} FROM (SELECT ${odd.join(',\n')} FROM ${scan})`);
	const row = reader.getRows()[0] ?? [];
	for (const [position, {index}] of checked.entries()) {
		const [missing, ...witnesses] = row.slice(position * 4, position * 4 + 4);
		gaps.set(index, Number(missing));
		const found = witnesses.filter((cell) => cell !== null && cell !== undefined).map(String);
		if (found.length > 0) exceptions.set(index, found);
	}
	return {exceptions, gaps};
}

/** Those columns whose dates could as well be read the other way round, in every row. */
export async function ambiguousDates({target, names, connection}: Copy, guesses: readonly Guess[]): Promise<Set<number>> {
	const doubtful = guesses.filter(({reading, choice}) => reading && orderOf(reading) && choice?.kind === 'order');
	if (doubtful.length === 0) return new Set();
	const checks = doubtful.map(({index}) => `coalesce(max(day(${quoted(names[index] ?? '')})), 0) <= 12`);
	const reader = await connection.runAndReadAll(`SELECT ${checks.join(', ')} FROM read_parquet(${literal(target)})`);
	const row = reader.getRows()[0] ?? [];
	return new Set(doubtful.filter((_, position) => row[position] === true).map(({index}) => index));
}
