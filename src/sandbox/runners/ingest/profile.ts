/** Learns what there is to know of a snapshot, over all its rows. */
import type {DuckDBConnection, DuckDBType} from '@duckdb/node-api';
import type {ColumnProfile} from '#contract/dataset.ts';
import type {Json} from '#contract/json.ts';
import {toCell, toColumnType} from '../cells.ts';
import {literal, quoted} from '../views.ts';
import type {ColumnName} from './names.ts';

const BATCH = 50;
const EXACT_DISTINCT = 100_000;
const LISTED_DISTINCT = 200;
const LISTED_VALUES = 20;
const TEXT_SHOWN = 200;

const UNORDERED: ReadonlySet<string> = new Set(['json', 'blob', 'null']);

export async function profileColumns(
	path: string,
	names: readonly ColumnName[],
	connection: DuckDBConnection,
): Promise<{rows: number; columns: ColumnProfile[]}> {
	const table = `read_parquet(${literal(path)})`;
	const described = await connection.stream(`SELECT * FROM ${table} LIMIT 0`);
	const columns = described.columnTypes().map((type, index) => ({...(names[index] as ColumnName), engine: type}));
	const counted = await connection.runAndReadAll(`SELECT count(*) FROM ${table}`);
	const profiles: ColumnProfile[] = [];
	for (let from = 0; from < columns.length; from += BATCH)
		profiles.push(...(await profileBatch(table, columns.slice(from, from + BATCH), connection)));
	return {rows: Number(counted.getRows()[0]?.[0]), columns: profiles};
}

type Column = ColumnName & {readonly engine: DuckDBType};

async function profileBatch(table: string, columns: readonly Column[], connection: DuckDBConnection): Promise<ColumnProfile[]> {
	const aggregates = columns.flatMap(({name, engine}) => {
		const column = quoted(name);
		const range = UNORDERED.has(toColumnType(engine)) ? ['NULL', 'NULL'] : [`min(${column})`, `max(${column})`];
		return [`count(*) - count(${column})`, `approx_count_distinct(${column})`, ...range];
	});
	const row = (await connection.runAndReadAll(`SELECT ${aggregates.join(', ')} FROM ${table}`)).getRows()[0] ?? [];
	const profiles: ColumnProfile[] = [];
	for (const [index, column] of columns.entries()) {
		const [nulls, approximate, min, max] = row.slice(index * 4, index * 4 + 4);
		const distinct = await countDistinct(table, column, Number(approximate), connection);
		const {engine, ...name} = column;
		profiles.push({
			...name,
			type: toColumnType(engine),
			engineType: engine.toString(),
			description: '',
			nulls: Number(nulls),
			distinct,
			min: shown(toCell(min ?? null, engine, {count: 0})),
			max: shown(toCell(max ?? null, engine, {count: 0})),
			...(distinct > 0 && distinct <= LISTED_DISTINCT ? {values: await frequent(table, column, connection)} : {}),
		});
	}
	return profiles;
}

async function countDistinct(table: string, {name}: Column, approximate: number, connection: DuckDBConnection): Promise<number> {
	if (approximate > EXACT_DISTINCT) return approximate;
	const reader = await connection.runAndReadAll(`SELECT count(DISTINCT ${quoted(name)}) FROM ${table}`);
	return Number(reader.getRows()[0]?.[0]);
}

async function frequent(
	table: string,
	{name, engine}: Column,
	connection: DuckDBConnection,
): Promise<{value: Json; count: number}[]> {
	const column = quoted(name);
	const reader = await connection.runAndReadAll(
		`SELECT ${column}, count(*) FROM ${table} WHERE ${column} IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT ${LISTED_VALUES}`,
	);
	return reader
		.getRows()
		.map(([value, count]) => ({value: shown(toCell(value ?? null, engine, {count: 0})), count: Number(count)}));
}

/** Long texts say enough by their beginning. */
function shown(cell: Json): Json {
	return typeof cell === 'string' && cell.length > TEXT_SHOWN ? `${cell.slice(0, TEXT_SHOWN)}…` : cell;
}
