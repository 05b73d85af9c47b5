/** A whole server on an in-memory store, with an analyst that does as its question says. */
import {randomUUID} from 'node:crypto';
import {mkdtempSync, rmSync} from 'node:fs';
import {mkdtemp, readFile, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {WritError} from '#contract/errors.ts';
import type {ModeReply} from '#contract/mode.ts';
import {createIdentity} from '#identity/identity.ts';
import type {Store} from '#kernel/ports.ts';
import {UNLIMITED} from '#kernel/storage.ts';
import {openMemory} from '#store/memory.ts';
import type {ServerDeps, ServerOptions} from '../deps.ts';
import {createLog} from '../log.ts';
import {createServer, type Running, type Server} from '../server.ts';
import {noTracing} from '../tracing.ts';
import {type AnalystDouble, createAnalystDouble} from './analyst.ts';

const RUNNING: ModeReply = {mode: 'execute', number: 0, since: null, by: null, reason: '', asked: null, scoped: [], defaults: []};

export type TestServer = {
	readonly server: Server;
	readonly store: Store;
	readonly analyst: AnalystDouble;
	readonly options: ServerOptions;
	readonly logged: string[];
	/** where its uploads and exports are */
	readonly dir: string;
	/** without a socket */
	ask(path: string, init?: RequestInit): Promise<Response>;
	post(path: string, body: unknown, headers?: Record<string, string>): Promise<Response>;
};

export const ORIGIN = 'http://127.0.0.1:8000';

const place = mkdtempSync(join(tmpdir(), 'writ-server-'));
process.once('exit', () => rmSync(place, {recursive: true, force: true}));

export function testServer(changes: Partial<ServerOptions> = {}, more: Partial<ServerDeps> = {}): TestServer {
	const store = openMemory();
	const dir = mkdtempSync(join(place, 'server-'));
	const options: ServerOptions = {...DEFAULTS, uploadDir: join(dir, 'uploads'), ...changes};
	const analyst = createAnalystDouble(store, {
		read: (path) => readFile(path, 'utf8'),
		async export() {
			const path = join(await mkdtemp(join(dir, 'export-')), 'out');
			await writeFile(path, 'n\n2\n');
			return path;
		},
	});
	const logged: string[] = [];
	const log = createLog({
		level: 'debug',
		redact: (value) => ({value, count: 0}),
		destination: {write: (line: string) => void logged.push(line)},
	});
	const server = createServer({...ports(store), analyst, log, options, identity: identityOf(store, options, more), ...more});
	const ask = async (path: string, init?: RequestInit) => server.fetch(new Request(new URL(path, ORIGIN), init));
	const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
		ask(path, {method: 'POST', body: JSON.stringify(body), headers: {'content-type': 'application/json', ...headers}});
	return {server, store, analyst, options, logged, dir, ask, post};
}

const DEFAULTS = {
	host: '127.0.0.1',
	port: 0,
	allowedHosts: [],
	publicUrl: null,
	authTokens: [],
	maxJsonBytes: 2 ** 20,
	maxUploadBytes: 2 ** 20,
	maxUploadFiles: 3,
	requestsPerMinute: 60_000,
	burst: 1_000,
	maxConcurrentRuns: 8,
	heartbeatMs: 60_000,
	disconnectGraceMs: 60_000,
	shutdownMs: 1_000,
	uploadDir: '',
	pageDir: null,
} satisfies ServerOptions;

/** As in a real server; only what is put on record is kept nowhere. */
export function identityOf(
	{identity: store}: Store,
	{authTokens}: Pick<ServerOptions, 'authTokens'>,
	{clock = {now: () => new Date()}}: Partial<ServerDeps> = {},
) {
	return createIdentity({
		...{store, clock, configured: authTokens, signIn: null, sessionIdleMs: 60_000},
		newId: (prefix) => `${prefix}_${randomUUID()}`,
		single: authTokens.length === 0 ? {kind: 'user', id: 'local', tenant: 'local'} : null,
		record: async () => {},
		redact: (value) => ({value, count: 0}),
	});
}

function ports(store: Store): Omit<ServerDeps, 'analyst' | 'log' | 'options' | 'identity'> {
	return {
		store,
		files: {erase: async () => {}, put: async () => '', open: () => Promise.reject(new WritError('not_found', 'File not found'))},
		tools: [],
		storage: UNLIMITED,
		budget: async (tenant) => ({tenant, window: null, budgets: []}),
		policy: () => ({version: 'p1', gates: ['permission'], sources: [], document: {version: 1}, problems: []}),
		policies: {
			reload: async () => ({kind: 'unchanged', version: 'p1', previous: 'p1', problems: []}),
			explain: () => Promise.reject(new WritError('not_found', 'no such run')),
			check: async () => ({version: 'p2', problems: [], comparison: null, results: []}),
			backtest: () => Promise.reject(new WritError('not_found', 'no runs')),
		},
		approving: {
			async answer({approvalId}) {
				const row = await store.approval(approvalId);
				if (!row) throw new WritError('not_found', 'Approval not found');
				return row;
			},
			rate: async () => ({granted: 0, limit: 10, windowSeconds: 600}),
		},
		evidence: {
			verify: async (runId) => ({verdict: 'valid', runId, events: 2, keyId: null, checks: [], position: null}),
			replay: async (runId) => ({
				runId: 'run_2',
				replayOf: runId,
				verdict: 'same',
				reason: 'the result is the same',
				actions: [],
				changed: [],
			}),
			pack: async (runId) => ({name: `${runId}.json`, mediaType: 'application/json', body: new TextEncoder().encode('{}')}),
		},
		ready: async () => [{name: 'store', ok: true, required: true, why: 'it can be written', fix: null}],
		recordAudit: async () => {},
		holds: {
			list: async () => [],
			place: () => Promise.reject(new WritError('not_found', 'no such run')),
			release: () => Promise.reject(new WritError('not_found', 'no such hold')),
		},
		retention: {
			preview: async () => ({rules: [], runs: 0, bytes: 0, holds: 0}),
			run: async () => ({erased: 0, bytesBefore: 0, bytesAfter: 0, files: 0, snapshots: 0, isDone: true}),
		},
		killSwitch: {state: () => RUNNING, change: async ({mode, reason}, by) => ({...RUNNING, number: 1, mode, reason, by})},
		redact: (value: unknown) => ({value, count: 0}),
		doctor: async () => [{name: 'node', ok: true, required: true, why: 'it is new enough', fix: null}],
		config: () => ({settings: []}),
		watch: () => () => {},
		pools: () => ({sql: {idle: 1, busy: 0}}),
		tracing: noTracing,
		clock: {now: () => new Date()},
		version: '0.0.0',
	};
}

/** Listens on a free port for as long as `work` takes. */
export async function listening<T>(server: Server, work: (running: Running) => Promise<T>): Promise<T> {
	const running = await server.listen();
	try {
		return await work(running);
	} finally {
		await running.close();
	}
}
