/** Reads comparisons with numbers: on a column, on a unit, or on how many rows a group has. */
import type {FilterOp} from '#contract/query-plan.ts';
import {
	columnsAt,
	type Draft,
	isContrast,
	isKeyword,
	isNumeric,
	keywordAt,
	keywordsOf,
	near,
	nounsAt,
	quantitiesAt,
	type Ref,
	rivals,
	thingAt,
	use,
} from './draft.ts';
import {convert, unitAt, unitOf} from './units.ts';
import type {Col} from './vocabulary.ts';

export function readComparisons(draft: Draft): void {
	for (const at of keywordsOf(draft, 'compare')) readComparison(draft, at);
	for (const at of keywordsOf(draft, 'between')) readBetween(draft, at);
	for (const at of keywordsOf(draft, 'none')) readNone(draft, at);
	readEqualities(draft);
	readLongNumbers(draft);
}

function numberAt(draft: Draft, at: number): number | null {
	const chunk = draft.chunks[at];
	return chunk?.kind === 'number' ? chunk.value : null;
}

function readComparison(draft: Draft, at: number): void {
	const keyword = keywordAt(draft, at);
	if (keyword?.kind !== 'compare') return;
	const after = near(draft, at, 1);
	const isAfter = numberAt(draft, after) !== null;
	const number = isAfter ? after : near(draft, at, -1);
	const value = numberAt(draft, number);
	if (value === null) return;
	const end = isAfter ? number : at;
	const applied = applyTo(draft, {start: isAfter ? at : number, end, number}, {op: keyword.op, values: [value]});
	if (applied) use(draft, at, number);
}

function readBetween(draft: Draft, at: number): void {
	const low = near(draft, at, 1);
	const and = near(draft, low, 1);
	const high = near(draft, and, 1);
	const [a, b] = [numberAt(draft, low), numberAt(draft, high)];
	if (a === null || b === null || !isKeyword(draft, and, 'and')) return;
	if (applyTo(draft, {start: at, end: high, number: high}, {op: 'between', values: [Math.min(a, b), Math.max(a, b)]}))
		use(draft, at, low, and, high);
}

/** "out of stock" has none of it; "out of all orders" only says of what. */
function readNone(draft: Draft, at: number): void {
	const next = near(draft, at, 1);
	const ref = next === at + 1 ? quantitiesAt(draft, next) : [];
	const [only] = ref;
	if (only && rivals(ref).length === 0) {
		use(draft, at, next);
		draft.filters.push({ref, op: '=', value: 0, at: next});
		draft.assumptions.push(`“${draft.chunks[at]?.text} ${draft.chunks[next]?.text}” means ${only.column.name} = 0`);
	} else if (nounsAt(draft, next).length > 0) use(draft, at);
}

type Span = {readonly start: number; readonly end: number; readonly number: number};
type Test = {readonly op: FilterOp; readonly values: readonly number[]};

/** Finds what is compared: the column before, the unit or column after, or the noun after, whose rows are counted. */
function applyTo(draft: Draft, span: Span, test: Test): boolean {
	const before = columnBefore(draft, span.start);
	const chunk = draft.chunks[span.number];
	const mark = chunk?.kind === 'number' ? chunk.mark : null;
	const written = mark === null ? unitAt(draft.chunks, span.end + 1) : null;
	const unit = mark === null ? (written?.unit ?? null) : mark === 'money' ? '$' : '%';
	const takeUnit = () => use(draft, ...indexes(span.end + 1, written?.length ?? 0));
	if (before !== null) {
		takeUnit();
		return compareColumn(draft, {at: before, ref: quantitiesOrKeys(draft, before)}, test, unit);
	}
	const after = near(draft, span.end, 1);
	const applied = after >= 0 && !draft.used.has(after) ? applyAfter(draft, {...span, after, mark}, test) : null;
	if (applied !== null) return applied;
	if (unit === null) return fail(draft, `what should be compared with ${test.values.join(' and ')} is not said`);
	takeUnit();
	return compareUnit(draft, span.start, unit, test);
}

type After = Span & {readonly after: number; readonly mark: 'percent' | 'money' | null};

/** Null when what comes after the number is not compared with it. */
function applyAfter(draft: Draft, {after, end, mark}: After, test: Test): boolean | null {
	const ref = quantitiesAt(draft, after);
	const isNoun = nounsAt(draft, after).length > 0;
	if (mark === 'money') return null;
	if (ref.length > 0 && (!isNoun || (mark === null && isInPhrase(draft, end, after))))
		return compareColumn(draft, {at: after, ref}, test, mark === null ? null : '%');
	if (mark !== null) return null;
	const isCounted = isNoun || thingAt(draft, after)?.kind === 'column' || draft.chunks[after]?.lower === 'times';
	return isCounted ? compareCount(draft, after, test) : null;
}

/** "20 in stock" means the column, even where the word is also a table's name. */
function isInPhrase(draft: Draft, from: number, to: number): boolean {
	return draft.chunks.slice(from + 1, to).some(({lower}) => lower === 'in');
}

function indexes(from: number, length: number): readonly number[] {
	return Array.from({length}, (_, index) => from + index);
}

function quantitiesOrKeys(draft: Draft, at: number): Ref {
	const quantities = quantitiesAt(draft, at);
	return quantities.length > 0 || nounsAt(draft, at).length > 0 ? quantities : columnsAt(draft, at, isNumeric);
}

function columnBefore(draft: Draft, start: number): number | null {
	let at = near(draft, start, -1);
	if (isKeyword(draft, at, 'by') && !draft.used.has(at)) {
		use(draft, at);
		at = near(draft, at, -1);
	}
	if (at < 0 || draft.used.has(at)) return null;
	return quantitiesOrKeys(draft, at).length > 0 ? at : null;
}

function compareColumn(
	draft: Draft,
	{at, ref}: {readonly at: number; readonly ref: Ref},
	{op, values}: Test,
	unit: string | null,
): boolean {
	const names = rivals(ref);
	if (names.length > 0) return fail(draft, `“${draft.chunks[at]?.text}” could be ${names.join(' or ')}`);
	const converted = unit === null ? values : values.map((value) => convert(value, unit, unitOf(ref[0] as Col)));
	if (converted.some((value) => value === null))
		return fail(draft, `the unit of ${ref[0]?.column.name} is not known to be ${draft.chunks[at + 2]?.text ?? unit}`);
	const numbers = converted as readonly number[];
	use(draft, at);
	const func = near(draft, at, -1);
	const keyword = keywordAt(draft, func);
	if (keyword?.kind === 'func' && !draft.used.has(func)) {
		use(draft, func);
		draft.having.push({measure: {func: keyword.func, operand: {kind: 'column', ref}}, op, value: pair(numbers)});
		return true;
	}
	draft.filters.push({ref, op, value: pair(numbers), at});
	return true;
}

function pair(values: readonly number[]): number | readonly [number, number] {
	const [a = 0, b] = values;
	return b === undefined ? a : [a, b];
}

function compareCount(draft: Draft, at: number, {op, values}: Test): boolean {
	use(draft, at);
	const nouns = nounsAt(draft, at);
	const flags = columnsAt(draft, at, ({column}) => column.type === 'boolean');
	if (nouns.length > 0) draft.extras.push([...nouns]);
	else if (flags.length > 0 && rivals(flags).length === 0) draft.filters.push({ref: flags, op: '=', value: true, at});
	else if (draft.chunks[at]?.lower !== 'times')
		return fail(draft, `how “${draft.chunks[at]?.text}” are to be counted is not said`);
	draft.having.push({measure: {func: 'count', operand: null}, op, value: pair(values)});
	return true;
}

/** "over $100" with no column named: the one column of what is asked about that has the unit. */
function compareUnit(draft: Draft, start: number, unit: string, test: Test): boolean {
	const before = near(draft, start, -1);
	const nouns = nounsAt(draft, before);
	const own = nouns.filter(({entity}) => entity === null);
	const tables = new Set((own.length > 0 ? own : nouns).map(({table}) => table));
	const all = draft.vocabulary.columns.filter(
		(col) => isNumeric(col) && unitOf(col) === unit && (tables.size === 0 || tables.has(col.table)),
	);
	const [only, second] = all;
	if (!only || second)
		return fail(
			draft,
			only
				? `${test.values.join(' and ')} ${unit} could be ${all.map(({column}) => column.name).join(' or ')}`
				: `no column is known to be in ${unit}`,
		);
	draft.filters.push({ref: [only], op: test.op, value: pair(test.values), at: start});
	draft.assumptions.push(`${test.values.join(' and ')} ${unit} is compared with ${only.column.name}`);
	return true;
}

/** "1 or 2 stars", "8 cylinders", "discount of 10", "agent 103". */
function readEqualities(draft: Draft): void {
	for (const at of draft.chunks.keys()) {
		if (draft.used.has(at) || numberAt(draft, at) === null) continue;
		const {numbers, last} = numbersFrom(draft, at);
		const written = numbers.map((index) => numberAt(draft, index) ?? 0);
		const isRange = draft.chunks.slice(at, last).some(({lower}) => lower === '–');
		const values = isRange ? between(written) : written;
		const found = columnOfNumbers(draft, at, last, values);
		if (!found) continue;
		use(draft, ...found.used);
		for (let index = at; index <= last; index += 1) use(draft, index);
		pushEquality(draft, found.ref, values, at);
	}
}

function pushEquality(draft: Draft, ref: Ref, values: readonly number[], at: number): void {
	const [only = 0, second] = values;
	draft.filters.push(second === undefined ? {ref, op: '=', value: only, at} : {ref, op: 'in', value: values, at});
	if (second !== undefined && isContrast(draft)) draft.groups.push({kind: 'column', ref});
}

/** "1–3 stars" are 1, 2 and 3. */
function between([low = 0, high = 0]: readonly number[]): readonly number[] {
	const isShort = Number.isInteger(low) && Number.isInteger(high) && high >= low && high - low <= 50;
	return isShort ? Array.from({length: high - low + 1}, (_, index) => low + index) : [low, high];
}

function numbersFrom(draft: Draft, at: number): {readonly numbers: readonly number[]; readonly last: number} {
	const numbers = [at];
	let last = at;
	for (;;) {
		const joint = near(draft, last, 1);
		const direct =
			numberAt(draft, joint) !== null &&
			draft.chunks.slice(last + 1, joint).some(({lower}) => lower === ',' || lower === '/' || lower === '–')
				? joint
				: -1;
		const next = isKeyword(draft, joint, 'or', 'and') ? near(draft, joint, 1) : direct;
		if (next < 0 || numberAt(draft, next) === null) return {numbers, last};
		numbers.push(next);
		last = next;
	}
}

function columnOfNumbers(
	draft: Draft,
	first: number,
	last: number,
	values: readonly number[],
): {readonly ref: Ref; readonly used: readonly number[]} | null {
	const before = near(draft, first, -1);
	if (isKeyword(draft, before, 'top', 'superlative')) return null;
	const written = unitAt(draft.chunks, last + 1);
	const byUnit = written ? draft.vocabulary.columns.filter((col) => isNumeric(col) && unitOf(col) === written.unit) : [];
	if (written && byUnit.length === 1) return {ref: byUnit, used: indexes(last + 1, written.length)};
	const named = before >= 0 && !draft.used.has(before) ? numbersNamed(draft, before) : [];
	if (named.length > 0 && rivals(named).length === 0) return {ref: named, used: [before]};
	const after = near(draft, last, 1);
	const discrete = after >= 0 && !draft.used.has(after) ? quantitiesAt(draft, after).filter((col) => holds(col, values)) : [];
	return discrete.length > 0 && rivals(discrete).length === 0 && nounsAt(draft, after).length === 0
		? {ref: discrete, used: [after]}
		: null;
}

/** "id 9007199254740995": more digits than a number holds, so that they go on as text. */
function readLongNumbers(draft: Draft): void {
	for (const [at, chunk] of draft.chunks.entries()) {
		if (chunk.kind !== 'literal' || !/^-?\d{16,38}$/.test(chunk.value)) continue;
		const before = near(draft, at, -1);
		const test = keywordAt(draft, before);
		const named = test?.kind === 'compare' ? near(draft, before, -1) : before;
		const ref = draft.used.has(named) ? [] : numbersNamed(draft, named);
		if (ref.length === 0 || rivals(ref).length > 0) continue;
		use(draft, at, before, named);
		draft.filters.push({ref, op: test?.kind === 'compare' ? test.op : '=', value: chunk.value, at});
	}
}

/** The column, or the key of the noun, that a number after it is a value of. */
function numbersNamed(draft: Draft, at: number): Ref {
	const columns = columnsAt(draft, at, isNumeric);
	if (columns.length > 0 && nounsAt(draft, at).length === 0) return columns;
	const next = draft.chunks[at + 1]?.kind;
	if (next !== 'number' && next !== 'literal') return [];
	return nounsAt(draft, at).flatMap(({table, entity, stem}) => {
		const key = entity ?? keyOf(table, stem);
		return key && isNumeric(key) ? [key] : [];
	});
}

function keyOf(table: Col['table'], stem: string): Col | null {
	const column = table.columns.find(({name}) => name.toLowerCase() === `${stem.replaceAll(' ', '_')}_id`);
	return column ? {table, column} : null;
}

function holds({column}: Col, values: readonly number[]): boolean {
	return column.type === 'integer' && values.every((value) => column.values?.some((each) => each.value === value) ?? false);
}

function fail(draft: Draft, problem: string): boolean {
	draft.problems.push(problem);
	return false;
}
