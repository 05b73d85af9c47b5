/** Joins: the keys they use, whether they can repeat rows, and the SQL that measures both on the data. */
import type {Dataset, TableProfile} from '#contract/dataset.ts';
import type {PlanProblem, QueryPlanInput} from '#contract/query-plan.ts';
import {isComparable, quoteIdentifier, typeWords} from './literal.ts';
import {type FoundColumn, findTable, matchColumns} from './scope.ts';

export type BoundJoin = {
	readonly table: TableProfile;
	readonly type: 'inner' | 'left';
	readonly on: readonly {readonly left: FoundColumn; readonly right: FoundColumn}[];
	/** what one row on each side can match on the other: `many-to-one` reads left → right; `unknown` when nothing says so */
	readonly cardinality: Cardinality;
};
type Cardinality = 'one-to-one' | 'many-to-one' | 'one-to-many' | 'many-to-many' | 'unknown';

/** How well a join matches. `sql` yields one row: left_rows, matched_rows, matched_percent, joined_rows, duplication_factor. */
export type JoinCheck = {
	readonly left: string;
	readonly right: string;
	readonly type: 'inner' | 'left';
	readonly on: readonly {readonly left: string; readonly right: string}[];
	readonly cardinality: Cardinality;
	readonly sql: string;
};

type Context = {readonly dataset: Dataset; readonly problems: PlanProblem[]};

/** The joins in order; those with problems are reported and left out. */
export function bindJoins(
	joins: NonNullable<QueryPlanInput['joins']>,
	base: TableProfile,
	context: Context,
): readonly BoundJoin[] {
	const bound: BoundJoin[] = [];
	for (const [index, join] of joins.entries()) {
		const path = `joins[${index}]`;
		const problem = (message: string, at = path) => void context.problems.push({path: at, message});
		const table = findTable(context.dataset, join.table, (message) => problem(message, `${path}.table`));
		const earlier = [base, ...bound.map((each) => each.table)];
		if (!table) continue;
		if (earlier.includes(table)) {
			problem(`table \`${table.name}\` is in the plan already; a table can be joined once`, `${path}.table`);
			continue;
		}
		const on = join.on
			? writtenKeys(join.on, earlier, table, {path, problem})
			: declaredKeys(earlier, table, {dataset: context.dataset, problem});
		if (on) bound.push({table, type: join.type ?? 'inner', on, cardinality: cardinalityOf(on, context.dataset)});
	}
	return bound;
}

type Keys = BoundJoin['on'];
type Problem = (message: string, at?: string) => void;

function writtenKeys(
	written: readonly {readonly left: string; readonly right: string}[],
	earlier: readonly TableProfile[],
	table: TableProfile,
	{path, problem}: {readonly path: string; readonly problem: Problem},
): Keys | undefined {
	const keys: {left: FoundColumn; right: FoundColumn}[] = [];
	for (const [index, pair] of written.entries()) {
		const at = `${path}.on[${index}]`;
		const isSwapped = matchColumns([table], pair.right).length === 0 && matchColumns([table], pair.left).length > 0;
		const [leftName, rightName] = isSwapped ? [pair.right, pair.left] : [pair.left, pair.right];
		const left = oneColumn(leftName, earlier, (message) => problem(message, `${at}.left`));
		const right = oneColumn(rightName, [table], (message) => problem(message, `${at}.right`));
		if (!left || !right) return undefined;
		if (!isComparable(left.column.type, right.column.type)) {
			const [a, b] = [`${left.table.name}.${left.column.name}`, `${right.table.name}.${right.column.name}`];
			problem(
				`\`${a}\` is ${typeWords(left.column.type)} and \`${b}\` is ${typeWords(right.column.type)}; keys must be of one type`,
				at,
			);
			return undefined;
		}
		keys.push({left, right});
	}
	return keys;
}

function oneColumn(name: string, tables: readonly TableProfile[], problem: (message: string) => void): FoundColumn | undefined {
	const found = matchColumns(tables, name);
	const names = tables.flatMap((table) => table.columns.map((column) => `${table.name}.${column.name}`));
	if (found.length === 0)
		problem(
			`there is no column \`${name}\` in ${tables.map((table) => `\`${table.name}\``).join(', ')}; there is ${names.slice(0, 30).join(', ')}`,
		);
	if (found.length > 1)
		problem(
			`\`${name}\` is in more than one table; write ${found.map((each) => `\`${each.table.name}.${each.column.name}\``).join(' or ')}`,
		);
	return found.length === 1 ? found[0] : undefined;
}

function declaredKeys(
	earlier: readonly TableProfile[],
	table: TableProfile,
	{dataset, problem}: {readonly dataset: Dataset; readonly problem: Problem},
): Keys | undefined {
	const candidates = dataset.relationships.flatMap(({from, to}) =>
		[
			[from, to],
			[to, from],
		].flatMap(([left = '', right = '']) => {
			const [a] = qualifiedColumn(earlier, left);
			const [b] = qualifiedColumn([table], right);
			return a && b ? [{left: a, right: b}] : [];
		}),
	);
	const [only, second] = candidates;
	if (only && !second) return [only];
	const sides = earlier.map(({name}) => `\`${name}\``).join(', ');
	const example = `on: [{"left": "${earlier[0]?.name}.…", "right": "${table.name}.…"}]`;
	if (!only) problem(`no relationship between ${sides} and \`${table.name}\` is declared; write the keys as ${example}`);
	else problem(`\`${table.name}\` can be joined in more than one way; write one of ${candidates.map(keyJson).join(' or ')}`);
	return undefined;
}

function qualifiedColumn(tables: readonly TableProfile[], name: string): readonly FoundColumn[] {
	return tables.flatMap((table) =>
		name.startsWith(`${table.name}.`) ? matchColumns([table], name.slice(table.name.length + 1)) : [],
	);
}

function keyJson({left, right}: {readonly left: FoundColumn; readonly right: FoundColumn}): string {
	return `on: [{"left": "${nameOf(left)}", "right": "${nameOf(right)}"}]`;
}

export function nameOf({table, column}: FoundColumn): string {
	return `${table.name}.${column.name}`;
}

/** From the declared relationship; else from the profile, where a column without repeats is a key. */
function cardinalityOf(on: Keys, dataset: Dataset): Cardinality {
	const [key, second] = on;
	if (!key || second) return 'unknown';
	const [left, right] = [nameOf(key.left), nameOf(key.right)];
	const same = dataset.relationships.find(({from, to}) => from === left && to === right);
	if (same) return same.type;
	const reverse = dataset.relationships.find(({from, to}) => from === right && to === left);
	if (reverse) return reverse.type === 'many-to-one' ? 'one-to-many' : reverse.type;
	const [isLeftUnique, isRightUnique] = [isUnique(key.left), isUnique(key.right)];
	if (isRightUnique) return isLeftUnique ? 'one-to-one' : 'many-to-one';
	return isLeftUnique ? 'one-to-many' : 'unknown';
}

/** Above this the profile's count of distinct values is an estimate. */
const EXACT_DISTINCT = 100_000;

export function isUnique({table, column}: FoundColumn): boolean {
	return table.rows > 0 && table.rows <= EXACT_DISTINCT && column.nulls === 0 && column.distinct === table.rows;
}

/** Tables of which one row can stand in the result more than once, with the table whose rows repeat them. */
export function repeatedTables(base: TableProfile, joins: readonly BoundJoin[]): ReadonlyMap<string, string> {
	const repeated = new Map<string, string>();
	const earlier = [base.name];
	for (const {table, cardinality, on} of joins) {
		const left = on[0]?.left.table.name ?? base.name;
		const isMultiplying = cardinality !== 'many-to-one' && cardinality !== 'one-to-one';
		if (isMultiplying) for (const name of earlier) repeated.set(name, repeated.get(name) ?? table.name);
		const reason =
			cardinality === 'one-to-one' || cardinality === 'one-to-many' ? repeatedByOthers(left, table.name, repeated) : left;
		if (reason !== undefined) repeated.set(table.name, reason);
		earlier.push(table.name);
	}
	return repeated;
}

/** What repeats `left` other than `table` itself also repeats the rows joined to it. */
function repeatedByOthers(left: string, table: string, repeated: ReadonlyMap<string, string>): string | undefined {
	const reason = repeated.get(left);
	return reason === table ? undefined : reason;
}

export function joinSql({table, type, on}: BoundJoin): string {
	const keys = on.map(({left, right}) => `${columnSql(left)} = ${columnSql(right)}`).join(' AND ');
	return `${type.toUpperCase()} JOIN ${quoteIdentifier(table.name)} ON ${keys}`;
}

function columnSql({table, column}: FoundColumn): string {
	return `${quoteIdentifier(table.name)}.${quoteIdentifier(column.name)}`;
}

export function joinCheck(join: BoundJoin): JoinCheck {
	const left = join.on[0]?.left.table.name ?? '';
	const keys = join.on.filter((each) => each.left.table.name === left);
	const rightKeys = keys.map(({right}, index) => `${quoteIdentifier(right.column.name)} AS k${index}`).join(', ');
	const match = keys.map((key, index) => `l.${quoteIdentifier(key.left.column.name)} = r.k${index}`).join(' AND ');
	const sql = [
		'SELECT',
		'  COUNT(*) AS left_rows,',
		'  COUNT(r.n) AS matched_rows,',
		'  100.0 * COUNT(r.n) / NULLIF(COUNT(*), 0) AS matched_percent,',
		'  CAST(COALESCE(SUM(r.n), 0) AS BIGINT) AS joined_rows,',
		'  SUM(r.n) / NULLIF(COUNT(r.n), 0) AS duplication_factor',
		`FROM ${quoteIdentifier(left)} AS l`,
		`LEFT JOIN (SELECT ${rightKeys}, COUNT(*) AS n FROM ${quoteIdentifier(join.table.name)} GROUP BY ALL) AS r ON ${match}`,
	].join('\n');
	const on = join.on.map((key) => ({left: nameOf(key.left), right: nameOf(key.right)}));
	return {left, right: join.table.name, type: join.type, on, cardinality: join.cardinality, sql};
}
