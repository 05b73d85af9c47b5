/** US dollars per million tokens, input and output, by the beginning of a model's id; the longest match counts. List prices, as published. */
const PRICES: Readonly<Record<string, readonly [input: number, output: number]>> = {
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

/** What a response cost, or null when nobody here knows the price: a budget in money then counts nothing, and says so. */
export function costOf(modelId: string, inputTokens: number, outputTokens: number): number | null {
	const [, price] =
		Object.entries(PRICES)
			.filter(([prefix]) => modelId === prefix || modelId.startsWith(`${prefix}-`))
			.sort(([one], [other]) => other.length - one.length)[0] ?? [];
	return price ? (inputTokens * price[0] + outputTokens * price[1]) / 1_000_000 : null;
}
