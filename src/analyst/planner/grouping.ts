/** Reads what a result is broken down by: columns, entities and buckets of time. */
import type {TableProfile} from '#contract/dataset.ts';
import {
	type Draft,
	isKeyword,
	keywordAt,
	keywordsOf,
	near,
	nounsAt,
	quantitiesAt,
	rivals,
	type Thing,
	thingAt,
	use,
} from './draft.ts';
import {isKey} from './vocabulary.ts';

export function readGroups(draft: Draft): void {
	for (const at of keywordsOf(draft, 'by')) {
		if (isRanking(draft, at)) continue;
		readList(draft, at);
	}
	for (const at of keywordsOf(draft, 'spread')) readSpread(draft, at);
	readAdverbs(draft);
	if (keywordsOf(draft, 'trend').length > 0) {
		use(draft, ...keywordsOf(draft, 'trend'));
		draft.isTrend = true;
	}
}

/** "top 5 countries by population" names the measure, not a group. */
function isRanking(draft: Draft, at: number): boolean {
	let next = near(draft, at, 1);
	if (isKeyword(draft, next, 'count') && isDiscrete(draft, near(draft, next, 1))) next = near(draft, next, 1);
	const isMeasure =
		isKeyword(draft, next, 'func', 'count', 'revenue', 'superlative') ||
		(quantitiesAt(draft, next).length > 0 && nounsAt(draft, next).length === 0);
	if (!isMeasure) return false;
	const hasRank = draft.chunks.some((_, index) => isKeyword(draft, index, 'top', 'superlative', 'sorted'));
	return hasRank || isKeyword(draft, next, 'func', 'count', 'revenue') || isKeyword(draft, near(draft, next, 1), 'compare');
}

/** A whole number with few values, such as a number of cylinders: a group more than a measure. */
function isDiscrete(draft: Draft, at: number): boolean {
	const ref = quantitiesAt(draft, at);
	return (
		ref.length > 0 &&
		nounsAt(draft, at).length === 0 &&
		ref.every(({column}) => column.type === 'integer' && column.distinct <= FEW)
	);
}

const FEW = 20;

function readList(draft: Draft, by: number): void {
	let joint = by;
	let at = near(draft, by, 1);
	while (at >= 0) {
		if (isKeyword(draft, at, 'count') && isDiscrete(draft, near(draft, at, 1))) {
			use(draft, at);
			at = near(draft, at, 1);
		}
		const read = readGroup(draft, at);
		if (read === null) return;
		use(draft, joint);
		joint = near(draft, read, 1);
		at = nextOfList(draft, read, joint);
	}
}

/** Where the list goes on after "and", "and by" or a comma, or -1. */
function nextOfList(draft: Draft, last: number, joint: number): number {
	if (isKeyword(draft, joint, 'and')) {
		const next = near(draft, joint, 1);
		if (!isKeyword(draft, next, 'by')) return next;
		use(draft, next);
		return near(draft, next, 1);
	}
	return joint >= 0 && draft.chunks.slice(last + 1, joint).some(({lower}) => lower === ',') ? joint : -1;
}

/** The index of the last chunk of the group, or null when there is none here. */
function readGroup(draft: Draft, at: number): number | null {
	const thing = at >= 0 && !draft.used.has(at) ? thingAt(draft, at) : null;
	if (!thing) return null;
	const next = near(draft, at, 1);
	if (draft.chunks[next]?.kind === 'literal' && next === at + 1) return null;
	const qualified = thing.kind === 'noun' && next === at + 1 && !draft.used.has(next) ? thingAt(draft, next) : null;
	if (qualified?.kind === 'column' && isGroupable(qualified)) {
		use(draft, at);
		return addGroup(draft, next, qualified);
	}
	return addGroup(draft, at, thing);
}

const MANY = 100;

function isGroupable(thing: Thing): boolean {
	if (thing.kind !== 'column') return true;
	return thing.ref.some(({column}) => !['double', 'decimal'].includes(column.type) || column.distinct <= MANY);
}

function addGroup(draft: Draft, at: number, thing: Thing): number | null {
	if (!isGroupable(thing)) return null;
	if (thing.kind === 'column') {
		const names = rivals(thing.ref);
		if (names.length > 0) draft.problems.push(`“${draft.chunks[at]?.text}” could be ${names.join(' or ')}`);
	}
	use(draft, at);
	draft.groups.push(thing);
	return at;
}

/** "distribution of status", "distributed over status", "breakdown of orders by status". */
function readSpread(draft: Draft, spread: number): void {
	draft.isSpread = true;
	use(draft, spread);
	if (draft.groups.length > 0) return;
	for (let at = near(draft, spread, 1); at >= 0; at = near(draft, at, 1)) {
		if (keywordAt(draft, at)?.kind === 'compare' && draft.chunks[at]?.lower === 'over') use(draft, at);
		const thing = thingAt(draft, at);
		const next = near(draft, at, 1);
		if (thing?.kind !== 'column' && thingAt(draft, next)?.kind === 'column' && next === at + 1) {
			use(draft, at);
			continue;
		}
		if (thing && thing.kind === 'column' && isGroupable(thing) && readGroup(draft, at) !== null) return;
	}
}

/** "monthly", "daily": an adjective that groups by itself. */
function readAdverbs(draft: Draft): void {
	for (const [at, chunk] of draft.chunks.entries()) {
		if (chunk.kind !== 'bucket' || draft.used.has(at) || !/ly$|^annual$/.test(chunk.lower)) continue;
		draft.groups.push({kind: 'bucket', bucket: chunk.bucket});
		use(draft, at);
	}
}

/** Rows of the table are what the noun names, so that a group would hold one row. */
export function isRowNoun(thing: Thing, base: TableProfile): boolean {
	if (thing.kind === 'noun') return thing.nouns.some(({entity, table}) => entity === null && table === base);
	return thing.kind === 'column' && thing.ref.every(isKey);
}
