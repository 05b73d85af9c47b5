import type {ColumnProfile, Dataset, Relationship, TableProfile} from '#contract/dataset.ts';
import type {Json} from '#contract/json.ts';
import type {Table} from '#contract/table.ts';

type Side = {readonly table: TableProfile; readonly column: ColumnProfile};
type Candidate = {readonly from: Side; readonly to: Side};

const KEY_TYPES = new Set(['integer', 'text', 'decimal']);
const KEY_NAMES = new Set(['id', 'key', 'code', 'no', 'number']);
/** So many pairs of columns are compared by their values; those that match by name come first. */
const MAX_CANDIDATES = 40;
/** Share of the referring values that must exist on the other side. */
const MIN_MATCHED = 0.9;
/** Fewer distinct values than this agree by chance. */
const MIN_VALUES = 3;

/**
 * Relationships that names, types and then the values themselves support. All candidates are compared in one query; without a
 * candidate none is issued.
 */
export async function inferRelationships(
	{tables}: Pick<Dataset, 'tables'>,
	query: (sql: string) => Promise<Pick<Table, 'rows'>>,
): Promise<Relationship[]> {
	const candidates = findCandidates(tables);
	if (candidates.length === 0) return [];
	const {rows} = await query(candidates.map(toSql).join('\nUNION ALL\n'));
	const found = rows.flatMap(([index, ...counts]): Relationship[] => {
		const candidate = candidates[Number(index)];
		const type = candidate && judge(counts.map(Number));
		return type ? [{from: nameOf(candidate.from), to: nameOf(candidate.to), type}] : [];
	});
	return found.filter((relationship, index) => !isMirrored(relationship, found.slice(0, index)));
}

function findCandidates(tables: readonly TableProfile[]): Candidate[] {
	const sides = tables.flatMap((table) => table.columns.map((column) => ({table, column})));
	const keys = sides.filter(isKeyLike);
	return keys.flatMap((to) => sides.filter((from) => isCandidate(from, to)).map((from) => ({from, to}))).slice(0, MAX_CANDIDATES);
}

/** Unique enough by its profile; beyond 100,000 the profile's count is an estimate, so the values decide. */
function isKeyLike({table, column}: Side): boolean {
	return KEY_TYPES.has(column.type) && column.nulls === 0 && table.rows >= MIN_VALUES && column.distinct >= table.rows * 0.9;
}

function isCandidate(from: Side, to: Side): boolean {
	if (from.table === to.table || from.column.type !== to.column.type || from.column.distinct < MIN_VALUES) return false;
	return namesMatch(from.column.name, to) && rangesMeet(from.column, to.column);
}

/** `customer_id` means `customers.customer_id`, `customers.id` and `customer.id`; a bare `id` on both sides means nothing. */
function namesMatch(name: string, {table, column}: Side): boolean {
	const [from, to, owner] = [plain(name), plain(column.name), plain(table.name)];
	if (from === to) return !KEY_NAMES.has(to);
	if (!KEY_NAMES.has(to)) return false;
	return from === owner + to || from === singular(owner) + to;
}

function plain(name: string): string {
	return name.toLowerCase().replaceAll(/[^\p{L}\p{N}]/gu, '');
}

function singular(name: string): string {
	return name
		.replace(/ies$/, 'y')
		.replace(/(ss|x|ch|sh)es$/, '$1')
		.replace(/([^s])s$/, '$1');
}

function rangesMeet(a: ColumnProfile, b: ColumnProfile): boolean {
	return !(isBelow(a.max, b.min) || isBelow(b.max, a.min));
}

function isBelow(a: Json, b: Json): boolean {
	return typeof a === 'number' && typeof b === 'number' && a < b;
}

/** One row: index, distinct values here, how many of them exist there, and how often the commonest value occurs on each side. */
function toSql({from, to}: Candidate, index: number): string {
	const [a, b] = [quote(from.column.name), quote(to.column.name)];
	return `SELECT ${index} AS candidate, count(*) AS here, count(there.v) AS matched, max(here.n) AS most_here,
 (SELECT max(n) FROM (SELECT count(*) AS n FROM ${quote(to.table.name)} GROUP BY ${b})) AS most_there
FROM (SELECT ${a} AS v, count(*) AS n FROM ${quote(from.table.name)} WHERE ${a} IS NOT NULL GROUP BY ${a}) AS here
LEFT JOIN (SELECT DISTINCT ${b} AS v FROM ${quote(to.table.name)}) AS there ON here.v = there.v`;
}

function quote(name: string): string {
	return `"${name.replaceAll('"', '""')}"`;
}

function judge([here = 0, matched = 0, mostHere = 0, mostThere = 0]: readonly number[]): Relationship['type'] | null {
	if (here < MIN_VALUES || matched < here * MIN_MATCHED || mostThere !== 1) return null;
	return mostHere === 1 ? 'one-to-one' : 'many-to-one';
}

function nameOf({table, column}: Side): string {
	return `${table.name}.${column.name}`;
}

function isMirrored({from, to}: Relationship, earlier: readonly Relationship[]): boolean {
	return earlier.some((other) => other.from === to && other.to === from);
}
