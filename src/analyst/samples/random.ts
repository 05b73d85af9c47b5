import {createHash} from 'node:crypto';

/** Repeatable randomness in integers only, so that every machine draws the same numbers. */
export type Random = {
	/** uniform in [0, 2^32) */
	next(): number;
	/** uniform in [0, n) without modulo bias */
	below(n: number): number;
	/** uniform in [low, high], both included */
	between(low: number, high: number): number;
	/** exponential with this mean, rounded down; at most 6.159 means */
	exponential(mean: number): number;
	pick<T>(items: readonly T[]): T;
	/** a new array in random order */
	shuffle<T>(items: readonly T[]): T[];
	/**
	 * Draws from a shuffled deck that holds each value as often as its weight says, and starts over when it is empty: the
	 * weights hold in the finished data, not only in expectation.
	 */
	deck<T>(cards: readonly (readonly [value: T, weight: number])[]): () => T;
};

/** xoshiro128** 1.1 (Blackman and Vigna, 2018) over a state of four 32-bit words, not all zero. */
export function xoshiro128(state: readonly [number, number, number, number]): () => number {
	let [a, b, c, d] = state;
	return () => {
		const result = Math.imul(rotateLeft(Math.imul(b, 5), 7), 9) >>> 0;
		const shifted = b << 9;
		c ^= a;
		d ^= b;
		b ^= c;
		a ^= d;
		c ^= shifted;
		d = rotateLeft(d, 11);
		return result;
	};
}

function rotateLeft(word: number, bits: number): number {
	return (word << bits) | (word >>> (32 - bits));
}

/** Streams with different labels are independent: adding a draw to one leaves the others as they were. */
export function createRandom(label: string): Random {
	const seed = createHash('sha256').update(label).digest();
	const next = xoshiro128([seed.readUInt32LE(0), seed.readUInt32LE(4), seed.readUInt32LE(8), seed.readUInt32LE(12)]);

	const below = (n: number): number => {
		const limit = 2 ** 32 - (2 ** 32 % n);
		for (;;) {
			const word = next();
			if (word < limit) return word % n;
		}
	};
	const pick = <T>(items: readonly T[]): T => items[below(items.length)] as T;
	const shuffle = <T>(items: readonly T[]): T[] => {
		const shuffled = [...items];
		for (let last = shuffled.length - 1; last > 0; last -= 1) {
			const other = below(last + 1);
			[shuffled[last], shuffled[other]] = [shuffled[other] as T, shuffled[last] as T];
		}
		return shuffled;
	};
	return {
		next,
		below,
		pick,
		shuffle,
		between: (low, high) => low + below(high - low + 1),
		exponential: (mean) => Math.floor((mean * exponentialThousandths(next())) / 1000),
		deck(cards) {
			const full = cards.flatMap(([value, weight]) => Array.from({length: weight}, () => value));
			let rest: typeof full = [];
			return () => {
				if (rest.length === 0) rest = shuffle(full);
				return rest.pop() as (typeof full)[number];
			};
		},
	};
}

/** −ln(1 − i/64) in thousandths for i = 0..63; the end point gives the last step its true mean. */
const EXPONENTIAL = [
	0, 16, 32, 48, 65, 81, 98, 116, 134, 152, 170, 189, 208, 227, 247, 267, 288, 309, 330, 352, 375, 398, 421, 445, 470, 495, 521,
	548, 575, 604, 633, 662, 693, 725, 758, 792, 827, 863, 901, 940, 981, 1023, 1068, 1114, 1163, 1214, 1269, 1326, 1386, 1451,
	1520, 1594, 1674, 1761, 1856, 1962, 2079, 2213, 2367, 2549, 2773, 3060, 3466, 4159, 6159,
];

function exponentialThousandths(word: number): number {
	const step = word >>> 26;
	const low = EXPONENTIAL[step] as number;
	const high = EXPONENTIAL[step + 1] as number;
	return low + ((high - low) * (word & 0x3ffffff)) / 2 ** 26;
}

/** Splits `total` into whole parts in proportion to `weights`; the parts add up to `total` exactly. */
export function apportion(total: number, weights: readonly number[]): number[] {
	const sum = weights.reduce((all, weight) => all + weight, 0);
	let [cumulated, given] = [0, 0];
	return weights.map((weight) => {
		cumulated += weight;
		const until = Math.floor((total * cumulated) / sum);
		const part = until - given;
		given = until;
		return part;
	});
}
