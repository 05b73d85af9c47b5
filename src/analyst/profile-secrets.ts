import type {Dataset} from '#contract/dataset.ts';
import {WritError} from '#contract/errors.ts';
import type {Redactor} from '#kernel/ports.ts';

/**
 * What is said of a dataset without the secrets of its cells, headers and descriptions. What files are found by stays as it is:
 * throws `invalid_request` for a dataset or a table that is named like a secret.
 */
export function withoutSecrets(dataset: Dataset, redact: Redactor): Dataset {
	const {id, hash} = dataset;
	if (redact([id, ...dataset.tables.map(({name}) => name)]).count > 0)
		throw new WritError('invalid_request', 'the dataset or one of its tables is named like a secret', {
			hint: 'give the dataset another id, or its files other names',
		});
	const clean = redact(dataset).value as Dataset;
	const tables = clean.tables.map((table, index): Dataset['tables'][number] => {
		const {name, file, sha256, source} = dataset.tables[index] as Dataset['tables'][number];
		return {...table, name, file, sha256, source: {...table.source, sha256: source.sha256}};
	});
	return {...clean, id, hash, tables};
}
