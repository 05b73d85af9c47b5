/**
 * Runs one SQL statement over the dataset's snapshots, or writes its result to a file, and exits. Started as
 * `node sql.ts '{"limits": …}'`; the engine is open and locked before `ready`, so that a waiting sandbox has only the query left.
 */
import type {RunnerRequest} from '#contract/sandbox.ts';
import {openEngine} from './engine.ts';
import {toEngineError} from './engine-errors.ts';
import {parseArguments, RunnerError, serve} from './frames.ts';
import {admit} from './gate.ts';
import {sendResult} from './result-rows.ts';
import {createViews} from './views.ts';

const {limits, roots} = parseArguments(process.argv[2]);
const connection = await openEngine({limits, roots, read: roots.data, write: roots.out});
await serve(answer);

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
