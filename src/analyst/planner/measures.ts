/** Reads what is computed: functions over columns, counts, shares; and whatever other readers left over. */
import {
	columnsAt,
	type Draft,
	isKeyword,
	isMoment,
	keywordAt,
	keywordsOf,
	type Measure,
	near,
	nounsAt,
	quantitiesAt,
	type Ref,
	rivals,
	thingAt,
	use,
} from './draft.ts';
import {spentAt} from './ranking.ts';
import {isYear} from './vocabulary.ts';

export function readMeasures(draft: Draft): void {
	for (const at of keywordsOf(draft, 'func')) readFunction(draft, at);
	for (const at of keywordsOf(draft, 'revenue')) {
		use(draft, at);
		draft.measures.push({func: 'sum', operand: {kind: 'revenue'}});
	}
	for (const at of keywordsOf(draft, 'count')) readCount(draft, at);
	for (const at of keywordsOf(draft, 'when')) readWhen(draft, at);
}

function readFunction(draft: Draft, at: number): void {
	if (draft.used.has(at)) return;
	if (draft.chunks[at]?.lower === 'on average') {
		use(draft, at);
		draft.usual = 'avg';
		return;
	}
	const heads = [at];
	let next = near(draft, at, 1);
	// "minimum and maximum price"
	while (isKeyword(draft, next, 'and') && isKeyword(draft, near(draft, next, 1), 'func')) {
		heads.push(near(draft, next, 1));
		use(draft, next);
		next = near(draft, near(draft, next, 1), 1);
	}
	const operands = operandsFrom(draft, next);
	if (operands.length === 0) {
		readTotal(draft, heads, next);
		return;
	}
	use(draft, ...heads);
	for (const operand of operands) {
		for (const head of heads) {
			const keyword = keywordAt(draft, head);
			if (keyword?.kind === 'func') draft.measures.push({func: keyword.func, operand});
		}
	}
}

/** "total orders" counts; of other functions a noun leaves open what is meant. */
function readTotal(draft: Draft, heads: readonly number[], next: number): void {
	const keyword = keywordAt(draft, heads[0] ?? -1);
	if (heads.length !== 1 || keyword?.kind !== 'func' || keyword.func !== 'sum') return;
	if (nounsAt(draft, next).length === 0 && !isKeyword(draft, next, 'count')) return;
	use(draft, ...heads);
	if (!isKeyword(draft, next, 'count')) draft.isCounted = true;
}

type Operands = readonly NonNullable<Measure['operand']>[];

/** The quantities after a function, past nouns that only say whose they are. */
function operandsFrom(draft: Draft, start: number): Operands {
	const found: NonNullable<Measure['operand']>[] = [];
	let joint: number | null = null;
	let at = start;
	for (;;) {
		if (nounsAt(draft, at).length > 0 && quantitiesAt(draft, near(draft, at, 1)).length > 0 && !draft.used.has(at)) {
			use(draft, at);
			at = near(draft, at, 1);
		}
		const operand = at < 0 || draft.used.has(at) ? null : operandAt(draft, at);
		if (!operand) return found;
		found.push(operand);
		use(draft, at, ...(joint === null ? [] : [joint]));
		[at, joint] = continued(draft, at);
	}
}

/** Where a list of quantities goes on after "and" or a comma, and the "and"; -1 where it ends. */
function continued(draft: Draft, at: number): readonly [number, number | null] {
	const after = near(draft, at, 1);
	if (isKeyword(draft, after, 'and')) return [near(draft, after, 1), after];
	return [draft.chunks.slice(at + 1, after).some(({lower}) => lower === ',') ? after : -1, null];
}

function operandAt(draft: Draft, at: number): NonNullable<Measure['operand']> | null {
	if (isKeyword(draft, at, 'revenue')) return {kind: 'revenue'};
	const named = quantitiesAt(draft, at);
	const ref = named.length > 0 ? named : spentAt(draft, at);
	noteRivals(draft, at, ref);
	return ref.length === 0 ? null : {kind: 'column', ref};
}

function noteRivals(draft: Draft, at: number, ref: Ref): void {
	const names = rivals(ref);
	if (names.length > 0) draft.problems.push(`“${draft.chunks[at]?.text}” could be ${names.join(' or ')}`);
}

function readCount(draft: Draft, at: number): void {
	use(draft, at);
	draft.isCounted = true;
	let next = near(draft, at, 1);
	if (isKeyword(draft, next, 'distinct')) {
		use(draft, next);
		draft.isDistinct = true;
		next = near(draft, next, 1);
	}
	while (next >= 0 && draft.used.has(next) && draft.chunks[next]?.kind !== 'keyword') next = near(draft, next, 1);
	if (next < 0 || draft.used.has(next)) return;
	const thing = thingAt(draft, next);
	if (!thing || draft.subject) return;
	use(draft, next);
	const quantities = quantitiesAt(draft, next);
	if (thing.kind === 'column' && quantities.length > 0 && !draft.isDistinct) {
		// "number of votes" adds up a column that holds numbers of something
		draft.isCounted = false;
		draft.measures.push({func: 'sum', operand: {kind: 'column', ref: quantities}});
		return;
	}
	draft.subject = thing;
}

/** "when was the first …": the moment itself. */
function readWhen(draft: Draft, at: number): void {
	if (draft.rank?.by.operand?.kind !== 'moment') return;
	use(draft, at);
	draft.measures.push({func: draft.rank.direction === 'asc' ? 'min' : 'max', operand: {kind: 'moment'}});
	draft.rank = null;
}

/** Turns one of the conditions into the part of which the share is asked. */
export function readShare(draft: Draft): void {
	const [at] = keywordsOf(draft, 'share');
	if (at === undefined) return;
	const isOfName = quantitiesAt(draft, near(draft, at, -1)).length > 0 && draft.filters.length === 0;
	use(draft, at);
	if (isOfName) return;
	const conditions = draft.filters.filter(({op}) => op !== 'is_null' || draft.filters.length === 1);
	const chosen = chooseShare(draft, at, conditions);
	if (chosen) {
		draft.share = chosen;
		draft.filters.splice(draft.filters.indexOf(chosen), 1);
		return;
	}
	if (conditions.length === 0 && draft.groups.length > 0 && draft.measures.length === 0) draft.isSpread = true;
	else draft.problems.push('of what the share is asked is not clear');
}

const PIVOTS: ReadonlySet<string> = new Set([
	'that',
	'are',
	'is',
	'was',
	'were',
	'happened',
	'happen',
	'happens',
	'have',
	'had',
	'has',
	'come',
	'came',
	'with',
	'get',
	'got',
	'which',
	'who',
	'been',
	'occurred',
	'do',
]);

function chooseShare(draft: Draft, share: number, conditions: Draft['filters']): Draft['filters'][number] | null {
	const [only, second] = conditions;
	if (only && !second) return only;
	const beside = conditions.filter(({at}) => at === near(draft, share, -1) || at === near(draft, share, 1));
	const isOfBoolean = beside.length === 1 && beside[0]?.ref[0]?.column.type === 'boolean';
	if (isOfBoolean) return beside[0] ?? null;
	const pivot = draft.chunks.findIndex(({kind, lower}, at) => at > share && kind === 'filler' && PIVOTS.has(lower));
	const after = pivot < 0 ? [] : conditions.filter(({at}) => at > pivot);
	return after.length === 1 ? (after[0] ?? null) : null;
}

/** Everything nobody has read yet: the subject, columns to show, and what is not understood. */
export function readRest(draft: Draft): void {
	for (const [at, chunk] of draft.chunks.entries()) {
		if (draft.used.has(at) || chunk.kind === 'filler') continue;
		if (isKeyword(draft, at, 'which', 'show', 'and')) use(draft, at);
		else if (chunk.kind === 'window') {
			use(draft, at);
			draft.windows.push(chunk.window);
		} else if (chunk.kind === 'term' || (chunk.kind === 'bucket' && chunk.terms)) readLeftTerm(draft, at);
		else if (chunk.kind === 'bucket') readLeftBucket(draft, at);
		else draft.problems.push(`I do not understand “${chunk.text}” here`);
	}
}

function readLeftTerm(draft: Draft, at: number): void {
	use(draft, at);
	const thing = thingAt(draft, at);
	const nouns = nounsAt(draft, at);
	const columns = columnsAt(draft, at);
	const chunk = draft.chunks[at];
	const isRow = chunk?.kind === 'term' && chunk.terms.isRow && columns.length === 0;
	const moments = columns.filter((col) => isMoment(col) || isYear(col));
	if (thing?.kind === 'noun') {
		if (draft.subject) draft.extras.push([...nouns]);
		else draft.subject = thing;
	} else if (moments.length > 0 && draft.windows.length > 0) draft.moments.push(moments);
	else if (thing?.kind === 'column' && isListHead(draft, at) && !draft.subject && quantitiesAt(draft, at).length === 0)
		draft.subject = thing;
	else if (!isRow) readLeftColumn(draft, at, columns);
}

function readLeftColumn(draft: Draft, at: number, columns: Ref): void {
	const quantities = quantitiesAt(draft, at);
	const ref = quantities.length > 0 ? quantities : columns;
	const text = draft.chunks[at]?.text;
	if (ref.length > 0 && isRead(draft, ref)) return;
	const isComputed = draft.isCounted || draft.measures.length > 0 || draft.rank !== null || draft.share !== null;
	if (ref.length === 0) draft.problems.push(`I do not understand “${text}” here`);
	else if (isComputed && !isListHead(draft, at)) draft.problems.push(`what “${text}” is to say here is not clear`);
	noteRivals(draft, at, ref);
	draft.columns.push(ref);
}

/** Says again what is measured already, as "time to resolution" does. */
function isRead({measures, rank}: Draft, ref: Ref): boolean {
	const operands = [...measures, ...(rank ? [rank.by] : [])].flatMap(({operand}) =>
		operand?.kind === 'column' ? operand.ref : [],
	);
	return operands.length > 0 && ref.every(({column}) => operands.some((each) => each.column === column));
}

/** The first thing after "which", "show" or at the very beginning. */
function isListHead(draft: Draft, at: number): boolean {
	for (let before = near(draft, at, -1); before >= 0; before = near(draft, before, -1)) {
		if (isKeyword(draft, before, 'which', 'show', 'distinct', 'and')) return true;
		if (draft.chunks[before]?.kind !== 'term') return false;
	}
	return true;
}

function readLeftBucket(draft: Draft, at: number): void {
	const chunk = draft.chunks[at];
	use(draft, at);
	if (chunk?.kind === 'bucket' && isListHead(draft, at) && !draft.subject) draft.subject = {kind: 'bucket', bucket: chunk.bucket};
	else draft.problems.push(`what “${chunk?.text}” is to say here is not clear`);
}
