/**
 * Runs one ES module and exits. Started as `node javascript.ts '{"limits": …}'`. The module's result is its default export, or else its
 * export `result`, or else what it assigned to `result`; a promise is waited for. What it prints is captured by the host.
 * The sandbox is the boundary: the module shares this process, and could write to the result descriptor itself.
 */
import {spawnSync} from 'node:child_process';
import {writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {fileURLToPath, pathToFileURL} from 'node:url';
import type {RunnerRequest} from '#contract/sandbox.ts';
import {createCall} from './calls.ts';
import {parseArguments, RunnerError, sendFrame, serve} from './frames.ts';
import {toJson} from './javascript-json.ts';

/** Node's own code for a module that waits for something that will never come. */
const UNSETTLED = 13;
const MOST_TEXT = 4_000;

const {roots} = parseArguments(process.argv[2]);
const program = pathToFileURL(join(roots.scratch, 'program.mjs'));
const state = {answered: false};
await serve(answer);

async function answer(request: RunnerRequest): Promise<void> {
	if (request.kind !== 'javascript')
		throw new RunnerError('runner_internal_error', `the javascript runner was asked for \`${request.kind}\``);
	const {promise: failed, reject} = Promise.withResolvers<never>();
	process.once('uncaughtException', reject);
	process.once('exit', explainExit);
	try {
		provide(request);
		writeFileSync(program, request.code);
		const value = await Promise.race([evaluate(), failed]);
		finish(value, request.maxBytes);
	} catch (error) {
		throw error instanceof RunnerError ? error : explain(error);
	} finally {
		state.answered = true;
	}
}

/** What the module finds as globals. */
function provide({tools, maxBytes}: Extract<RunnerRequest, {kind: 'javascript'}>): void {
	const call = createCall(tools);
	const writ = Object.freeze({
		/** Resolves to what the tool returned. Rejects with an error that has a `code`, and where there is one a `hint`, when it did not run. */
		call: async (tool: string, input: unknown = {}) => call(String(tool), toJson(input, maxBytes).json),
	});
	Object.assign(globalThis, {writ, result: undefined});
}

async function evaluate(): Promise<unknown> {
	const module = (await import(program.href)) as Record<string, unknown>;
	for (const name of ['default', 'result']) if (name in module) return module[name];
	return (globalThis as {result?: unknown}).result;
}

function finish(value: unknown, maxBytes: number): void {
	if (typeof value === 'function')
		throw new RunnerError('javascript_execution_error', 'the result is a function', {
			hint: 'export what it returns, as in `export default await main()`',
		});
	const {json, nonFinite} = toJson(value, maxBytes);
	if (value !== undefined) sendFrame({type: 'value', value: json});
	sendFrame({type: 'done', totalRows: null, truncated: null, nonFinite});
}

function explainExit(code: number): void {
	if (state.answered) return;
	const message = code === UNSETTLED ? 'the code awaits a promise that never settles' : `the code called exit (${code})`;
	sendFrame({type: 'error', code: 'javascript_execution_error', message});
}

/** What went wrong, and on which line of the author's code. */
function explain(error: unknown): RunnerError {
	const [message, line] = [describe(error), lineOf(error)];
	const where = line === undefined ? '' : ` (line ${line})`;
	return new RunnerError('javascript_execution_error', `${message}${where}`, {details: line === undefined ? {} : {line}});
}

function describe(error: unknown): string {
	try {
		const text = error instanceof Error ? `${error.name}: ${error.message}` : `the code threw ${String(error)}`;
		return text.replaceAll(program.href, '<code>').slice(0, MOST_TEXT);
	} catch {
		return 'the code threw what cannot be printed'; // it may define its own exceptions
	}
}

function lineOf(error: unknown): number | undefined {
	try {
		const line = lineIn(String((error as Error).stack));
		// A module that cannot be parsed has no place on the stack; only the command line says where it is wrong.
		return line === undefined && error instanceof SyntaxError ? lineIn(check()) : line;
	} catch {
		return undefined; // as above
	}
}

function check(): string {
	return spawnSync(process.execPath, ['--check', fileURLToPath(program)], {encoding: 'utf8'}).stderr;
}

function lineIn(text: string): number | undefined {
	const [, after] = text.split(/program\.mjs:/, 2);
	const line = Number.parseInt(after ?? '', 10);
	return Number.isSafeInteger(line) ? line : undefined;
}
