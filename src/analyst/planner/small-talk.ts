/** What is said of a dataset without computing anything: greetings, help, and what its profile knows. */
import type {Dataset, TableProfile} from '#contract/dataset.ts';
import {stemOf, tokenise} from './tokens.ts';

/** The words to answer with, or null when something has to be computed. */
export function smallTalk(question: string, dataset: Dataset): string | null {
	const words = tokenise(question)
		.filter(({kind}) => kind === 'word')
		.map(({lower}) => lower);
	const text = words.join(' ');
	if (/^(hi|hello|hey|good (morning|afternoon|evening)|greetings)( there| writ| everyone)?$/.test(text))
		return `Hello. ${whatToAsk(dataset)}`;
	if (/^(thanks|thank you|thx|great|ok|okay|cheers)( very much| a lot| so much)?$/.test(text)) return 'You are welcome.';
	if (
		/^(help|help me|usage)$/.test(text) ||
		/^what (can|could) (you|i|we) (do|ask|help|answer)/.test(text) ||
		/^(who|what) are you$/.test(text) ||
		/^how (does|do) (this|it|you) work$/.test(text)
	)
		return whatToAsk(dataset);
	if (isAboutDataset(text)) return describe(dataset);
	const table = dataset.tables.find(({name}) => words.some((word) => stemOf(word) === stemOf(name)));
	if (
		/^(what|which|show|list|describe|name|tell me|give me)\b.*\b(column|columns|field|fields|variables|schema)\b/.test(text) &&
		!/\b(average|sum|total|highest|lowest|per|by)\b/.test(text)
	)
		return columnsOf(table ? [table] : dataset.tables);
	if (/^(what|which|show|list|how many)( the)?( all)? tables\b/.test(text))
		return `${dataset.tables.length === 1 ? 'There is one table' : `There are ${dataset.tables.length} tables`}: ${dataset.tables.map(sizeOf).join(', ')}.`;
	if (
		/^how (many rows|big|large)( are| is)?( there| the data| the dataset| this dataset| it| in)?( in)?( the| this)?( data| dataset| table)?( have)?$/.test(
			text,
		)
	)
		return `${dataset.tables.map(sizeOf).join(', ')}.`;
	if (
		/\b(date range|time range|time span|time period|what period|which period|which dates|what dates)\b/.test(text) &&
		words.length <= 12
	)
		return rangeOf(dataset);
	return null;
}

function isAboutDataset(text: string): boolean {
	return (
		/^(describe|explain|summari[sz]e|tell me about|what is in|whats in|what is|what does)( the| this| my)? (data|dataset)( about| contain| look like| mean| here)?$/.test(
			text,
		) ||
		/^what (can you tell me about|do you know about|is|does|kind of data is)( in)?( the| this)? (data|dataset)( about| contain)?$/.test(
			text,
		) ||
		/^what (is|does) this( dataset| data)?( about| contain)$/.test(text)
	);
}

function whatToAsk({name, prompts, tables}: Dataset): string {
	const examples = prompts.slice(0, 3).map((prompt) => `“${prompt}”`);
	const about = `I answer questions about ${name} (${tables.map(({name: table}) => table).join(', ')}): counts, sums, averages, shares, rankings, trends and lists.`;
	return examples.length > 0 ? `${about} For example: ${examples.join(' ')}` : about;
}

function describe(dataset: Dataset): string {
	const about = dataset.description === '' ? '' : ` ${dataset.description}`;
	return `${dataset.name}.${about} ${dataset.tables.map(sizeOf).join(', ')}. ${columnsOf(dataset.tables)}`;
}

function sizeOf({name, rows}: TableProfile): string {
	return `${name} has ${rows.toLocaleString('en-US')} rows`;
}

function columnsOf(tables: readonly TableProfile[]): string {
	return tables
		.map(({name, columns}) => `Columns of ${name}: ${columns.map((column) => `${column.name} (${column.type})`).join(', ')}.`)
		.join(' ');
}

function rangeOf(dataset: Dataset): string {
	const ranges = dataset.tables.flatMap(({name, columns}) =>
		columns
			.filter(({type}) => type === 'date' || type.startsWith('timestamp'))
			.map(
				(column) =>
					`${name}.${column.name} runs from ${String(column.min).replace('T', ' ')} to ${String(column.max).replace('T', ' ')}`,
			),
	);
	return ranges.length > 0 ? `${ranges.join('; ')}.` : 'No column of this dataset holds dates.';
}
