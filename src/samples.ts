import path from 'node:path';
import {SAMPLES, writeSamples} from '#analyst/samples/samples.ts';
import {validateSamples} from '#analyst/samples/validate.ts';
import type {Local} from '#cli/io.ts';
import type {LoadedConfig} from '#config/config.ts';
import {toErrorBody} from '#contract/errors.ts';
import type {Principal} from '#contract/event.ts';
import {LOCAL, type Platform} from './platform.ts';
import {start} from './serve.ts';

/** Generates the sample files and takes in those that are not datasets yet, through the same governed path as anybody's files. */
export async function addSamples(loaded: LoadedConfig, signal: AbortSignal): ReturnType<Local['addSamples']> {
	const {platform, config} = await start(loaded, 'silent');
	try {
		const present = new Map((await platform.datasets.list(LOCAL)).map((dataset) => [dataset.id, dataset]));
		const missing = SAMPLES.filter((sample) => !present.has(sample.id));
		const written = await writeSamples(path.join(path.resolve(config.data.dir), 'samples'), missing);
		const added = new Map<string, number>();
		for (const {input} of written) {
			const dataset = await platform.analyst.add(input, {principal: SETUP, requestId: '', signal});
			added.set(dataset.id, rowsOf(dataset.tables));
		}
		return SAMPLES.map(({id}) => ({id, rows: added.get(id) ?? rowsOf(present.get(id)?.tables ?? []), added: added.has(id)}));
	} finally {
		await platform.close();
	}
}

const SETUP: Principal = {kind: 'user', id: 'setup', tenant: LOCAL};

function rowsOf(tables: readonly {readonly rows: number}[]): number {
	return tables.reduce((sum, table) => sum + table.rows, 0);
}

/** Every row of the samples against what they promise, and every byte of the snapshots against their hashes. */
export async function verifyDatasets(loaded: LoadedConfig, id: string | undefined): ReturnType<Local['verifyDatasets']> {
	const {platform, config} = await start(loaded, 'silent');
	try {
		const ids = id === undefined ? (await platform.datasets.list(LOCAL)).map((dataset) => dataset.id) : [id];
		const samples = SAMPLES.filter((sample) => ids.includes(sample.id));
		const directory = path.join(path.resolve(config.data.dir), 'samples');
		await writeSamples(directory, samples);
		const {rules} = await validateSamples(directory, samples);
		const snapshots = await Promise.all(ids.map((each) => verifySnapshot(platform, each)));
		return [
			...snapshots,
			...rules.map(({sample, rule, examined, violations, examples}) => ({
				name: `${sample}: ${rule}`,
				ok: violations === 0 && examined > 0,
				detail: violations === 0 ? `${examined} examined` : `${violations} of ${examined}: ${examples.join('; ')}`,
			})),
		];
	} finally {
		await platform.close();
	}
}

async function verifySnapshot({datasets}: Platform, id: string): Promise<{name: string; ok: boolean; detail: string}> {
	try {
		const {files, bytes, dataset} = await datasets.verify(LOCAL, id);
		return {
			name: `${id}: snapshot ${dataset.hash.slice(0, 12)}`,
			ok: files > 0,
			detail: `${files} files, ${bytes} bytes, every hash as published`,
		};
	} catch (error) {
		return {name: `${id}: snapshot`, ok: false, detail: toErrorBody(error).message};
	}
}
