/** A whole platform in the test's own process, on a directory of its own: real gates, real sandboxes, nothing listening. */
import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {loadConfig} from '#config/config.ts';
import type {Result} from '#contract/api.ts';
import type {Dataset} from '#contract/dataset.ts';
import type {Principal} from '#contract/event.ts';
import {createAnswerer} from '../src/answerer.ts';
import {createPlatform, type Platform} from '../src/platform.ts';
import {ROOT, type Scope} from './server.ts';

export const OWNER: Principal = {kind: 'user', id: 'owner', tenant: 'local'};

type Given = {readonly name: string; readonly path: string};

export type Whole = {
	readonly platform: Platform;
	readonly directory: string;
	/** Takes files in as one dataset, without links and without a moment. */
	add(id: string, files: readonly Given[], principal?: Principal): Promise<Dataset>;
	run(dataset: string, type: 'sql' | 'python', code: string): Promise<Result>;
};

export async function wholePlatform(scope: Scope, env: Readonly<Record<string, string>> = {}): Promise<Whole> {
	const directory = mkdtempSync(path.join(tmpdir(), 'writ-whole-'));
	const {config} = loadConfig({
		file: null,
		env: {WRIT_DATA_DIR: path.join(directory, 'data'), ENABLE_PYTHON_EXECUTION: 'true', ...env},
	});
	const platform = await createPlatform({
		config,
		root: ROOT,
		software: 'writ test',
		report: (bug) => {
			throw bug;
		},
		answerer: (parts) => createAnswerer(config, parts),
	});
	scope.after(async () => {
		await platform.close();
		rmSync(directory, {recursive: true, force: true});
	});
	const callerOf = (principal: Principal) => ({principal, requestId: '', signal: new AbortController().signal});
	return {
		platform,
		directory,
		add: (id, files, principal = OWNER) =>
			platform.analyst.add({id, files: [...files], relationships: [], now: null}, callerOf(principal)),
		async run(dataset, type, code) {
			const content = type === 'sql' ? {sql: code} : {python_code: code};
			const request = {dataset_id: dataset, query_type: type, thread_id: null, ...content};
			return (await platform.analyst.run(request as Parameters<Platform['analyst']['run']>[0], callerOf(OWNER))).result;
		},
	};
}
