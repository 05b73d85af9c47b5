/**
 * How a question was read, for the person who asked: the sentence of the plan without what only a program needs. The plan itself,
 * its exact sentence and its SQL stand beside the answer.
 */
import type {Dataset} from '#contract/dataset.ts';
import {human} from '../summary.ts';
import type {Planned} from './plan-question.ts';

export type PlannedQuery = Extract<Planned, {kind: 'plan'}>;

/** A listing of more columns than this says "rows": the columns are what the table shows. */
const MOST_COLUMNS = 5;

export function inWords(
	{reading, assumptions}: PlannedQuery,
	dataset: Dataset,
): {readonly reading: string; readonly assumptions: readonly string[]} {
	const aliases = [...reading.matchAll(/ as ([a-z]\w*)(?=,| and | by | in |$)/g)].map(([, alias = '']) => alias);
	const [only, ...others] = aliases;
	const isAlone = only !== undefined && others.length === 0 && !/ and .* by /.test(reading);
	const names = [...new Set([...aliases, ...namesOf(dataset)])].filter((name) => name.includes('_'));
	const say = (text: string) => renamed(text, names, dataset);
	let sentence = reading;
	for (const alias of aliases) sentence = sentence.replace(new RegExp(` as ${alias}(?=,| and | by | in |$)`), '');
	if (isAlone) sentence = sentence.replace(new RegExp(`, (highest|lowest) ${only} first`), ', $1 first');
	sentence = shorterListing(sentence).replace(/\b[Cc]ount (?!of\b)(?=\w)/g, 'number of ');
	return {reading: lowerFirst(say(sentence)), assumptions: assumptions.map(say)};
}

function shorterListing(sentence: string): string {
	const [all, columns = '', rest = ''] = /^Show ((?:\w+, )+\w+ and \w+) of (.*)$/s.exec(sentence) ?? [];
	return all !== undefined && columns.split(/, | and /).length > MOST_COLUMNS ? `the rows of ${rest}` : sentence;
}

function namesOf({tables}: Dataset): readonly string[] {
	return tables.flatMap(({name, columns}) => [name, ...columns.map((column) => column.name)]);
}

/** Values keep their spelling: only names of the dataset and of the plan are turned into words. */
function renamed(text: string, names: readonly string[], {tables}: Dataset): string {
	const known = new Set(names);
	const owners = new Set(tables.map(({name}) => name));
	return text.replace(/(?:\b(\w+)\.)?\b([a-zA-Z]\w*)\b/g, (all, owner: string | undefined, name: string) => {
		const bare = owner !== undefined && !owners.has(owner) ? null : name;
		if (bare === null || !(known.has(bare) || owner !== undefined)) return all;
		return human(bare);
	});
}

function lowerFirst(text: string): string {
	return /^[A-Z][a-z]/.test(text) ? text.charAt(0).toLowerCase() + text.slice(1) : text;
}
