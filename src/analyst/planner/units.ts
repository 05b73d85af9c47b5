/** Units after numbers, and the columns that have them. */
import type {Chunk} from './chunks.ts';
import {wordsOf} from './tokens.ts';
import type {Col} from './vocabulary.ts';

const SPELLINGS: Readonly<Record<string, string>> = {
	...{
		hour: 'h',
		hours: 'h',
		hr: 'h',
		hrs: 'h',
		h: 'h',
		minute: 'min',
		minutes: 'min',
		min: 'min',
		mins: 'min',
		day: 'd',
		days: 'd',
		second: 's',
		seconds: 's',
		s: 's',
	},
	...{
		percent: '%',
		pct: '%',
		'%': '%',
		percentage: '%',
		dollar: '$',
		dollars: '$',
		usd: '$',
		$: '$',
		bucks: '$',
		euro: '€',
		euros: '€',
		eur: '€',
	},
	...{
		degrees: '°',
		degree: '°',
		celsius: '°',
		c: '°',
		'°c': '°',
		degreescelsius: '°',
		degreesc: '°',
		'°': '°',
		mm: 'mm',
		cm: 'cm',
		'mm/s': 'mm/s',
		mmpersecond: 'mm/s',
	},
	...{
		g: 'g',
		gram: 'g',
		grams: 'g',
		kg: 'kg',
		lb: 'lb',
		lbs: 'lb',
		pound: 'lb',
		pounds: 'lb',
		knot: 'kn',
		knots: 'kn',
		star: 'star',
		stars: 'star',
		hpa: 'hpa',
	},
	...{
		piece: 'piece',
		pieces: 'piece',
		units: 'piece',
		unit: 'piece',
		mph: 'mph',
		km: 'km',
		mile: 'mi',
		miles: 'mi',
		mg: 'mg',
		kwh: 'kwh',
	},
};

function canonical(text: string): string | null {
	const plain = text.toLowerCase().replaceAll(' ', '');
	return Object.hasOwn(SPELLINGS, plain) ? (SPELLINGS[plain] ?? null) : null;
}

/** The unit written from chunk `at` on, and how many chunks it takes. */
export function unitAt(chunks: readonly Chunk[], at: number): {readonly unit: string; readonly length: number} | null {
	for (let length = 3; length > 0; length -= 1) {
		const text = chunks
			.slice(at, at + length)
			.map(({lower}) => lower)
			.join('');
		const unit = canonical(text);
		if (unit !== null && at + length <= chunks.length) return {unit, length};
	}
	return null;
}

/** What a column is measured in, said of it or in its name. */
export function unitOf({column}: Col): string | null {
	if (column.unit !== undefined) return canonical(column.unit) ?? column.unit.toLowerCase();
	if (/\$/.test(column.name)) return '$';
	const words = wordsOf(column.name).map(({lower}) => lower);
	const last = words.length > 1 ? words.at(-1) : undefined;
	return last !== undefined && last !== 'units' ? canonical(last) : null;
}

const MINUTES: Readonly<Record<string, number>> = {min: 1, h: 60, d: 1_440, s: 1 / 60};

/** `value` in the unit of the column; null when nothing says how. */
export function convert(value: number, from: string, to: string | null): number | null {
	if (from === to) return value;
	const [a, b] = [MINUTES[from], to === null ? undefined : MINUTES[to]];
	if (a !== undefined && b !== undefined) return (value * a) / b;
	return a === undefined && to === null ? value : null;
}
