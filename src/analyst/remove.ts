import {z} from 'zod';
import {WritError} from '#contract/errors.ts';
import type {Tool} from '#kernel/tool.ts';
import type {Datasets} from './datasets.ts';

const inputSchema = z.strictObject({dataset_id: z.string().min(1).max(63)});
const outputSchema = z.object({dataset_id: z.string(), bytes: z.int()});
type Input = z.infer<typeof inputSchema>;
type Removed = z.infer<typeof outputSchema>;

type Options = {
	readonly datasets: Datasets;
	/** what keeps a dataset from being removed, in words; null when nothing does */
	readonly heldBy: (tenant: string, datasetId: string) => Promise<string | null>;
};

/** Removes a dataset with all its snapshots. What runs found in it stays on record, and verifies; to compute it again takes the data. */
export function createRemoveTool({datasets, heldBy}: Options): Tool<Input, Removed> {
	return {
		name: 'dataset.remove',
		version: '1',
		title: 'Remove a dataset',
		description: 'Removes a dataset with all its snapshots, for good. What runs found in it stays on record.',
		input: inputSchema as z.ZodType<Input>,
		output: outputSchema,
		effect: 'destructive',
		risk: 'medium',
		idempotent: false,
		labels: [],
		limits: {wallMs: 60_000, maxRows: 1, maxBytes: 1_000},
		resource: ({dataset_id}) => ({type: 'Dataset', id: dataset_id}),
		fingerprint: async ({dataset_id}, {tenant}) => hashOf(datasets.get(tenant, dataset_id)),
		preview: ({dataset_id}) => `remove the dataset ${dataset_id} with all its snapshots, for good`,
		async run({dataset_id}, {principal: {tenant}}) {
			const held = await heldBy(tenant, dataset_id);
			if (held !== null)
				throw new WritError('conflict', `dataset \`${dataset_id}\` is held: ${held}`, {
					hint: 'whoever holds it has to release it first: `writ hold list`',
				});
			return {dataset_id, bytes: await datasets.remove(tenant, dataset_id)};
		},
		async verify({dataset_id}, {bytes}, {principal: {tenant}}) {
			const passed = (await hashOf(datasets.get(tenant, dataset_id)).catch(() => null)) === null;
			const checks = [{name: 'removed', passed, detail: `${bytes} bytes given back`}];
			return {kind: passed ? 'verified' : 'unverified', checks};
		},
	};
}

/** One that is damaged can be removed too. Throws `not_found`. */
async function hashOf(dataset: ReturnType<Datasets['get']>): Promise<string> {
	try {
		return (await dataset).hash;
	} catch (error) {
		if (error instanceof WritError && error.code === 'dataset_corrupt') return 'damaged';
		throw error;
	}
}
