import {z} from 'zod';
import {columnTypeSchema} from './table.ts';

/** Names of tables and ids of datasets: what SQL needs no quotes for. */
export const identifierSchema = z
	.string()
	.regex(/^[a-z_][a-z0-9_]{0,62}$/, 'use lower-case letters, digits and _, starting with a letter; at most 63');

/** What profiling learned of one column, computed in the sandbox over all rows. */
const columnProfileSchema = z.object({
	name: z.string(),
	/** the header as the file had it, when it had to be renamed (empty, duplicate) */
	originalName: z.string().optional(),
	type: columnTypeSchema,
	/** the engine's own type, e.g. `DECIMAL(18,2)` */
	engineType: z.string(),
	description: z.string().default(''),
	unit: z.string().optional(),
	nulls: z.int(),
	/** approximate above 100,000 */
	distinct: z.int(),
	min: z.json().nullable(),
	max: z.json().nullable(),
	/** up to 20 most frequent values, for columns with at most 200 distinct ones */
	values: z.array(z.object({value: z.json(), count: z.int()})).optional(),
});
export type ColumnProfile = z.infer<typeof columnProfileSchema>;

export const tableProfileSchema = z.object({
	name: identifierSchema,
	/** file name of the snapshot inside the dataset's directory */
	file: z.string(),
	/** SHA-256 of the snapshot file, hex */
	sha256: z.string(),
	/** the file it was made from */
	source: z.object({name: z.string(), bytes: z.int(), sha256: z.string(), format: z.enum(['csv', 'parquet', 'json', 'xlsx'])}),
	rows: z.int(),
	description: z.string().default(''),
	columns: z.array(columnProfileSchema),
	/** what was odd about the file and what was done about it, in sentences for its owner */
	notices: z.array(z.string()),
});
export type TableProfile = z.infer<typeof tableProfileSchema>;

/** `from` and `to` are `table.column`; many-to-one reads from → to. */
export const relationshipSchema = z.object({
	from: z.string(),
	to: z.string(),
	type: z.enum(['many-to-one', 'one-to-one', 'many-to-many']),
});
export type Relationship = z.infer<typeof relationshipSchema>;

/** An immutable snapshot of a dataset. `hash` names it: SHA-256 over `<table>\t<SHA-256 of its source>\n` in order of table name. */
export const datasetSchema = z.object({
	id: identifierSchema,
	name: z.string(),
	description: z.string(),
	hash: z.string(),
	tables: z.array(tableProfileSchema).min(1),
	relationships: z.array(relationshipSchema),
	/** the moment that "today" and "last week" refer to; null when the data has no time in it */
	now: z.iso.datetime({local: true}).nullable(),
	prompts: z.array(z.string()),
	tags: z.array(z.string()),
	createdAt: z.iso.datetime(),
});
export type Dataset = z.infer<typeof datasetSchema>;
