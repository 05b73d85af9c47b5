import type {Verdict} from '#contract/event.ts';
import type {Json} from '#contract/json.ts';
import type {ColumnType} from '#contract/table.ts';
import type {Computed, Computing} from './compute.ts';

/** The post-condition of every computation, checked on what came out of the sandbox: a runner's word is not taken for its own result. */
export function verifyComputed({table}: Computed, {maxRows, maxBytes}: Pick<Computing, 'maxRows' | 'maxBytes'>): Verdict {
	const {columns, rows, totalRows, truncated} = table;
	const width = columns.length;
	const names = new Set(columns.map((column) => column.name));
	const bytes = Buffer.byteLength(JSON.stringify(rows));
	const complete = truncated === null && totalRows === rows.length;
	const cut = truncated !== null && (totalRows === null || totalRows > rows.length);
	const badCell = findBadCell(table);
	const checks = [
		{
			name: 'shape',
			passed: rows.every((row) => row.length === width) && names.size === width,
			detail: `${rows.length} rows of ${width} uniquely named columns`,
		},
		{name: 'types', passed: badCell === null, detail: badCell ?? 'every cell has the type of its column'},
		{
			name: 'limits',
			passed: rows.length <= maxRows && bytes <= maxBytes + SLACK,
			detail: `${rows.length} of at most ${maxRows} rows, ${bytes} of at most ${maxBytes} bytes`,
		},
		{
			name: 'truncation',
			passed: complete || cut,
			detail: complete ? 'all rows are here' : `${rows.length} of ${totalRows ?? 'an uncounted number of'} rows, and it says so`,
		},
	];
	return {kind: checks.every((check) => check.passed) ? 'verified' : 'unverified', checks};
}

/** Brackets and commas, which the runner does not count. */
const SLACK = 1024;

function findBadCell({columns, rows}: Computed['table']): string | null {
	for (const [r, row] of rows.entries()) {
		for (const [c, column] of columns.entries()) {
			if (!fits(column.type, row[c] ?? null)) return `row ${r + 1}, column \`${column.name}\` is not ${column.type}`;
		}
	}
	return null;
}

function fits(type: ColumnType, cell: Json): boolean {
	if (cell === null || type === 'json') return true;
	switch (type) {
		case 'boolean':
			return typeof cell === 'boolean';
		case 'integer':
			return typeof cell === 'number' ? Number.isSafeInteger(cell) : typeof cell === 'string' && /^-?\d+$/.test(cell);
		case 'decimal':
			return typeof cell === 'number' || (typeof cell === 'string' && /^-?\d+(\.\d+)?$/.test(cell));
		case 'double':
			return typeof cell === 'number';
		case 'null':
			return false;
		default:
			return typeof cell === 'string';
	}
}
