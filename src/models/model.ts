/**
 * Models: the port to whatever proposes. A model is asked for one response at a time and gets tools without any way to run them;
 * what it proposes is data until the governed path says otherwise. This room alone talks to model providers.
 */
import type {WritError} from '#contract/errors.ts';
import type {Price} from './prices.ts';

export type ModelTool = {
	readonly name: string;
	readonly description: string;
	/** JSON Schema of an object */
	readonly inputSchema: Readonly<Record<string, unknown>>;
};

export type ToolCall = {
	readonly id: string;
	readonly name: string;
	/** parsed JSON; null when it could not be parsed */
	readonly input: unknown;
	/** what was wrong with the input's JSON */
	readonly malformed: string | null;
};

export type ModelMessage =
	| {readonly role: 'user'; readonly text: string}
	| {readonly role: 'assistant'; readonly text: string; readonly toolCalls: readonly ToolCall[]}
	| {readonly role: 'tool'; readonly results: readonly ToolResult[]};

export type ToolResult = {readonly id: string; readonly name: string; readonly output: string; readonly failed: boolean};

export type ModelRequest = {
	/** sent first and once */
	readonly system: string;
	readonly messages: readonly ModelMessage[];
	readonly tools: readonly ModelTool[];
};

export type ModelReply = {
	readonly text: string;
	readonly toolCalls: readonly ToolCall[];
	readonly inputTokens: number;
	readonly outputTokens: number;
	/** 0 when the price of the model is not known */
	readonly costUsd: number;
	readonly priceKnown: boolean;
	readonly durationMs: number;
	readonly finishReason: 'stop' | 'length' | 'filtered' | 'tool_calls' | 'other';
};

export type ModelWatch = {
	/** tokens the response may have; the provider cuts it off there */
	readonly maxOutputTokens?: number;
	/** pieces of the text as they arrive; a response that is tried again starts its text again */
	readonly onText: (text: string) => void;
	/** hears of every failed attempt before the next one starts; `retryInMs` is null when there is no next one */
	readonly onFailure: (error: WritError, attempt: number, retryInMs: number | null) => Promise<void>;
	readonly signal: AbortSignal;
};

export type Model = {
	/** `openai`, `anthropic` or `openai-compatible` */
	readonly provider: string;
	readonly id: string;
	/** null when nobody knows it: then what it costs is counted as nothing */
	readonly price: Price | null;
	/** Throws `model_unavailable`, `model_rejected` or `cancelled`. */
	respond(request: ModelRequest, watch: ModelWatch): Promise<ModelReply>;
};
