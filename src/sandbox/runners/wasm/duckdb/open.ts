/** Opens the engine with nothing in reach, and refuses to go on unless every setting reads back as it was set. */
import type {DuckDBConnection} from '@duckdb/node-api';
import type {SandboxLimits} from '#contract/sandbox.ts';
import type {Setting} from '../../engine.ts';
import {installBindings} from './bindings.ts';
import {type Engine, startEngine} from './engine.ts';
import {memoryOf} from './memory.ts';
import {createRoom, type Database, execute} from './tables.ts';

const PAGE = 65_536;
const MIB = 2 ** 20;

export type OpenEngine = Database & {readonly client: DuckDBConnection};

/** Of linear memory, what the engine takes before it has read anything. */
export const ENGINE_BYTES = 48 * MIB;

/** `path` is that of `duckdb-eh.wasm`. To be called before anything imports `@duckdb/node-api`, which from then on speaks to this engine. */
export async function openEngine(path: string, {memoryBytes}: Pick<SandboxLimits, 'memoryBytes'>): Promise<OpenEngine> {
	const engine = startEngine(path, Math.min(PAGE, Math.ceil((memoryBytes + ENGINE_BYTES) / PAGE)));
	installBindings(engine);
	const {DuckDBConnection} = await import('@duckdb/node-api');
	const {applySettings, OFF, off, size} = await import('../../engine.ts');
	const database = {engine, connection: connect(engine)};
	const client = new DuckDBConnection(database.connection as never);
	// JSON is text with another name, as it is for whoever has the extension.
	execute('CREATE TYPE JSON AS VARCHAR', database);
	createRoom(database);
	const memory = Math.floor((memoryBytes * 0.9) / MIB);
	const settings: readonly Setting[] = [
		...OFF.map(off),
		['temp_directory', "''", ''],
		['memory_limit', `'${memory}MiB'`, size(memory)],
		['max_expression_depth', '250', '250'],
		off('enable_external_access'),
		['allowed_configs', '[]', '[]'],
		['lock_configuration', 'true', 'true'],
	];
	await applySettings(settings, client);
	return {...database, client};
}

function connect(engine: Engine): number {
	const memory = memoryOf(engine);
	return memory.withBytes(8, (out) => {
		const opened = engine.call('duckdb_open_ext', 0, out, 0, 0);
		if (opened !== 0) throw new Error('the engine cannot open a database in memory');
		if (engine.call('duckdb_connect', memory.pointer(out), out + 4) !== 0) throw new Error('the engine takes no connection');
		return memory.pointer(out + 4);
	});
}
