/** US dollars per million tokens. */
export type Price = readonly [input: number, output: number];

/** List prices by the beginning of a model's id; the longest match counts. As published. */
const PRICES: Readonly<Record<string, Price>> = {
	'gpt-4o-mini': [0.15, 0.6],
	'gpt-4o': [2.5, 10],
	'gpt-4.1-nano': [0.1, 0.4],
	'gpt-4.1-mini': [0.4, 1.6],
	'gpt-4.1': [2, 8],
	'gpt-5-nano': [0.05, 0.4],
	'gpt-5-mini': [0.25, 2],
	'gpt-5': [1.25, 10],
	'o4-mini': [1.1, 4.4],
	o3: [2, 8],
	'claude-haiku-4': [1, 5],
	'claude-sonnet-4': [3, 15],
	'claude-opus-4': [15, 75],
	'claude-3-5-haiku': [0.8, 4],
	'claude-3-5-sonnet': [3, 15],
	'claude-3-7-sonnet': [3, 15],
	'claude-3-haiku': [0.25, 1.25],
};

/** What was set, such as `0.15,0.6`, else the list price; null when nobody here knows the price. */
export function priceOf(modelId: string, set: string | null = null): Price | null {
	const [input, output] = (set ?? '').split(',').map(Number);
	if (set !== null && input !== undefined && output !== undefined) return [input, output];
	const [, price] =
		Object.entries(PRICES)
			.filter(([prefix]) => modelId === prefix || modelId.startsWith(`${prefix}-`))
			.sort(([one], [other]) => other.length - one.length)[0] ?? [];
	return price ?? null;
}

/** In US dollars; null without a price. */
export function costOf(price: Price | null, inputTokens: number, outputTokens: number): number | null {
	return price && (inputTokens * price[0] + outputTokens * price[1]) / 1_000_000;
}
