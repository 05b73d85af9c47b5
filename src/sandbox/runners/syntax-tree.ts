/** Walks the syntax tree that `json_serialize_sql` gives: every node must be of a known kind, every name one that may be read. */
import {RunnerError} from './frames.ts';
import type {Readable} from './gate.ts';
import {SCALAR_FUNCTIONS, TABLE_FUNCTIONS} from './pure-functions.ts';

export type Used = {readonly tables: readonly string[]; readonly functions: readonly string[]};

type Node = {readonly [key: string]: unknown};

/** Names of common table expressions visible at a node, in the engine's lower case. */
type Scope = ReadonlySet<string>;

type Walk = {
	readonly readable: Readable;
	readonly known: ReadonlySet<string>;
	readonly tables: Set<string>;
	readonly functions: Set<string>;
};

/** Returns what the statement uses. Throws `sql_policy_violation` naming the first construct that is not a pure read of `readable`. */
export function readStatement(statement: unknown, readable: Readable): Used {
	const walk: Walk = {readable, known: new Set(readable.tables.map(fold)), tables: new Set(), functions: new Set()};
	try {
		visit(statement, new Set(), walk);
	} catch (error) {
		// The walk recurses; so does the engine, which is why it limits expressions. What is too deep to check is not let through.
		if (error instanceof RangeError) throw refuse('the statement is nested too deeply', 'name parts of it with WITH');
		throw error;
	}
	return {tables: [...walk.tables].sort(), functions: [...walk.functions].sort()};
}

function visit(value: unknown, scope: Scope, walk: Walk): void {
	if (Array.isArray(value)) for (const element of value) visit(element, scope, walk);
	else if (isNode(value)) visitNode(value, scope, walk);
}

function isNode(value: unknown): value is Node {
	return typeof value === 'object' && value !== null;
}

function visitNode(node: Node, scope: Scope, walk: Walk): void {
	const {class: expression, type} = node;
	if (typeof expression === 'string') visitExpression(expression, node, scope, walk);
	else (visitorOf(type) ?? visitChildren)(node, scope, walk);
}

function visitorOf(type: unknown): Visitor | undefined {
	if (typeof type !== 'string') return undefined;
	if (!NODES[type] && !PLAIN.has(type) && !type.endsWith('_TYPE_INFO'))
		throw refuse(`the construct ${type} is not allowed`, 'write it as a plain SELECT');
	return NODES[type];
}

type Visitor = (node: Node, scope: Scope, walk: Walk) => void;

function visitChildren(node: Node, scope: Scope, walk: Walk): void {
	for (const value of Object.values(node)) visit(value, scope, walk);
}

const NODES: Readonly<Record<string, Visitor>> = {
	SELECT_NODE: visitQuery,
	SET_OPERATION_NODE: visitQuery,
	CTE_NODE: visitQuery,
	RECURSIVE_CTE_NODE: visitRecursive,
	BASE_TABLE: visitTable,
	TABLE_FUNCTION: visitTableFunction,
	SHOW_REF: visitShow,
};

/** Table references, modifiers and sort orders whose parts say all there is to check. */
const PLAIN: ReadonlySet<string> = new Set([
	'SUBQUERY',
	'JOIN',
	'EXPRESSION_LIST',
	'EMPTY',
	'PIVOT',
	'ORDER_MODIFIER',
	'LIMIT_MODIFIER',
	'LIMIT_PERCENT_MODIFIER',
	'DISTINCT_MODIFIER',
	'ORDER_DEFAULT',
	'ASCENDING',
	'DESCENDING',
	'ORDER_ASCENDING',
	'ORDER_DESCENDING',
]);

const EXPRESSIONS: ReadonlySet<string> = new Set([
	'BETWEEN',
	'CASE',
	'CAST',
	'COLLATE',
	'COLUMN_REF',
	'COMPARISON',
	'CONJUNCTION',
	'DEFAULT',
	'LAMBDA',
	'LAMBDA_REF',
	'OPERATOR',
	'POSITIONAL_REFERENCE',
	'STAR',
	'SUBQUERY',
	'TYPE',
]);

function visitExpression(expression: string, node: Node, scope: Scope, walk: Walk): void {
	// A constant holds what the author wrote: text inside it is never a name.
	if (expression === 'CONSTANT') return;
	if (expression === 'PARAMETER') throw refuse('the statement has a parameter', 'write the value itself');
	if (expression === 'FUNCTION' || expression === 'WINDOW') assertFunction(node, SCALAR_FUNCTIONS, walk);
	else if (!EXPRESSIONS.has(expression))
		throw refuse(`the construct ${expression} is not allowed`, 'write it as a plain expression');
	visitChildren(node, scope, walk);
}

/**
 * INVARIANT: a name joins the scope only where the engine would resolve it to the common table expression: an expression sees
 * those before it, itself only in the recursive part, and nothing outside the query that declares it.
 */
function visitQuery(node: Node, scope: Scope, walk: Walk): void {
	const {cte_map: declarations, ...rest} = node as {cte_map?: {map: readonly Declaration[]}};
	let visible = scope;
	for (const {key, value} of declarations?.map ?? []) {
		visit(value, visible, walk);
		visible = new Set(visible).add(fold(key));
	}
	visitChildren(rest, visible, walk);
}

type Declaration = {readonly key: string; readonly value: unknown};

function visitRecursive(node: Node, scope: Scope, walk: Walk): void {
	const {right, ...rest} = node;
	visitQuery(rest, scope, walk);
	const name = fold(String(node.cte_name));
	visit(right, new Set(scope).add(name).add(`recurring.${name}`), walk);
}

function visitTable(node: Node, scope: Scope, walk: Walk): void {
	const {catalog_name: catalog, schema_name: schema, table_name: name} = node as Record<string, string>;
	const qualifiers = [catalog, schema].filter(Boolean) as string[];
	const qualified = [...qualifiers, name].join('.');
	visitChildren(node, scope, walk);
	if (!catalog && scope.has(fold(schema ? `${schema}.${name}` : String(name)))) return;
	const {readable, known} = walk;
	if (qualifiers.length === 0 && !known.has(fold(String(name))) && ORDINARY_NAME.test(String(name)))
		throw new Error(`Catalog Error: Table with name ${name} does not exist!`);
	if (!known.has(fold(String(name))) || !isOwnSchema(qualifiers, readable)) {
		const tables = readable.tables.join(', ');
		throw refuse(`the table \`${qualified}\` is not part of this dataset`, `use one of its tables: ${tables}`, {
			table: qualified,
		});
	}
	walk.tables.add(fold(String(name)));
}

/** A name that is merely wrong, rather than a file, or one of the engine's own tables. Both are refused; only the wording differs. */
const ORDINARY_NAME = /^(?!duckdb_|pragma_|sqlite_|pg_)[a-z_][a-z0-9_]*$/i;

function isOwnSchema(qualifiers: readonly string[], {schema}: Readable): boolean {
	const own = fold(schema);
	return qualifiers.length === 0 || fold(qualifiers.join('.')) === own || fold(qualifiers.join('.')) === `memory.${own}`;
}

function visitTableFunction(node: Node, scope: Scope, walk: Walk): void {
	const {function: call, ...rest} = node as {function: Node};
	assertFunction(call, TABLE_FUNCTIONS, walk);
	visitChildren(call, scope, walk);
	visitChildren(rest, scope, walk);
}

/** DESCRIBE and SUMMARIZE carry the query they describe; SHOW without one lists what the engine knows, of which tables are ours. */
function visitShow(node: Node, scope: Scope, walk: Walk): void {
	if (node.query === null && node.table_name !== '"tables"')
		throw refuse('this form of SHOW is not allowed', 'use SHOW TABLES or DESCRIBE table');
	visitChildren(node, scope, walk);
}

function assertFunction(call: Node, allowed: ReadonlySet<string>, walk: Walk): void {
	const name = fold(String(call.function_name));
	if (!allowed.has(name)) {
		const hint = FILE_READER.test(name)
			? `use the tables: ${walk.readable.tables.join(', ')}`
			: 'use another function, or compute it afterwards';
		throw refuse(`the function \`${name}\` is not allowed`, hint, {function: name});
	}
	if (call.is_operator !== true) walk.functions.add(name);
}

/** Chooses a hint, nothing else. */
const FILE_READER = /^(read_|sniff_|parquet_|glob$|query)/;

/** The engine's own folding: ASCII only. `toLowerCase` would take the Kelvin sign for a k. */
function fold(name: string): string {
	return name.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

function refuse(message: string, hint: string, details: Readonly<Record<string, string>> = {}): RunnerError {
	return new RunnerError('sql_policy_violation', message, {hint, details});
}
