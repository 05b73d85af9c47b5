/**
 * Runs one SQL statement over the dataset's snapshots, or writes its result to a file, and exits. Started as
 * `node sql.ts '{"limits": …}'`; the engine is open and locked before `ready`, so that a waiting sandbox has only the query left.
 */
import {existsSync, readdirSync} from 'node:fs';
import {join} from 'node:path';
import type {RunnerRequest} from '#contract/sandbox.ts';
import {openEngine} from './engine.ts';
import {toEngineError} from './engine-errors.ts';
import {parseArguments, RunnerError, serve} from './frames.ts';
import {admit} from './gate.ts';
import {columnsOf, rowsOf, sendResult} from './result-rows.ts';
import {createViews, literal} from './views.ts';

const REHEARSAL = `SELECT range % 64 AS k, count(*) AS n, sum(range::DOUBLE) AS total, sum(range::DECIMAL(12, 2)) AS exact,
min(TIMESTAMP '2024-01-01') AS at, min(DATE '2024-01-01') AS day, max('text') AS text
FROM range(65) WHERE range >= 0 GROUP BY k ORDER BY n DESC LIMIT 64`;

const {limits, roots} = parseArguments(process.argv[2]);
const connection = await openEngine({limits, roots, read: roots.data, write: roots.out});
await rehearse().catch(() => {}); // what is wrong with the data is said to whoever asks for it
await serve(answer);

/** Takes the way of every query once, over the first snapshot if there is one, so that the real one finds its code loaded. Leaves nothing. */
async function rehearse(): Promise<void> {
	const files = existsSync(roots.data) ? readdirSync(roots.data, {recursive: true, encoding: 'utf8'}) : [];
	const snapshot = files.find((name) => name.endsWith('.parquet'));
	if (snapshot !== undefined) await connection.run(`FROM read_parquet(${literal(join(roots.data, snapshot))}) LIMIT 1`);
	const {prepared} = await admit(REHEARSAL, {tables: [], schema: 'main'}, connection);
	const result = await prepared.stream();
	columnsOf(result);
	const chunk = await result.fetchChunk();
	if (!chunk) return;
	const rowAt = rowsOf(chunk, result.columnTypes());
	for (let index = 0; index < chunk.rowCount; index += 1) JSON.stringify(rowAt(index, {count: 0}));
}

async function answer(request: RunnerRequest): Promise<void> {
	if (request.kind !== 'sql' && request.kind !== 'export')
		throw new RunnerError('runner_internal_error', `the sql runner was asked for \`${request.kind}\``);
	const readable = await createViews(request.views, request.dataset, connection);
	try {
		const statement = await admit(request.sql, readable, connection);
		if (request.kind === 'sql') return await sendResult(statement, {...request, countMs: limits.wallMs / 4});
		const {exportResult} = await import('./export.ts');
		await exportResult(request, statement, {connection, directory: roots.out});
	} catch (error) {
		throw await toEngineError(error, readable.schema, connection);
	}
}
