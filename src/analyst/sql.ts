import {z} from 'zod';
import type {Tool} from '#kernel/tool.ts';
import {type Computing, computation, computedSchema, computeOver} from './compute.ts';
import {verifyComputed} from './verify.ts';

const inputSchema = z.strictObject({
	dataset_id: z.string().describe('the dataset to query'),
	sql: z.string().min(1).max(200_000).describe('one SELECT (or WITH … SELECT) over the tables of the dataset, in DuckDB SQL'),
});

const outputSchema = computedSchema.extend({sql: z.string()});

export function createSqlTool(computing: Computing): Tool<z.infer<typeof inputSchema>, z.infer<typeof outputSchema>> {
	const {maxRows, maxBytes} = computing;
	return {
		...computation(computing),
		name: 'analyst.sql',
		version: '1',
		title: 'Query with SQL',
		description:
			'Runs one read-only SQL query over a dataset in a sandbox and returns a table. The only statement is SELECT or WITH … SELECT; files, settings and other datasets are out of reach.',
		input: inputSchema,
		output: outputSchema,
		risk: 'low',
		preview: ({sql}) => sql,
		async run({dataset_id, sql}, world) {
			const computed = await computeOver(dataset_id, computing, world, (views) => ({
				kind: 'sql',
				dataset: dataset_id,
				views: [...views],
				sql,
				maxRows,
				maxBytes,
			}));
			return {...computed, sql};
		},
		verify: async (_input, output) => verifyComputed(output, computing),
	};
}
