/** Tells the owner of a file what was odd about its columns, and how they were read. */
import {TEXT} from './column-types.ts';
import {commaOf, type Guess, orderOf} from './infer.ts';
import type {Written} from './typed-copy.ts';

/** `ambiguous` are the columns whose dates could be read the other way round in every row. */
export function noteReadings(
	names: readonly string[],
	written: readonly Written[],
	ambiguous: ReadonlySet<number>,
	notices: string[],
): void {
	for (const {guess, gaps} of written) {
		const sentences = [gapsSentence(gaps), percentSentence(guess), commaSentence(guess)];
		if (ambiguous.has(guess.index)) sentences.push(orderSentence(guess));
		for (const sentence of sentences) if (sentence) notices.push(`column \`${names[guess.index]}\`${sentence}`);
	}
}

function gapsSentence(gaps: number): string {
	if (gaps === 0) return '';
	return `: ${gaps} cell${gaps === 1 ? '' : 's'} said NA, null or the like and ${gaps === 1 ? 'was' : 'were'} read as missing`;
}

function percentSentence({reading, cells}: Guess): string {
	const percent = reading === TEXT && cells.length > 0 && cells.every((cell) => /^-?[0-9.,]+ ?%$/.test(cell));
	return percent ? ' holds percentages and was kept as text' : '';
}

function commaSentence({reading, choice}: Guess): string {
	const comma = reading && commaOf(reading);
	if (comma === 'decimal') return ': the comma was read as decimal separator';
	return comma && choice?.by === 'custom' ? ': `1,234` was read as one thousand two hundred thirty-four' : '';
}

function orderSentence({reading, choice}: Guess): string {
	const first = reading && orderOf(reading);
	if (!first || !choice) return '';
	const reason = {
		column: ', as in the other columns',
		sequence: ', which puts them in order',
		delimiter: '',
		custom: '',
	}[choice.by];
	return `: day and month cannot be told apart; dates were read ${first} first${reason}`;
}
