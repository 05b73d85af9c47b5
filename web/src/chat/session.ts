/**
 * The conversation, apart from how it looks: it outlives the screens, follows turns over broken connections and takes them up
 * again after a reload. A turn always ends, with an answer or with an error that says what to do.
 */
import type {QueryClient} from '@tanstack/react-query';
import type {z} from 'zod';
import type {messagesReplySchema, runsReplySchema} from '#contract/api.ts';
import type {TurnEvent} from '#contract/stream.ts';
import {getJson, request} from '../api/client.ts';
import {cancelRun, responseQuery, threadsQuery} from '../api/queries.ts';
import {createStore} from '../ui/store.ts';
import {applyFrame, ask, type Exchange, restore} from './exchange.ts';
import {followTurn, joinTurn, type Open} from './follow.ts';
import {scopeOf, type Use} from './uses.ts';

export type ChatState = {
	readonly threadId: string;
	readonly datasetId: string | null;
	readonly exchanges: readonly Exchange[];
	/** whose result is shown */
	readonly shown: string | null;
	readonly loading: boolean;
	readonly loadError: unknown;
	readonly draft: string;
	/** the tools that the next questions may use, over the chosen dataset alone; null for whatever policy allows */
	readonly uses: readonly Use[] | null;
};

export type ChatSession = ReturnType<typeof createChatSession>;

const THREAD_KEY = 'csvAnalystThreadId';
const USER_KEY = 'csvAnalystUserId';
const DATASET_KEY = 'writDatasetId';

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
		uses: null,
	});
	const following = new Map<string, AbortController>();

	const patch = (change: Partial<ChatState>) => store.set({...store.get(), ...change});
	const change = (key: string, edit: (exchange: Exchange) => Exchange) =>
		patch({exchanges: store.get().exchanges.map((exchange) => (exchange.key === key ? edit(exchange) : exchange))});
	const find = (key: string) => store.get().exchanges.find((exchange) => exchange.key === key);

	const end = (key: string, edit: Partial<Exchange>) => {
		change(key, (exchange) => ({...exchange, phase: 'over', endedAt: exchange.endedAt ?? Date.now(), ...edit}));
		void queries.invalidateQueries({queryKey: threadsQuery.queryKey});
		void queries.invalidateQueries({queryKey: ['runs']});
		void queries.invalidateQueries({queryKey: ['approvals']});
	};

	const take = (key: string, event: TurnEvent) => {
		change(key, (exchange) => {
			const next = applyFrame(exchange, event, Date.now());
			return {...next, phase: exchange.phase === 'stopping' ? 'stopping' : 'streaming'};
		});
		if (event.event !== 'result') return;
		queries.setQueryData(responseQuery(event.data.run_id).queryKey, event.data);
		for (const kind of ['capsule', 'events']) void queries.invalidateQueries({queryKey: [kind, event.data.run_id]});
		if (find(key)) patch({shown: event.data.run_id});
	};

	const follow = async (key: string, open: Open) => {
		const abort = new AbortController();
		following.set(key, abort);
		const error = await followTurn(open, {
			signal: abort.signal,
			onRun: (runId) => change(key, (exchange) => ({...exchange, runId})),
			onFrame: (event) => take(key, event),
			onLost: () => change(key, (exchange) => ({...exchange, phase: 'reconnecting'})),
		});
		following.delete(key);
		if (!abort.signal.aborted) end(key, error ? {error} : {});
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
		return follow(key, (signal) => joinTurn(runId, '', signal));
	};

	/** Turns of the conversation that is left are followed on: a run that nobody watches would be cancelled. */
	const enter = (threadId: string, loading: boolean) => {
		localStorage.setItem(THREAD_KEY, threadId);
		patch({threadId, exchanges: [], shown: null, loading, loadError: null});
	};

	const open = async (threadId: string) => {
		enter(threadId, true);
		const loaded = await load(threadId).catch((loadError: unknown) => ({loadError}));
		if (store.get().threadId !== threadId) return;
		if ('loadError' in loaded) return patch({loading: false, loadError: loaded.loadError});
		const {exchanges, datasetId} = loaded;
		const last = exchanges.at(-1);
		patch({exchanges, loading: false, shown: last?.runId ?? null, datasetId: datasetId ?? store.get().datasetId});
		if (last?.runId && last.answer === '' && isUnfinished(last)) await attach(last.key, last.runId);
	};

	const send = async (question: string) => {
		const {datasetId, threadId, exchanges, uses} = store.get();
		if (!datasetId || question.trim() === '' || exchanges.some((exchange) => exchange.phase !== 'over')) return;
		const exchange = ask(question.trim());
		patch({exchanges: [...exchanges, exchange], draft: '', shown: null});
		const given = {dataset_id: datasetId, message: exchange.question, thread_id: threadId, user_id: userId};
		const body = JSON.stringify({...given, ...(uses && {scope: scopeOf(uses, datasetId)})});
		const headers = {'content-type': 'application/json', accept: 'text/event-stream'};
		await follow(exchange.key, (signal) => request('/chat/stream', {method: 'POST', headers, body, signal}));
	};

	/** The server may have taken a question whose reply was lost: look before asking twice. */
	const retry = async (key: string) => {
		const failed = find(key);
		if (!failed) return;
		if (failed.runId) return attach(key, failed.runId);
		const found = await load(store.get().threadId).catch(() => null);
		if (!found) return; // still no server; the error that is shown stands
		const known = new Set(store.get().exchanges.map(({runId}) => runId));
		const accepted = found.exchanges.findLast(({question, runId}) => question === failed.question && !known.has(runId));
		if (accepted?.runId) return attach(key, accepted.runId);
		patch({exchanges: store.get().exchanges.filter((exchange) => exchange.key !== key)});
		return send(failed.question);
	};

	/** The stream tells how the run ended; without a run there is only the request to give up. */
	const stop = async (key: string) => {
		const runId = find(key)?.runId;
		if (!runId) {
			following.get(key)?.abort();
			return end(key, {status: 'cancelled'});
		}
		change(key, (exchange) => ({...exchange, phase: 'stopping'}));
		await cancelRun(runId).catch(() =>
			change(key, (exchange) => (exchange.phase === 'stopping' ? {...exchange, phase: 'streaming'} : exchange)),
		);
	};

	return {
		store,
		open,
		send,
		attach,
		retry,
		stop,
		start: () => open(store.get().threadId),
		newThread: () => enter(crypto.randomUUID(), false),
		setDataset(datasetId: string) {
			localStorage.setItem(DATASET_KEY, datasetId);
			patch({datasetId});
		},
		setDraft: (draft: string) => patch({draft}),
		setUses: (uses: readonly Use[] | null) => patch({uses}),
		show: (shown: string) => patch({shown}),
	};
}

/** The next visitor of this browser begins with nothing. */
export function forgetConversation(): void {
	for (const key of [THREAD_KEY, DATASET_KEY, USER_KEY]) localStorage.removeItem(key);
}

async function load(threadId: string): Promise<{exchanges: Exchange[]; datasetId: string | null}> {
	const id = encodeURIComponent(threadId);
	const {runs} = await getJson<z.infer<typeof runsReplySchema>>(`/runs?thread_id=${id}&limit=200`);
	if (runs.length === 0) return {exchanges: [], datasetId: null}; // nothing was asked in it yet
	const {messages} = await getJson<z.infer<typeof messagesReplySchema>>(`/threads/${id}/messages?limit=200`);
	return {exchanges: restore(messages, runs), datasetId: messages.at(-1)?.dataset_id ?? null};
}

function isUnfinished({status}: Exchange): boolean {
	return status === null || status === 'running' || status === 'awaiting_approval';
}

function remembered(key: string, make: () => string): string {
	const value = localStorage.getItem(key) ?? make();
	localStorage.setItem(key, value);
	return value;
}
