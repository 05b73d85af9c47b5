import type {Json} from '#contract/json.ts';

/**
 * What a model is given of an action: a JSON object in which everything that a file, an engine or a person's data had a say in stands
 * under one key that data cannot know. Inside JSON text a cell cannot end its own string, so it cannot leave the envelope either.
 */
export type Envelope = {
	/** the name of that key */
	readonly key: string;
	seal(outer: Readonly<Record<string, Json>>, untrusted: Json): string;
};

export function createEnvelope(nonce: string): Envelope {
	const key = `untrusted_data_${nonce}`;
	return {key, seal: (outer, untrusted) => JSON.stringify({...outer, [key]: untrusted})};
}
