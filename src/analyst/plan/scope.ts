/** What a plan's names can mean at one place of the plan, and what an expression turns into once they are known. */
import type {ColumnProfile, Dataset, TableProfile} from '#contract/dataset.ts';
import {suggestion} from '#contract/nearest.ts';
import type {PlanProblem} from '#contract/query-plan.ts';
import type {ColumnType} from '#contract/table.ts';
import {clip, MAX_PROBLEMS} from './explain.ts';
import {quoteIdentifier, type Scalar} from './literal.ts';

/** An expression with its SQL, its words and what has to be known to put it into a larger one. */
export type Bound = {
	readonly kind: 'column' | 'literal' | 'call' | 'aggregate' | 'window' | 'broken';
	readonly sql: string;
	readonly words: string;
	readonly type: ColumnType;
	/** operands that are evaluated where this is; an aggregate has none, because its operands are rows of the group */
	readonly parts: readonly Bound[];
	/** tables whose columns it reads, at any depth */
	readonly tables: readonly string[];
	readonly value?: Scalar;
	/** how tightly its outermost operator binds; absent when it never needs parentheses */
	readonly infix?: number;
	/** its words are a name given in select */
	readonly isNamed?: true;
	/** an aggregate that rows seen twice do not change */
	readonly isSetLike?: true;
};

/** Stands for an expression whose problem has been reported; fits everywhere, so that one mistake is one problem. */
export const BROKEN: Bound = {kind: 'broken', sql: 'NULL', words: '?', type: 'null', parts: [], tables: []};

/** Binding strengths: a condition, a comparison, a sum, a product. */
export const STRENGTH = {condition: 1, comparison: 2, sum: 5, product: 6, atom: 9} as const;

export type Names = {get(name: string): Bound | undefined; keys(): Iterable<string>};

export type Scope = {
	readonly dataset: Dataset;
	/** in the order of FROM and JOIN */
	readonly tables: readonly TableProfile[];
	/** columns are written with their table */
	readonly qualified: boolean;
	/** names given in select that can be used here, lower-case */
	readonly aliases: Names;
	/** names given in select that do not exist yet here, lower-case */
	readonly later: ReadonlySet<string>;
	/** whether a name that is both an alias and a column means the alias */
	readonly aliasesFirst: boolean;
	/** why an aggregate or a window cannot stand here; absent where it can */
	readonly refused: {readonly aggregate?: string; readonly window?: string};
	readonly problems: PlanProblem[];
	readonly warnings: Set<string>;
};

export function report(scope: Scope, path: string, message: string): typeof BROKEN {
	if (scope.problems.length < MAX_PROBLEMS) scope.problems.push({path, message});
	return BROKEN;
}

/** Letters of any script, digits and underscores; what the name of an alias may be made of. */
export function isIdentifier(name: string): boolean {
	return /^[\p{L}\p{N}_]{1,63}$/u.test(name);
}

/** The name itself, or what stands between its surrounding double quotes. */
function unquoted(name: string): string {
	return name.length > 2 && name.startsWith('"') && name.endsWith('"') ? name.slice(1, -1) : name;
}

function find<T extends {readonly name: string}>(list: readonly T[], name: string): T | undefined {
	const lower = name.toLowerCase();
	return list.find((item) => item.name === name) ?? list.find((item) => item.name.toLowerCase() === lower);
}

/** The table a plan names; undefined after reporting why there is none. */
export function findTable(dataset: Dataset, name: string, problem: (message: string) => void): TableProfile | undefined {
	const table = find(dataset.tables, unquoted(name));
	if (table) return table;
	const names = dataset.tables.map((each) => each.name);
	problem(
		isIdentifier(unquoted(name))
			? `dataset \`${dataset.id}\` has no table \`${name}\`; ${suggestion(name, names)}`
			: `Invalid identifier \`${clip(name)}\`; a table is one of ${names.join(', ')}`,
	);
	return undefined;
}

export type FoundColumn = {readonly table: TableProfile; readonly column: ColumnProfile};

/** Every column `name` can mean: bare, `table.column`, quoted or not, in the dataset's spelling or another case. */
export function matchColumns(tables: readonly TableProfile[], name: string): readonly FoundColumn[] {
	const bare = tables.flatMap((table) => {
		const column = find(table.columns, name) ?? find(table.columns, unquoted(name));
		return column ? [{table, column}] : [];
	});
	if (bare.length > 0) return bare;
	const dot = name.indexOf('.');
	if (dot < 0) return [];
	const [owner, rest] = [unquoted(name.slice(0, dot)).toLowerCase(), name.slice(dot + 1)];
	return tables.flatMap((table) => {
		if (owner !== table.name.toLowerCase()) return [];
		const column = find(table.columns, rest) ?? find(table.columns, unquoted(rest));
		return column ? [{table, column}] : [];
	});
}

/** The one thing `name` means here. Reports and returns a broken expression when there is none, or more than one. */
export function resolveName(name: string, path: string, scope: Scope): Bound {
	const alias = scope.aliases.get(name.toLowerCase()) ?? scope.aliases.get(unquoted(name).toLowerCase());
	const found = alias && scope.aliasesFirst ? [] : matchColumns(scope.tables, name);
	const [only, second] = found;
	if (only && !second) return columnBound(only, scope);
	if (only) {
		const choices = found.map(({table, column}) => `\`${table.name}.${column.name}\``).join(' or ');
		return report(scope, path, `\`${name}\` is in more than one table; write ${choices}`);
	}
	return alias ? admitted(alias, path, scope) : report(scope, path, unknownColumn(name, scope));
}

/** `bound`, unless it holds an aggregate or a window where none can stand. */
function admitted(bound: Bound, path: string, scope: Scope): Bound {
	for (const kind of ['aggregate', 'window'] as const) {
		const reason = scope.refused[kind];
		if (reason !== undefined && hasKind(bound, kind)) return report(scope, path, `\`${bound.words}\` ${reason}`);
	}
	return bound;
}

function unknownColumn(name: string, scope: Scope): string {
	// This problem is one too many to be told, and finding the nearest of many names is slow.
	if (scope.problems.length >= MAX_PROBLEMS) return '';
	if (name === '*') return '`*` is no column; leave select out for all columns, and write {"func": "count"} to count rows';
	const plain = name.split('.').map(unquoted);
	if (!plain.every(isIdentifier))
		return `Invalid identifier \`${clip(name)}\`; a column is written as its name or as table.column`;
	if (scope.later.has(name.toLowerCase())) {
		return `\`${name}\` is a name given in select, which filters come before; write the condition in having, or in qualify for a window`;
	}
	const joined = scope.tables.length > 1;
	const columns = scope.tables.flatMap(({name: table, columns: all}) =>
		all.map((column) => (joined ? `${table}.${column.name}` : column.name)),
	);
	const bare = scope.tables.flatMap((table) => table.columns.map((column) => column.name));
	const elsewhere = scope.dataset.tables.filter(
		(table) => !scope.tables.includes(table) && matchColumns([table], name).length > 0,
	);
	if (elsewhere[0])
		return `\`${name}\` belongs to table \`${elsewhere[0].name}\`; add joins: [{"table": "${elsewhere[0].name}"}]`;
	const where = scope.tables.map((table) => `\`${table.name}\``).join(' and ');
	return `there is no column \`${name}\` in ${where}; ${suggestion(name, name.includes('.') ? columns : [...bare, ...scope.aliases.keys()])}`;
}

export function columnBound({table, column}: FoundColumn, scope: Pick<Scope, 'qualified' | 'tables'>): Bound {
	const plain = quoteIdentifier(column.name);
	return {
		kind: 'column',
		sql: scope.qualified ? `${quoteIdentifier(table.name)}.${plain}` : plain,
		words: matchColumns(scope.tables, column.name).length > 1 ? `${table.name}.${column.name}` : column.name,
		type: column.type,
		parts: [],
		tables: [table.name],
	};
}

export function hasKind(bound: Bound, kind: Bound['kind']): boolean {
	return bound.kind === kind || bound.parts.some((part) => hasKind(part, kind));
}

export function tablesOf(bounds: readonly Bound[]): readonly string[] {
	return [...new Set(bounds.flatMap((bound) => bound.tables))];
}

/** Whether it has the same value in every row. */
export function isConstant(bound: Bound): boolean {
	return bound.kind !== 'broken' && bound.tables.length === 0 && !hasKind(bound, 'aggregate') && !hasKind(bound, 'window');
}
