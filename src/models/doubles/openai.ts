import {
	argumentsOf,
	type Double,
	newCallId,
	type Protocol,
	pieces,
	type Received,
	type Script,
	startDouble,
	TOOL_NAME,
} from './script.ts';

/** A server that speaks OpenAI's chat completions, streamed, and refuses what the real one refuses. */
export function startOpenAi(script: Script): Promise<Double> {
	return startDouble(PROTOCOL, script);
}

type Message = {
	readonly role: string;
	readonly content?: unknown;
	readonly tool_call_id?: string;
	readonly tool_calls?: readonly {readonly id: string; readonly function: {readonly name: string; readonly arguments: string}}[];
};

const PROTOCOL: Protocol = {
	path: '/v1/chat/completions',
	refuse,
	error: (message, status, code) => ({
		error: {
			message,
			type: status === 429 ? 'rate_limit_error' : status >= 500 ? 'server_error' : 'invalid_request_error',
			param: null,
			code: code ?? null,
		},
	}),
	frames({say, calls = [], usage: [input, output] = [100, 20]}, model) {
		const chunk = (delta: unknown, finish: string | null = null) =>
			frame({
				id: 'chatcmpl-1',
				object: 'chat.completion.chunk',
				created: 1_700_000_000,
				model,
				choices: [{index: 0, delta, logprobs: null, finish_reason: finish}],
			});
		const argumentChunks = calls.flatMap((call, index) => {
			const text = argumentsOf(call);
			return [
				chunk({
					tool_calls: [{index, id: call.id ?? newCallId('call'), type: 'function', function: {name: call.name, arguments: ''}}],
				}),
				...(text.match(/[\s\S]{1,40}/g) ?? []).map((part) => chunk({tool_calls: [{index, function: {arguments: part}}]})),
			];
		});
		return [
			chunk({role: 'assistant', content: calls.length > 0 && !say ? null : ''}),
			...pieces(say).map((content) => chunk({content})),
			...argumentChunks,
			chunk({}, calls.length > 0 ? 'tool_calls' : 'stop'),
			frame({
				id: 'chatcmpl-1',
				object: 'chat.completion.chunk',
				created: 1_700_000_000,
				model,
				choices: [],
				usage: {prompt_tokens: input, completion_tokens: output, total_tokens: input + output},
			}),
			'data: [DONE]\n\n',
		];
	},
};

function frame(data: unknown): string {
	return `data: ${JSON.stringify(data)}\n\n`;
}

type Tool = {readonly type: string; readonly function: {readonly name: string; readonly parameters: {readonly type?: string}}};

function refuse({headers, body}: Received): string | null {
	const {
		model,
		stream,
		messages = [],
		tools = [],
	} = body as {model?: string; stream?: boolean; messages?: Message[]; tools?: Tool[]};
	if (stream !== true) return 'this double only streams';
	if (model === undefined || messages.length === 0) return 'model and messages are required';
	if (headers.authorization !== undefined && !headers.authorization.startsWith('Bearer '))
		return 'authorization must be a bearer token';
	return tools.map(refuseTool).find((refusal) => refusal !== null) ?? refuseMessages(messages);
}

function refuseTool({type, function: {name, parameters}}: Tool): string | null {
	if (type !== 'function' || !TOOL_NAME.test(name)) return `invalid tool name '${name}'`;
	return parameters.type === 'object' ? null : `parameters of '${name}' must be an object`;
}

function refuseMessages(messages: readonly Message[]): string | null {
	const open = new Set<string>();
	for (const {role, tool_call_id: id = '', tool_calls: calls = []} of messages) {
		if (role !== 'tool' && open.size > 0) return `tool_call_ids without a response: ${[...open].join(', ')}`;
		if (role === 'tool' && !open.delete(id)) return `no tool call '${id}' before this tool message`;
		for (const call of calls) {
			if (!TOOL_NAME.test(call.function.name)) return `invalid tool name '${call.function.name}' in messages`;
			open.add(call.id);
		}
	}
	return open.size > 0 ? 'tool calls without a response' : null;
}
