/**
 * The numbers a text states, as people and models write them. Each has the readings it can have: `1.234` may be a thousand or not,
 * and `12 %` may be 12 or 0.12. Text in a programming language states nothing.
 */
export type Reading = {
	readonly value: number;
	/** half a unit of the last digit shown: what rounding can have taken away */
	readonly tolerance: number;
	/** set for whole numbers, which doubles cannot tell apart beyond 2^53 */
	readonly exact: bigint | null;
};

export type Stated = {
	/** as it stands in the text */
	readonly text: string;
	readonly readings: readonly Reading[];
	/** a date or time as the beginning of its ISO form; looked for in text, never computed with */
	readonly moment: string | null;
	/** `top 5`, `these three`: a way to point at rows, true when there are as many */
	readonly pointsAtRows: boolean;
};

export function readNumbers(text: string): readonly Stated[] {
	const prose = proseOf(text);
	const found: Stated[] = [];
	const moments = [...prose.matchAll(MOMENT)];
	for (const match of moments) found.push(toMoment(match));
	const rest = moments.reduce((left, [moment]) => left.replace(moment, ' ; '), prose);
	for (const match of rest.matchAll(NUMBER)) found.push(toNumber(match, rest));
	for (const match of rest.matchAll(WORD)) found.push(toWord(match));
	return found;
}

const FENCED_CODE = /```\s*(?:sql|python|py|json|duckdb)\b[\s\S]*?(?:```|$)/gi;
const INLINE_CODE = /`([^`\n]*)`/g;

/** Without code, list markers and ordinals. Inline code that is a number is a number. */
function proseOf(text: string): string {
	const numbered = {next: 1};
	return text
		.replace(FENCED_CODE, ' ')
		.replace(INLINE_CODE, (_all, code: string) => (/[a-z_(*]/i.test(code) ? ' ' : ` ${code} `))
		.split('\n')
		.map((line) => {
			const [marker, digits] = /^\s*(\d{1,3})[.)]\s+(?=\S)/.exec(line) ?? [];
			if (!(marker && Number(digits) === numbered.next)) return line;
			numbered.next += 1;
			return line.slice(marker.length);
		})
		.join('\n');
}

const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const MONTH =
	'(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\\.?';
const MOMENT = new RegExp(
	[
		'(?<iso>\\b\\d{4}-\\d{2}(?:-\\d{2})?(?:[T ]\\d{2}:\\d{2}(?::\\d{2}(?:\\.\\d{1,9})?)?)?(?:Z\\b)?)(?![\\d-])',
		'(?<time>\\b\\d{1,2}:\\d{2}(?::\\d{2})?)(?!\\d)',
		`\\b(?<m1>${MONTH})\\s+(?<d1>\\d{1,2})(?:st|nd|rd|th)?(?:,?\\s+(?<y1>\\d{4}))?(?!\\d)`,
		`\\b(?<d2>\\d{1,2})(?:st|nd|rd|th)?\\s+(?:of\\s+)?(?<m2>${MONTH})(?:,?\\s+(?<y2>\\d{4}))?(?!\\w)`,
		`\\b(?<m3>${MONTH})\\s+(?<y3>\\d{4})(?!\\d)`,
	].join('|'),
	'gi',
);

function toMoment(match: RegExpExecArray): Stated {
	const {iso, time, m1, d1, y1, m2, d2, y2, m3, y3} = match.groups ?? {};
	const month = m1 ?? m2 ?? m3;
	const day = d1 ?? d2;
	const year = y1 ?? y2 ?? y3;
	const numbered = month && String(MONTHS.indexOf(month.slice(0, 3).toLowerCase()) + 1).padStart(2, '0');
	const moment = numbered
		? [year, numbered, day?.padStart(2, '0')].filter((part) => part !== undefined).join('-')
		: (iso ?? time ?? '')
				.replace(' ', 'T')
				.replace(/Z$/, '')
				.replace(/^(\d):/, '0$1:');
	return {text: match[0], readings: [], moment: numbered && !year ? `-${moment}` : moment, pointsAtRows: false};
}

const SCALES: Readonly<Record<string, number>> = {
	k: 1e3,
	thousand: 1e3,
	m: 1e6,
	mn: 1e6,
	million: 1e6,
	b: 1e9,
	bn: 1e9,
	billion: 1e9,
	t: 1e12,
	trillion: 1e12,
};

/** Digits that no letter precedes; groups of three by comma, apostrophe or thin space; a scale or a percent sign may follow. */
const NUMBER = new RegExp(
	[
		'(?<![\\p{L}\\p{N}_.])',
		'(?<sign>(?<![\\p{L}\\p{N})%])[-−+]\\s?)?(?:[$€£¥]\\s?)?',
		"(?<digits>\\d{1,3}(?:[,'’\\u00a0\\u202f\\u2009]\\d{3})+(?!\\d)(?:\\.\\d+)?|\\d{1,3}(?:\\.\\d{3}){2,}(?:,\\d+)?|\\d+\\.\\d+|\\d+,\\d+(?![,\\d])|\\d+|\\.\\d+)",
		'(?:[eE](?<exponent>[-+]?\\d{1,3})(?![\\p{L}\\p{N}]))?',
		'(?:\\s?(?<percent>%|percent\\b|per cent\\b)|\\s?(?<scale>thousand|million|billion|trillion|bn|mn|[kKmMbBtT])(?![\\p{L}\\p{N}])|(?<ordinal>st|nd|rd|th)\\b)?',
	].join(''),
	'gu',
);

const APPROXIMATELY =
	/(?:about|around|roughly|approximately|approx\.?|nearly|almost|over|under|more than|less than|some|~|≈)\s*[$€£¥]?\s*$/i;
const POINTING = /(?:top|first|last|bottom|these|those|following|other|all|both|highest|lowest|largest|smallest|remaining)\s+$/i;

function toNumber(match: RegExpExecArray, text: string): Stated {
	const {digits = '', sign = '', exponent, percent, scale, ordinal} = match.groups ?? {};
	const before = text.slice(Math.max(0, match.index - 24), match.index);
	const factor = (scale ? (SCALES[scale.toLowerCase()] ?? 1) : 1) * 10 ** Number(exponent ?? 0);
	const readings = plainForms(digits).flatMap((plain) => {
		const reading = toReading(sign.trim(), plain, factor, APPROXIMATELY.test(before) || /[~≈]\s*$/.test(before));
		return percent ? [reading, {value: reading.value / 100, tolerance: reading.tolerance / 100, exact: null}] : [reading];
	});
	return {text: match[0].trim(), readings, moment: null, pointsAtRows: ordinal !== undefined || POINTING.test(before)};
}

/** The digits with a decimal point and nothing else: `1,234` and `1.234.567,5` leave no doubt, `1,234` alone is read as grouped. */
function plainForms(digits: string): readonly string[] {
	if (/^\d{1,3}(?:\.\d{3}){2,}(?:,\d+)?$/.test(digits)) return [digits.replaceAll('.', '').replace(',', '.')];
	if (/^\d+,\d+$/.test(digits) && !/^\d{1,3},\d{3}$/.test(digits)) return [digits.replace(',', '.')];
	const grouped = digits.replace(/[,'’\u00a0\u202f\u2009]/g, '');
	if (/^\d{1,3},\d{3}$/.test(digits)) return [grouped, digits.replace(',', '.')];
	return /^\d{1,3}\.\d{3}$/.test(digits) ? [digits, digits.replace('.', '')] : [grouped];
}

function toReading(sign: string, plain: string, factor: number, approximate: boolean): Reading {
	const negative = sign === '-' || sign === '−';
	const [whole = '', decimals = ''] = plain.split('.');
	const zeros = approximate && decimals === '' ? (/0*$/.exec(whole)?.[0].length ?? 0) : 0;
	const unit = zeros > 0 ? 10 ** Math.min(zeros, whole.length - 1) : 10 ** -decimals.length;
	const exact = decimals === '' && factor === 1 && zeros === 0 ? BigInt(whole || '0') * (negative ? -1n : 1n) : null;
	return {value: Number(plain) * factor * (negative ? -1 : 1), tolerance: (unit * factor) / 2, exact};
}

const WORDS = ['two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten', 'eleven', 'twelve'];
/** `one` and `zero` are seldom numbers in a sentence. */
const WORD = new RegExp(`(?<lead>\\b\\p{L}+\\s+)?(?<![\\p{L}\\p{N}-])(?<word>${WORDS.join('|')})(?![\\p{L}\\p{N}-])`, 'giu');

function toWord(match: RegExpExecArray): Stated {
	const {lead = '', word = ''} = match.groups ?? {};
	const value = WORDS.indexOf(word.toLowerCase()) + 2;
	return {text: word, readings: [{value, tolerance: 0, exact: BigInt(value)}], moment: null, pointsAtRows: POINTING.test(lead)};
}
