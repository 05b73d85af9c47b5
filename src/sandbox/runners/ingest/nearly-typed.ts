/** Tells the owner of a file which columns of text are nearly numbers or dates, and what keeps them from it. */
import {literal, quoted} from '../views.ts';
import {MISSING, TEXT} from './column-types.ts';
import {plural, rawColumn} from './names.ts';
import type {Copy, Written} from './typed-copy.ts';

type Kind = {readonly noun: string; readonly pattern: string};

const KINDS: readonly Kind[] = [
	{
		noun: 'number',
		pattern: `[-+(]?[$€£¥]? ?-?([1-9][0-9]{0,2}([, ’'][0-9]{3})+|0|[1-9][0-9]*)([.,][0-9]+)?( ?([$€£¥]|[A-Z]{3}))?[)]?`,
	},
	{
		noun: 'date',
		pattern: `[A-Za-z]{3,9}[.]? [0-9]{1,2},? [0-9]{4}|[0-9]{1,2}[- .][A-Za-z]{3,9}[- .,]+[0-9]{2,4}|[0-9]{1,4}[-/.][0-9]{1,2}[-/.][0-9]{2,4}( [0-9:]+)?`,
	},
];

/** Fewer than one in ten are exceptions; more are what the column is. */
const FEW = 0.1;

/** `header` is the first line, null where it holds values. */
export async function noteNearlyTyped(
	copy: Copy,
	written: readonly Written[],
	header: readonly string[] | null,
	notices: string[],
): Promise<void> {
	const repeats = await countHeaders(copy, written, header);
	if (repeats > 0)
		notices.push(
			`the line of column names is in the file ${plural(repeats, 'more time')}: what it does not fit was kept as text`,
		);
	for (const {guess} of written) {
		if (guess.reading !== TEXT || guess.cells.some((cell) => /^0[0-9]/.test(cell))) continue; // codes begin with zeros
		const kind = KINDS.find(({pattern}) => isNearly(guess.cells, new RegExp(`^(?:${pattern})$`)));
		const sentence = kind && (await examine(copy, guess.index, kind, repeats > 0 ? (header?.[guess.index] ?? null) : null));
		if (sentence) notices.push(`column \`${copy.names[guess.index]}\` ${sentence}`);
	}
}

function isNearly(cells: readonly string[], pattern: RegExp): boolean {
	return cells.filter((cell) => pattern.test(cell)).length > cells.length / 2;
}

async function examine(
	{connection, target, names}: Copy,
	index: number,
	{noun, pattern}: Kind,
	header: string | null,
): Promise<string | null> {
	const value = `trim(${quoted(names[index] ?? '')})`;
	const words = [...MISSING, ...(header === null ? [] : [header.trim().toLowerCase()])].map(literal);
	const reader = await connection.runAndReadAll(`
		SELECT count(*), count(*) FILTER (NOT fits), any_value(v) FILTER (fits), any_value(v) FILTER (NOT fits)
		FROM (SELECT ${value} AS v, regexp_full_match(v, ${literal(pattern)}) AS fits FROM read_parquet(${literal(target)}))
		WHERE NOT list_contains([${words.join(', ')}], lower(v))`);
	const [all, others, like, other] = reader.getRows()[0] ?? [];
	const [total, odd] = [Number(all), Number(others)];
	if (total < 2 || odd > total * FEW) return null;
	if (odd === 0) return header === null ? `holds ${noun}s written like ${shown(like)} and was kept as text` : null;
	return `was kept as text: ${odd} of ${total} values ${odd === 1 ? `is no ${noun}` : `are no ${noun}s`}, such as ${shown(other)}`;
}

function shown(value: unknown): string {
	return `\`${String(value).slice(0, 40)}\``;
}

/** How often the first line is there again. It is looked for where a column of text holds its own name. */
async function countHeaders({connection, scan}: Copy, written: readonly Written[], header: readonly string[] | null) {
	if (
		!header?.length ||
		!written.some(({guess}) => guess.reading === TEXT && guess.cells.includes(header[guess.index]?.trim() ?? ''))
	)
		return 0;
	const same = header.map((name, index) => `trim(coalesce(${rawColumn(index)}, '')) = ${literal(name.trim())}`);
	const reader = await connection.runAndReadAll(`SELECT count(*) FROM ${scan} WHERE ${same.join(' AND ')}`);
	return Number(reader.getRows()[0]?.[0]);
}
