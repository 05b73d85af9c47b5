/** Decides the type of each raw column, on a sample first and then over every row: a late cell widens the type and loses nothing. */
import type {DuckDBConnection} from '@duckdb/node-api';
import {CANDIDATES, type Candidate, MISSING, TEXT} from './column-types.ts';
import {rawColumn} from './names.ts';

/** How a raw column becomes a typed one: `sql` is its expression over the raw table. */
export type Typed = {readonly candidate: Candidate; readonly sql: string};

const SAMPLE_ROWS = 500;
/** Columns looked at in one query: enough to share a scan, few enough to plan quickly. */
const BATCH = 25;

/** A list and not IN: of that the engine would make a hash join for each column. */
const NULLS = `[${MISSING.map((text) => `'${text}'`).join(', ')}]`;

/** `source` is a table expression with columns `c0`, `c1`, … of text. Adds what its owner should know to `notices`. */
export async function inferTypes(
	source: string,
	names: readonly string[],
	connection: DuckDBConnection,
	notices: string[],
): Promise<Typed[]> {
	const typed: Typed[] = [];
	for (let from = 0; from < names.length; from += BATCH) {
		const indexes = names.slice(from, from + BATCH).map((_, offset) => from + offset);
		const facts = await columnFacts(source, indexes, connection);
		const likely = await lookAt(source, indexes, facts, connection);
		const certain = await survivors(source, likely, connection);
		for (const index of indexes) {
			const column: Column = {name: names[index] as string, index, ...(facts.get(index) as Facts)};
			typed.push(choose(column, certain.get(index) ?? [], notices));
		}
	}
	return typed;
}

const PATTERNS = CANDIDATES.map((candidate) => ({candidate, pattern: new RegExp(`^(?:${candidate.pattern})$`)}));

/** The candidates that the first cells of each column look like: the engine then checks these few over all rows. */
async function lookAt(
	source: string,
	indexes: readonly number[],
	facts: ReadonlyMap<number, Facts>,
	connection: DuckDBConnection,
): Promise<Map<number, readonly Candidate[]>> {
	const rows = (
		await connection.runAndReadAll(`SELECT ${indexes.map(value).join(', ')} FROM ${source} LIMIT ${SAMPLE_ROWS}`)
	).getRows();
	const likely = new Map<number, readonly Candidate[]>();
	for (const [position, index] of indexes.entries()) {
		if (facts.get(index)?.present === 0) continue;
		let cells = rows.map((row) => String(row[position] ?? '')).filter(isWritten);
		if (cells.length === 0) {
			const query = `SELECT ${value(index)} FROM ${source} WHERE ${isPresent(index)} LIMIT ${SAMPLE_ROWS}`;
			cells = (await connection.runAndReadAll(query)).getRows().map(([cell]) => String(cell));
		}
		const fitting = PATTERNS.filter(({pattern}) => cells.every((cell) => pattern.test(cell)));
		likely.set(
			index,
			fitting.map(({candidate}) => candidate),
		);
	}
	return likely;
}

function isWritten(cell: string): boolean {
	return !MISSING.includes(cell.toLowerCase());
}

type Facts = {
	readonly present: number;
	readonly missing: number;
	readonly scale: number;
	readonly digits: number;
	readonly percent: boolean;
	readonly ambiguous: boolean;
	/** some cell has a comma */
	readonly comma: boolean;
	/** characters of the longest cell */
	readonly width: number;
};
type Column = Facts & {readonly name: string; readonly index: number};

/** The candidates that accept every cell of `source`. */
async function survivors(
	source: string,
	candidates: ReadonlyMap<number, readonly Candidate[]>,
	connection: DuckDBConnection,
): Promise<Map<number, readonly Candidate[]>> {
	const checks = [...candidates].flatMap(([index, list]) => list.map((candidate) => ({index, candidate})));
	const result = new Map<number, readonly Candidate[]>([...candidates.keys()].map((index) => [index, []]));
	if (checks.length === 0) return result;
	const conditions = checks.map(
		({index, candidate}) => `coalesce(bool_and(${candidate.accepts(value(index))}) FILTER (WHERE ${isPresent(index)}), true)`,
	);
	const reader = await connection.runAndReadAll(`SELECT ${conditions.join(',\n')} FROM ${source}`);
	const row = reader.getRows()[0] ?? [];
	for (const [position, {index, candidate}] of checks.entries())
		if (row[position] === true) result.set(index, [...(result.get(index) ?? []), candidate]);
	return result;
}

function value(index: number): string {
	return `trim(${rawColumn(index)})`;
}

function isPresent(index: number): string {
	return `(${rawColumn(index)} IS NOT NULL AND NOT list_contains(${NULLS}, lower(${value(index)})))`;
}

async function columnFacts(
	source: string,
	indexes: readonly number[],
	connection: DuckDBConnection,
): Promise<Map<number, Facts>> {
	const aggregates = indexes.flatMap((index) => {
		const [v, present] = [value(index), isPresent(index)];
		return [
			`count_if(${present})`,
			`count_if(${v} <> '' AND NOT ${present})`,
			`coalesce(max(length(split_part(${v}, '.', 2))) FILTER (WHERE ${present}), 0)`,
			`coalesce(max(length(ltrim(split_part(${v}, '.', 1), '-'))) FILTER (WHERE ${present}), 0)`,
			`coalesce(bool_and(regexp_full_match(${v}, '-?[0-9.,]+ ?%')) FILTER (WHERE ${present}), false)`,
			`coalesce(bool_and(regexp_full_match(${v}, '-?[0-9]{1,3},[0-9]{3}')) FILTER (WHERE ${present}), false)`,
			`coalesce(bool_or(contains(${v}, ',')), false)`,
			`coalesce(max(length(${v})), 0)`,
		];
	});
	const reader = await connection.runAndReadAll(`SELECT ${aggregates.join(',\n')} FROM ${source}`);
	const row = reader.getRows()[0] ?? [];
	return new Map(
		indexes.map((index, position) => {
			const [present, missing, scale, digits, percent, ambiguous, comma, width] = row.slice(position * 8, position * 8 + 8);
			const counts = {present: Number(present), missing: Number(missing), scale: Number(scale), digits: Number(digits)};
			const flags = {percent: percent === true, ambiguous: ambiguous === true, comma: comma === true};
			return [index, {...counts, ...flags, width: Number(width)}];
		}),
	);
}

function choose(column: Column, certain: readonly Candidate[], notices: string[]): Typed {
	const candidate = column.present === 0 ? TEXT : (certain.map((one) => fit(one, column)).find((one) => one !== null) ?? TEXT);
	note(column, candidate, certain, notices);
	if (candidate.type === 'text') return {candidate, sql: rawColumn(column.index)};
	return {candidate, sql: `CASE WHEN ${isPresent(column.index)} THEN ${candidate.cast(value(column.index))} END`};
}

/** Digits a decimal keeps: what a double prints exactly. Longer ones take the widest decimal, and what no decimal holds stays text. */
const EXACT_DIGITS = 15;
const DECIMAL_DIGITS = 38;

function fit(candidate: Candidate, {scale, digits, comma, width}: Column): Candidate | null {
	if (candidate.id === '1,234.5' || candidate.id === '1.234,5') return comma && width <= EXACT_DIGITS ? candidate : null;
	const plain = candidate.id === 'decimal' || candidate.id === 'double';
	if (!plain) return candidate;
	const total = scale + digits;
	if (candidate.id === 'double')
		return total <= EXACT_DIGITS + 2 || scale > DECIMAL_DIGITS ? candidate : wide(candidate, scale, total);
	const engineType = `DECIMAL(18,${scale})`;
	return total <= EXACT_DIGITS ? {...candidate, engineType, cast: (v) => `CAST(${v} AS ${engineType})`} : null;
}

function wide(candidate: Candidate, scale: number, total: number): Candidate | null {
	if (total > DECIMAL_DIGITS) return null;
	const engineType = `DECIMAL(38,${scale})`;
	return {...candidate, id: 'wide decimal', type: 'decimal', engineType, cast: (v) => `CAST(${v} AS ${engineType})`};
}

function note(
	{name, missing, percent, ambiguous}: Column,
	chosen: Candidate,
	certain: readonly Candidate[],
	notices: string[],
): void {
	if (chosen.type !== 'text' && missing > 0)
		notices.push(`column \`${name}\`: ${missing} cells said NA, null or the like and were read as missing`);
	if (chosen.type === 'text' && percent) notices.push(`column \`${name}\` holds percentages and was kept as text`);
	if (ambiguous && chosen.id === '1,234.5')
		notices.push(`column \`${name}\`: \`1,234\` was read as one thousand two hundred thirty-four`);
	if (chosen.id === '1.234,5') notices.push(`column \`${name}\`: the comma was read as decimal separator`);
	const swapped = chosen.id.replace(/^%d(.)%m/, '%m$1%d');
	if (swapped !== chosen.id && certain.some(({id}) => id === swapped))
		notices.push(`column \`${name}\`: day and month cannot be told apart; dates were read day first`);
}
