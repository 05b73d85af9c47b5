/** Formulas such as `price * quantity * (1 - discount / 100)` as expression trees. Nothing of the text reaches SQL by itself. */
import {EXPR_OPS, type Expr, type ExprOp} from '#contract/query-plan.ts';

const MAX_LENGTH = 1000;
const MAX_DEPTH = 30;
const TOKEN =
	/\s*(?:(\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|([\p{L}_][\p{L}\p{N}_]*(?:\.(?:[\p{L}_][\p{L}\p{N}_]*|"[^"]+"))?|"[^"]+")|'((?:[^']|'')*)'|([-+*/%(),]))/uy;

const CALLABLE: ReadonlySet<string> = new Set(EXPR_OPS.filter((op) => /^[a-z]/.test(op)));
const AGGREGATES: Readonly<Record<string, 'count' | 'sum' | 'avg' | 'min' | 'max' | 'median' | 'stddev' | 'count_distinct'>> = {
	...{count: 'count', sum: 'sum', avg: 'avg', min: 'min', max: 'max', median: 'median', stddev: 'stddev'},
	count_distinct: 'count_distinct',
};

type Token = {readonly kind: 'number' | 'name' | 'text' | 'symbol' | 'end'; readonly text: string};

/** A plain name comes back as `{column}`; a formula as its tree; anything else as the reason it is neither. */
export function parseFormula(text: string): {readonly expr: Expr} | {readonly error: string} {
	const tokens = tokenize(text);
	if (typeof tokens === 'string') return {error: tokens};
	try {
		const reader = new FormulaReader(tokens);
		const expr = reader.sum(0);
		reader.expect('end', '');
		return {expr};
	} catch (error) {
		if (error instanceof FormulaError) return {error: error.message};
		throw error;
	}
}

class FormulaError extends Error {}

function tokenize(text: string): readonly Token[] | string {
	if (text.length > MAX_LENGTH) return `a formula has at most ${MAX_LENGTH} characters`;
	const tokens: Token[] = [];
	const pattern = new RegExp(TOKEN);
	const end = text.trimEnd().length;
	while (pattern.lastIndex < end) {
		const from = pattern.lastIndex;
		const match = pattern.exec(text);
		if (!match) return `\`${text.slice(from).trim().slice(0, 20)}\` does not belong in a formula`;
		const [, number, name, quoted, symbol] = match;
		if (number !== undefined) tokens.push({kind: 'number', text: number});
		else if (name !== undefined) tokens.push({kind: 'name', text: name});
		else if (quoted !== undefined) tokens.push({kind: 'text', text: quoted.replaceAll("''", "'")});
		else tokens.push({kind: 'symbol', text: symbol ?? ''});
	}
	return [...tokens, {kind: 'end', text: ''}];
}

class FormulaReader {
	readonly #tokens: readonly Token[];
	#position = 0;

	constructor(tokens: readonly Token[]) {
		this.#tokens = tokens;
	}

	sum(depth: number): Expr {
		if (depth > MAX_DEPTH) throw new FormulaError(`a formula nests at most ${MAX_DEPTH} levels`);
		let left = this.product(depth);
		for (let op = this.take('+', '-'); op; op = this.take('+', '-')) left = {op, args: [left, this.product(depth)]};
		return left;
	}

	product(depth: number): Expr {
		let left = this.operand(depth);
		for (let op = this.take('*', '/', '%'); op; op = this.take('*', '/', '%')) left = {op, args: [left, this.operand(depth)]};
		return left;
	}

	operand(depth: number): Expr {
		if (this.take('-')) {
			const inner = this.operand(depth + 1);
			return typeof inner === 'number' ? -inner : {op: '-', args: [inner]};
		}
		const {kind, text} = this.next();
		if (kind === 'number') return Number(text);
		if (kind === 'text') return {value: text};
		if (kind === 'name') return this.take('(') ? this.call(text, depth) : {column: text};
		if (text !== '(') throw new FormulaError(kind === 'end' ? 'the formula ends too early' : `\`${text}\` is not expected there`);
		const inner = this.sum(depth + 1);
		this.expect('symbol', ')');
		return inner;
	}

	call(name: string, depth: number): Expr {
		const func = name.toLowerCase();
		const aggregate = Object.hasOwn(AGGREGATES, func) ? AGGREGATES[func] : undefined;
		if (aggregate === 'count' && this.take('*')) {
			this.expect('symbol', ')');
			return {func: 'count'};
		}
		const args = this.args(depth);
		if (aggregate) {
			const [expr, ...more] = args;
			if (expr === undefined || more.length > 0) throw new FormulaError(`\`${name}\` takes one value`);
			return typeof expr === 'object' && 'column' in expr && !('func' in expr) && !('bucket' in expr)
				? {func: aggregate, column: expr.column}
				: {func: aggregate, expr};
		}
		if (isCallable(func)) return {op: func, args};
		throw new FormulaError(`there is no function \`${name}\`; there is ${[...CALLABLE, ...Object.keys(AGGREGATES)].join(', ')}`);
	}

	args(depth: number): readonly Expr[] {
		const args: Expr[] = [];
		if (this.take(')')) return args;
		do args.push(this.sum(depth + 1));
		while (this.take(','));
		this.expect('symbol', ')');
		return args;
	}

	/** The symbol that comes next, consumed, when it is one of `symbols`. */
	take<T extends string>(...symbols: readonly T[]): T | undefined {
		const token = this.#tokens[this.#position];
		const found = token?.kind === 'symbol' ? symbols.find((symbol) => symbol === token.text) : undefined;
		if (found !== undefined) this.#position += 1;
		return found;
	}

	next(): Token {
		const token = this.#tokens[this.#position] ?? {kind: 'end', text: ''};
		this.#position += 1;
		return token;
	}

	expect(kind: Token['kind'], text: string): void {
		const token = this.next();
		if (token.kind === kind && token.text === text) return;
		const got = token.kind === 'end' ? 'the end' : `\`${token.text}\``;
		throw new FormulaError(`expected ${kind === 'end' ? 'the formula to end' : `\`${text}\``}, got ${got}`);
	}
}

function isCallable(name: string): name is ExprOp {
	return CALLABLE.has(name);
}
