/** Says in the author's terms what DuckDB objected to. */
import type {DuckDBConnection} from '@duckdb/node-api';
import type {Json} from '#contract/json.ts';
import {RunnerError} from './frames.ts';

/** Columns listed per table, and tables listed, in a hint: enough to correct a name, small enough for a model. */
const HINT_COLUMNS = 200;
const HINT_TABLES = 50;

/** Turns anything the engine threw into a `RunnerError`; a name it did not find comes with the names there are. */
export async function toEngineError(error: unknown, schema: string, connection: DuckDBConnection): Promise<RunnerError> {
	if (error instanceof RunnerError) return error;
	const said = error instanceof Error ? error.message : String(error);
	const message = withoutPaths(said);
	if (/out of memory|max_temp_directory_size/i.test(said))
		return new RunnerError('runner_resource_exceeded', message, {
			hint: 'aggregate or filter earlier, or raise the memory limit',
			details: {limit: /max_temp_directory_size/.test(said) ? 'scratchBytes' : 'memoryBytes'},
		});
	if (!/^(Catalog|Binder) Error/.test(message) || !NAME_MISSING.test(message))
		return new RunnerError('sql_execution_error', message);
	const hint = 'use the names of the tables and columns there are: details.schema_hint lists them';
	return new RunnerError('sql_execution_error', message, {hint, details: {schema_hint: await schemaHint(schema, connection)}});
}

const NAME_MISSING =
	/(table|column)\b[\s\S]*(does not exist|not found)|does not have a column|Candidate bindings|Ambiguous reference/i;

/** DuckDB ends what it says about memory with settings to change, which nobody here may. */
const ADVICE = /\.?\n+(?:This limit was set|Possible solutions)[\s\S]*$/;

/** Paths are the sandbox's own, but a reader should not wonder whose they are. */
function withoutPaths(message: string): string {
	return message
		.replace(/(["'`])(?:file:)?\/[^"'`\n]*\1/g, '$1(file)$1')
		.replace(/\n*Stack Trace:[\s\S]*$/, '')
		.replace(ADVICE, '')
		.trim();
}

async function schemaHint(schema: string, connection: DuckDBConnection): Promise<Json> {
	const reader = await connection.runAndReadAll(
		'SELECT table_name, list(column_name ORDER BY column_index) FROM duckdb_columns() WHERE schema_name = $1 AND NOT internal GROUP BY 1 ORDER BY 1',
		[schema],
	);
	const tables = reader.getRowsJson().map(([table, columns]) => [String(table), (columns as string[]).slice(0, HINT_COLUMNS)]);
	return Object.fromEntries(tables.slice(0, HINT_TABLES)) as Json;
}
