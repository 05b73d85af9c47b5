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

/** A server that speaks Anthropic's messages, streamed, and refuses what the real one refuses. */
export function startAnthropic(script: Script): Promise<Double> {
	return startDouble(PROTOCOL, script);
}

type Block = {
	readonly type: string;
	readonly text?: string;
	readonly id?: string;
	readonly name?: string;
	readonly tool_use_id?: string;
	readonly input?: unknown;
};
type Message = {readonly role: string; readonly content: string | readonly Block[]};

const PROTOCOL: Protocol = {
	path: '/v1/messages',
	refuse,
	error: (message, status) => ({
		type: 'error',
		error: {
			type:
				status === 429
					? 'rate_limit_error'
					: status === 529
						? 'overloaded_error'
						: status >= 500
							? 'api_error'
							: 'invalid_request_error',
			message,
		},
	}),
	frames({say, calls = [], usage: [input, output] = [100, 20]}, model) {
		const texts = pieces(say);
		const first = texts.length > 0 ? 1 : 0;
		return [
			frame('message_start', {
				message: {
					id: 'msg_1',
					type: 'message',
					role: 'assistant',
					model,
					content: [],
					stop_reason: null,
					stop_sequence: null,
					usage: {input_tokens: input, output_tokens: 1},
				},
			}),
			frame('ping', {}),
			...(first
				? block(
						0,
						{type: 'text', text: ''},
						texts.map((text) => ({type: 'text_delta', text})),
					)
				: []),
			...calls.flatMap((call, index) =>
				block(
					index + first,
					{type: 'tool_use', id: call.id ?? newCallId('toolu'), name: call.name, input: {}},
					(argumentsOf(call).match(/[\s\S]{1,40}/g) ?? ['']).map((partial_json) => ({type: 'input_json_delta', partial_json})),
				),
			),
			frame('message_delta', {
				delta: {stop_reason: calls.length > 0 ? 'tool_use' : 'end_turn', stop_sequence: null},
				usage: {output_tokens: output},
			}),
			frame('message_stop', {}),
		];
	},
};

function frame(type: string, data: Readonly<Record<string, unknown>>): string {
	return `event: ${type}\ndata: ${JSON.stringify({type, ...data})}\n\n`;
}

function block(index: number, content_block: unknown, deltas: readonly unknown[]): readonly string[] {
	return [
		frame('content_block_start', {index, content_block}),
		...deltas.map((delta) => frame('content_block_delta', {index, delta})),
		frame('content_block_stop', {index}),
	];
}

type Tool = {readonly name: string; readonly input_schema: {readonly type?: string}};

function refuse({headers, body}: Received): string | null {
	const {
		stream,
		messages = [],
		tools = [],
		max_tokens: most,
	} = body as {stream?: boolean; messages?: Message[]; tools?: Tool[]; max_tokens?: number};
	if (stream !== true) return 'this double only streams';
	if (!(headers['x-api-key'] && headers['anthropic-version'])) return 'x-api-key and anthropic-version headers are required';
	if (most === undefined) return 'max_tokens: Field required';
	if (messages[0]?.role !== 'user') return 'messages: first message must use the "user" role';
	const refusals = [...tools.map(refuseTool), ...messages.map((message, index) => refuseMessage(message, messages[index - 1]))];
	return refusals.find((refusal) => refusal !== null) ?? null;
}

function refuseTool({name, input_schema: schema}: Tool): string | null {
	if (!TOOL_NAME.test(name)) return `tools: invalid name '${name}'`;
	return schema.type === 'object' ? null : `tools: input_schema of '${name}' must be an object`;
}

function refuseMessage({role, content}: Message, before: Message | undefined): string | null {
	if (role !== 'user' && role !== 'assistant') return `messages: unexpected role '${role}'`;
	const blocks = blocksOf(content);
	if (blocks.some(isEmptyText)) return 'messages: text content blocks must be non-empty';
	if (blocks.some(isBadCall)) return 'messages: tool_use.input: Input should be a valid dictionary';
	const used = blocksOf(before?.content ?? []).flatMap(({type, id}) => (type === 'tool_use' ? [id] : []));
	const answered = blocks.flatMap(({type, tool_use_id: id}) => (type === 'tool_result' ? [id] : []));
	const missing = used.filter((id) => !answered.includes(id));
	if (missing.length > 0) return `messages: tool_use ids were found without tool_result blocks: ${missing.join(', ')}`;
	const unasked = answered.filter((id) => !used.includes(id));
	return unasked.length > 0 ? `messages: unexpected tool_use_id: ${unasked.join(', ')}` : null;
}

function isEmptyText({type, text = ''}: Block): boolean {
	return type === 'text' && text.trim() === '';
}

function isBadCall({type, input, name = ''}: Block): boolean {
	return type === 'tool_use' && (typeof input !== 'object' || input === null || !TOOL_NAME.test(name));
}

function blocksOf(content: Message['content']): readonly Block[] {
	return typeof content === 'string' ? [{type: 'text', text: content}] : content;
}
