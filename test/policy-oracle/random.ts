/** Random choices that a seed repeats exactly. */
export type Random = {
	/** 0 ≤ n < `below`, whole */
	below(below: number): number;
	pick<T>(options: readonly T[]): T;
	chance(probability: number): boolean;
	/** each with an even chance, in their order */
	some<T>(options: readonly T[]): T[];
	/** `least` to `most` things */
	times<T>(least: number, most: number, make: () => T): T[];
};

/** Mulberry32: 32 bits of state, good enough to spread cases. */
export function createRandom(seed: number): Random {
	const state = {at: seed >>> 0};
	const next = () => {
		state.at = (state.at + 0x6d2b79f5) >>> 0;
		let mixed = Math.imul(state.at ^ (state.at >>> 15), state.at | 1);
		mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
		return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
	};
	const below = (limit: number) => Math.floor(next() * limit);
	return {
		below,
		pick(options) {
			if (options.length === 0) throw new Error('there is nothing to pick from');
			return options[below(options.length)] as (typeof options)[number];
		},
		chance: (probability) => next() < probability,
		some: (options) => options.filter(() => next() < 0.5),
		times: (least, most, make) => Array.from({length: least + below(most - least + 1)}, make),
	};
}
