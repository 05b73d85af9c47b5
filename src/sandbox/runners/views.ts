/** Puts the dataset's snapshots within reach of a statement, under their table names. */
import type {DuckDBConnection} from '@duckdb/node-api';
import type {RunnerRequest} from '#contract/sandbox.ts';
import type {Readable} from './gate.ts';

type Views = Extract<RunnerRequest, {kind: 'sql' | 'export'}>['views'];

/** Names that mean something to the engine already: as a schema they would be ambiguous. */
const RESERVED = new Set(['main', 'memory', 'temp', 'system', 'information_schema', 'pg_catalog']);

/** Creates one view per table in a schema named like the dataset, so that `table` and `dataset.table` both resolve. */
export async function createViews(
	views: Views,
	dataset: string | undefined,
	connection: DuckDBConnection,
	scan = (path: string) => `read_parquet(${literal(path)})`,
): Promise<Readable> {
	const schema = dataset === undefined || RESERVED.has(dataset) ? 'main' : dataset;
	const create = views.map(({table, path}) => `CREATE VIEW ${quoted(schema)}.${quoted(table)} AS SELECT * FROM ${scan(path)};`);
	const enter = schema === 'main' ? [] : [`CREATE SCHEMA ${quoted(schema)};`, `USE ${quoted(schema)};`];
	await connection.run([...enter, ...create].join('\n'));
	return {tables: views.map(({table}) => table), schema};
}

export function quoted(name: string): string {
	return `"${name.replaceAll('"', '""')}"`;
}

export function literal(text: string): string {
	return `'${text.replaceAll("'", "''")}'`;
}
