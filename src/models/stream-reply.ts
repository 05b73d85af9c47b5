import type {JSONSchema7, LanguageModelV4, LanguageModelV4Message, LanguageModelV4StreamPart} from '@ai-sdk/provider';
import {isRecord} from '#contract/json.ts';
import type {ModelMessage, ModelReply, ModelRequest, ModelWatch, ToolCall} from './model.ts';

type Usage = {readonly inputTokens: number; readonly outputTokens: number};
export type StreamedReply = Pick<ModelReply, 'text' | 'toolCalls' | 'finishReason'> & Usage;

/** Tokens one response may have; a bound where the provider has none. */
const MAX_OUTPUT_TOKENS = 8_192;

/** Asks for one response and reads it to its end. Throws what the provider's client throws, and when the response has no proper end. */
export async function streamReply(
	model: LanguageModelV4,
	{system, messages, tools}: ModelRequest,
	{onText, signal, maxOutputTokens = MAX_OUTPUT_TOKENS}: Pick<ModelWatch, 'onText' | 'signal' | 'maxOutputTokens'>,
): Promise<StreamedReply> {
	const {stream} = await model.doStream({
		prompt: [{role: 'system', content: system}, ...messages.flatMap(toPrompt)],
		tools: tools.map(({name, description, inputSchema}) => ({
			type: 'function' as const,
			name,
			description,
			inputSchema: inputSchema as JSONSchema7,
		})),
		toolChoice: {type: 'auto'},
		temperature: 0,
		maxOutputTokens: Math.min(maxOutputTokens, MAX_OUTPUT_TOKENS),
		abortSignal: signal,
	});
	const texts: string[] = [];
	const toolCalls: ToolCall[] = [];
	for await (const part of stream) {
		signal.throwIfAborted();
		if (part.type === 'error') throw part.error;
		if (part.type === 'text-delta' && part.delta !== '') {
			texts.push(part.delta);
			onText(part.delta);
		}
		if (part.type === 'tool-call') toolCalls.push(toToolCall(part));
		if (part.type === 'finish') return {text: texts.join(''), toolCalls, ...ending(part)};
	}
	throw new Error('it ended early');
}

function ending({
	finishReason: {unified},
	usage,
}: Extract<LanguageModelV4StreamPart, {type: 'finish'}>): Usage & Pick<ModelReply, 'finishReason'> {
	if (unified === 'interrupted' || unified === 'error') throw new Error('it ended early');
	const reasons = {
		stop: 'stop',
		length: 'length',
		'content-filter': 'filtered',
		'tool-calls': 'tool_calls',
		other: 'other',
	} as const;
	return {
		finishReason: reasons[unified],
		inputTokens: usage.inputTokens.total ?? 0,
		outputTokens: usage.outputTokens.total ?? 0,
	};
}

function toToolCall({toolCallId, toolName, input}: Extract<LanguageModelV4StreamPart, {type: 'tool-call'}>): ToolCall {
	try {
		const parsed: unknown = JSON.parse(input.trim() === '' ? '{}' : input);
		if (isRecord(parsed)) return {id: toolCallId, name: toolName, input: parsed, malformed: null};
		return {id: toolCallId, name: toolName, input: null, malformed: 'the arguments are not a JSON object'};
	} catch (error) {
		return {id: toolCallId, name: toolName, input: null, malformed: (error as SyntaxError).message};
	}
}

function toPrompt(message: ModelMessage): LanguageModelV4Message[] {
	switch (message.role) {
		case 'user':
			return [{role: 'user', content: [{type: 'text', text: message.text}]}];
		case 'assistant':
			return [
				{
					role: 'assistant',
					content: [
						...(message.text === '' ? [] : [{type: 'text' as const, text: message.text}]),
						...message.toolCalls.map(({id, name, input}) => ({
							type: 'tool-call' as const,
							toolCallId: id,
							toolName: sayable(name),
							input: input ?? {},
						})),
					],
				},
			];
		case 'tool':
			return [
				{
					role: 'tool',
					content: message.results.map(({id, name, output, failed}) => ({
						type: 'tool-result' as const,
						toolCallId: id,
						toolName: sayable(name),
						output: {type: failed ? ('error-text' as const) : ('text' as const), value: output},
					})),
				},
			];
	}
}

/** A tool that a model made up may have a name that its provider does not take back. */
function sayable(name: string): string {
	return name.replaceAll(/[^a-zA-Z0-9_-]/g, '_').slice(0, 64) || 'unnamed';
}
