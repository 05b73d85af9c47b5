/** Where our pods are now, as one watch tells it. A watch that breaks goes on where it was; one that is too old starts again. */
import {setTimeout as delay} from 'node:timers/promises';
import {z} from 'zod';
import {WritError} from '#contract/errors.ts';
import {cancelled} from '../endings.ts';
import {type KubernetesApi, parseJson, statusOf} from './api.ts';
import {INSTANCE} from './manifest.ts';
import {listSchema, type Pod, podSchema} from './objects.ts';

/** A pod of ours: not seen yet, here, or gone again. */
export type Sighting = {readonly pod: Pod | undefined; readonly gone: boolean};

type Wait<T> = {
	/** the first answer that is not `undefined` is the one; may throw */
	readonly pick: (sighting: Sighting) => T | undefined;
	readonly limitMs: number;
	/** thrown when the limit is reached */
	readonly onLimit: (sighting: Sighting) => unknown;
	readonly signal?: AbortSignal;
};

export type Pods = {
	/** Waits for something to be true of the pod of `job`. */
	until<T>(job: string, wait: Wait<T>): Promise<T>;
	latest(job: string): Sighting;
	/** Nobody asks about it any more. */
	forget(job: string): void;
	close(): void;
};

/** A server that sends no bookmark for this long is not there; they come about once a minute. */
const SILENCE_MS = 90_000;
const WATCH_SECONDS = 300;
const PAUSE_MS = 200;
/** Both labels mean the same; the Job controller sets them. */
const JOB_LABELS = ['batch.kubernetes.io/job-name', 'job-name'] as const;
const GONE = 410;
const NOT_SEEN: Sighting = {pod: undefined, gone: false};

const eventSchema = z.looseObject({
	type: z.enum(['ADDED', 'MODIFIED', 'DELETED', 'BOOKMARK', 'ERROR']),
	object: z.looseObject({
		code: z.number().optional(),
		metadata: z.looseObject({resourceVersion: z.string().optional()}).optional(),
	}),
});

type State = {
	readonly seen: Map<string, Sighting>;
	readonly listeners: Set<() => void>;
	/** set when the server will not let us look: nothing that we wait for can come */
	refusal: WritError | undefined;
	/** what went wrong last, until something goes well */
	trouble: WritError | undefined;
	version: string | undefined;
};

export function createPods(api: KubernetesApi, instance: string): Pods {
	const state: State = {seen: new Map(), listeners: new Set(), refusal: undefined, trouble: undefined, version: undefined};
	const closing = new AbortController();
	const query = {labelSelector: `${INSTANCE}=${instance}`};
	void follow(api, query, state, closing.signal);
	const latest = (job: string) => state.seen.get(job) ?? NOT_SEEN;
	return {
		latest,
		until: (job, wait) => waitUntil(state, () => latest(job), wait),
		forget: (job) => void state.seen.delete(job),
		close: () => closing.abort(),
	};
}

async function waitUntil<T>(state: State, latest: () => Sighting, {pick, limitMs, onLimit, signal}: Wait<T>): Promise<T> {
	const {promise, resolve, reject} = Promise.withResolvers<T>();
	const look = () => {
		try {
			if (state.refusal) throw state.refusal;
			const found = pick(latest());
			if (found !== undefined) resolve(found);
		} catch (error) {
			reject(error);
		}
	};
	const abort = () => reject(cancelled());
	const timer = setTimeout(() => reject(state.trouble ?? onLimit(latest())), limitMs);
	state.listeners.add(look);
	signal?.addEventListener('abort', abort, {once: true});
	look();
	if (signal?.aborted) abort();
	try {
		return await promise;
	} finally {
		clearTimeout(timer);
		state.listeners.delete(look);
		signal?.removeEventListener('abort', abort);
	}
}

type Query = {readonly labelSelector: string};

async function follow(api: KubernetesApi, query: Query, state: State, signal: AbortSignal): Promise<void> {
	while (!signal.aborted) {
		try {
			state.version ??= await list(api, query, state, signal);
			await watch(api, query, state, signal);
		} catch (error) {
			const status = statusOf(error);
			if (status === GONE) state.version = undefined;
			if (status === 401 || status === 403) state.refusal = error as WritError;
			// A stream that broke is no trouble: the next begins where it was.
			if (error instanceof WritError && status !== GONE) state.trouble = error;
		}
		notify(state);
		await delay(PAUSE_MS, undefined, {signal, ref: false}).catch(() => {}); // closing: the loop ends
	}
}

function notify({listeners}: State): void {
	for (const listener of [...listeners]) listener();
}

/** Where a watch has to begin. A pod that was here and is in no list was deleted while nobody looked. */
async function list(api: KubernetesApi, query: Query, state: State, signal: AbortSignal): Promise<string> {
	const found = await api.call('GET', podsOf(api), listSchema, {query, signal});
	const present = new Set<string>();
	for (const item of found.items) {
		const job = see(state, item, false);
		if (job !== undefined) present.add(job);
	}
	for (const [job, {pod}] of state.seen) if (!present.has(job)) state.seen.set(job, {pod, gone: true});
	notify(state);
	return found.metadata.resourceVersion;
}

async function watch(api: KubernetesApi, query: Query, state: State, signal: AbortSignal): Promise<void> {
	const from = {watch: true, allowWatchBookmarks: true, timeoutSeconds: WATCH_SECONDS, resourceVersion: state.version ?? ''};
	const response = await api.open(podsOf(api), {query: {...query, ...from}, signal});
	Object.assign(state, {refusal: undefined, trouble: undefined});
	const silence = setTimeout(() => response.destroy(), SILENCE_MS);
	const abort = () => response.destroy();
	signal.addEventListener('abort', abort, {once: true});
	try {
		const rest = {text: ''};
		for await (const text of response.setEncoding('utf8') as AsyncIterable<string>) {
			silence.refresh();
			const lines = (rest.text + text).split('\n');
			rest.text = lines.pop() ?? '';
			for (const line of lines) take(state, line);
		}
	} finally {
		clearTimeout(silence);
		signal.removeEventListener('abort', abort);
		response.destroy();
	}
}

function take(state: State, line: string): void {
	const event = eventSchema.safeParse(parseJson(line));
	if (!event.success) return; // of a kind that is newer than we are
	const {type, object} = event.data;
	if (type === 'ERROR')
		throw new WritError('sandbox_unavailable', 'the watch is too old', {details: {status: object.code ?? GONE}});
	if (type !== 'BOOKMARK') see(state, object, type === 'DELETED');
	state.version = object.metadata?.resourceVersion ?? state.version;
	notify(state);
}

function see(state: State, object: unknown, gone: boolean): string | undefined {
	const parsed = podSchema.safeParse(object);
	if (!parsed.success) return undefined;
	const labels = parsed.data.metadata.labels ?? {};
	const job = labels[JOB_LABELS[0]] ?? labels[JOB_LABELS[1]];
	if (job !== undefined) state.seen.set(job, {pod: parsed.data, gone});
	return job;
}

function podsOf({namespace}: KubernetesApi): string {
	return `/api/v1/namespaces/${namespace}/pods`;
}
