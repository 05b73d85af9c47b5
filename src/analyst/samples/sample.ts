import type {Relationship} from '#contract/dataset.ts';

/** What one column of a sample holds; the generator promises it and the validator checks every cell against it. */
export type SampleColumn = {
	readonly name: string;
	readonly type: 'integer' | 'decimal' | 'text' | 'boolean' | 'date' | 'timestamp';
	readonly description: string;
	readonly unit?: string;
	readonly nullable?: true;
	/** the only values there are */
	readonly values?: readonly (string | number)[];
	/** both included; dates and timestamps as written in the file */
	readonly min?: number | string;
	readonly max?: number | string;
	readonly pattern?: RegExp;
};

export type SampleTable = {
	readonly name: string;
	readonly description: string;
	/** exactly this many */
	readonly rows: number;
	/** no two rows agree in these */
	readonly key: readonly string[];
	readonly columns: readonly SampleColumn[];
};

/** A cell as the generator makes it; decimals are strings with two places, so that nothing depends on how a machine prints floats. */
export type Cell = string | number | boolean | null;

export type Sample = {
	readonly id: string;
	readonly name: string;
	readonly description: string;
	readonly domain: string;
	readonly tags: readonly string[];
	readonly prompts: readonly string[];
	readonly relationships: readonly Relationship[];
	/** the moment the data ends: what "today" and "last week" mean in it */
	readonly now: string;
	readonly tables: readonly SampleTable[];
	/** rows by table name, cells in column order; the same on every machine and every day */
	generate(): ReadonlyMap<string, readonly (readonly Cell[])[]>;
};

/** A cell as the validator reads it back: text decides nothing, its column's type does. */
export type Value = string | number | boolean | null;
export type Row = Readonly<Record<string, Value>>;
export type Tables = ReadonlyMap<string, readonly Row[]>;

/** What is wrong, in words; empty when all is well. `examined` counts what was looked at. */
export type Finding = {readonly examined: number; readonly violations: readonly string[]};

/** One thing that must hold. Rules about rows look at every row. */
export type Rule = {readonly name: string; check(tables: Tables): Finding};

/** A whole number of hundredths with its two decimal places. */
export function toDecimal(hundredths: number): string {
	const digits = String(Math.abs(hundredths)).padStart(3, '0');
	return `${hundredths < 0 ? '-' : ''}${digits.slice(0, -2)}.${digits.slice(-2)}`;
}

export function toDate(epochMs: number): string {
	return new Date(epochMs).toISOString().slice(0, 10);
}

export function toTimestamp(epochMs: number): string {
	return new Date(epochMs).toISOString().slice(0, 19).replace('T', ' ');
}
