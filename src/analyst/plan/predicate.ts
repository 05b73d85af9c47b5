/** Comparisons as SQL predicates. Values of a plan become typed literals here and nowhere else. */
import {isRecord} from '#contract/json.ts';
import {nearest} from '#contract/nearest.ts';
import {type FilterOp, type FilterValue, PERIODS} from '#contract/query-plan.ts';
import {asMoment, literal, nowOf} from './bound-literal.ts';
import {operandSql, operandWords} from './calls.ts';
import {show} from './explain.ts';
import {familyOf, isComparable, likePattern, quoteText, type Scalar, typeWords} from './literal.ts';
import {type Bound, BROKEN, report, type Scope, STRENGTH, tablesOf} from './scope.ts';
import {isDateOnly, momentSql, momentWords, periodBounds, shift} from './time.ts';

/** `parts` joined by a word; a single one stays itself. */
export function combine(word: 'AND' | 'OR', parts: readonly Bound[]): Bound {
	const [only, ...more] = parts;
	if (parts.some(({kind}) => kind === 'broken')) return BROKEN;
	if (!only) return predicate('TRUE', 'anything holds', []);
	if (more.length === 0) return only;
	const sql = parts.map((part) => operandSql(part)).join(` ${word} `);
	const words = parts.map((part) => operandWords(part)).join(` ${word.toLowerCase()} `);
	return {...predicate(sql, words, parts), infix: STRENGTH.condition};
}

export function predicate(sql: string, words: string, parts: readonly Bound[]): Bound {
	return {kind: 'call', sql, words, type: 'boolean', parts, tables: tablesOf(parts)};
}

export type Place = {readonly left: Bound; readonly op: FilterOp; readonly path: string; readonly scope: Scope};

const COMPARISONS: Readonly<Partial<Record<FilterOp, string>>> = {
	'=': 'is',
	'!=': 'is not',
	'<': 'is less than',
	'<=': 'is at most',
	'>': 'is more than',
	'>=': 'is at least',
};
const MOMENT_WORDS: Readonly<Partial<Record<FilterOp, string>>> = {
	'<': 'is before',
	'<=': 'is no later than',
	'>': 'is after',
	'>=': 'is no earlier than',
};

/** `left` compared with a value of the plan, or with another bound expression. */
export function compare(place: Place, value: FilterValue | Bound | undefined): Bound {
	const {op, path, scope} = place;
	if (isBound(value)) return value.kind === 'broken' ? BROKEN : compareBound(place, value);
	if (op === 'is_null' || op === 'is_not_null') return nullTest(place, value);
	if (value === undefined || value === null) {
		const missing =
			op === '=' ? '; `is_null` asks for missing values' : op === '!=' ? '; `is_not_null` asks for present values' : '';
		return report(scope, `${path}.value`, `is missing; \`${op}\` needs a value${missing}`);
	}
	return (BY_OP[op] ?? plain)(place, value);
}

function isBound(value: FilterValue | Bound | undefined): value is Bound {
	return isRecord(value) && 'sql' in value;
}

function compareBound(place: Place, right: Bound): Bound {
	const {left, op, path, scope} = place;
	if (COMPARISONS[op] === undefined)
		return report(scope, `${path}.op`, `\`${op}\` needs a plain value; an expr goes with ${Object.keys(COMPARISONS).join(' ')}`);
	if (isComparable(left.type, right.type)) return comparison(place, right);
	return report(
		scope,
		`${path}.value`,
		`\`${left.words}\` is ${typeWords(left.type)} and \`${right.words}\` is ${typeWords(right.type)}; they cannot be compared`,
	);
}

function nullTest({left, op, path, scope}: Place, value: FilterValue | undefined): Bound {
	if (value !== undefined && value !== null) return report(scope, `${path}.value`, `\`${op}\` takes no value; leave it out`);
	const missing = op === 'is_null';
	return predicate(
		`${operandSql(left)} IS ${missing ? '' : 'NOT '}NULL`,
		`${operandWords(left)} is ${missing ? 'missing' : 'present'}`,
		[left],
	);
}

function plain(place: Place, value: FilterValue): Bound {
	const right = oneValue(place, value, `${place.path}.value`);
	return right.kind === 'broken' ? BROKEN : comparison(place, right);
}

function comparison({left, op, path, scope}: Place, right: Bound): Bound {
	const isOrder = op !== '=' && op !== '!=';
	if (isOrder && left.type === 'boolean')
		return report(scope, `${path}.op`, `\`${op}\` does not order booleans; use \`=\` or \`!=\``);
	const words = (familyOf(left.type) === 'date' && MOMENT_WORDS[op]) || COMPARISONS[op];
	return predicate(
		`${operandSql(left, STRENGTH.comparison)} ${op} ${operandSql(right, STRENGTH.comparison)}`,
		`${operandWords(left, STRENGTH.comparison)} ${words} ${operandWords(right, STRENGTH.comparison)}`,
		[left, right],
	);
}

/** A literal of the type of `left`. */
function oneValue({left, op, scope}: Place, value: unknown, path: string): Bound {
	if (isScalar(value)) return typedLiteral(left, value, path, scope);
	const hint = Array.isArray(value) ? '; `in` takes a list' : '';
	return report(scope, path, `\`${op}\` needs one value, not ${show(value)}${hint}`);
}

function isScalar(value: unknown): value is Exclude<Scalar, null> {
	return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}

function typedLiteral(left: Bound, value: Exclude<Scalar, null>, path: string, scope: Scope): Bound {
	const bound = literal(value);
	const family = familyOf(left.type);
	if (family === 'date') {
		const moment = asMoment(
			bound,
			left.type === 'date' && typeof value === 'string' && !isDateOnly(value) ? 'timestamp' : left.type,
		);
		if (moment !== bound) return moment;
		return report(
			scope,
			path,
			`\`${left.words}\` is ${typeWords(left.type)}; write "YYYY-MM-DD"${left.type === 'date' ? '' : ' or "YYYY-MM-DD HH:MM:SS"'}, not ${show(value)}`,
		);
	}
	if (family === 'time' || family === 'interval')
		return typeof value === 'string' ? castText(value, left) : mistyped(left, value, path, scope);
	// whole numbers beyond 2^53 travel as text, because JSON numbers lose their last digits
	if (family === 'number' && typeof value === 'string' && /^-?\d{16,38}$/.test(value))
		return {...bound, sql: value, type: 'integer'};
	return isComparable(left.type, bound.type) ? bound : mistyped(left, value, path, scope);
}

function castText(value: string, left: Bound): Bound {
	return {...literal(value), sql: `CAST(${quoteText(value)} AS ${left.type.toUpperCase()})`, type: left.type};
}

function mistyped(left: Bound, value: Exclude<Scalar, null>, path: string, scope: Scope): Bound {
	return report(
		scope,
		path,
		`\`${left.words}\` is ${typeWords(left.type)}; write ${expected(left, value)}, not ${JSON.stringify(value)}`,
	);
}

function expected(left: Bound, value: Exclude<Scalar, null>): string {
	const family = familyOf(left.type);
	if (family === 'number')
		return typeof value === 'string' && value.trim() !== '' && Number.isFinite(Number(value))
			? `${Number(value)} without quotes`
			: 'a number';
	if (family === 'boolean') return 'true or false';
	return family === 'text' ? JSON.stringify(String(value)) : `a value that is ${typeWords(left.type)}`;
}

function oneOf(place: Place, value: FilterValue): Bound {
	const {left, op, path, scope} = place;
	if (!Array.isArray(value)) return report(scope, `${path}.value`, `\`${op}\` needs a list, not ${show(value)}`);
	const given: readonly Scalar[] = value;
	if (given.length < 1) scope.warnings.add(`the list of \`${left.words} ${op}\` is empty`);
	if (given.includes(null)) scope.warnings.add(`\`${op}\` ignores null in its list; is_null asks for missing values`);
	const values = given.flatMap((each, index) => (each === null ? [] : [oneValue(place, each, `${path}.value[${index}]`)]));
	if (values.some(({kind}) => kind === 'broken')) return BROKEN;
	const words = `${operandWords(left)} is ${op === 'in' ? 'one of' : 'none of'} ${values.map((each) => each.words).join(', ') || 'nothing'}`;
	if (values.length === 0) return predicate(op === 'in' ? 'FALSE' : 'TRUE', words, [left]);
	return predicate(`${operandSql(left)} ${op === 'in' ? 'IN' : 'NOT IN'} (${values.map((each) => each.sql).join(', ')})`, words, [
		left,
	]);
}

function between(place: Place, value: FilterValue): Bound {
	const {left, path, scope} = place;
	if (!Array.isArray(value) || value.length !== 2 || value.includes(null)) {
		return report(
			scope,
			`${path}.value`,
			`\`between\` needs a list of exactly two values, [low, high]; got ${Array.isArray(value) ? `a list of ${value.length}` : show(value)}`,
		);
	}
	const [low = BROKEN, high = BROKEN] = value.map((each, index) => oneValue(place, each, `${path}.value[${index}]`));
	if (low.kind === 'broken' || high.kind === 'broken') return BROKEN;
	if (left.type === 'boolean') return report(scope, `${path}.op`, '`between` does not order booleans; use `=`');
	if (left.type.startsWith('timestamp') && typeof high.value === 'string' && isDateOnly(high.value)) {
		scope.warnings.add(
			`\`${left.words}\` has a time of day: between ends at ${high.value} 00:00; use >= and < with the next day for whole days`,
		);
	}
	return predicate(
		`${operandSql(left)} BETWEEN ${operandSql(low)} AND ${operandSql(high)}`,
		`${operandWords(left)} is between ${low.words} and ${high.words}`,
		[left],
	);
}

type TextOp = {readonly anchor: 'both' | 'start' | 'end'; readonly words: string; readonly anyCase: boolean};
const TEXT_OPS: Readonly<Partial<Record<FilterOp, TextOp>>> = {
	contains: {anchor: 'both', words: 'contains', anyCase: false},
	startswith: {anchor: 'start', words: 'starts with', anyCase: false},
	endswith: {anchor: 'end', words: 'ends with', anyCase: false},
	icontains: {anchor: 'both', words: 'contains', anyCase: true},
	istartswith: {anchor: 'start', words: 'starts with', anyCase: true},
	iendswith: {anchor: 'end', words: 'ends with', anyCase: true},
	iequals: {anchor: 'both', words: 'is', anyCase: true},
};

function textMatch({left, op, path, scope}: Place, value: FilterValue): Bound {
	const {anchor, words, anyCase} = TEXT_OPS[op] ?? {anchor: 'both', words: 'contains', anyCase: false};
	if (typeof value !== 'string') return report(scope, `${path}.value`, `\`${op}\` needs text, not ${show(value)}`);
	if (left.type !== 'text' && left.type !== 'null') {
		return report(
			scope,
			`${path}.op`,
			`\`${op}\` needs text; \`${left.words}\` is ${typeWords(left.type)}; use a comparison, or {"op": "to_text", "args": [...]} as expr`,
		);
	}
	const text = `${operandWords(left)} ${words} ${literal(value).words}${anyCase ? ' in any case' : ''}`;
	if (op === 'iequals') return predicate(`lower(${left.sql}) = lower(${quoteText(value)})`, text, [left]);
	return predicate(`${operandSql(left)} ${anyCase ? 'ILIKE' : 'LIKE'} ${likePattern(value, anchor)}`, text, [left]);
}

function inLast(place: Place, value: FilterValue): Bound {
	const {left, op, path, scope} = place;
	if (!isRecord(value) || !('amount' in value)) {
		return report(scope, `${path}.value`, `\`${op}\` needs {"amount": 7, "unit": "day"}, not ${show(value)}`);
	}
	const now = momentsOf(place);
	if (now === undefined) return BROKEN;
	const {amount, unit} = value;
	const from = shift(now, -amount, unit);
	const window = `${amount} ${unit}${amount === 1 ? '' : 's'}`;
	const column = operandSql(left);
	// a date stands for its midnight: the first whole day inside the window is the one after the cut
	const low = left.type === 'date' && from % DAY_MS !== 0 ? from - (from % DAY_MS) + DAY_MS : from;
	if (op === 'older_than') {
		const words = `${operandWords(left)} is more than ${window} ago (before ${momentWords(low, left.type)})`;
		return predicate(`${column} < ${momentSql(low, left.type)}`, words, [left]);
	}
	const words = `${operandWords(left)} is in the last ${window} (${momentWords(low, left.type)} to ${momentWords(now, left.type)})`;
	return predicate(`(${column} >= ${momentSql(low, left.type)} AND ${column} <= ${momentSql(now, left.type)})`, words, [left]);
}

const DAY_MS = 86_400_000;

function inPeriod(place: Place, value: FilterValue): Bound {
	const {left, path, scope} = place;
	const period = PERIODS.find((each) => each === value);
	if (period === undefined) {
		const near = typeof value === 'string' ? nearest(value.replace(/^last_/, 'previous_'), PERIODS) : undefined;
		return report(
			scope,
			`${path}.value`,
			`${show(value)} is no period; ${near === undefined ? `use one of ${PERIODS.join(', ')}` : `did you mean \`${near}\`?`}`,
		);
	}
	const now = momentsOf(place);
	if (now === undefined) return BROKEN;
	const {from, to} = periodBounds(period, now);
	const column = operandSql(left);
	const words = `${operandWords(left)} is in ${period.replace('_', ' ')} (${momentWords(from, left.type)} up to ${momentWords(to, left.type)})`;
	return predicate(`(${column} >= ${momentSql(from, left.type)} AND ${column} < ${momentSql(to, left.type)})`, words, [left]);
}

const BY_OP: Readonly<Partial<Record<FilterOp, (place: Place, value: FilterValue) => Bound>>> = {
	in: oneOf,
	not_in: oneOf,
	between,
	in_last: inLast,
	older_than: inLast,
	in_period: inPeriod,
	contains: textMatch,
	startswith: textMatch,
	endswith: textMatch,
	iequals: textMatch,
	icontains: textMatch,
	istartswith: textMatch,
	iendswith: textMatch,
};

/** The dataset's now, where `left` is a time at all. */
function momentsOf({left, op, path, scope}: Place): number | undefined {
	if (familyOf(left.type) === 'date') return nowOf(`${path}.op`, scope);
	report(scope, `${path}.op`, `\`${op}\` needs a date or timestamp; \`${left.words}\` is ${typeWords(left.type)}`);
	return undefined;
}
