import type {TableProfile} from '#contract/dataset.ts';
import type {SelectItem} from '#contract/query-plan.ts';
import {bindExpr} from './bind-expr.ts';
import {clip} from './explain.ts';
import {type Bound, BROKEN, isIdentifier, matchColumns, type Names, report, type Scope} from './scope.ts';
import {bindWindow} from './window.ts';

type Item = Exclude<SelectItem, string>;
export type BoundItem = {
	readonly name: string;
	readonly bound: Bound;
	/** its name is not simply the column's */
	readonly isRenamed: boolean;
	/** other parts of the plan call it by its name */
	readonly isCited: boolean;
};

/** Items may use each other's names in any order; a chain longer than this is a mistake or an attack. */
const MAX_CHAIN = 30;

/** The items of select, bound when first asked for, and the names they give to what follows. */
export class SelectNames implements Names {
	/** whether an alias hides a column that is something else */
	readonly shadowColumns: boolean;
	readonly #select: readonly Item[];
	readonly #tables: readonly TableProfile[];
	/** written names, then the names that aggregates, buckets and windows get by themselves */
	readonly #byAlias = new Map<string, number>();
	readonly #names: readonly (string | undefined)[];
	readonly #used = new Set<number>();
	#inFull = true;
	readonly #bound = new Map<number, Bound>();
	readonly #open = new Set<number>();
	#scope: Scope | undefined;
	#ties: readonly Bound[] = [];

	constructor(select: readonly Item[], tables: readonly TableProfile[]) {
		this.#select = select;
		this.#tables = tables;
		for (const [index, {alias}] of select.entries()) {
			if (alias !== undefined && !this.#byAlias.has(alias.toLowerCase())) this.#byAlias.set(alias.toLowerCase(), index);
		}
		const columns = tables.flatMap((table) => table.columns.map((column) => column.name.toLowerCase()));
		const taken = new Set([...this.#byAlias.keys(), ...columns]);
		const tried = new Map<string, number>();
		this.#names = select.map((item, index) => {
			const own = item.alias ?? ownName(item);
			if (own === undefined || item.alias !== undefined) return own;
			const name = free(own, taken, tried);
			taken.add(name.toLowerCase());
			this.#byAlias.set(name.toLowerCase(), index);
			return name;
		});
		this.shadowColumns = select.some((item) => item.alias !== undefined && this.#shadows(item, item.alias));
	}

	/** From here on items can be bound. */
	begin(scope: Scope): void {
		this.#scope = {...scope, aliases: this, aliasesFirst: false};
	}

	/** What completes the order of windows that need a total one. */
	completeOrderWith(ties: readonly Bound[]): void {
		this.#ties = ties;
		this.#inFull = false;
	}

	keys(): Iterable<string> {
		return this.#byAlias.keys();
	}

	get(name: string): Bound | undefined {
		const index = this.#byAlias.get(name);
		// an item that asks for its own name means the column
		if (index === undefined || this.#open.has(index)) return undefined;
		const bound = this.#bind(index);
		const item = this.#select[index];
		if (this.#inFull || !item || !isMeasure(item, bound)) return bound;
		this.#used.add(index);
		return {...bound, words: this.#names[index] ?? bound.words, isNamed: true};
	}

	/** Whether what follows calls the item by its name. */
	isUsed(index: number): boolean {
		return this.#used.has(index);
	}

	items(): readonly Omit<BoundItem, 'isCited'>[] {
		const taken = new Set(this.#byAlias.keys());
		const columns = new Set(this.#tables.flatMap((table) => table.columns.map((column) => column.name.toLowerCase())));
		const neither = {has: (name: string) => taken.has(name) || columns.has(name)};
		const [triedOwn, tried] = [new Map<string, number>(), new Map<string, number>()];
		return this.#select.map((item, index) => {
			const bound = this.#bind(index);
			if (item.alias !== undefined) {
				this.#checkAlias(item.alias, index);
				return {name: item.alias, bound, isRenamed: !isNamed(bound, item.alias)};
			}
			const given = this.#names[index];
			if (given !== undefined) return {name: given, bound, isRenamed: true};
			const own = bound.kind === 'column' ? columnName(bound) : undefined;
			const name = own === undefined ? free(bound.words.slice(0, 63), neither, tried) : free(own, taken, triedOwn);
			taken.add(name.toLowerCase());
			return {name, bound, isRenamed: name !== own};
		});
	}

	#checkAlias(alias: string, index: number): void {
		const path = `select[${index}].alias`;
		if (!this.#scope) return;
		if (!isIdentifier(alias)) {
			report(this.#scope, path, `Invalid identifier \`${clip(alias)}\`; an alias has up to 63 letters, digits and underscores`);
		}
		const first = this.#byAlias.get(alias.toLowerCase());
		if (first !== index) report(this.#scope, path, `\`${alias}\` is the name of select[${first}] already`);
	}

	#bind(index: number): Bound {
		const known = this.#bound.get(index);
		const item = this.#select[index];
		if (known || !item || !this.#scope) return known ?? BROKEN;
		if (this.#open.size >= MAX_CHAIN)
			return report(this.#scope, `select[${index}]`, `names of select use each other more than ${MAX_CHAIN} deep`);
		this.#open.add(index);
		const bound = this.#bindItem(item, `select[${index}]`, this.#scope);
		this.#open.delete(index);
		this.#bound.set(index, bound);
		return bound;
	}

	#bindItem(item: Item, path: string, scope: Scope): Bound {
		if ('window' in item) return bindWindow(item, path, scope, this.#ties);
		if ('func' in item || 'bucket' in item) return bindExpr(item, path, scope);
		if ('expr' in item) return bindExpr(item.expr, `${path}.expr`, scope);
		return bindExpr({column: item.column}, path, scope);
	}

	#shadows(item: Item, alias: string): boolean {
		const hidden = matchColumns(this.#tables, alias);
		if (hidden.length === 0) return false;
		const isPlain = !('func' in item) && !('bucket' in item) && !('window' in item) && 'column' in item;
		const [own] = isPlain ? matchColumns(this.#tables, item.column) : [];
		return own?.column !== hidden[0]?.column;
	}
}

function isNamed(bound: Bound, alias: string): boolean {
	return bound.kind === 'column' && columnName(bound) === alias;
}

/** The column's own name, from its quoted form. */
function columnName({sql}: Bound): string {
	const last = /(?:^|\.)"((?:[^"]|"")*)"$/.exec(sql)?.[1] ?? sql;
	return last.replaceAll('""', '"');
}

function ownName(item: Item): string | undefined {
	if ('bucket' in item) return item.bucket;
	const verb = 'window' in item ? item.window : 'func' in item ? item.func : undefined;
	if (verb === undefined || !('window' in item || 'func' in item)) return undefined;
	const column = item.column?.slice(item.column.indexOf('.') + 1);
	return column === undefined || !isIdentifier(column) ? verb : `${verb}_${column}`;
}

/** What is better called by its name than spelled out again; a count of rows and a column are not. */
function isMeasure(item: Item, bound: Bound): boolean {
	if ('bucket' in item || bound.kind === 'column' || bound.kind === 'broken') return false;
	return bound.sql !== 'COUNT(*)';
}

/** `tried` holds the numbers that were looked at before, so that a thousand items of one name do not look at each other's. */
function free(name: string, taken: Pick<ReadonlySet<string>, 'has'>, tried: Map<string, number>): string {
	const key = name.toLowerCase();
	let n = tried.get(key) ?? 1;
	const numbered = () => (n === 1 ? name : `${name}_${n}`);
	while (taken.has(numbered().toLowerCase())) n += 1;
	tried.set(key, n);
	return numbered();
}
