/** Questions to begin with, for a dataset whose owner gave none: only what the planner answers. */
import type {ColumnProfile, Dataset, TableProfile} from '#contract/dataset.ts';
import {isMoment, isNumeric} from './draft.ts';
import {ADDITIVE} from './lexicon.ts';
import {planQuestion} from './plan-question.ts';
import {spoken} from './suggest.ts';
import {wordsOf} from './tokens.ts';
import {isKey, isYear} from './vocabulary.ts';

const SHOWN = 4;
/** of the columns of one kind, so that a wide table costs no more than others */
const TRIED = 3;
const MOST_GROUPS = 50;

export function promptsFor(dataset: Dataset): string[] {
	const perTable = dataset.tables
		.filter(({rows}) => rows > 0)
		.slice(0, TRIED)
		.map((table) => questionsOf(table));
	// One kind of question after the other, of the first tables first.
	const kinds = [0, 1, 2, 3].flatMap((kind) => perTable.map((questions) => questions[kind] ?? []));
	const found = kinds.flatMap((candidates) => candidates.find((text) => planQuestion(text, dataset).kind === 'plan') ?? []);
	return [...new Set(found)].slice(0, SHOWN);
}

/** Candidates by kind: a count by a category, a quantity by a category, a trend, a count. */
function questionsOf(table: TableProfile): readonly (readonly string[])[] {
	const name = spoken(table.name);
	const groups = table.columns
		.filter(isCategory)
		.toSorted((a, b) => a.distinct - b.distinct)
		.slice(0, TRIED);
	const quantities = table.columns.filter((column) => isQuantity({table, column})).slice(0, TRIED);
	const moments = table.columns.filter((column) => isMoment({column})).slice(0, TRIED);
	return [
		groups.map((group) => `How many ${name} are there per ${spoken(group.name)}?`),
		quantities.flatMap((column) => groups.map((group) => `What is the ${measureOf(column)} by ${spoken(group.name)}?`)),
		moments.flatMap((column) => [`How many ${name} are there per ${bucketOf(column)}?`]),
		[`How many ${name} are there?`, ...quantities.map((column) => `What is the ${measureOf(column)}?`)],
	];
}

function isCategory({type, distinct, values}: ColumnProfile): boolean {
	return (type === 'text' || type === 'boolean') && values !== undefined && distinct > 1 && distinct <= MOST_GROUPS;
}

function isQuantity(col: {readonly table: TableProfile; readonly column: ColumnProfile}): boolean {
	return (
		isNumeric(col) && !isKey(col) && !isYear(col) && !/(^|_| )(id|no|zip|code|lat|lon|latitude|longitude)$/i.test(col.column.name)
	);
}

function measureOf({name}: ColumnProfile): string {
	return `${wordsOf(name).some(({root}) => ADDITIVE.has(root)) ? 'total' : 'average'} ${spoken(name)}`;
}

const MONTH_MS = 31 * 86_400_000;

/** As long as leaves more than a few of them. */
function bucketOf({min, max}: ColumnProfile): 'day' | 'month' {
	return Date.parse(String(max)) - Date.parse(String(min)) > 2 * MONTH_MS ? 'month' : 'day';
}
