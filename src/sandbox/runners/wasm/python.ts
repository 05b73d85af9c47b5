/**
 * Runs one piece of Python in Wasm and exits. Started as `node --permission … python.ts '{"limits": …, "mounts": …}'`; CPython has
 * started before `ready`, so that a waiting sandbox has only the code left to run.
 */
import {existsSync, readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import process from 'node:process';
import type {RunnerRequest} from '#contract/sandbox.ts';
import {RunnerError, sendJson, serve} from '../frames.ts';
import {createPreload, type Mount} from './mounts.ts';
import {readParquet} from './parquet.ts';
import {mountReadOnly, startPyodide} from './pyodide.ts';

type Arguments = {
	readonly pyodide: string;
	readonly mounts: readonly Mount[];
	/** the memory of a started interpreter; it is written when `keep` is set, and read otherwise, if it is there */
	readonly snapshot?: string;
	readonly keep?: boolean;
};

const {pyodide: directory, mounts, snapshot, keep = false} = JSON.parse(process.argv[2] ?? '{}') as Arguments;
const source = (name: string) => readFileSync(join(import.meta.dirname, name), 'utf8');
const sources = {bridge: source('bridge.py'), runner: source('../python.py')};

const known = !keep && snapshot !== undefined && existsSync(snapshot) ? readFileSync(snapshot) : undefined;
const pyodide = await startPyodide(directory, {snapshot: known, keep});
if (!known)
	pyodide.runPython(`${sources.bridge}\ninstall(${JSON.stringify(sources.runner)})`, {
		globals: pyodide.toPy({__name__: 'bridge'}),
	});
if (keep && snapshot !== undefined) {
	writeFileSync(snapshot, pyodide.makeMemorySnapshot());
	process.exit(0);
}
const bridge = pyodide.pyimport('bridge');
const tables = createPreload(mounts, async (target, source) => bridge.load(target, JSON.stringify(await readParquet(source))));
await tables.loadSmall();
// Wasm is compiled when it is first run: the first program should not be one that somebody waits for.
bridge.answer(JSON.stringify({views: [], code: 'result_rows = [(len("x"), 1.5, None)]', maxRows: 1, maxBytes: 1_000}));
await serve(answer);

async function answer(request: RunnerRequest): Promise<void> {
	if (request.kind !== 'python')
		throw new RunnerError('runner_internal_error', `the python runner was asked for \`${request.kind}\``);
	for (const {path} of request.views) await tables.load(path);
	mountReadOnly(pyodide, mounts);
	const frames: string = bridge.answer(JSON.stringify(request));
	for (const frame of frames.split('\n')) sendJson(frame);
}
