import {resolve} from 'node:path';
import type {IngestInput} from '../ingest.ts';
import {writeCsv} from './csv.ts';
import {ecommerce} from './ecommerce.ts';
import type {Sample} from './sample.ts';
import {sensors} from './sensors.ts';
import {support} from './support.ts';

/** The datasets that come with Writ. Their rows are made by `generate`, byte for byte the same everywhere. */
export const SAMPLES: readonly Sample[] = [ecommerce, support, sensors];

type SampleInput = IngestInput & {readonly id: string; readonly name: string; readonly description: string};

type WrittenSample = {
	/** what `dataset.add` needs to make the sample a dataset */
	readonly input: SampleInput;
	/** SHA-256 of each file by name, hex */
	readonly hashes: Readonly<Record<string, string>>;
};

/** Writes every sample as CSV files, `<dir>/<id>/<table>.csv`. */
export async function writeSamples(dir: string, samples: readonly Sample[] = SAMPLES): Promise<readonly WrittenSample[]> {
	const written: WrittenSample[] = [];
	for (const sample of samples) {
		const rows = sample.generate();
		const files: {name: string; path: string}[] = [];
		const hashes: Record<string, string> = {};
		for (const {name: table, columns} of sample.tables) {
			const name = `${table}.csv`;
			const path = resolve(dir, sample.id, name);
			const header = columns.map((column) => column.name);
			hashes[name] = await writeCsv(path, header, rows.get(table) ?? []);
			files.push({name, path});
		}
		written.push({input: toInput(sample, files), hashes});
	}
	return written;
}

function toInput(
	{id, name, description, relationships, now, prompts, tags, tables}: Sample,
	files: IngestInput['files'],
): SampleInput {
	const described = tables.map((table) => {
		const columns = table.columns.map(({name: column, description: text, unit}) => {
			return [column, {description: text, ...(unit === undefined ? {} : {unit})}] as const;
		});
		return [table.name, {description: table.description, columns: Object.fromEntries(columns)}] as const;
	});
	return {
		...{id, name, description, now, files},
		relationships: [...relationships],
		prompts: [...prompts],
		tags: [...tags],
		tables: Object.fromEntries(described),
	};
}
