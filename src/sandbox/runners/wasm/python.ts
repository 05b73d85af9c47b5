/**
 * Runs one piece of Python in Wasm and exits. Started as `node --permission … python.ts '{"limits": …, "mounts": …}'`; CPython has
 * started before `ready`, so that a waiting sandbox has only the code left to run.
 */
import {existsSync, readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import process from 'node:process';
import type {RunnerRequest} from '#contract/sandbox.ts';
import {RunnerError, sendJson, serve} from '../frames.ts';
import {type ParquetColumn, readParquet} from './parquet.ts';
import {type Mount, mountReadOnly, startPyodide} from './pyodide.ts';

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
await serve(answer);

async function answer(request: RunnerRequest): Promise<void> {
	if (request.kind !== 'python')
		throw new RunnerError('runner_internal_error', `the python runner was asked for \`${request.kind}\``);
	const tables: Record<string, ParquetColumn[]> = {};
	for (const {table, path} of request.views) tables[table] = await readParquet(sourceOf(path));
	mountReadOnly(pyodide, mounts);
	const frames: string = bridge.answer(JSON.stringify(request), JSON.stringify(tables));
	for (const frame of frames.split('\n')) sendJson(frame);
}

/** Where a path inside lies on the host. */
function sourceOf(path: string): string {
	const mount = mounts.find(({target}) => path === target || path.startsWith(`${target}/`));
	if (!mount) throw new RunnerError('runner_internal_error', 'a view is not part of any mount');
	return mount.source + path.slice(mount.target.length);
}
