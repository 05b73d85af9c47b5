import {z} from 'zod';
import {ERRORS, type ErrorCode, WritError} from '#contract/errors.ts';
import type {Json} from '#contract/json.ts';
import type {Frame, RunnerRequest, SandboxLimits, SandboxSpec} from '#contract/sandbox.ts';
import {type Column, tableSchema} from '#contract/table.ts';
import type {World} from '#kernel/tool.ts';

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
export type Compute = {readonly limits: SandboxLimits; readonly maxRows: number; readonly maxBytes: number};

type Source = {readonly id: string; readonly hash: string; readonly mounts: SandboxSpec['mounts']};

/** Runs one request over one dataset's snapshot in a sandbox of its own and puts the frames together. */
export async function compute(world: World, source: Source, request: RunnerRequest, {limits}: Compute): Promise<Computed> {
	const runner = request.kind === 'python' ? 'python' : request.kind === 'ingest' ? 'ingest' : 'sql';
	const spec: SandboxSpec = {runner, mounts: source.mounts, network: 'none', limits};
	const {frames, usage} = await world.sandbox(spec, request);
	return {dataset: {id: source.id, hash: source.hash}, ...assemble(frames), execTimeMs: Math.round(usage.wallMs * 10) / 10};
}

/** Frames into one table. An `error` frame is thrown under its code; a runner can only name codes of the catalogue. */
export function assemble(frames: readonly Frame[]): Omit<Computed, 'dataset' | 'execTimeMs'> {
	const columns: Column[] = [];
	const rows: Json[][] = [];
	for (const frame of frames) {
		if (frame.type === 'error') throw toError(frame);
		if (frame.type === 'columns') columns.push(...frame.columns);
		if (frame.type === 'rows') for (const row of frame.rows) rows.push(row as Json[]);
		if (frame.type === 'done') {
			const {totalRows, truncated, nonFinite, statement, stdout = '', stderr = ''} = frame;
			return {table: {columns, rows, totalRows, truncated, nonFinite}, statement: statement ?? null, stdout, stderr};
		}
	}
	throw new WritError('runner_internal_error', 'the sandbox ended without a result');
}

function toError({code, message, hint, details = {}}: Extract<Frame, {type: 'error'}>): WritError {
	const known = code in ERRORS ? (code as ErrorCode) : 'runner_internal_error';
	return new WritError(known, message, {...(hint === undefined ? {} : {hint}), details});
}
