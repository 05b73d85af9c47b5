/** Opens DuckDB with nothing but the dataset in reach, and refuses to go on unless every setting reads back as it was set. */
import {type DuckDBConnection, DuckDBInstance} from '@duckdb/node-api';
import {type RunnerArguments, RunnerError} from './frames.ts';

const MIB = 2 ** 20;

/** Node, its heap and what DuckDB takes without accounting for it: 240 to 290 MiB while ten million rows are sorted on disk, and some to spare. */
const OUTSIDE_ENGINE = 384 * MIB;

/** What the lock-down needs to know. `write` is the directory that COPY may write to, if any. */
type EngineOptions = RunnerArguments & {readonly read: string; readonly write: string | null};

/** A connection to an in-memory database that can read `read`, write `write` and scratch, and change none of its settings. */
export async function openEngine(options: EngineOptions): Promise<DuckDBConnection> {
	const instance = await DuckDBInstance.create(':memory:');
	const connection = await instance.connect();
	await applySettings(lockdown(options), connection);
	return connection;
}

/** Sets them in their order, and throws when one does not read back as it was set. */
export async function applySettings(settings: readonly Setting[], connection: DuckDBConnection): Promise<void> {
	await connection.run(settings.map(([name, value]) => `SET ${name}=${value};`).join('\n'));
	await assertSettings(connection, settings);
}

export type Setting = readonly [name: string, value: string, reported: string];

/** In the order that works: scratch before external access ends, the lock last. Each with the value the engine reports back. */
function lockdown({limits, roots, read, write}: EngineOptions): Setting[] {
	const memory = Math.floor(Math.max(limits.memoryBytes - OUTSIDE_ENGINE, limits.memoryBytes / 3) / MIB);
	const scratch = Math.max(1, Math.floor((limits.scratchBytes * 0.9) / MIB));
	const threads = Math.max(1, Math.ceil(limits.cpus));
	const directories = [read, ...(write === null ? [] : [write])].map((path) => `${path.replace(/\/+$/, '')}/`);
	return [
		...OFF.map(off),
		['parquet_metadata_cache', 'true', 'true'], // snapshots do not change, and each statement reads their footers more than once
		['temp_directory', text(roots.scratch), roots.scratch],
		['max_temp_directory_size', text(`${scratch}MiB`), size(scratch)],
		['memory_limit', text(`${memory}MiB`), size(memory)],
		['threads', String(threads), String(threads)],
		['max_expression_depth', '250', '250'],
		['TimeZone', text('UTC'), 'UTC'],
		['allowed_directories', `[${directories.map(text).join(', ')}]`, listed([...directories, `${roots.scratch}/`])],
		off('enable_external_access'),
		['allowed_configs', '[]', '[]'],
		['lock_configuration', 'true', 'true'],
	];
}

export function off(name: string): Setting {
	return [name, 'false', 'false'];
}

export const OFF = [
	'autoinstall_known_extensions',
	'autoload_known_extensions',
	'allow_community_extensions',
	'allow_unsigned_extensions',
	'allow_extensions_metadata_mismatch',
	'allow_persistent_secrets',
	'allow_unredacted_secrets',
	'enable_external_file_cache',
	'enable_progress_bar',
];

function text(value: string): string {
	return `'${value.replaceAll("'", "''")}'`;
}

function listed(values: readonly string[]): string {
	return [...new Set(values)].sort().join(', ');
}

/** As DuckDB prints sizes: one decimal, in the largest binary unit that leaves at least 1. */
export function size(mebibytes: number): string {
	return mebibytes >= 1024 ? `${truncate(mebibytes / 1024)} GiB` : `${truncate(mebibytes)} MiB`;
}

function truncate(value: number): string {
	return (Math.floor(value * 10 + 1e-9) / 10).toFixed(1);
}

async function assertSettings(connection: DuckDBConnection, settings: readonly Setting[]): Promise<void> {
	const result = await connection.runAndReadAll('SELECT lower(name), value FROM duckdb_settings()');
	const actual = new Map(result.getRows().map(([name, value]) => [String(name), String(value)]));
	for (const [name, , expected] of settings) {
		const reported = actual.get(name.toLowerCase()) ?? 'nothing';
		if (normalise(reported) !== normalise(expected))
			throw new RunnerError(
				'runner_internal_error',
				`the engine reports \`${name}\` as ${reported} after it was set to ${expected}`,
			);
	}
}

/** Lists are reported in brackets and in no order. */
function normalise(value: string): string {
	return listed(value.replace(/^\[(.*)\]$/, '$1').split(', '));
}
