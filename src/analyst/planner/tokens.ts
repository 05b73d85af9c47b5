/** A question as words: what was written, and the forms under which words meet the names and values of a dataset. */

export type Token = {
	readonly text: string;
	readonly lower: string;
	/** without plural */
	readonly stem: string;
	/** without the endings of verbs and adjectives either */
	readonly root: string;
	readonly kind: 'word' | 'number' | 'date' | 'quoted' | 'symbol';
	readonly value?: number;
	readonly mark?: 'percent' | 'money';
	/** written with a capital letter where the sentence does not ask for one */
	readonly isName: boolean;
};

/** More than this is no question, and would cost more than it is worth. */
export const MAX_QUESTION = 1_000;

const PIECE =
	/(?<quoted>"[^"]{1,200}"|“[^”]{1,200}”)|(?<date>\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2})?)?)|(?<number>(?:(?<!\S)-)?[$€£]?\d[\d,]*(?:\.\d+)?(?:[kKmM](?![\p{L}\p{N}]))?(?![\p{L}\p{N}]) ?%?)|(?<word>[\p{L}\p{N}]+(?:['’][\p{L}]+)*)|(?<symbol>[<>=!]{1,2}|[^\s\p{L}\p{N}])/gu;

export function tokenise(text: string): readonly Token[] {
	const clean = text
		.normalize('NFKC')
		.replaceAll(/[\p{Cc}\p{Cf}_]+/gu, ' ')
		.replaceAll('-', (dash, at: number, all: string) => (isInDate(all, at) ? dash : isRange(all, at) ? ' – ' : ' '));
	const tokens: Token[] = [];
	for (const match of clean.matchAll(PIECE)) {
		const {quoted, date, number, word, symbol} = match.groups ?? {};
		const isFirst = tokens.length === 0;
		if (quoted !== undefined) tokens.push(plain(quoted.slice(1, -1), 'quoted'));
		else if (date !== undefined) tokens.push(plain(date, 'date'));
		else if (number !== undefined) tokens.push(numberToken(number));
		else if (word !== undefined) tokens.push(wordToken(word, isFirst));
		else if (symbol !== undefined) tokens.push(plain(symbol, 'symbol'));
	}
	return tokens;
}

function isInDate(text: string, at: number): boolean {
	return (
		/^\d{4}-\d{2}-\d{2}/.test(text.slice(at - 4, at + 6)) ||
		/^\d{4}-\d{2}-\d{2}/.test(text.slice(at - 7, at + 3)) ||
		isMinus(text, at)
	);
}

/** "1-2 stars" */
function isRange(text: string, at: number): boolean {
	return /^\d-\d+(?![\d-]*-)/.test(text.slice(at - 1, at + 8)) && !/[\p{L}-]\d*$/u.test(text.slice(Math.max(0, at - 6), at));
}

function isMinus(text: string, at: number): boolean {
	return /^-\d/.test(text.slice(at, at + 2)) && (at === 0 || /\s/.test(text[at - 1] ?? ''));
}

function plain(text: string, kind: Token['kind']): Token {
	const lower = text.toLowerCase();
	return {text, lower, stem: lower, root: lower, kind, isName: false};
}

function numberToken(text: string): Token {
	const digits = text.replaceAll(/[^\d.]/g, '');
	const sign = text.startsWith('-') ? -1 : 1;
	if (isBeyondNumbers(text.trim())) return plain(sign < 0 ? `-${digits}` : digits, 'quoted');
	const scale = /k/i.test(text) ? 1_000 : /m/i.test(text) ? 1_000_000 : 1;
	const mark = text.includes('%') ? ('percent' as const) : /[$€£]/.test(text) ? ('money' as const) : undefined;
	return {...plain(text.trim(), 'number'), value: sign * Number(digits) * scale, ...(mark ? {mark} : {})};
}

/** A whole number whose last digits a number cannot hold, as ids can be: it stays the text it is. */
function isBeyondNumbers(text: string): boolean {
	return /^-?[\d,]+$/.test(text) && !Number.isSafeInteger(Number(text.replaceAll(',', '')));
}

function wordToken(written: string, isFirst: boolean): Token {
	const text = written.replace(/['’]s$/i, '').replaceAll(/['’]/g, '');
	const lower = text.toLowerCase();
	const value = NUMBER_WORDS[lower];
	if (value !== undefined) return {...plain(text, 'number'), value};
	const isName = /^\p{Lu}/u.test(text) && (!isFirst || /^\p{Lu}{2}/u.test(text));
	return {text, lower, stem: stemOf(lower), root: rootOf(lower), kind: 'word', isName};
}

const NUMBER_WORDS: Readonly<Record<string, number>> = Object.assign(Object.create(null), {
	...{zero: 0, one: 1, two: 2, three: 3, four: 4, five: 5, six: 6, seven: 7, eight: 8, nine: 9, ten: 10, eleven: 11, twelve: 12},
	...{fifteen: 15, twenty: 20, thirty: 30, forty: 40, fifty: 50, hundred: 100, thousand: 1_000, dozen: 12},
});

const IRREGULAR: Readonly<Record<string, string>> = Object.assign(Object.create(null), {
	...{
		people: 'person',
		children: 'child',
		men: 'man',
		women: 'woman',
		indices: 'index',
		vertices: 'vertex',
		criteria: 'criterion',
	},
	...{countries: 'country', series: 'series', species: 'species', news: 'news', feet: 'foot', mice: 'mouse', geese: 'goose'},
});

/** Singular; words on -ie and -y become one, so that `movies` meets `movie` and `cities` meets `city`. */
export function stemOf(word: string): string {
	const irregular = IRREGULAR[word];
	if (irregular !== undefined) return irregular;
	if (word.length <= 3) return word;
	if (/ies?$/.test(word)) return word.replace(/ies?$/, 'y');
	if (/(ss|x|ch|sh|us)es$/.test(word)) return word.slice(0, -2);
	return /(ss|us|is|os|as)$/.test(word) || !word.endsWith('s') ? word : word.slice(0, -1);
}

/** `delayed`, `delaying` and `delays` are `delay`; `rainy` is `rain`. Only ever compared with other roots. */
function rootOf(word: string): string {
	const stem = stemOf(word);
	if (stem.length <= 4) return stem;
	const cut = stem.replace(/(ations?|ments?|ings?|edly|ed|ly|y|e)$/, '');
	const base = cut.length >= 3 ? cut : stem;
	return /([^aeiouls])\1$/.test(base) || /ll$/.test(base) ? base.slice(0, -1) : base;
}

/** The words of a name such as `csat_score`, `Beak Length (mm)` or `releaseDate`. */
export function wordsOf(name: string): readonly Token[] {
	return tokenise(name.replaceAll(/(\p{Ll})(\p{Lu})/gu, '$1 $2').replaceAll(/(\p{Lu})(\p{Lu}\p{Ll})/gu, '$1 $2')).filter(
		({kind}) => kind !== 'symbol',
	);
}
