/** What JSON can hold. Cells of a table, inputs and outputs of tools, and data of events are all of this type. */
export type Json = null | boolean | number | string | Json[] | {[key: string]: Json};

/** An object as JSON writes it: neither a list nor null. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
	return typeof value === 'object' && value !== null && !Array.isArray(value);
}
