import {randomUUID} from 'node:crypto';
import {chmod, mkdir, rm} from 'node:fs/promises';
import {join} from 'node:path';
import type {AddedSample} from '#contract/api.ts';
import type {Dataset} from '#contract/dataset.ts';
import type {Analyst, Caller} from '../analyst.ts';
import {SAMPLES, writeSamples} from './samples.ts';

/** Adds the samples that the caller's tenant lacks, by the same governed path as anybody's files, which wait in `directory` meanwhile. */
export async function addSamples(
	analyst: Pick<Analyst, 'datasets' | 'add'>,
	directory: string,
	caller: Caller,
): Promise<AddedSample[]> {
	const present = new Map((await analyst.datasets(caller.principal.tenant)).map((dataset) => [dataset.id, dataset]));
	const missing = SAMPLES.filter(({id}) => !present.has(id));
	const files = join(directory, randomUUID());
	await mkdir(files);
	try {
		await chmod(files, PASSABLE);
		const added = new Map<string, Dataset>();
		for (const {input} of await writeSamples(files, missing)) added.set(input.id, await analyst.add(input, caller));
		return SAMPLES.map(({id}) => ({id, rows: rowsOf(added.get(id) ?? present.get(id)), added: added.has(id)}));
	} finally {
		await rm(files, {recursive: true, force: true});
	}
}

/** A sandbox reads the files as a user of its own. */
const PASSABLE = 0o711;

function rowsOf(dataset: Dataset | undefined): number {
	return dataset?.tables.reduce((sum, table) => sum + table.rows, 0) ?? 0;
}
