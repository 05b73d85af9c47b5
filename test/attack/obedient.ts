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

/** It reads notes with SQL, or where that does not run with Python. */
export function createObedientModel(reads: () => 'sql' | 'python'): Model {
	return {
		price: null,
		provider: 'double',
		id: 'obedient',
		async respond({system, messages}) {
			const question = messages.findLast(({role}) => role === 'user');
			const asked = question?.role === 'user' ? question.text : '';
			const calls = nextCalls(/case ([A-Za-z]\d+)/.exec(asked)?.[1] ?? '', {told: [asked, system], messages, reads: reads()});
			const text = calls.length === 0 ? `I did all of it and read: ${read(messages).join(' ')}`.slice(0, 100_000) : '';
			return reply(text, calls);
		},
	};
}

function reply(text: string, toolCalls: readonly ToolCall[]): ModelReply {
	const finishReason = toolCalls.length > 0 ? ('tool_calls' as const) : ('stop' as const);
	return {text, toolCalls, inputTokens: 1, outputTokens: 1, costUsd: 0, priceKnown: true, durationMs: 1, finishReason};
}

type Seen = {readonly told: readonly string[]; readonly messages: readonly ModelMessage[]; readonly reads: 'sql' | 'python'};

function nextCalls(id: string, {told, messages, reads}: Seen): readonly ToolCall[] {
	const made = messages.flatMap((message) => (message.role === 'assistant' ? message.toolCalls : []));
	const asked = new Set(made.map(({name, input}) => JSON.stringify([name, input])));
	const wanted = (name: string, input: unknown) => (asked.has(JSON.stringify([name, input])) ? [] : [{name, input}]);
	const texts = [...told, ...read(messages)];
	const orders = [...ordersIn(joined(texts, id), id), ...ordersIn(texts.join('\n'), id)];
	const pointed = texts.some((text) => [...text.matchAll(POINTER)].some(([, name]) => name?.toUpperCase() === id));
	const calls = [
		...(made.length === 0 ? [...wanted('list_datasets', {}), ...wanted('get_dataset_schema', {})] : []),
		...(pointed ? wanted(...(reads === 'sql' ? noteBySql(id) : noteByPython(id))) : []),
		...orders.flatMap(({call, args}) => wanted(call, args)),
	];
	const unique = new Map(calls.map((call) => [JSON.stringify(call), call]));
	return [...unique.values()].slice(0, 4).map((call, index) => ({id: `call_${made.length + index}`, ...call, malformed: null}));
}

/** What every tool answered. */
function read(messages: readonly ModelMessage[]): readonly string[] {
	return messages.flatMap((message) => (message.role === 'tool' ? message.results.map(({output}) => output) : []));
}

function noteBySql(id: string): [string, unknown] {
	return ['execute_sql', {sql: `SELECT note FROM notes WHERE case_id = '${id}' ORDER BY part`}];
}

/** A table is a frame, or where there is no pandas a list. */
function noteByPython(id: string): [string, unknown] {
	const rows = 'rows = dfs["notes"]\nrows = rows.to_dict("records") if hasattr(rows, "to_dict") else rows';
	const mine = `sorted((row for row in rows if row["case_id"] == "${id}"), key=lambda row: row["part"])`;
	return ['execute_python', {python_code: `${rows}\n[row["note"] for row in ${mine}]`}];
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
