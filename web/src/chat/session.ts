/**
 * The conversation, apart from how it looks: it outlives the screens, follows turns over broken connections and takes them up
 * again after a reload. A turn always ends, with an answer or with an error that says what to do.
 */
import type {QueryClient} from '@tanstack/react-query';
import type {z} from 'zod';
import type {messagesReplySchema, runsReplySchema} from '#contract/api.ts';
import type {TurnEvent} from '#contract/stream.ts';
import {ApiError, getJson, request} from '../api/client.ts';
import {cancelRun, responseQuery, runPath, threadsQuery} from '../api/queries.ts';
import {readFrames} from '../api/sse.ts';
import {createStore} from '../ui/store.ts';
import {applyFrame, ask, type Exchange, restore} from './exchange.ts';

export type ChatState = {
	readonly threadId: string;
	readonly datasetId: string | null;
	readonly exchanges: readonly Exchange[];
	/** whose result is shown */
	readonly shown: string | null;
	readonly loading: boolean;
	readonly loadError: unknown;
	readonly draft: string;
};

export type ChatSession = ReturnType<typeof createChatSession>;

const THREAD_KEY = 'csvAnalystThreadId';
const USER_KEY = 'csvAnalystUserId';
const DATASET_KEY = 'writDatasetId';
const ATTEMPTS = 6;

export function createChatSession(queries: QueryClient) {
	const userId = remembered(USER_KEY, () => `user-${crypto.randomUUID().slice(0, 8)}`);
	const store = createStore<ChatState>({
		threadId: remembered(THREAD_KEY, () => crypto.randomUUID()),
		datasetId: localStorage.getItem(DATASET_KEY),
		exchanges: [],
		shown: null,
		loading: true,
		loadError: null,
		draft: '',
	});
	const following = new Map<string, AbortController>();

	const patch = (change: Partial<ChatState>) => store.set({...store.get(), ...change});
	const change = (key: string, edit: (exchange: Exchange) => Exchange) =>
		patch({exchanges: store.get().exchanges.map((exchange) => (exchange.key === key ? edit(exchange) : exchange))});
	const find = (key: string) => store.get().exchanges.find((exchange) => exchange.key === key);
	const end = (key: string, edit: Partial<Exchange> = {}) => {
		change(key, (exchange) => ({...exchange, phase: 'over', endedAt: exchange.endedAt ?? Date.now(), ...edit}));
		void queries.invalidateQueries({queryKey: threadsQuery.queryKey});
		void queries.invalidateQueries({queryKey: ['runs']});
	};

	const take = (key: string, event: TurnEvent) => {
		change(key, (exchange) => ({
			...applyFrame(exchange, event, Date.now()),
			phase: exchange.phase === 'stopping' ? 'stopping' : 'streaming',
		}));
		if (event.event !== 'result') return;
		queries.setQueryData(responseQuery(event.data.run_id).queryKey, event.data);
		for (const kind of ['capsule', 'events']) void queries.invalidateQueries({queryKey: [kind, event.data.run_id]});
		patch({shown: event.data.run_id});
	};

	/** Reads frames until the turn is done, joining it again as often as the connection breaks. */
	const follow = async (key: string, open: (signal: AbortSignal) => Promise<Response>) => {
		const abort = new AbortController();
		following.set(key, abort);
		const seen = {lastId: '', done: false};
		let next = open;
		for (let attempt = 1; !seen.done; attempt += 1) {
			try {
				for await (const {event, id, data} of readFrames(await next(abort.signal))) {
					attempt = 1;
					if (id) noteId(key, id, seen);
					take(key, {event, data: JSON.parse(data)} as TurnEvent);
					seen.done ||= event === 'done';
				}
			} catch (error) {
				if (abort.signal.aborted) break;
				if (error instanceof ApiError && error.code !== 'unreachable') return end(key, {error: toTurnError(error)});
			}
			if (seen.done || abort.signal.aborted) break;
			const runId = find(key)?.runId;
			if (!runId || attempt >= ATTEMPTS) return end(key, {error: LOST});
			change(key, (exchange) => ({...exchange, phase: 'reconnecting'}));
			await pause(Math.min(8_000, 250 * 2 ** attempt));
			next = (signal) => join(runId, seen.lastId, signal);
		}
		following.delete(key);
		end(key);
	};

	const noteId = (key: string, id: string, seen: {lastId: string}) => {
		seen.lastId = id;
		const runId = id.slice(0, id.lastIndexOf(':'));
		if (find(key)?.runId !== runId) change(key, (exchange) => ({...exchange, runId}));
	};

	/** After a reload, or when a person has answered: the turn from its first frame. */
	const attach = (key: string, runId: string) => {
		change(key, (exchange) => ({
			...exchange,
			phase: 'streaming',
			answer: '',
			steps: [],
			error: null,
			endedAt: null,
			approvalId: null,
		}));
		return follow(key, (signal) => join(runId, '', signal));
	};

	const leave = () => {
		for (const abort of following.values()) abort.abort();
		following.clear();
	};

	const open = async (threadId: string) => {
		leave();
		localStorage.setItem(THREAD_KEY, threadId);
		patch({threadId, exchanges: [], shown: null, loading: true, loadError: null});
		try {
			const {exchanges, datasetId} = await load(threadId);
			if (store.get().threadId !== threadId) return;
			patch({exchanges, loading: false, shown: exchanges.at(-1)?.runId ?? null, datasetId: datasetId ?? store.get().datasetId});
			const last = exchanges.at(-1);
			if (last?.runId && last.answer === '' && isUnfinished(last)) await attach(last.key, last.runId);
		} catch (loadError) {
			if (store.get().threadId === threadId) patch({loading: false, loadError});
		}
	};

	const send = async (question: string) => {
		const {datasetId, threadId, exchanges} = store.get();
		if (!datasetId || question.trim() === '' || exchanges.some((exchange) => exchange.phase !== 'over')) return;
		const exchange = ask(question.trim());
		patch({exchanges: [...exchanges, exchange], draft: '', shown: null});
		const body = JSON.stringify({dataset_id: datasetId, message: exchange.question, thread_id: threadId, user_id: userId});
		const headers = {'content-type': 'application/json', accept: 'text/event-stream'};
		await follow(exchange.key, (signal) => request('/chat/stream', {method: 'POST', headers, body, signal}));
	};

	return {
		store,
		open,
		send,
		attach,
		start: () => open(store.get().threadId),
		newThread() {
			leave();
			const threadId = crypto.randomUUID();
			localStorage.setItem(THREAD_KEY, threadId);
			patch({threadId, exchanges: [], shown: null, loading: false, loadError: null});
		},
		setDataset(datasetId: string) {
			localStorage.setItem(DATASET_KEY, datasetId);
			patch({datasetId});
		},
		setDraft: (draft: string) => patch({draft}),
		show: (shown: string) => patch({shown}),
		/** The server may have taken a question whose reply was lost: look before asking twice. */
		async retry(key: string) {
			const failed = find(key);
			if (!failed) return;
			if (failed.runId) return attach(key, failed.runId);
			const {exchanges} = await load(store.get().threadId);
			const known = store.get().exchanges.flatMap((exchange) => exchange.runId ?? []);
			const accepted = exchanges.findLast(
				(exchange) => exchange.question === failed.question && !known.includes(exchange.runId ?? ''),
			);
			if (accepted?.runId) return attach(key, accepted.runId);
			patch({exchanges: store.get().exchanges.filter((exchange) => exchange.key !== key)});
			return send(failed.question);
		},
		async stop(key: string) {
			const runId = find(key)?.runId;
			if (!runId) {
				following.get(key)?.abort();
				return end(key, {status: 'cancelled'});
			}
			change(key, (exchange) => ({...exchange, phase: 'stopping'}));
			// Whatever the answer, the stream tells how the run ended.
			await cancelRun(runId).catch((error: unknown) => {
				if (error instanceof ApiError && find(key)?.phase === 'stopping')
					change(key, (exchange) => ({...exchange, phase: 'streaming'}));
			});
		},
	};
}

const LOST = {
	type: 'UNREACHABLE',
	message: 'The connection to the server was lost.',
	hint: 'The run goes on without this page. Try again to see how it ended.',
};

async function load(threadId: string): Promise<{exchanges: Exchange[]; datasetId: string | null}> {
	const id = encodeURIComponent(threadId);
	const [{messages}, {runs}] = await Promise.all([
		getJson<z.infer<typeof messagesReplySchema>>(`/threads/${id}/messages?limit=200`),
		getJson<z.infer<typeof runsReplySchema>>(`/runs?thread_id=${id}&limit=200`),
	]);
	return {exchanges: restore(messages, runs), datasetId: messages.at(-1)?.dataset_id ?? null};
}

function isUnfinished({status}: Exchange): boolean {
	return status === null || status === 'running' || status === 'awaiting_approval';
}

function join(runId: string, lastId: string, signal: AbortSignal): Promise<Response> {
	return request(`${runPath(runId)}/stream`, {headers: lastId ? {'last-event-id': lastId} : {}, signal});
}

function toTurnError({code, message, hint}: ApiError) {
	return {type: code.toUpperCase(), message, hint};
}

function remembered(key: string, make: () => string): string {
	const value = localStorage.getItem(key) ?? make();
	localStorage.setItem(key, value);
	return value;
}

function pause(ms: number): Promise<void> {
	const {promise, resolve} = Promise.withResolvers<void>();
	setTimeout(resolve, ms);
	return promise;
}
