import {createRoute, z} from '@hono/zod-openapi';
import {WritError} from '#contract/errors.ts';
import {EVENTS} from '#contract/event.ts';
import {turnEventSchema} from '#contract/stream.ts';
import {createRouter} from '../context.ts';
import type {ServerDeps} from '../deps.ts';
import {ownRun, toResponse} from '../shapes.ts';
import {eventStream, type SseFrame} from '../sse.ts';
import {seenFrames, streamTurn, type TurnContext} from './chat.ts';

const params = z.object({run_id: z.string().min(1).max(200)});

/** An event as it is stored; `data` has the shape its type has in `EVENTS`. */
const storedEventSchema = z.object({
	v: z.literal(1),
	runId: z.string(),
	seq: z.int(),
	at: z.string(),
	type: z.enum(Object.keys(EVENTS) as [keyof typeof EVENTS]),
	actor: z.object({kind: z.string(), id: z.string(), tenant: z.string()}),
	data: z.unknown(),
	prev: z.string(),
	hash: z.string(),
});

const events = createRoute({
	method: 'get',
	path: '/runs/{run_id}/events',
	operationId: 'followEvents',
	tags: ['runs'],
	summary: 'The durable events of a run, then new ones as they are recorded',
	description: 'Server-sent events whose id is the seq; with `Accept: application/json` the events so far as one document.',
	request: {params},
	responses: {
		200: {
			description: 'the events',
			content: {
				'text/event-stream': {schema: storedEventSchema},
				'application/json': {schema: z.object({events: z.array(storedEventSchema)})},
			},
		},
		204: {description: 'the run has ended and the client has seen all of it; do not reconnect'},
	},
});
const stream = createRoute({
	method: 'get',
	path: '/runs/{run_id}/stream',
	operationId: 'followTurn',
	tags: ['chat'],
	summary: 'Join a turn in progress, or one that just ended, after the frame named by Last-Event-ID',
	request: {params},
	responses: {200: {description: 'the turn as it happens', content: {'text/event-stream': {schema: turnEventSchema}}}},
});

/** Open event streams of this process; each costs a read of its run whenever something happens. */
const MAX_WATCHERS = 256;

export function streamRoutes({deps, turns, stopping}: TurnContext) {
	const {store, options, redact} = deps;
	const watchers = {open: 0};
	const watch = (frames: (signal: AbortSignal) => AsyncIterable<SseFrame>) => {
		if (watchers.open >= MAX_WATCHERS) {
			throw new WritError('rate_limited', `${MAX_WATCHERS} event streams are open already`, {
				hint: 'close one, or ask for the events as JSON',
			});
		}
		watchers.open += 1;
		const closed = () => {
			watchers.open -= 1;
		};
		return eventStream(frames, {heartbeatMs: options.heartbeatMs, redact, signal: stopping, closed}) as never;
	};
	return createRouter()
		.openapi(events, async (c) => {
			const row = await ownRun(store, c.get('principal').tenant, c.req.valid('param').run_id);
			const after = seenEvents(c.req.header('last-event-id'));
			const accept = c.req.header('accept') ?? '';
			if (accept.includes('application/json') && !accept.includes('text/event-stream')) {
				return c.json({events: await store.read(row.runId, after)}, 200) as never;
			}
			if (row.finishedAt !== null && after >= row.seq) return c.body(null, 204) as never;
			const frames = (signal: AbortSignal) => followEvents(deps, {runId: row.runId, after}, signal);
			return watch(frames);
		})
		.openapi(stream, async (c) => {
			const {runId, tenant} = await ownRun(store, c.get('principal').tenant, c.req.valid('param').run_id);
			const after = seenFrames(runId, c.req.header('last-event-id'));
			const turn = turns.find(runId);
			if (turn) return streamTurn({turn, runId, after}, deps) as never;
			const frames = (signal: AbortSignal) => awaitResult(deps, {runId, tenant}, signal);
			return watch(frames);
		});
}

function seenEvents(lastEventId: string | undefined): number {
	if (!lastEventId) return 0;
	if (/^\d{1,9}$/.test(lastEventId)) return Number(lastEventId);
	throw new WritError('invalid_request', 'Last-Event-ID is not the seq of an event');
}

async function* followEvents(
	{store}: ServerDeps,
	{runId, after}: {runId: string; after: number},
	signal: AbortSignal,
): AsyncIterable<SseFrame> {
	for await (const event of store.subscribe(runId, after, signal)) {
		yield {event: event.type, id: String(event.seq), data: event};
		if (event.type === 'run.finished') return;
	}
}

/** A turn of another process, or one long over: its frames are gone, its answer is not. */
async function* awaitResult(
	deps: ServerDeps,
	{runId, tenant}: {runId: string; tenant: string},
	signal: AbortSignal,
): AsyncIterable<SseFrame> {
	const row = await deps.store.run(runId);
	if (row?.status === 'running') for await (const _ of followEvents(deps, {runId, after: 0}, signal));
	if (signal.aborted) return;
	const capsule = await deps.analyst.capsule(tenant, runId);
	yield {event: 'result', id: '', data: toResponse(capsule)};
	yield {event: 'done', id: '', data: {run_id: runId}};
}
