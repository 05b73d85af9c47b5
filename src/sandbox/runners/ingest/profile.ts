/** Learns what there is to know of a snapshot, over all its rows. */
import type {DuckDBConnection, DuckDBMapValue, DuckDBType, DuckDBValue} from '@duckdb/node-api';
import type {ColumnProfile} from '#contract/dataset.ts';
import type {Json} from '#contract/json.ts';
import {toCell, toColumnType} from '../cells.ts';
import {literal, quoted} from '../views.ts';
import type {ColumnName} from './names.ts';

/** Columns of one query: enough to share a scan, few enough to plan quickly. */
const BATCH = 100;
const EXACT_DISTINCT = 100_000;
const LISTED_DISTINCT = 200;
/** An estimate of this much may be a count of `LISTED_DISTINCT`. */
const PERHAPS_LISTED = 260;
const LISTED_VALUES = 20;
const TEXT_SHOWN = 200;
/** Distinct values counted at a time, which is what the memory for it depends on. */
const COUNTED_TOGETHER = 400_000;

const UNORDERED: ReadonlySet<string> = new Set(['json', 'blob', 'null']);

type Column = ColumnName & {readonly index: number; readonly engine: DuckDBType};
type Range = {readonly nulls: number; readonly distinct: number; readonly min: Json; readonly max: Json};
type Listed = NonNullable<ColumnProfile['values']>;

export async function profileColumns(
	path: string,
	names: readonly ColumnName[],
	connection: DuckDBConnection,
): Promise<{rows: number; columns: ColumnProfile[]}> {
	const table = `read_parquet(${literal(path)})`;
	const described = await connection.stream(`SELECT * FROM ${table} LIMIT 0`);
	const columns = described.columnTypes().map((engine, index): Column => ({...(names[index] as ColumnName), index, engine}));
	const ask = async (items: readonly string[]) =>
		(await connection.runAndReadAll(`SELECT ${items.join(', ')} FROM ${table}`)).getRows()[0] ?? [];
	const [rows] = await ask(['count(*)']);
	const ranges = await readRanges(columns, ask);
	const few = columns.filter(({index, engine}) => isFew(ranges[index], engine));
	const listed = await listValues(few, ask);
	const counted = await countDistinct(
		columns.filter(({index}) => !listed.has(index)),
		ranges,
		ask,
	);
	return {
		rows: Number(rows),
		columns: columns.map(({index, engine, ...name}) => {
			const {nulls, distinct: estimate, min, max} = ranges[index] as Range;
			const values = listed.get(index);
			const distinct = values?.length ?? counted.get(index) ?? estimate;
			return {
				...name,
				...{type: toColumnType(engine), engineType: engine.toString(), description: '', nulls, distinct, min, max},
				...(values && distinct > 0 && distinct <= LISTED_DISTINCT ? {values: mostFrequent(values)} : {}),
			};
		}),
	};
}

type Ask = (items: readonly string[]) => Promise<readonly DuckDBValue[]>;

async function readRanges(columns: readonly Column[], ask: Ask): Promise<Range[]> {
	const ranges: Range[] = [];
	for (const batch of batches(columns)) {
		const row = await ask(
			batch.flatMap(({name, engine}) => {
				const column = quoted(name);
				const ends = UNORDERED.has(toColumnType(engine)) ? ['NULL', 'NULL'] : [`min(${column})`, `max(${column})`];
				return [`count(*) - count(${column})`, `approx_count_distinct(${column})`, ...ends];
			}),
		);
		for (const [position, {engine}] of batch.entries()) {
			const [nulls, distinct, min, max] = row.slice(position * 4, position * 4 + 4);
			ranges.push({nulls: Number(nulls), distinct: Number(distinct), min: shown(min, engine), max: shown(max, engine)});
		}
	}
	return ranges;
}

function* batches(columns: readonly Column[]): Generator<readonly Column[]> {
	for (let from = 0; from < columns.length; from += BATCH) yield columns.slice(from, from + BATCH);
}

/** Nested values are counted, but not listed: what they hold may be long. */
function isFew(range: Range | undefined, engine: DuckDBType): boolean {
	return range !== undefined && range.distinct <= PERHAPS_LISTED && toColumnType(engine) !== 'json';
}

/** All values of columns with few of them, with their counts. */
async function listValues(columns: readonly Column[], ask: Ask): Promise<Map<number, Listed>> {
	const listed = new Map<number, Listed>();
	for (const batch of batches(columns)) {
		const row = await ask(batch.map(({name}) => `histogram(${quoted(name)})`));
		for (const [position, {index, engine}] of batch.entries()) {
			const entries = (row[position] as DuckDBMapValue | null)?.entries ?? [];
			listed.set(
				index,
				entries.map(({key, value}) => ({value: shown(key, engine), count: Number(value)})),
			);
		}
	}
	return listed;
}

/** In the order of the engine, which the map keeps, where two are as frequent. */
function mostFrequent(values: Listed): Listed {
	return values.toSorted((a, b) => b.count - a.count).slice(0, LISTED_VALUES);
}

/** The exact number of distinct values, as long as the memory for it stays small. */
async function countDistinct(columns: readonly Column[], ranges: readonly Range[], ask: Ask): Promise<Map<number, number>> {
	const counted = new Map<number, number>();
	const countable = columns.filter(({index}) => (ranges[index]?.distinct ?? 0) <= EXACT_DISTINCT);
	for (const batch of batches(countable)) {
		for (let from = 0, to = 0; from < batch.length; from = to) {
			for (let sum = 0; to < batch.length && (to === from || sum <= COUNTED_TOGETHER); to++)
				sum += ranges[batch[to]?.index ?? 0]?.distinct ?? 0;
			const together = batch.slice(from, to);
			const row = await ask(together.map(({name}) => `count(DISTINCT ${quoted(name)})`));
			for (const [position, {index}] of together.entries()) counted.set(index, Number(row[position]));
		}
	}
	return counted;
}

/** Long texts say enough by their beginning. */
function shown(value: DuckDBValue | undefined, engine: DuckDBType): Json {
	const cell = toCell(value ?? null, engine, {count: 0});
	return typeof cell === 'string' && cell.length > TEXT_SHOWN ? `${cell.slice(0, TEXT_SHOWN)}…` : cell;
}
