import {createRoute, type z} from '@hono/zod-openapi';
import {type ChatRequest, chatRequestSchema, chatResponseSchema, runRequestSchema} from '#contract/api.ts';
import {WritError} from '#contract/errors.ts';
import {turnEventSchema} from '#contract/stream.ts';
import {type AppContext, callerOf, createRouter} from '../context.ts';
import type {ServerDeps} from '../deps.ts';
import type {Metrics} from '../metrics.ts';
import {eventStream, type SseFrame} from '../sse.ts';
import type {Turn, TurnHooks, Turns} from '../turns.ts';

const body = <T extends z.ZodType>(schema: T) => ({body: {content: {'application/json': {schema}}, required: true}});
const answer = {
	description: 'the answer; a query that failed or was refused says so in `status`',
	content: {'application/json': {schema: chatResponseSchema}},
};

const chat = createRoute({
	method: 'post',
	path: '/chat',
	operationId: 'chat',
	tags: ['chat'],
	summary: 'Ask a question; `SQL:` or `PYTHON:` in front runs the rest as code',
	request: body(chatRequestSchema),
	responses: {200: answer},
});

const chatStream = createRoute({
	method: 'post',
	path: '/chat/stream',
	operationId: 'streamChat',
	tags: ['chat'],
	summary: 'The same turn as server-sent events, each with an id',
	request: body(chatRequestSchema),
	responses: {200: {description: 'the turn as it happens', content: {'text/event-stream': {schema: turnEventSchema}}}},
});

const run = createRoute({
	method: 'post',
	path: '/runs',
	operationId: 'run',
	tags: ['runs'],
	summary: 'Run SQL, Python or a query plan, without an agent',
	request: body(runRequestSchema),
	responses: {200: answer},
});

export type TurnContext = {
	readonly deps: ServerDeps;
	readonly turns: Turns;
	readonly metrics: Metrics;
	readonly stopping: AbortSignal;
};

export function chatRoutes({deps, turns, metrics}: TurnContext) {
	const {analyst} = deps;
	return createRouter()
		.openapi(chat, async (c) => {
			const request = c.req.valid('json');
			const turn = startTurn(c, turns, (caller) => analyst.chat(request, caller));
			countTurn(turn, metrics, {endpoint: '/chat', message: request.message});
			const response = await finishTurn(c, turn);
			c.set('threadId', response.thread_id ?? undefined);
			return c.json(response, 200);
		})
		.openapi(chatStream, async (c) => {
			const request = c.req.valid('json');
			const turn = startTurn(c, turns, (caller) => analyst.chat(request, caller));
			countTurn(turn, metrics, {endpoint: '/chat/stream', message: request.message});
			// Refusals before the run exists, such as an unknown dataset, still have a status to answer with.
			const runId = await turn.accepted;
			return streamTurn({turn, runId, after: 0}, deps) as never;
		})
		.openapi(run, async (c) => {
			const request = c.req.valid('json');
			const turn = startTurn(c, turns, (caller) => analyst.run(request, caller));
			return c.json(await finishTurn(c, turn), 200);
		});
}

type Caller = ReturnType<typeof callerOf> & TurnHooks;

/** Starts a turn for this request, which is told the run's id for the log and the trace. */
export function startTurn(
	c: AppContext,
	turns: Turns,
	work: (caller: Caller) => ReturnType<ServerDeps['analyst']['chat']>,
): Turn {
	const caller = callerOf(c);
	return turns.start(caller.principal.tenant, (hooks) =>
		work({
			...caller,
			...hooks,
			accepted(runId) {
				c.set('runId', runId);
				c.get('span').accepted(runId);
				hooks.accepted(runId);
			},
		}),
	);
}

/** Waits for the answer as long as the client does; when it has gone, so has the turn's only watcher. */
export async function finishTurn(c: AppContext, turn: Turn) {
	const leave = turn.watch();
	const {signal} = c.req.raw;
	signal.addEventListener('abort', leave, {once: true});
	if (signal.aborted) leave();
	try {
		return await turn.finished;
	} finally {
		signal.removeEventListener('abort', leave);
		leave();
	}
}

type Place = {readonly turn: Turn; readonly runId: string; readonly after: number};

/** Ends when the turn does; a stopping server ends its turns. */
export function streamTurn({turn, runId, after}: Place, {options, redact}: ServerDeps): Response {
	const closed = turn.watch();
	async function* frames(signal: AbortSignal): AsyncIterable<SseFrame> {
		for await (const {n, event} of turn.follow(after, signal)) yield {event: event.event, id: `${runId}:${n}`, data: event.data};
	}
	return eventStream(frames, {heartbeatMs: options.heartbeatMs, redact, closed});
}

/** How many frames of `runId` a reconnecting client has seen. */
export function seenFrames(runId: string, lastEventId: string | undefined): number {
	if (lastEventId === undefined || lastEventId === '') return 0;
	const [, run, n] = /^(.+):(\d{1,9})$/.exec(lastEventId) ?? [];
	if (run !== runId)
		throw new WritError('invalid_request', 'Last-Event-ID is not an id of this run', {hint: `expected ${runId}:<number>`});
	return Number(n);
}

function countTurn(turn: Turn, metrics: Metrics, {endpoint, message}: {endpoint: string; message: ChatRequest['message']}): void {
	const inputMode = /^\s*(sql|python):/i.exec(message)?.[1]?.toLowerCase() ?? 'agent';
	const count = (status: string) => metrics.turn({endpoint, inputMode, status});
	turn.finished.then(
		({status}) => count(status),
		() => count('error'),
	);
}
