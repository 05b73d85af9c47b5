/**
 * Runs one SQL statement over the dataset's snapshots in Wasm, and exits. Started as `node --permission … sql.ts '{"limits": …}'`; the
 * engine is open and locked before `ready`, and what is small has been read.
 */
import {Buffer} from 'node:buffer';
import process from 'node:process';
import type {RunnerRequest, SandboxLimits} from '#contract/sandbox.ts';
import {enterBareRealm} from './bare-realm.ts';
import {openEngine} from './duckdb/open.ts';
import {createSerialiser} from './duckdb/serialise.ts';
import {loadTable, tableOf} from './duckdb/tables.ts';
import {createPreload, type Mount} from './mounts.ts';

type Arguments = {
	/** where `duckdb-eh.wasm` lies */
	readonly duckdb: string;
	readonly mounts: readonly Mount[];
	readonly limits: SandboxLimits;
};

const {duckdb, mounts, limits} = JSON.parse(process.argv[2] ?? '{}') as Arguments;
const {client, ...database} = await openEngine(duckdb, limits);
// What imports the engine's interface comes after it.
const {RunnerError, serve} = await import('../frames.ts');
const {admit} = await import('../gate.ts');
const {toEngineError} = await import('../engine-errors.ts');
const {sendResult} = await import('../result-rows.ts');
const {createViews} = await import('../views.ts');

const parse = createSerialiser(database.engine, database.connection);
const snapshots = createPreload(mounts, (target, source) => loadTable(target, source, database));
await snapshots.loadSmall();
await warmUp();
// No statement has a way to JavaScript. Should one find it, it finds nothing of Node.
const realm = enterBareRealm(import.meta.dirname);
Object.assign(globalThis, {Buffer}); // of which the engine's interface makes its texts
realm.seal();
await serve(answer);

/** Wasm is compiled when it is first run: the first statement should not be one that somebody waits for. */
async function warmUp(): Promise<void> {
	const readable = {tables: ['warm'], schema: 'main'};
	await client.run("CREATE TABLE warm AS SELECT range AS n, range::VARCHAR AS s, DATE '2024-01-01' AS d FROM range(10)");
	const sql =
		'SELECT s, count(*) AS c, sum(n) FILTER (WHERE n > 1), max(d) FROM warm WHERE n BETWEEN 1 AND 8 GROUP BY s ORDER BY c DESC, s LIMIT 5';
	const {prepared} = await admit(sql, readable, client, parse);
	const result = await prepared.stream();
	for (let chunk = await result.fetchChunk(); chunk && chunk.rowCount > 0; chunk = await result.fetchChunk())
		chunk.getRowValues(0);
	await client.run('DROP TABLE warm');
}

async function answer(request: RunnerRequest): Promise<void> {
	if (request.kind !== 'sql') throw new RunnerError('runner_internal_error', `the sql runner was asked for \`${request.kind}\``);
	try {
		for (const {path} of request.views) await snapshots.load(path);
	} catch (error) {
		throw await toEngineError(error, 'main', client);
	}
	const readable = await createViews(request.views, request.dataset, client, tableOf);
	try {
		const statement = await admit(request.sql, readable, client, parse);
		await sendResult(statement, {...request, countMs: limits.wallMs / 4});
	} catch (error) {
		throw await toEngineError(error, readable.schema, client);
	}
}
