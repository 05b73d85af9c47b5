import {WritError} from '#contract/errors.ts';
import type {Model} from './model.ts';
import {priceOf} from './prices.ts';
import type {ModelClient, Patience} from './resilient.ts';

export type ModelSettings = {
	readonly provider: 'auto' | 'openai' | 'anthropic' | 'none';
	readonly openaiApiKey: string | null;
	readonly anthropicApiKey: string | null;
	readonly openaiModel: string;
	readonly anthropicModel: string;
	/** a server that speaks OpenAI's chat completions; it may need no key */
	readonly openaiBaseUrl: string | null;
	readonly anthropicBaseUrl: string | null;
	/** of a million tokens in and out, such as `0.15,0.6`; null for the list price */
	readonly price: string | null;
	readonly timeoutSeconds: number;
};

const PATIENCE: Omit<Patience, 'timeoutMs'> = {attempts: 4, backoffMs: 500, maxPauseMs: 20_000};
const BREAKER = {failures: 6, pauseMs: 20_000, now: () => performance.now()};

/**
 * The model the settings ask for, or null when they ask for none. Nothing of a provider is loaded before the first question.
 * Throws `invalid_config` when a provider is named whose key is missing.
 */
export function createModel(settings: ModelSettings, patience: Partial<Patience> = {}): Model | null {
	const chosen = chooseProvider(settings);
	if (!chosen) return null;
	const client = chosen === 'openai' ? openai(settings) : anthropic(settings);
	const {provider, id} = client;
	const price = priceOf(id, settings.price);
	const load = once(async () => {
		const [{createResilientModel}, {createBreaker}] = await Promise.all([import('./resilient.ts'), import('./breaker.ts')]);
		return createResilientModel({
			...client,
			price,
			patience: {...PATIENCE, timeoutMs: settings.timeoutSeconds * 1_000, ...patience},
			breaker: createBreaker({...BREAKER, provider}),
		});
	});
	return {provider, id, price, respond: async (request, watch) => (await load()).respond(request, watch)};
}

/** With both keys OpenAI is asked. */
function chooseProvider({provider, openaiApiKey, openaiBaseUrl, anthropicApiKey}: ModelSettings): 'openai' | 'anthropic' | null {
	const can = {openai: Boolean(openaiApiKey || openaiBaseUrl), anthropic: Boolean(anthropicApiKey)};
	if (provider === 'none') return null;
	if (provider === 'auto') return can.openai ? 'openai' : can.anthropic ? 'anthropic' : null;
	if (can[provider]) return provider;
	const key = provider === 'openai' ? 'OPENAI_API_KEY' : 'ANTHROPIC_API_KEY';
	throw new WritError('invalid_config', `No LLM key configured: the model provider is \`${provider}\` and ${key} is not set`, {
		hint: `set ${key}, or set LLM_PROVIDER=none to use the built-in planner`,
	});
}

type Client = Omit<ModelClient, 'patience' | 'breaker' | 'price'>;

/** Chat completions everywhere: it is what every compatible server speaks, so one way is tested for all of them. */
function openai({openaiApiKey: apiKey, openaiModel: id, openaiBaseUrl: baseURL}: ModelSettings): Client {
	const shared = {id, keySetting: 'OPENAI_API_KEY', secret: apiKey};
	if (baseURL === null) {
		return {
			...shared,
			provider: 'openai',
			load: once(async () => {
				const {createOpenAI} = await import('@ai-sdk/openai');
				return createOpenAI({apiKey: apiKey ?? '', baseURL: 'https://api.openai.com/v1'}).chat(id);
			}),
		};
	}
	return {
		...shared,
		provider: 'openai-compatible',
		load: once(async () => {
			const {createOpenAICompatible} = await import('@ai-sdk/openai-compatible');
			const key = apiKey ? {apiKey} : {};
			return createOpenAICompatible({name: 'openai-compatible', baseURL: trimmed(baseURL), includeUsage: true, ...key}).chatModel(
				id,
			);
		}),
	};
}

function anthropic({anthropicApiKey: apiKey, anthropicModel: id, anthropicBaseUrl}: ModelSettings): Client {
	return {
		id,
		provider: 'anthropic',
		keySetting: 'ANTHROPIC_API_KEY',
		secret: apiKey,
		load: once(async () => {
			const {createAnthropic} = await import('@ai-sdk/anthropic');
			return createAnthropic({apiKey: apiKey ?? '', baseURL: anthropicUrl(anthropicBaseUrl)}).languageModel(id);
		}),
	};
}

/** Anthropic's own clients are given the address without the version, others with it. */
function anthropicUrl(given: string | null): string {
	const url = trimmed(given ?? 'https://api.anthropic.com');
	return new URL(url).pathname === '/' ? `${url}/v1` : url;
}

function trimmed(url: string): string {
	return url.replace(/\/+$/, '');
}

function once<T>(load: () => Promise<T>): () => Promise<T> {
	const state: {loaded: Promise<T> | null} = {loaded: null};
	return () => {
		state.loaded ??= load();
		return state.loaded;
	};
}
