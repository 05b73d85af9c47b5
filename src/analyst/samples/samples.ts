import {join} from 'node:path';
import {writeCsv} from './csv.ts';
import {ecommerce} from './ecommerce.ts';
import type {Sample} from './sample.ts';
import {sensors} from './sensors.ts';
import {support} from './support.ts';

/** The datasets that come with Writ. Their rows are made by `generate`, byte for byte the same everywhere. */
export const SAMPLES: readonly Sample[] = [ecommerce, support, sensors];

export type WrittenSample = {
	readonly sample: Sample;
	readonly files: readonly {readonly name: string; readonly path: string; readonly sha256: string}[];
};

/** Writes every sample as CSV files, `<dir>/<id>/<table>.csv`. */
export async function writeSamples(dir: string, samples: readonly Sample[] = SAMPLES): Promise<readonly WrittenSample[]> {
	const written: WrittenSample[] = [];
	for (const sample of samples) {
		const rows = sample.generate();
		const files = sample.tables.map(async (table) => {
			const name = `${table.name}.csv`;
			const path = join(dir, sample.id, name);
			const header = table.columns.map((column) => column.name);
			return {name, path, sha256: await writeCsv(path, header, rows.get(table.name) ?? [])};
		});
		written.push({sample, files: await Promise.all(files)});
	}
	return written;
}
