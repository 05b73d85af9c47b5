import {z} from 'zod';
import type {Tool} from '#kernel/tool.ts';
import {type Computing, computation, computedSchema, computeOver} from './compute.ts';
import {verifyComputed} from './verify.ts';

const inputSchema = z.strictObject({
	dataset_id: z.string().describe('the dataset to analyse'),
	python_code: z
		.string()
		.min(1)
		.max(200_000)
		.describe(
			'Python with pandas as pd and numpy as np; each table is a DataFrame of its own name and in dfs; leave the answer in result or as the last expression',
		),
});

const outputSchema = computedSchema.extend({pythonCode: z.string()});

export function createPythonTool(computing: Computing): Tool<z.infer<typeof inputSchema>, z.infer<typeof outputSchema>> {
	const {maxRows, maxBytes} = computing;
	return {
		...computation(computing),
		name: 'analyst.python',
		version: '1',
		title: 'Analyse with Python',
		description: 'Runs Python (pandas, numpy) over a dataset in a sandbox without network or files and returns a table.',
		input: inputSchema,
		output: outputSchema,
		risk: 'medium',
		preview: ({python_code}) => python_code,
		async run({dataset_id, python_code}, world) {
			const computed = await computeOver(dataset_id, computing, world, (views) => ({
				kind: 'python',
				views: [...views],
				code: python_code,
				maxRows,
				maxBytes,
			}));
			return {...computed, pythonCode: python_code};
		},
		verify: async (_input, output) => verifyComputed(output, computing),
	};
}
