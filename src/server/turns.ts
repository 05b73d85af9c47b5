import type {ChatResponse} from '#contract/api.ts';
import {WritError} from '#contract/errors.ts';
import type {TurnEvent} from '#contract/stream.ts';
import {toStreamError} from './reply-error.ts';

export type TurnHooks = {
	readonly signal: AbortSignal;
	readonly accepted: (runId: string) => void;
	readonly emit: (event: TurnEvent) => void;
};

/** A run this process is working on, or finished a moment ago, with all it told its watchers. */
export type Turn = {
	readonly tenant: string;
	/** the run's id, as soon as it is durable; rejects when the run was refused before */
	readonly accepted: Promise<string>;
	readonly finished: Promise<ChatResponse>;
	/** Events after the `after`th, as they happen, until the turn is over. */
	follow(after: number, signal: AbortSignal): AsyncIterable<{readonly n: number; readonly event: TurnEvent}>;
	/** Counts as watching until the returned function is called. A turn nobody watches any more is cancelled after the grace. */
	watch(): () => void;
	cancel(): void;
	/** whether it had watchers and has none */
	isAbandoned(): boolean;
};

/** Whoever takes one of the server's places. */
type Occupant = {readonly finished: Promise<unknown>; cancel(): void; isAbandoned(): boolean};

type Work = (hooks: TurnHooks) => Promise<ChatResponse>;

export type Turns = {
	/** Throws `rate_limited` when as many runs as allowed are in progress. */
	start(tenant: string, work: Work): Turn;
	/** For a run that was taken in before: goes on whatever the limit. */
	resume(tenant: string, work: Work): Turn;
	/** Work that nobody watches, such as an export: takes a place like a run, and ends with its caller or the server. */
	occupy<T>(caller: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T>;
	/** Runs in progress, and for a while those that ended. */
	find(runId: string): Turn | null;
	inFlight(): number;
	/** Lets runs finish for `ms`, unless their watchers have gone, then cancels the rest; resolves when none is left, or shortly after. */
	drain(ms: number): Promise<void>;
};

export type TurnsOptions = {
	readonly maxConcurrent: number;
	readonly graceMs: number;
	/** a bug in a turn whose caller has gone */
	readonly report: (bug: unknown) => void;
};

/** Long enough for a page that was reloaded or a laptop that changed its network. */
const KEEP_MS = 60_000;
const KEEP_TURNS = 200;
/** How long a cancelled run may take to record its end when the server stops. */
const CANCEL_MS = 3_000;

export function createTurns(options: TurnsOptions): Turns {
	const byRun = new Map<string, Turn>();
	const live = new Set<Occupant>();
	const liveRuns = new Set<string>();
	const state = {draining: false};

	const forget = (runId: string) => {
		liveRuns.delete(runId);
		setTimeout(() => byRun.delete(runId), KEEP_MS).unref();
		const ended = [...byRun.keys()].filter((id) => !liveRuns.has(id));
		for (const id of ended.slice(0, Math.max(0, ended.length - KEEP_TURNS))) byRun.delete(id);
	};

	const begin = (tenant: string, work: Work) => {
		const turn = createTurn(tenant, work, () => (state.draining ? 0 : options.graceMs));
		live.add(turn);
		turn.accepted.then((runId) => {
			byRun.set(runId, turn);
			if (live.has(turn)) liveRuns.add(runId);
		}, ignore);
		turn.finished.catch(options.report).finally(async () => {
			live.delete(turn);
			await turn.accepted.then(forget, ignore);
		});
		return turn;
	};

	const assertPlace = () => {
		if (live.size >= options.maxConcurrent) throw tooManyRuns(options.maxConcurrent);
	};

	return {
		start(tenant, work) {
			assertPlace();
			return begin(tenant, work);
		},
		resume: begin,
		async occupy(caller, work) {
			assertPlace();
			const own = new AbortController();
			const finished = work(AbortSignal.any([caller, own.signal]));
			const occupant = {finished, cancel: () => own.abort(cancelled()), isAbandoned: () => caller.aborted};
			live.add(occupant);
			return finished.finally(() => live.delete(occupant));
		},
		find: (runId) => byRun.get(runId) ?? null,
		inFlight: () => live.size,
		async drain(ms) {
			state.draining = true;
			for (const turn of live) if (turn.isAbandoned()) turn.cancel();
			const ended = () => Promise.allSettled([...live].map((turn) => turn.finished));
			await within(ended(), ms);
			for (const turn of live) turn.cancel();
			await within(ended(), CANCEL_MS);
		},
	};
}

function createTurn(tenant: string, work: Work, graceMs: () => number): Turn {
	const events: TurnEvent[] = [];
	const abort = new AbortController();
	const accepted = Promise.withResolvers<string>();
	const state = {over: false, watchers: 0, grace: undefined as NodeJS.Timeout | undefined, news: Promise.withResolvers<void>()};

	const tell = () => {
		state.news.resolve();
		state.news = Promise.withResolvers();
	};
	const emit = (event: TurnEvent) => {
		if (state.over) return;
		events.push(event);
		tell();
	};
	const cancel = () => abort.abort(cancelled());

	const finished = run(work, {signal: abort.signal, accepted: accepted.resolve, emit}, events).finally(() => {
		state.over = true;
		clearTimeout(state.grace);
		tell();
	});
	// A turn that never says which run it is has either failed, and says why, or finished.
	finished.then(({run_id}) => accepted.resolve(run_id), accepted.reject);
	accepted.promise.catch(ignore);

	return {
		tenant,
		accepted: accepted.promise,
		finished,
		cancel,
		isAbandoned: () => state.grace !== undefined && state.watchers === 0,
		watch() {
			clearTimeout(state.grace);
			state.watchers += 1;
			const leave = once(() => {
				state.watchers -= 1;
				if (state.watchers === 0 && !state.over) state.grace = setTimeout(cancel, graceMs());
			});
			return leave;
		},
		async *follow(after, signal) {
			for (let n = after; ; n += 1) {
				while (n >= events.length && !state.over && !signal.aborted) await orAborted(state.news.promise, signal);
				const event = events[n];
				if (!event || signal.aborted) return;
				yield {n: n + 1, event};
			}
		},
	};
}

/** Every accepted turn ends with `result` or `error`, and then `done`, whoever emits them. */
async function run(work: Work, hooks: TurnHooks, events: readonly TurnEvent[]): Promise<ChatResponse> {
	const emitted = (name: TurnEvent['event']) => events.some(({event}) => event === name);
	try {
		const response = await work(hooks);
		if (!emitted('result') && !emitted('error')) hooks.emit({event: 'result', data: response});
		if (!emitted('done')) hooks.emit({event: 'done', data: {run_id: response.run_id}});
		return response;
	} catch (thrown) {
		if (!emitted('error')) hooks.emit({event: 'error', data: toStreamError(thrown)});
		if (!emitted('done')) hooks.emit({event: 'done', data: {}});
		throw thrown;
	}
}

function cancelled(): WritError {
	return new WritError('cancelled', 'the run was cancelled');
}

function tooManyRuns(limit: number): WritError {
	return new WritError('rate_limited', `${limit} runs are in progress, as many as this server takes at once`, {
		hint: 'try again shortly, or raise WRIT_MAX_CONCURRENT_RUNS',
		details: {limit: 'maxConcurrentRuns', value: limit, retryAfterMs: 1_000},
	});
}

async function orAborted(news: Promise<void>, signal: AbortSignal): Promise<void> {
	const {promise, resolve} = Promise.withResolvers<void>();
	const onAbort = () => resolve();
	signal.addEventListener('abort', onAbort, {once: true});
	await Promise.race([news, promise]);
	signal.removeEventListener('abort', onAbort);
}

async function within(work: Promise<unknown>, ms: number): Promise<void> {
	const {promise, resolve} = Promise.withResolvers<void>();
	const timer = setTimeout(resolve, ms);
	await Promise.race([work, promise]);
	clearTimeout(timer);
}

function once(action: () => void): () => void {
	const state = {done: false};
	return () => {
		if (state.done) return;
		state.done = true;
		action();
	};
}

function ignore(): void {}
