import path from 'node:path';
import {addSamples} from '#analyst/samples/add-samples.ts';
import {SAMPLES, writeSamples} from '#analyst/samples/samples.ts';
import {validateSamples} from '#analyst/samples/validate.ts';
import type {Local} from '#cli/io.ts';
import type {LoadedConfig} from '#config/config.ts';
import {toErrorBody} from '#contract/errors.ts';
import type {Principal} from '#contract/event.ts';
import {LOCAL, type Platform} from './platform.ts';
import {start} from './serve.ts';

/** Adds the samples to the data directory that the settings name. */
export async function addSamplesHere(loaded: LoadedConfig, signal: AbortSignal): ReturnType<Local['addSamples']> {
	const {platform, config} = await start(loaded, 'silent');
	try {
		const dataDir = path.resolve(config.data.dir);
		const caller = {principal: SETUP, requestId: '', signal};
		return {datasets: await addSamples(platform.analyst, path.join(dataDir, 'uploads'), caller), where: dataDir};
	} finally {
		await platform.close();
	}
}

const SETUP: Principal = {kind: 'user', id: 'setup', tenant: LOCAL};

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
