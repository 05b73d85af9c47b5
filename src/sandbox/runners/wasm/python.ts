/**
 * Runs one piece of Python in Wasm and exits. Started as `node --permission … python.ts '{"limits": …, "mounts": …}'`; CPython has
 * started before `ready`, so that a waiting sandbox has only the code left to run.
 */
import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import process from 'node:process';
import type {RunnerRequest} from '#contract/sandbox.ts';
import {RunnerError, sendJson, serve} from '../frames.ts';
import {type ParquetColumn, readParquet} from './parquet.ts';
import {type Mount, mountReadOnly, startPyodide} from './pyodide.ts';

const {pyodide: directory, mounts} = JSON.parse(process.argv[2] ?? '{}') as {pyodide: string; mounts: readonly Mount[]};
const source = (name: string) => readFileSync(join(import.meta.dirname, name), 'utf8');
const sources = {bridge: source('bridge.py'), runner: source('../python.py')};

const pyodide = await startPyodide(directory);
const bridge = pyodide.toPy({__name__: 'bridge'});
pyodide.runPython(sources.bridge, {globals: bridge});
const runner = bridge.get('load_runner')(sources.runner);
await serve(answer);

async function answer(request: RunnerRequest): Promise<void> {
	if (request.kind !== 'python')
		throw new RunnerError('runner_internal_error', `the python runner was asked for \`${request.kind}\``);
	const tables: Record<string, ParquetColumn[]> = {};
	for (const {table, path} of request.views) tables[table] = await readParquet(sourceOf(path));
	mountReadOnly(pyodide, mounts);
	const frames: string = bridge.get('answer')(runner, JSON.stringify(request), JSON.stringify(tables));
	for (const frame of frames.split('\n')) sendJson(frame);
}

/** Where a path inside lies on the host. */
function sourceOf(path: string): string {
	const mount = mounts.find(({target}) => path === target || path.startsWith(`${target}/`));
	if (!mount) throw new RunnerError('runner_internal_error', 'a view is not part of any mount');
	return mount.source + path.slice(mount.target.length);
}
