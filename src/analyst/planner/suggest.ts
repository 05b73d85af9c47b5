/** Questions that can be answered, nearest to one that cannot. */
import type {Dataset} from '#contract/dataset.ts';
import {isNumeric} from './draft.ts';
import {FILLERS} from './lexicon.ts';
import {tokenise, wordsOf} from './tokens.ts';
import {vocabularyOf} from './vocabulary.ts';

const SHOWN = 3;
const TRIED = 12;

export function suggest(question: string, dataset: Dataset, isAnswerable: (question: string) => boolean): readonly string[] {
	const asked = rootsOf(question);
	const candidates = [...dataset.prompts, ...fromColumns(dataset)].map((text, index) => ({
		text,
		score: shared(asked, text) - index / 1_000,
	}));
	const sorted = candidates.toSorted((a, b) => b.score - a.score).slice(0, TRIED);
	const found: string[] = [];
	for (const {text} of sorted) {
		if (found.length < SHOWN && isAnswerable(text)) found.push(text);
	}
	return found;
}

function rootsOf(text: string): ReadonlySet<string> {
	return new Set(
		tokenise(text)
			.filter(({kind, lower}) => kind === 'word' && !FILLERS.has(lower))
			.map(({root}) => root),
	);
}

function shared(asked: ReadonlySet<string>, text: string): number {
	return [...rootsOf(text)].filter((root) => asked.has(root)).length;
}

/** One question for each pair of a quantity and a text column with few values. */
function fromColumns(dataset: Dataset): readonly string[] {
	const {columns} = vocabularyOf(dataset);
	const groups = columns.filter(({column}) => column.type === 'text' && column.values !== undefined).slice(0, 5);
	const numbers = columns.filter((col) => isNumeric(col) && !/(id|year)$/i.test(col.column.name)).slice(0, 8);
	const pairs = numbers.flatMap((number) =>
		groups
			.filter(({table}) => table === number.table)
			.slice(0, 2)
			.map((group) => `What is the average ${spoken(number.column.name)} by ${spoken(group.column.name)}?`),
	);
	return [...groups.map(({table, column}) => `How many ${spoken(table.name)} are there per ${spoken(column.name)}?`), ...pairs];
}

export function spoken(name: string): string {
	return wordsOf(name)
		.map(({lower}) => lower)
		.join(' ');
}
