import {createHash} from 'node:crypto';
import {constants} from 'node:fs';
import {mkdtemp, open, rm} from 'node:fs/promises';
import path from 'node:path';
import {pipeline} from 'node:stream/promises';
import {z} from 'zod';
import {WritError} from '#contract/errors.ts';
import type {Json} from '#contract/json.ts';
import type {SandboxSpec} from '#contract/sandbox.ts';
import type {Column, Table} from '#contract/table.ts';
import type {Tool} from '#kernel/tool.ts';
import {toError} from '#sandbox/runner-error.ts';
import {type Computing, computation} from './compute.ts';

const inputSchema = z.strictObject({
	dataset_id: z.string(),
	/** the snapshot to compute on: an export of an old run shows what that run saw */
	dataset_hash: z.string(),
	sql: z.string().min(1),
	format: z.enum(['csv', 'xlsx', 'parquet', 'json']),
	/** whether cells that a spreadsheet would run as a formula are made harmless */
	neutralise: z.boolean().default(true),
});

const outputSchema = z.object({
	path: z.string(),
	format: z.enum(['csv', 'xlsx', 'parquet', 'json']),
	bytes: z.int(),
	rows: z.int().nullable(),
	sha256: z.string(),
	truncated: z.boolean(),
});
export type Exported = z.infer<typeof outputSchema>;

/** The mode of a run that was opened for a file that somebody waits for. */
export const EXPORT_MODE = 'export';

/** Removes a file and the directory that was made for it. */
export function discardExport({path: file}: Pick<Exported, 'path'>): Promise<void> {
	return rm(path.dirname(file), {recursive: true, force: true});
}

/** Rows of one export; a worksheet holds 1,048,576. */
const MAX_ROWS = 1_000_000;

/** Computes a result again, whole, into a file in a directory of its own under `directory`. */
export function createExportTool(computing: Computing, directory: string): Tool<z.infer<typeof inputSchema>, Exported> {
	const {datasets, limits} = computing;
	const {fingerprint: _present, ...shared} = computation(computing);
	return {
		...shared,
		name: 'analyst.export',
		version: '1',
		title: 'Export a result',
		description:
			'Computes a query again without the row limit of the page and leaves the result as a CSV, XLSX, Parquet or JSON file.',
		input: inputSchema as z.ZodType<z.infer<typeof inputSchema>>,
		output: outputSchema,
		risk: 'low',
		egress: true,
		limits: {...shared.limits, maxRows: MAX_ROWS},
		preview: ({sql, format}) => `${format}: ${sql}`,
		async run({dataset_id, dataset_hash, sql, format, neutralise}, world) {
			const {tenant} = world.principal;
			const {mounts, views} = datasets.source(tenant, await datasets.at(tenant, dataset_id, dataset_hash));
			const output = await mkdtemp(path.join(directory, 'export-'));
			try {
				const spec: SandboxSpec = {runner: 'sql', mounts: [...mounts], output, network: 'none', limits};
				const request = {
					kind: 'export' as const,
					dataset: dataset_id,
					views: [...views],
					sql,
					format,
					neutralise,
					maxRows: MAX_ROWS,
				};
				const {frames} = await world.sandbox(spec, request);
				for (const frame of frames) if (frame.type === 'error') throw toError(frame);
				const done = frames.find((frame) => frame.type === 'done');
				const file = frames.find((frame) => frame.type === 'file');
				if (!(done && file)) throw new WritError('runner_internal_error', 'the sandbox ended without a file');
				const collected = await collect(path.join(output, `result.${format}`));
				world.signal.throwIfAborted(); // nobody will come for it
				return {...collected, format, rows: file.rows, truncated: done.truncated !== null};
			} catch (error) {
				await rm(output, {recursive: true, force: true});
				throw error;
			}
		},
		async verify(_input, output, {mode}) {
			const {sha256} = await collect(output.path);
			if (mode !== EXPORT_MODE) await discardExport(output); // nobody comes for it
			return {
				kind: 'verified',
				checks: [
					{
						name: 'file',
						passed: sha256 === output.sha256,
						detail: `${output.bytes} bytes, SHA-256 ${output.sha256.slice(0, 12)}…`,
					},
				],
			};
		},
	};
}

/** Takes up a file a sandbox left: a regular file by its own name, never through a link. */
async function collect(file: string): Promise<{readonly path: string; readonly bytes: number; readonly sha256: string}> {
	const handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
	try {
		const facts = await handle.stat();
		if (!facts.isFile()) throw new WritError('runner_internal_error', 'the sandbox left something that is not a file');
		const hash = createHash('sha256');
		await pipeline(handle.createReadStream({autoClose: false}), hash);
		return {path: file, bytes: facts.size, sha256: hash.digest('hex')};
	} finally {
		await handle.close();
	}
}

/** A table that is already computed as the SQL that says it again, so that every result leaves by the same way. */
export function toLiteralSql({columns, rows}: Pick<Table, 'columns' | 'rows'>): string {
	const whole = rows.length > 0 ? rows : [columns.map(() => null)];
	const casts = columns.map((column, index) => {
		const type = engineType(
			column,
			whole.map((row) => row[index] ?? null),
		);
		return `CAST("c${index}" AS ${type}) AS "${column.name.replaceAll('"', '""')}"`;
	});
	const values = whole.map((row) => `(${columns.map((_, index) => literal(row[index] ?? null)).join(', ')})`);
	const from = `FROM (VALUES\n${values.join(',\n')}) AS result(${columns.map((_, index) => `"c${index}"`).join(', ')})`;
	return `SELECT ${casts.join(', ')}\n${from}${rows.length > 0 ? '' : '\nWHERE false'}`;
}

/** Always text, which the cast around it reads: a column may hold numbers and, where they are too long for one, strings. */
function literal(cell: Json): string {
	if (cell === null) return 'NULL';
	return `'${(typeof cell === 'object' ? JSON.stringify(cell) : String(cell)).replaceAll("'", "''")}'`;
}

function engineType({type}: Column, cells: readonly Json[]): string {
	switch (type) {
		case 'boolean':
			return 'BOOLEAN';
		case 'integer':
			return 'HUGEINT';
		case 'decimal':
			return decimalType(cells);
		case 'double':
			return 'DOUBLE';
		case 'date':
			return 'DATE';
		case 'timestamp':
			return 'TIMESTAMP';
		case 'timestamptz':
			return 'TIMESTAMPTZ';
		default:
			return 'VARCHAR';
	}
}

/** Wide enough for every digit there is. */
function decimalType(cells: readonly Json[]): string {
	const fractions = cells.map((cell) => String(cell ?? '').split('.')[1]?.length ?? 0);
	return `DECIMAL(38, ${Math.min(18, Math.max(0, ...fractions))})`;
}
