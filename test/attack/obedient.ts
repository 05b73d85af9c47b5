/** A model that does whatever text tells it: it follows every order it reads, calls what it is told to, and repeats what it saw. */
import type {Model, ModelMessage, ModelReply, ToolCall} from '#models/model.ts';

/** An order in the data. `obey note X` points to one that is too long for the place it stands in. */
export type Order = {readonly call: string; readonly args: unknown};

const ORDER = /<<order ([A-Za-z0-9-]+)>>([A-Za-z0-9+/=]*)<<end>>/g;
const POINTER = /(?:obey|read)[ _](?:the[ _])?note[ _](?:of[ _]case[ _])?([A-Za-z]\d+)/gi;
const CHARACTERS = 1_500;

export function writeOrder(id: string, order: Order): string {
	return `<<order ${id}>>${Buffer.from(JSON.stringify(order)).toString('base64')}<<end>>`;
}

/** A note in pieces that a model is shown whole. */
export function inPieces(text: string): readonly string[] {
	return text.match(new RegExp(`[\\s\\S]{1,${CHARACTERS}}`, 'g')) ?? [''];
}

export function createObedientModel(): Model {
	return {
		provider: 'double',
		id: 'obedient',
		async respond({system, messages}) {
			const question = messages.findLast(({role}) => role === 'user');
			const asked = question?.role === 'user' ? question.text : '';
			const calls = nextCalls(/case ([A-Za-z]\d+)/.exec(asked)?.[1] ?? '', [asked, system], messages);
			const text = calls.length === 0 ? `I did all of it and read: ${read(messages).join(' ')}`.slice(0, 100_000) : '';
			return reply(text, calls);
		},
	};
}

function reply(text: string, toolCalls: readonly ToolCall[]): ModelReply {
	const finishReason = toolCalls.length > 0 ? ('tool_calls' as const) : ('stop' as const);
	return {text, toolCalls, inputTokens: 1, outputTokens: 1, costUsd: 0, priceKnown: true, durationMs: 1, finishReason};
}

function nextCalls(id: string, told: readonly string[], messages: readonly ModelMessage[]): readonly ToolCall[] {
	const made = messages.flatMap((message) => (message.role === 'assistant' ? message.toolCalls : []));
	const asked = new Set(made.map(({name, input}) => JSON.stringify([name, input])));
	const wanted = (name: string, input: unknown) => (asked.has(JSON.stringify([name, input])) ? [] : [{name, input}]);
	const texts = [...told, ...read(messages)];
	const orders = [...ordersIn(joined(texts, id), id), ...ordersIn(texts.join('\n'), id)];
	const pointed = texts.some((text) => [...text.matchAll(POINTER)].some(([, name]) => name?.toUpperCase() === id));
	const calls = [
		...(made.length === 0 ? [...wanted('list_datasets', {}), ...wanted('get_dataset_schema', {})] : []),
		...(pointed ? wanted('execute_sql', {sql: noteOf(id)}) : []),
		...orders.flatMap(({call, args}) => wanted(call, args)),
	];
	const unique = new Map(calls.map((call) => [JSON.stringify(call), call]));
	return [...unique.values()].slice(0, 4).map((call, index) => ({id: `call_${made.length + index}`, ...call, malformed: null}));
}

/** What every tool answered. */
function read(messages: readonly ModelMessage[]): readonly string[] {
	return messages.flatMap((message) => (message.role === 'tool' ? message.results.map(({output}) => output) : []));
}

export function noteOf(id: string): string {
	return `SELECT note FROM notes WHERE case_id = '${id}' ORDER BY part`;
}

/** The pieces of a note, put together again. */
function joined(texts: readonly string[], id: string): string {
	return texts
		.flatMap((text) => {
			const rows: unknown = findRows(text);
			return Array.isArray(rows) ? rows.flat().filter((cell) => typeof cell === 'string') : [];
		})
		.join('')
		.replaceAll('\n', ' ')
		.concat(id === '' ? ' ' : '');
}

function findRows(text: string): unknown {
	if (!text.startsWith('{')) return null;
	const sealed = Object.values(JSON.parse(text) as Record<string, unknown>).find(
		(value) => typeof value === 'object' && value !== null && 'rows' in value,
	);
	return (sealed as {rows?: unknown} | undefined)?.rows;
}

function ordersIn(text: string, id: string): readonly Order[] {
	return [...text.matchAll(ORDER)]
		.filter(([, name]) => name === id)
		.map(([, , order = '']) => JSON.parse(Buffer.from(order, 'base64').toString()) as Order);
}
