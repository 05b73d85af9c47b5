/**
 * A real `writ serve` for tests that cross rooms: its own process, its own data directory, a free port. Sample data is ingested
 * once for a given state of the sources and copied from there.
 */
import {type ChildProcess, spawn} from 'node:child_process';
import {createHash} from 'node:crypto';
import {cpSync, globSync, mkdtempSync, readFileSync, renameSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import type {Capsule, ChatResponse, ErrorReply, Verification} from '#contract/api.ts';
import type {Event} from '#contract/event.ts';

export const ROOT = path.resolve(import.meta.dirname, '..');
export const WRIT = path.join(ROOT, 'bin/writ');

/** Whatever ends what was begun: a test's context, or `{after}` of `node:test` for a whole file. */
export type Scope = {after(work: () => Promise<void> | void): void};

const endings = new WeakMap<Scope, (() => Promise<void> | void)[]>();

/** Runs `work` at the end of `scope`, what was begun last first: a server ends before its directory is removed. */
export function atEnd(scope: Scope, work: () => Promise<void> | void): void {
	const known = endings.get(scope);
	if (known) return void known.push(work);
	const stack = [work];
	endings.set(scope, stack);
	scope.after(async () => {
		for (const end of stack.toReversed()) await end();
	});
}

export type Env = Readonly<Record<string, string>>;

export type Ran = {readonly exit: number | null; readonly out: string; readonly err: string};

export type Reply<Body = unknown> = {readonly status: number; readonly headers: Headers; readonly body: Body};

export type Writ = {
	readonly url: string;
	readonly pid: number;
	readonly dataDir: string;
	/** what it wrote so far, to standard output and standard error */
	log(): string;
	request(route: string, init?: RequestInit): Promise<Response>;
	get<Body = unknown>(route: string): Promise<Reply<Body>>;
	post<Body = unknown>(route: string, body?: unknown): Promise<Reply<Body>>;
	/** `POST /chat`, of which success is expected */
	ask(message: string, dataset?: string): Promise<ChatResponse>;
	capsule(runId: string): Promise<Capsule>;
	events(runId: string): Promise<readonly Event[]>;
	verify(runId: string): Promise<Verification>;
	/** Resolves with the exit code, or the signal that ended it. */
	stop(signal?: NodeJS.Signals): Promise<number | NodeJS.Signals>;
};

export type WritOptions = {
	/** by default a fresh one with the samples */
	readonly dataDir?: string;
	readonly env?: Env;
	/** a program and its arguments instead of `bin/writ` */
	readonly command?: readonly [string, ...string[]];
	/** `listening` does not wait for `/readyz` */
	readonly until?: 'ready' | 'listening';
};

/** Starts a server and waits until it serves; it is killed and its directory removed at the end of `scope`. */
export async function startWrit(scope: Scope, options: WritOptions = {}): Promise<Writ> {
	const {env = {}, command = [WRIT], until = 'ready'} = options;
	const dataDir = options.dataDir ?? freshData(scope, await ingestedSamples());
	const [program, ...args] = command;
	const child = spawn(program, [...args, 'serve'], {
		cwd: dataDir,
		env: environment({WRIT_DATA_DIR: dataDir, WRIT_PORT: '0', ...env}),
		stdio: ['ignore', 'pipe', 'pipe'],
	});
	const exited = exitOf(child);
	const kill = async () => {
		child.kill('SIGKILL');
		await exited;
	};
	atEnd(scope, kill);
	const output = {text: ''};
	for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output.text += chunk));
	try {
		const url = await eventually('server that listens', () => {
			if (child.exitCode !== null || child.signalCode !== null) throw new Error('the server ended early');
			return /"url":"(http:[^"]+)","msg":"server.listening"/.exec(output.text)?.[1];
		});
		const writ = connectTo(url, {child, exited, dataDir, output});
		if (until === 'ready')
			await eventually('server that is ready', async () => (await writ.request('/readyz').catch(() => null))?.ok || undefined);
		return writ;
	} catch (error) {
		await kill(); // a file that fails while it is loaded runs no hooks
		throw new Error(`${error instanceof Error ? error.message : error}; it said:\n${output.text}`, {cause: error});
	}
}

type Process = {
	readonly child: ChildProcess;
	readonly exited: Promise<number | NodeJS.Signals>;
	readonly dataDir: string;
	readonly output: {text: string};
};

function connectTo(url: string, {child, exited, dataDir, output}: Process): Writ {
	const request = (route: string, init?: RequestInit) => fetch(new URL(route, url), init);
	const get = async <Body>(route: string) => toReply<Body>(await request(route));
	const post = async <Body>(route: string, body?: unknown) => toReply<Body>(await request(route, jsonPost(body)));
	return {
		url,
		pid: child.pid ?? 0,
		dataDir,
		log: () => output.text,
		request,
		get,
		post,
		async ask(message, dataset = 'support') {
			const {status, body} = await post<ChatResponse & ErrorReply>('/chat', {dataset_id: dataset, message});
			if (status !== 200) throw new Error(`/chat answered ${status}: ${JSON.stringify(body)}`);
			return body;
		},
		capsule: async (runId) => (await get<Capsule>(`/runs/${runId}`)).body,
		async events(runId) {
			const reply = await request(`/runs/${runId}/events`, {headers: {accept: 'application/json'}});
			return ((await reply.json()) as {events: Event[]}).events;
		},
		verify: async (runId) => (await post<Verification>(`/runs/${runId}/verify`)).body,
		async stop(signal = 'SIGTERM') {
			child.kill(signal);
			return exited;
		},
	};
}

/** Runs one command line as a person types it. */
export async function runWrit(args: readonly string[], {env = {}, cwd = tmpdir(), input = ''} = {}): Promise<Ran> {
	const child = spawn(WRIT, args, {cwd, env: environment(env), stdio: ['pipe', 'pipe', 'pipe']});
	const [out, err]: [Buffer[], Buffer[]] = [[], []];
	child.stdout.on('data', (chunk: Buffer) => void out.push(chunk));
	child.stderr.on('data', (chunk: Buffer) => void err.push(chunk));
	child.stdin.end(input);
	const exit = await new Promise<number | null>((resolve) => child.once('close', resolve));
	return {exit, out: Buffer.concat(out).toString(), err: Buffer.concat(err).toString()};
}

export function jsonPost(body: unknown): RequestInit {
	const headers = {'content-type': 'application/json'};
	return {method: 'POST', headers, ...(body === undefined ? {} : {body: JSON.stringify(body)})};
}

/** A directory of its own, with a copy of `source` in it if there is one; removed at the end of `scope`. */
export function freshData(scope: Scope, source?: string): string {
	const directory = mkdtempSync(path.join(tmpdir(), 'writ-test-'));
	atEnd(scope, () => rmSync(directory, {recursive: true, force: true}));
	if (source !== undefined) cpSync(source, directory, {recursive: true});
	return directory;
}

/** A data directory with the three samples, made by the sources as they are. Copy it; do not serve from it. */
export async function ingestedSamples(): Promise<string> {
	const place = path.join(tmpdir(), `writ-test-samples-${process.getuid?.() ?? 0}-${stateOfSources()}`);
	const made = () => globSync('datasets/local/*/current', {cwd: place}).length === 3;
	if (made()) return place;
	const building = mkdtempSync(`${place}-`);
	const {exit, err} = await runWrit(['datasets', 'samples'], {env: {WRIT_DATA_DIR: building, WRIT_PORT: '1'}});
	if (exit !== 0) throw new Error(`the samples could not be made:\n${err}`);
	try {
		renameSync(building, place);
	} catch (error) {
		rmSync(building, {recursive: true, force: true});
		if (!made()) throw error; // another test file was quicker
	}
	return place;
}

function stateOfSources(): string {
	const hash = createHash('sha256');
	for (const file of globSync('src/**/*.{ts,py,cedar,cedarschema}', {cwd: ROOT, exclude: ['**/*.test.ts']}).sort())
		hash.update(file).update(readFileSync(path.join(ROOT, file)));
	return hash.digest('hex').slice(0, 16);
}

/** Polls until there is something; fails with what was awaited. */
export async function eventually<T>(
	what: string,
	look: () => T | undefined | Promise<T | undefined>,
	withinMs = 30_000,
): Promise<T> {
	for (const end = Date.now() + withinMs; Date.now() < end; await delay(10)) {
		const found = await look();
		if (found !== undefined) return found;
	}
	throw new Error(`there was no ${what} within ${withinMs} ms`);
}

/** None of the settings of whoever runs the tests. */
function environment(changes: Env): NodeJS.ProcessEnv {
	const {PATH, HOME, TMPDIR, LANG} = process.env;
	const kept = Object.fromEntries(Object.entries({PATH, HOME, TMPDIR, LANG}).filter(([, value]) => value !== undefined));
	return {...kept, NO_COLOR: '1', ...changes};
}

function exitOf(child: ChildProcess): Promise<number | NodeJS.Signals> {
	return new Promise((resolve) => child.once('exit', (code, signal) => resolve(code ?? signal ?? 0)));
}

async function toReply<Body>(response: Response): Promise<Reply<Body>> {
	const text = await response.text();
	const json = response.headers.get('content-type')?.includes('json');
	return {status: response.status, headers: response.headers, body: (json ? JSON.parse(text) : text) as Body};
}
