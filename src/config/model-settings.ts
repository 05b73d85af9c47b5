import {z} from 'zod';
import {count, optionalText, setting, text} from './setting.ts';

export const models = {
	provider: setting(
		z.enum(['auto', 'openai', 'anthropic', 'none']).default('auto'),
		'the model provider; `auto` takes the one with a key, and without any the built-in planner answers',
		{env: 'LLM_PROVIDER'},
	),
	openaiApiKey: setting(optionalText, 'the key for OpenAI or a compatible server', {env: 'OPENAI_API_KEY', secret: true}),
	anthropicApiKey: setting(optionalText, 'the key for Anthropic', {env: 'ANTHROPIC_API_KEY', secret: true}),
	openaiModel: setting(text.default('gpt-4o-mini'), 'the OpenAI model', {env: 'OPENAI_MODEL'}),
	anthropicModel: setting(text.default('claude-sonnet-4-5'), 'the Anthropic model', {env: 'ANTHROPIC_MODEL'}),
	openaiBaseUrl: setting(
		z
			.url({protocol: /^https?$/})
			.nullable()
			.default(null),
		'an OpenAI-compatible server to use instead',
		{
			env: 'OPENAI_BASE_URL',
		},
	),
	anthropicBaseUrl: setting(
		z
			.url({protocol: /^https?$/})
			.nullable()
			.default(null),
		'an Anthropic-compatible server to use instead',
		{
			env: 'ANTHROPIC_BASE_URL',
		},
	),
	price: setting(
		z
			.string()
			.regex(/^\d+(\.\d+)?,\d+(\.\d+)?$/, 'expected two prices such as `0.15,0.6`')
			.nullable()
			.default(null),
		'US dollars for a million tokens of the model, input and output, such as `0.15,0.6`; without it the list price, where one is known',
		{env: 'WRIT_MODEL_PRICE'},
	),
	timeoutSeconds: setting(count(1, 3_600, 60), 'how long one model response may take', {env: 'LLM_TIMEOUT_SECONDS', unit: 's'}),
};
