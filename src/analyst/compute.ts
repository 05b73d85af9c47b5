import {z} from 'zod';
import type {Dataset} from '#contract/dataset.ts';
import {WritError} from '#contract/errors.ts';
import type {Principal} from '#contract/event.ts';
import type {Json} from '#contract/json.ts';
import type {Frame, RunnerRequest, SandboxLimits, SandboxSpec, View} from '#contract/sandbox.ts';
import {type Column, tableSchema} from '#contract/table.ts';
import type {Tool, World} from '#kernel/tool.ts';
import {toError} from '#sandbox/runner-error.ts';
import type {DatasetSource, Datasets} from './datasets.ts';

/** What a computation gave, as its tool returns it and its evidence keeps it. */
export const computedSchema = z.object({
	/** the snapshot it was computed on */
	dataset: z.object({id: z.string(), hash: z.string()}),
	table: tableSchema,
	/** tables and functions of the statement, as DuckDB parsed it; null for Python */
	statement: z.object({tables: z.array(z.string()), functions: z.array(z.string())}).nullable(),
	stdout: z.string(),
	stderr: z.string(),
	execTimeMs: z.number(),
});
export type Computed = z.infer<typeof computedSchema>;

/** What every computation of the room is made with. */
export type Computing = {
	readonly datasets: Datasets;
	readonly limits: SandboxLimits;
	readonly maxRows: number;
	readonly maxBytes: number;
};

type DatasetInput = {readonly dataset_id: string};

/** What all tools that compute over a dataset have in common: they read, may be repeated, and return what nobody vouches for. */
export function computation({datasets, limits, maxRows, maxBytes}: Computing) {
	return {
		effect: 'read',
		idempotent: true,
		labels: ['untrusted'],
		limits: {wallMs: limits.wallMs, maxRows, maxBytes},
		resource: ({dataset_id}: DatasetInput) => ({type: 'Dataset', id: dataset_id}),
		fingerprint: async ({dataset_id}: DatasetInput, {tenant}: Principal) => (await datasets.get(tenant, dataset_id)).hash,
	} as const satisfies Partial<Tool<DatasetInput>>;
}

/** Runs one request over a dataset's present snapshot in a sandbox of its own and puts the frames together. */
export async function computeOver(
	datasetId: string,
	{datasets, limits}: Computing,
	world: World,
	toRequest: (views: readonly View[], dataset: Dataset) => RunnerRequest,
): Promise<Computed> {
	const {tenant} = world.principal;
	const dataset = await datasets.get(tenant, datasetId);
	const {mounts, views} = datasets.source(tenant, dataset);
	const request = toRequest(views, dataset);
	const {frames, usage} = await world.sandbox(specOver(mounts, limits, request.kind === 'python' ? 'python' : 'sql'), request);
	return {dataset: {id: dataset.id, hash: dataset.hash}, ...assemble(frames), execTimeMs: Math.round(usage.wallMs * 10) / 10};
}

/** The sandbox in which a dataset is queried; equal for all queries of a snapshot, so that one can wait ready. */
export function specOver(mounts: DatasetSource['mounts'], limits: SandboxLimits, runner: 'sql' | 'python'): SandboxSpec {
	return {runner, mounts: [...mounts], network: 'none', limits};
}

/** Frames into one table. An `error` frame is thrown under its code; a runner can only name codes of the catalogue. */
export function assemble(frames: readonly Frame[]): Omit<Computed, 'dataset' | 'execTimeMs'> {
	const columns: Column[] = [];
	const rows: Json[][] = [];
	for (const frame of frames) {
		if (frame.type === 'error') throw toError(frame);
		if (frame.type === 'columns') columns.push(...frame.columns);
		if (frame.type === 'rows') for (const row of frame.rows) rows.push(row);
		if (frame.type === 'done') {
			const {totalRows, truncated, nonFinite, statement, stdout = '', stderr = ''} = frame;
			return {table: {columns, rows, totalRows, truncated, nonFinite}, statement: statement ?? null, stdout, stderr};
		}
	}
	throw new WritError('runner_internal_error', 'the sandbox ended without a result');
}
