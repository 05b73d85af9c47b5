import assert from 'node:assert/strict';
import {mkdir, mkdtemp, readdir, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {type TestContext, test} from 'node:test';
import type {SandboxLimits} from '#contract/sandbox.ts';
import type {World} from '#kernel/tool.ts';
import type {Computing} from './compute.ts';
import {createExportTool} from './export.ts';

const computing = {
	datasets: {at: async () => ({}), source: () => ({mounts: [], views: []})},
	limits: {} as SandboxLimits,
	maxRows: 1,
	maxBytes: 1,
} as unknown as Computing;

const DONE = [
	{type: 'file', rows: 1},
	{type: 'done', truncated: null},
];

/** Exports with a sandbox that leaves a file and these frames; resolves to what is left in the directory of exports. */
async function leftovers(t: TestContext, frames: readonly unknown[], signal = new AbortController().signal): Promise<number> {
	const directory = path.join(await mkdtemp(path.join(tmpdir(), 'writ-export-')), 'exports');
	await mkdir(directory);
	t.after(() => rm(path.dirname(directory), {recursive: true}));
	const world = {
		principal: {kind: 'user', id: 'ada', tenant: 'local'},
		signal,
		async sandbox({output}: {output: string}) {
			await writeFile(path.join(output, 'result.csv'), 'n\n1\n');
			return {frames};
		},
	} as unknown as World;
	const input = {dataset_id: 'support', dataset_hash: 'h', sql: 'SELECT 1 AS n', format: 'csv', neutralise: true} as const;
	await createExportTool(computing, directory)
		.run(input, world)
		.catch(() => {});
	return (await readdir(directory)).length;
}

test('an export leaves its file for whoever asked', async (t) => {
	assert.equal(await leftovers(t, DONE), 1);
});

test('an export that fails, or that nobody waits for any more, leaves nothing', async (t) => {
	assert.equal(await leftovers(t, []), 0);
	assert.equal(await leftovers(t, [{type: 'error', code: 'runner_internal_error', message: 'it broke'}]), 0);
	assert.equal(await leftovers(t, DONE, AbortSignal.abort()), 0);
});
