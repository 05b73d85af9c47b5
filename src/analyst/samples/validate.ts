import {join} from 'node:path';
import {readCsv} from './csv.ts';
import {EXPECTATIONS} from './expectations.ts';
import type {Finding, Row, Rule, Sample, SampleColumn, SampleTable, Tables, Value} from './sample.ts';
import {SAMPLES} from './samples.ts';

type RuleReport = {
	readonly sample: string;
	readonly rule: string;
	readonly examined: number;
	readonly violations: number;
	readonly examples: readonly string[];
};

type ValidationReport = {
	readonly ok: boolean;
	/** rows read, by sample and table */
	readonly examined: Readonly<Record<string, number>>;
	readonly rules: readonly RuleReport[];
};

const EXAMPLES = 5;

/** Checks every row of every sample under `dir`, as `writeSamples` laid them out. A rule that had nothing to look at has failed. */
export async function validateSamples(dir: string, samples: readonly Sample[] = SAMPLES): Promise<ValidationReport> {
	const rules: RuleReport[] = [];
	const examined: Record<string, number> = {};
	for (const sample of samples) {
		const tables = new Map<string, readonly Row[]>();
		for (const table of sample.tables) {
			const {rows, report} = await readTable(join(dir, sample.id, `${table.name}.csv`), table);
			tables.set(table.name, rows);
			examined[`${sample.id}.${table.name}`] = rows.length;
			rules.push({...report, sample: sample.id});
		}
		rules.push(...rulesFor(sample).map((rule) => toReport(sample.id, rule.name, rule.check(tables))));
	}
	return {ok: rules.length > 0 && rules.every(passed), examined, rules};
}

/** Everything that must hold in a sample's rows: what its columns promise, then what holds between rows. */
export function rulesFor(sample: Sample): readonly Rule[] {
	return [...sample.tables.flatMap(rulesOf), ...(EXPECTATIONS[sample.id] ?? [])];
}

/** True when the rule looked at something and found nothing wrong. */
function passed({examined, violations}: RuleReport): boolean {
	return examined > 0 && violations === 0;
}

function toReport(sample: string, rule: string, {examined, violations}: Finding): RuleReport {
	return {sample, rule, examined, violations: violations.length, examples: violations.slice(0, EXAMPLES)};
}

async function readTable(path: string, table: SampleTable): Promise<{rows: Row[]; report: Omit<RuleReport, 'sample'>}> {
	const {header, rows} = await readCsv(path);
	const names = table.columns.map((column) => column.name);
	const violations = header.join() === names.join() ? [] : [`header is ${header.join()}, not ${names.join()}`];
	rows.forEach((row, index) => {
		if (row.length !== names.length) violations.push(`row ${index + 1} has ${row.length} fields, not ${names.length}`);
	});
	const parsed = rows.map((row) =>
		Object.fromEntries(table.columns.map((column, at) => [column.name, parse(row[at] ?? '', column)])),
	);
	return {rows: parsed, report: toReport('', `${table.name}: header and width`, {examined: rows.length, violations})};
}

const PATTERNS: Readonly<Record<SampleColumn['type'], RegExp>> = {
	integer: /^-?(0|[1-9]\d*)$/,
	decimal: /^-?(0|[1-9]\d*)\.\d\d$/,
	text: /./,
	boolean: /^(True|False)$/,
	date: /^\d{4}-\d\d-\d\d$/,
	timestamp: /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/,
};

/** Text that is not of the column's type stays text, which the type rule then reports. */
function parse(text: string, {type}: SampleColumn): Value {
	if (text === '') return null;
	if (!PATTERNS[type].test(text)) return text;
	if (type === 'integer' || type === 'decimal') return Number(text);
	return type === 'boolean' ? text === 'True' : text;
}

function rulesOf(table: SampleTable): Rule[] {
	const rowsOf = (tables: Tables) => tables.get(table.name) ?? [];
	return [
		{
			name: `${table.name}: exactly ${table.rows} rows`,
			check: (tables) => {
				const {length} = rowsOf(tables);
				return {examined: length, violations: length === table.rows ? [] : [`there are ${length} rows`]};
			},
		},
		{
			name: `${table.name}: unique ${table.key.join(', ')}`,
			check: (tables) => unique(rowsOf(tables), table.key),
		},
		...table.columns.map((column) => ({
			name: `${table.name}.${column.name}`,
			check: (tables: Tables) => {
				const rows = rowsOf(tables);
				const violations = rows.flatMap((row, index) => {
					const wrong = judge(row[column.name] ?? null, column);
					return wrong ? [`row ${index + 1}: ${wrong}`] : [];
				});
				return {examined: rows.length, violations};
			},
		})),
	];
}

function unique(rows: readonly Row[], key: readonly string[]): Finding {
	const seen = new Set<string>();
	const violations = rows.flatMap((row, index) => {
		const value = key.map((name) => row[name]).join(' ');
		if (seen.has(value)) return [`row ${index + 1}: ${value} is there already`];
		seen.add(value);
		return [];
	});
	return {examined: rows.length, violations};
}

/** What is wrong with one cell by its column's own description. */
function judge(value: Value, column: SampleColumn): string | null {
	if (value === null) return column.nullable ? null : 'is empty';
	const {type, values, min, max, pattern} = column;
	if (!isOfType(value, type)) return `${value} is no ${type}`;
	if (values && !values.includes(value as string | number)) return `${value} is none of ${values.join(', ')}`;
	if (min !== undefined && value < min) return `${value} is below ${min}`;
	if (max !== undefined && value > max) return `${value} is above ${max}`;
	return pattern && !pattern.test(String(value)) ? `${value} does not match ${pattern}` : null;
}

function isOfType(value: Value, type: SampleColumn['type']): boolean {
	if (type === 'integer') return Number.isInteger(value);
	if (type === 'decimal') return typeof value === 'number';
	if (type === 'boolean') return typeof value === 'boolean';
	return typeof value === 'string' && PATTERNS[type].test(value) && (type === 'text' || isMoment(value));
}

/** Rejects 2025-02-30 and 24:00:01, which the patterns let through. */
function isMoment(text: string): boolean {
	const iso = text.length === 10 ? `${text}T00:00:00` : text.replace(' ', 'T');
	const date = new Date(`${iso}Z`);
	return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(iso);
}
