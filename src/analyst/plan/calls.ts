/** The operators and functions of expressions: what they take, what they give, their SQL and their words. */
import type {ExprOp} from '#contract/query-plan.ts';
import type {ColumnType} from '#contract/table.ts';
import {familyOf, isComparable, typeWords} from './literal.ts';
import {type Bound, STRENGTH} from './scope.ts';

/** What an operand must be: a family of types, `any`, or `same` as the first operand. */
type Param = 'number' | 'text' | 'date' | 'count' | 'unit' | 'any' | 'same';
type Call = {
	/** the last one repeats up to `most` */
	readonly params: readonly Param[];
	readonly least: number;
	readonly most: number;
	readonly type: ColumnType | ((args: readonly Bound[]) => ColumnType);
	readonly sql: (args: readonly string[], bounds: readonly Bound[]) => string;
	readonly words?: (args: readonly string[]) => string;
	readonly infix?: number;
};

const MANY = 20;

const UNIT_NAMES = ['minute', 'hour', 'day', 'week', 'month', 'quarter', 'year'] as const;
const UNIT_SECONDS: Readonly<Record<string, number>> = {minute: 60, hour: 3600, day: 86_400, week: 604_800};

const widest = (args: readonly Bound[]): ColumnType => {
	const types = args.map((arg) => arg.type);
	if (types.includes('double')) return 'double';
	return types.includes('decimal') ? 'decimal' : 'integer';
};
const first = (args: readonly Bound[]): ColumnType => args.find((arg) => arg.type !== 'null')?.type ?? 'null';
/** Of numbers the widest, of anything else the first. */
const common = (args: readonly Bound[]): ColumnType => (familyOf(first(args)) === 'number' ? widest(args) : first(args));

function infix(op: string, most: number, strength: number): Call {
	const write = (args: readonly string[]) => (args.length === 1 ? `${op}${args[0]}` : args.join(` ${op} `));
	return {params: ['number'], least: op === '-' ? 1 : 2, most, type: widest, sql: write, words: write, infix: strength};
}

function plain(name: string, params: readonly Param[], type: Call['type'], least = params.length): Call {
	return {params, least, most: params.length, type, sql: (args) => `${name}(${args.join(', ')})`};
}

function variadic(name: string, params: readonly Param[], type: Call['type']): Call {
	return {...plain(name, params, type, 1), most: MANY};
}

function cast(target: string, type: ColumnType): Call {
	return {params: ['any'], least: 1, most: 1, type, sql: ([value]) => `TRY_CAST(${value} AS ${target})`};
}

const CALLS: Readonly<Record<Exclude<ExprOp, 'now'>, Call>> = {
	'+': infix('+', MANY, STRENGTH.sum),
	'-': infix('-', 2, STRENGTH.sum),
	'*': infix('*', MANY, STRENGTH.product),
	'/': {...infix('/', 2, STRENGTH.product), type: 'double', sql: divided('/')},
	'%': {...infix('%', 2, STRENGTH.product), sql: divided('%')},
	abs: plain('abs', ['number'], first),
	round: {
		...plain('round', ['number', 'count'], first, 1),
		words: ([value, places = '0']) =>
			`${value} rounded to ${places === '0' ? 'a whole number' : `${places} ${places === '1' ? 'place' : 'places'}`}`,
	},
	floor: plain('floor', ['number'], first),
	ceil: plain('ceil', ['number'], first),
	// a root or logarithm that does not exist is missing, not a failed query
	sqrt: {...plain('sqrt', ['number'], 'double'), sql: ([a]) => `TRY(sqrt(${a}))`},
	power: {...plain('power', ['number', 'number'], 'double'), sql: ([a, b]) => `TRY(power(${a}, ${b}))`},
	ln: {...plain('ln', ['number'], 'double'), sql: ([a]) => `TRY(ln(${a}))`},
	sign: plain('sign', ['number'], 'integer'),
	greatest: variadic('greatest', ['any', 'same'], common),
	least: variadic('least', ['any', 'same'], common),
	coalesce: variadic('coalesce', ['any', 'same'], common),
	nullif: plain('nullif', ['any', 'same'], first),
	lower: plain('lower', ['text'], 'text'),
	upper: plain('upper', ['text'], 'text'),
	trim: plain('trim', ['text'], 'text'),
	length: plain('length', ['text'], 'integer'),
	concat: variadic('concat', ['any'], 'text'),
	substring: plain('substring', ['text', 'count', 'count'], 'text', 2),
	replace: plain('replace', ['text', 'text', 'text'], 'text'),
	left: plain('left', ['text', 'count'], 'text'),
	right: plain('right', ['text', 'count'], 'text'),
	to_number: cast('DOUBLE', 'double'),
	to_text: cast('VARCHAR', 'text'),
	to_date: cast('DATE', 'date'),
	to_timestamp: cast('TIMESTAMP', 'timestamp'),
	date_diff: {
		...{params: ['unit', 'date', 'date'], least: 3, most: 3, type: elapsedType, sql: elapsedSql},
		words: ([unit, from, to]) => `${unit}s from ${from} to ${to}`,
	},
	date_add: {
		...{params: ['date', 'count', 'unit'], least: 3, most: 3, type: movedType, sql: movedSql},
		words: ([from, amount, unit]) => `${from} plus ${amount} ${unit}${amount === '1' ? '' : 's'}`,
		infix: STRENGTH.condition,
	},
};

/** Nothing divided by zero is missing, in every type of number. */
function divided(op: '/' | '%'): Call['sql'] {
	return ([a, b], [, divisor]) => {
		const isSafe = typeof divisor?.value === 'number' && divisor.value !== 0;
		return isSafe ? `${a} ${op} ${b}` : `${a} ${op} NULLIF(${b}, 0)`;
	};
}

/** Time between two moments with its fraction; between two dates in days, and in months and longer, the whole units completed. */
function elapsedType([unit, from, to]: readonly Bound[]): ColumnType {
	return isWholeElapsed(unit, from, to) ? 'integer' : 'double';
}

function isWholeElapsed(unit: Bound | undefined, from: Bound | undefined, to: Bound | undefined): boolean {
	const name = String(unit?.value);
	return UNIT_SECONDS[name] === undefined || (name === 'day' && from?.type === 'date' && to?.type === 'date');
}

function elapsedSql([, from, to]: readonly string[], [unit, a, b]: readonly Bound[]): string {
	const name = String(unit?.value);
	if (name === 'day' && a?.type === 'date' && b?.type === 'date') return `date_diff('day', ${from}, ${to})`;
	const seconds = UNIT_SECONDS[name];
	if (seconds !== undefined) return `(epoch(${to}) - epoch(${from})) / ${seconds}`;
	return `date_sub('${name}', CAST(${from} AS TIMESTAMP), CAST(${to} AS TIMESTAMP))`;
}

function movedType([from, , unit]: readonly Bound[]): ColumnType {
	const isClock = unit?.value === 'minute' || unit?.value === 'hour';
	return from?.type === 'date' && !isClock ? 'date' : from?.type === 'timestamptz' ? 'timestamptz' : 'timestamp';
}

function movedSql([from, amount]: readonly string[], bounds: readonly Bound[]): string {
	const unit = String(bounds[2]?.value);
	const interval = unit === 'quarter' ? 'INTERVAL 3 MONTH' : `INTERVAL 1 ${unit.toUpperCase()}`;
	const moved = `${from} + ${interval} * ${amount}`;
	return movedType(bounds) === 'date' ? `CAST(${moved} AS DATE)` : moved;
}

/** The call as one expression, or what is wrong with the operand at `index` (-1: with their number). */
export function call(
	op: Exclude<ExprOp, 'now'>,
	args: readonly Bound[],
): Bound | {readonly index: number; readonly message: string} {
	const spec = CALLS[op];
	if (args.length < spec.least || args.length > spec.most) return {index: -1, message: countMessage(op, spec, args.length)};
	for (const [index, arg] of args.entries()) {
		const message = mismatch(paramAt(spec, index), arg, args);
		if (message !== null) return {index, message: `${op} ${message}`};
	}
	// the first of equals needs no parentheses: a - b - c; a sign binds to its operand alone
	const strengthAt = (index: number) => (index === 0 && args.length > 1 ? (spec.infix ?? 0) - 1 : (spec.infix ?? STRENGTH.atom));
	const isArithmetic = spec.infix !== undefined && spec.infix > STRENGTH.comparison;
	// operands of a written function stand between commas
	const strengthOf = (index: number) => (isArithmetic ? strengthAt(index) : spec.params.includes('unit') ? STRENGTH.atom : 0);
	const sqls = args.map((arg, index) => operandSql(arg, strengthOf(index)));
	const words = args.map((arg, index) => operandWords(arg, isArithmetic ? strengthAt(index) : STRENGTH.atom));
	return {
		kind: 'call',
		sql: spec.sql(sqls, args),
		words: spec.words ? spec.words(words) : `${op}(${args.map((arg) => arg.words).join(', ')})`,
		type: typeof spec.type === 'function' ? spec.type(args) : spec.type,
		parts: args,
		tables: [...new Set(args.flatMap((arg) => arg.tables))],
		...infixOf(op, spec),
	};
}

function infixOf(op: ExprOp, {infix: strength}: Call): {readonly infix?: number} {
	if (op === 'date_diff') return {infix: STRENGTH.product};
	return strength === undefined ? {} : {infix: strength};
}

/** What the operand at `index` should be, so that a text literal can be read as a moment first. */
export function wantsDate(op: ExprOp, index: number): boolean {
	return op !== 'now' && paramAt(CALLS[op], index) === 'date';
}

function paramAt(spec: Call, index: number): Param {
	return spec.params[index] ?? spec.params.at(-1) ?? 'any';
}

function countMessage(op: string, {least, most}: Call, got: number): string {
	const wanted = least === most ? `${least}` : `${least} to ${most}`;
	return `${op} takes ${wanted} ${most === 1 ? 'value' : 'values'}; got ${got}`;
}

function mismatch(param: Param, arg: Bound, args: readonly Bound[]): string | null {
	if (arg.kind === 'broken') return null;
	if (param === 'unit') {
		return UNIT_NAMES.some((unit) => unit === arg.value)
			? null
			: `needs a unit here: {"value": "day"}, one of ${UNIT_NAMES.join(', ')}`;
	}
	if (param === 'count') return isWholeNumber(arg) ? null : 'needs a whole number here';
	if (param === 'same') {
		const same = args.every((other) => isComparable(other.type, arg.type));
		return same
			? null
			: `needs values of one type; ${args.map((each) => `\`${each.words}\` is ${typeWords(each.type)}`).join(', ')}`;
	}
	if (param === 'any' || arg.type === 'null' || familyOf(arg.type) === param) return null;
	return `needs ${param === 'date' ? 'a date or timestamp' : param === 'number' ? 'numbers' : 'text'}; \`${arg.words}\` is ${typeWords(arg.type)}${conversion(param, arg.type)}`;
}

function isWholeNumber(arg: Bound): boolean {
	return typeof arg.value === 'number' ? Number.isInteger(arg.value) : arg.type === 'integer';
}

function conversion(param: Param, type: ColumnType): string {
	if (param === 'number' && type === 'text') return '; write {"op": "to_number", "args": [...]} to read numbers out of it';
	if (param === 'number' && familyOf(type) === 'date') return '; use date_add or date_diff for times';
	if (param === 'date' && type === 'text') return '; write {"op": "to_timestamp", "args": [...]} to read times out of it';
	return param === 'text' ? '; write {"op": "to_text", "args": [...]}' : '';
}

/** `bound` as an operand of something that binds with `strength`. */
export function operandSql(bound: Bound, strength: number = STRENGTH.atom): string {
	return isLoose(bound, strength) ? `(${bound.sql})` : bound.sql;
}

export function operandWords(bound: Bound, strength: number = STRENGTH.atom): string {
	return isLoose(bound, strength) && !bound.isNamed ? `(${bound.words})` : bound.words;
}

function isLoose({infix: own}: Bound, strength: number): boolean {
	return own !== undefined && own <= strength;
}
