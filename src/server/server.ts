/**
 * The HTTP server: routes, and in what order a request passes its guards. A request becomes a call of `ServerDeps`, an event a
 * frame, an error a status. Nothing here decides what an agent may do, and nothing is kept but connections.
 */
import {Server as HttpServer} from 'node:http';
import {createAdaptorServer, type ServerType} from '@hono/node-server';
import {bodyLimit} from 'hono/body-limit';
import {createMiddleware} from 'hono/factory';
import {WritError} from '#contract/errors.ts';
import {asRequest} from '#evidence/origin.ts';
import {accessLog} from './access-log.ts';
import {type AppEnv, createRouter} from './context.ts';
import type {ServerDeps} from './deps.ts';
import {DOCS_CSP, renderDocs} from './docs-page.ts';
import {assertSafeAddress, authenticate, guardHost, requireJson, secureHeaders} from './guard.ts';
import {createMetrics, type Metrics} from './metrics.ts';
import {describeApi, type OpenApiDocument} from './openapi.ts';
import {originOf} from './origin.ts';
import {servePage} from './page.ts';
import {limitRate, limitStrangers} from './rate-limit.ts';
import {replyError, replyUnknownRoute} from './reply-error.ts';
import {requireRole} from './rights.ts';
import {approvalRoutes} from './routes/approvals.ts';
import {chatRoutes, type TurnContext} from './routes/chat.ts';
import {codeRoutes} from './routes/code.ts';
import {datasetRoutes} from './routes/datasets.ts';
import {evidenceRoutes} from './routes/evidence.ts';
import {governanceRoutes} from './routes/governance.ts';
import {identityRoutes} from './routes/identity.ts';
import {operationRoutes} from './routes/operation.ts';
import {policyRoutes} from './routes/policy.ts';
import {retentionRoutes} from './routes/retention.ts';
import {runRoutes} from './routes/runs.ts';
import {streamRoutes} from './routes/streams.ts';
import {threadRoutes} from './routes/threads.ts';
import {signInRoutes} from './sign-in.ts';
import {createTurns, type Turns} from './turns.ts';

export type Running = {
	/** with the port it really has */
	readonly url: string;
	/** Takes no more requests, lets runs finish or cancels them, ends streams; resolves when nothing is left. */
	close(): Promise<void>;
};

export type Server = {
	readonly fetch: (request: Request) => Response | Promise<Response>;
	readonly openapi: () => OpenApiDocument;
	/** For a server that does not listen: lets runs finish or cancels them, and ends streams. */
	stop(): Promise<void>;
	/** Throws `invalid_config` when the address cannot be had. */
	listen(): Promise<Running>;
};

/** The type of the API, from which the typed client is made. */
export type Api = ReturnType<typeof mountRoutes>;

/** Throws `invalid_config` for an address that others reach and no tokens. */
export function createServer(deps: ServerDeps): Server {
	const {options, log} = deps;
	assertSafeAddress(deps);
	const stopping = new AbortController();
	const state = {port: null as number | null, draining: false};
	const turns = createTurns({
		maxConcurrent: options.maxConcurrentRuns,
		graceMs: options.disconnectGraceMs,
		report: (error) => {
			if (!(error instanceof WritError)) log.error('turn.failed', {error});
		},
	});
	const metrics = createMetrics({pools: deps.pools, inFlight: turns.inFlight, tools: deps.tools.map(({name}) => name)});
	const unwatch = deps.watch((event) => {
		metrics.observe(event);
		deps.tracing.observe(event);
	});

	const app = createRouter();
	app.onError(replyError(log, deps.redact));
	app.notFound(replyUnknownRoute(deps.redact));
	app.use(accessLog({log, metrics, tracing: deps.tracing}), secureHeaders);
	app.use(guardHost(options, () => state.port));
	app.use(
		servePage(options.pageDir),
		refuseWhile(() => state.draining),
	);
	const now = () => deps.clock.now().getTime();
	app.use(limitStrangers(options, now), authenticate(deps), limitRate(options, now));
	app.use((c, next) => asRequest(originOf(c, options), next));
	app.use(requireRole, requireJson, limitBody(options.maxJsonBytes));
	const openapi = lazily(() => describeApi(app, deps.version));
	const docs = lazily(() => renderDocs(openapi()));
	app.get('/openapi.json', (c) => c.json(openapi()));
	app.get('/docs', (c) => c.html(docs(), 200, {'content-security-policy': DOCS_CSP}));
	app.route('/', signInRoutes(deps));
	mountRoutes(app, {deps, turns, metrics, stopping: stopping.signal}, () => state.draining);

	const stop = lazily(async () => {
		state.draining = true;
		await turns.drain(options.shutdownMs);
		stopping.abort();
		unwatch();
	});
	return {
		stop,
		fetch: (request) => app.fetch(request),
		openapi,
		async listen() {
			const server = createAdaptorServer({fetch: app.fetch, serverOptions: TIMEOUTS});
			state.port = await bind(server, options);
			const url = `http://${options.host.includes(':') ? `[${options.host}]` : options.host}:${state.port}`;
			log.info('server.listening', {url});
			const closed = lazily(() => closeServer(server, stop, deps));
			return {url, close: closed};
		},
	};
}

/** The API as a document, without a server behind it. */
export function describeServer(version: string): OpenApiDocument {
	const app = createRouter();
	// Routes touch what they are handed only when they are asked.
	const nothing = {deps: {} as ServerDeps, turns: {} as Turns, metrics: {} as Metrics, stopping: AbortSignal.abort()};
	mountRoutes(app, nothing, () => false);
	return describeApi(app, version);
}

function mountRoutes(app: ReturnType<typeof createRouter>, context: TurnContext, isDraining: () => boolean) {
	return app
		.route('/', chatRoutes(context))
		.route('/', codeRoutes(context))
		.route('/', runRoutes(context))
		.route('/', streamRoutes(context))
		.route('/', datasetRoutes(context))
		.route('/', threadRoutes(context.deps))
		.route('/', approvalRoutes(context))
		.route('/', governanceRoutes(context))
		.route('/', evidenceRoutes(context))
		.route('/', retentionRoutes(context.deps))
		.route('/', policyRoutes(context.deps))
		.route('/', identityRoutes(context.deps))
		.route('/', operationRoutes(context.deps, context.metrics, isDraining));
}

/** Time for a client to send its headers, and its whole request: an upload of gigabytes takes a while. */
const TIMEOUTS = {headersTimeout: 15_000, requestTimeout: 3_600_000, keepAliveTimeout: 15_000};

/** Connections that are still busy after their runs have ended are cut. */
const CUT_AFTER_MS = 1_000;
/** How often connections that a client keeps for later are let go meanwhile. */
const IDLE_MS = 10;

async function closeServer(server: ServerType, stop: () => Promise<void>, {log, tracing}: ServerDeps): Promise<void> {
	log.info('server.stopping');
	const closed = new Promise<void>((resolve) => server.close(() => resolve()));
	await stop();
	if (server instanceof HttpServer) {
		const idle = setInterval(() => server.closeIdleConnections(), IDLE_MS);
		const cut = setTimeout(() => server.closeAllConnections(), CUT_AFTER_MS);
		await closed;
		clearInterval(idle);
		clearTimeout(cut);
	}
	await tracing.close();
}

function bind(server: ServerType, {host, port}: ServerDeps['options']): Promise<number> {
	const {promise, resolve, reject} = Promise.withResolvers<number>();
	server.once('error', (cause) =>
		reject(
			new WritError('invalid_config', `cannot listen on ${host}:${port}: ${cause.message}`, {
				hint: 'another server may have the port; choose another with --port or WRIT_PORT',
				cause,
			}),
		),
	);
	server.listen(port, host, () => {
		const address = server.address();
		resolve(typeof address === 'object' && address ? address.port : port);
	});
	return promise;
}

function refuseWhile(isDraining: () => boolean) {
	return createMiddleware<AppEnv>(async (c, next) => {
		if (!isDraining() || /^\/(healthz|readyz|metrics)$/.test(c.req.path)) return next();
		c.header('connection', 'close');
		throw new WritError('not_ready', 'the server is stopping', {hint: 'try again shortly'});
	});
}

/** Uploads have a limit of their own, counted while they stream. */
function limitBody(maxSize: number) {
	const limit = bodyLimit({
		maxSize,
		onError: () => {
			throw new WritError('request_too_large', `the body is larger than ${maxSize} bytes`, {
				details: {limit: 'maxJsonBytes', value: maxSize},
			});
		},
	});
	return createMiddleware<AppEnv>((c, next) =>
		/^multipart\/form-data\b/i.test(c.req.header('content-type') ?? '') ? next() : limit(c, next),
	);
}

function lazily<T>(make: () => T): () => T {
	const state: {made?: {value: T}} = {};
	return () => {
		state.made ??= {value: make()};
		return state.made.value;
	};
}
