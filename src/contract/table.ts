import {z} from 'zod';
import type {Json} from './json.ts';

/**
 * The type a column has on the wire. `integer` beyond ±2^53 and `decimal` beyond 15 digits travel as strings; `date`, `time` and
 * `timestamp` are ISO 8601 without zone, `timestamptz` is ISO 8601 UTC; `json` is a list, struct or map.
 */
export const columnTypeSchema = z.enum([
	'boolean',
	'integer',
	'decimal',
	'double',
	'text',
	'date',
	'time',
	'timestamp',
	'timestamptz',
	'interval',
	'blob',
	'json',
	'null',
]);
export type ColumnType = z.infer<typeof columnTypeSchema>;

export const columnSchema = z.object({name: z.string(), type: columnTypeSchema});
export type Column = z.infer<typeof columnSchema>;

/** Present exactly when rows were left out. `total` is the number of rows the query produced, or null where it was not counted. */
export const truncationSchema = z.object({by: z.enum(['rows', 'bytes']), limit: z.int(), total: z.int().nullable()});
export type Truncation = z.infer<typeof truncationSchema>;

/**
 * A cell: JSON of any shape, which is not walked here. Text from outside was parsed as JSON, and `canonical` refuses whatever else a
 * tool returns, with its place; to say so a third time, with a schema, takes longer than all else that is done with a large result.
 */
export const cellSchema: z.ZodType<Json> = z.unknown() as z.ZodType<Json>;

/** A result. NaN and infinities arrive as null; `nonFinite` counts them, so that nothing vanishes silently. */
export const tableSchema = z.object({
	columns: z.array(columnSchema),
	rows: z.array(z.array(cellSchema)),
	totalRows: z.int().nullable(),
	truncated: truncationSchema.nullable(),
	nonFinite: z.int().default(0),
});
export type Table = z.infer<typeof tableSchema>;
