import {z} from 'zod';
import type {Dataset} from '#contract/dataset.ts';
import type {Tool} from '#kernel/tool.ts';
import type {Datasets} from './datasets.ts';

const LIMITS = {wallMs: 5_000, maxRows: 1_000, maxBytes: 1_000_000};

const listedSchema = z.object({
	datasets: z.array(z.object({id: z.string(), name: z.string(), description: z.string(), tables: z.array(z.string())})),
});

export function createListDatasetsTool(datasets: Datasets): Tool<Record<string, never>, z.infer<typeof listedSchema>> {
	return {
		name: 'analyst.list_datasets',
		version: '1',
		title: 'List datasets',
		description: 'Names the datasets there are.',
		input: z.strictObject({}) as z.ZodType<Record<string, never>>,
		output: listedSchema,
		effect: 'read',
		risk: 'low',
		idempotent: true,
		labels: ['untrusted'],
		limits: LIMITS,
		resource: () => ({type: 'Catalogue', id: 'datasets'}),
		async run(_input, {principal}) {
			const all = await datasets.list(principal.tenant);
			return {
				datasets: all.map(({id, name, description, tables}) => ({
					id,
					name,
					description,
					tables: tables.map((table) => table.name),
				})),
			};
		},
		verify: async (_input, output) => ({
			kind: 'verified',
			checks: [{name: 'listed', passed: true, detail: `${output.datasets.length} datasets`}],
		}),
	};
}

const describedSchema = z.object({
	id: z.string(),
	hash: z.string(),
	name: z.string(),
	description: z.string(),
	/** the moment that "today" refers to */
	now: z.string().nullable(),
	relationships: z.array(z.string()),
	tables: z.array(
		z.object({
			name: z.string(),
			rows: z.int(),
			description: z.string(),
			columns: z.array(
				z.object({
					name: z.string(),
					type: z.string(),
					description: z.string(),
					nulls: z.int(),
					distinct: z.int(),
					range: z.string(),
					values: z.array(z.json()),
				}),
			),
		}),
	),
});
export type Described = z.infer<typeof describedSchema>;

/** The tool that tells what a dataset holds; what it returns may be shown, to people and to models. */
export const DESCRIBE = 'analyst.get_dataset_schema';

export function createDescribeTool(datasets: Datasets): Tool<{dataset_id: string}, Described> {
	return {
		name: DESCRIBE,
		version: '1',
		title: 'Describe a dataset',
		description: 'The tables of a dataset with their columns, types, ranges and frequent values.',
		input: z.strictObject({dataset_id: z.string()}),
		output: describedSchema,
		effect: 'read',
		risk: 'low',
		idempotent: true,
		labels: ['untrusted'],
		limits: LIMITS,
		resource: ({dataset_id}) => ({type: 'Dataset', id: dataset_id}),
		run: async ({dataset_id}, {principal}) => describe(await datasets.get(principal.tenant, dataset_id)),
		verify: async (_input, output) => ({
			kind: 'verified',
			checks: [
				{
					name: 'described',
					passed: output.tables.length > 0,
					detail: `${output.tables.length} tables of snapshot ${output.hash.slice(0, 12)}`,
				},
			],
		}),
	};
}

/** A dataset in few words: what a model needs to write a query, and nothing of its rows but frequent values. */
export function describe(dataset: Dataset): Described {
	const {id, hash, name, description, now, relationships} = dataset;
	return {
		id,
		hash,
		name,
		description,
		now,
		relationships: relationships.map(({from, to, type}) => `${from} → ${to} (${type})`),
		tables: dataset.tables.map((table) => ({
			name: table.name,
			rows: table.rows,
			description: table.description,
			columns: table.columns.map((column) => ({
				name: column.name,
				type: column.type,
				description: [column.description, column.unit && `in ${column.unit}`].filter(Boolean).join(', '),
				nulls: column.nulls,
				distinct: column.distinct,
				range: column.min === null ? '' : `${column.min} … ${column.max}`,
				values: (column.values ?? []).slice(0, 12).map(({value}) => value),
			})),
		})),
	};
}
