/** Questions about things of which the tables hold many rows each: what a condition on a row says of them, and what takes two steps. */
import type {Making} from './compose.ts';
import {assume} from './compose-measures.ts';
import type {Draft, Filter} from './draft.ts';
import {isRowNoun} from './grouping.ts';
import {momentOf} from './tables.ts';

/** Whether what is counted or listed is sensors rather than their readings. */
export function isOfThings({draft, source}: Making): boolean {
	const subject = draft.rank?.object ?? draft.subject;
	return subject !== null && subject.kind !== 'bucket' && !isRowNoun(subject, source.base);
}

/** "sensors that never had an anomaly" is about all rows of a sensor, not about one of them. */
export function isOfAllRows(filter: Filter, making: Making): boolean {
	return filter.isNever === true && isOfThings(making);
}

/** Whether only some groups are asked about: those with more than so many rows, or with none of a kind. */
export function comparesGroups(making: Making): boolean {
	return making.draft.having.length > 0 || making.draft.filters.some((filter) => isOfAllRows(filter, making));
}

/** Why the groups that meet a condition cannot be computed with in one plan; null when they can. */
export function whyTwoSteps(making: Making): string | null {
	const {draft} = making;
	const isNever = [...draft.filters, ...(draft.share ? [draft.share] : [])].some((filter) => isOfAllRows(filter, making));
	if (isNever && (draft.rank || draft.groups.length > 0 || !isCountOnly(draft)))
		return 'it computes with what never happened to something, and that takes more than one step';
	if (draft.having.length === 0) return null;
	const isBrokenDown = draft.groups.length > 0 && draft.groups.every(({kind}) => kind !== 'noun');
	if ((draft.groups.length === 0 && !draft.rank && !isCountOnly(draft)) || (isBrokenDown && isCountOfOther(draft)))
		return 'it computes with groups that meet a condition, and that takes more than one step';
	return null;
}

function isCountOnly({measures, share, isSpread, isTrend}: Draft): boolean {
	return measures.length === 0 && share === null && !isSpread && !isTrend;
}

/** "customers with more than 3 orders per country": what is counted is not what is compared. */
function isCountOfOther({isCounted, subject, extras}: Draft): boolean {
	return isCounted && subject !== null && extras.length > 0;
}

/** A thing that is counted or listed under a condition on its rows was so once, which is not to say that it still is. */
export function assumeAnyTime(making: Making): void {
	const {draft, source, dataset} = making;
	const {subject} = draft;
	const isConditioned = draft.filters.some((filter) => !isOfAllRows(filter, making));
	if (subject?.kind !== 'noun' || draft.rank || draft.windows.length > 0 || !isConditioned || !isCountOnly(draft)) return;
	if (isOfThings(making) && momentOf(source.base, dataset))
		assume(draft, `each ${subject.nouns[0]?.stem} counts that matches at any time in the data`);
}
