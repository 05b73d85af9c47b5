/** A runner in a container of its own: made, attached to, started, watched, and removed. */
import {readFileSync} from 'node:fs';
import type {Duplex} from 'node:stream';
import {setTimeout as delay} from 'node:timers/promises';
import {z} from 'zod';
import type {Isolation, SandboxSpec} from '#contract/sandbox.ts';
import type {Death} from '../endings.ts';
import {groupOf} from '../process/cgroup.ts';
import {isAlive, type ProcessIdentity, readIdentity} from '../process-identity.ts';
import type {StartedRunner} from '../supervise.ts';
import type {DockerApi} from './api.ts';
import {removeContainer} from './owner.ts';
import {separate} from './streams.ts';

type Made = {
	readonly api: DockerApi;
	/** one that we chose: known even when the answer to its making was lost */
	readonly name: string;
	readonly body: object;
	readonly spec: SandboxSpec;
	readonly isolation: Isolation;
	/** what is left to do once the container is gone */
	cleanUp(): Promise<void>;
};

const createdSchema = z.looseObject({Id: z.string()});
const exitSchema = z.looseObject({StatusCode: z.int(), Error: z.looseObject({Message: z.string()}).nullish()});
const stateSchema = z.looseObject({State: z.looseObject({Pid: z.int(), OOMKilled: z.boolean()})});
const statsSchema = z.looseObject({
	cpu_stats: z.looseObject({cpu_usage: z.looseObject({total_usage: z.number()}).optional()}).optional(),
	memory_stats: z.looseObject({max_usage: z.int().optional(), usage: z.int().optional()}).optional(),
});

const START_LIMIT_MS = 15_000;
const CLOSED_LIMIT_MS = 1_000;
const ENDED_LIMIT_MS = 5_000;
const KILLED = 137;

/** Resolves when the container runs. What was made of it when that fails is gone again. */
export async function startContainer({api, name, body, spec, isolation, cleanUp}: Made): Promise<StartedRunner> {
	try {
		const {Id: id} = await api.call('POST', '/containers/create', createdSchema, {query: {name}, body, limitMs: START_LIMIT_MS});
		const streams = {stream: 'true', stdin: 'true', stdout: 'true', stderr: 'true'};
		const connection = await api.hijack(`/containers/${id}/attach`, {query: streams});
		const runner = createRunner(api, id, connection);
		await api.call('POST', `/containers/${id}/start`, z.unknown(), {limitMs: START_LIMIT_MS}).catch((error) => {
			connection.destroy();
			throw error;
		});
		const remove = async () => {
			await runner.remove();
			await cleanUp();
		};
		return {...runner.watch(), spec, isolation, cleanUp: remove};
	} catch (error) {
		await removeContainer(api, name).catch(() => {}); // the next sweep finds it
		throw error;
	}
}

type State = {
	group: ReturnType<typeof groupOf>;
	init: ProcessIdentity | undefined;
	/** what it was seen to have run into; its control group dies with it */
	exceeded: Death['exceeded'];
	isKilled: boolean;
	readonly printedAt: () => number | undefined;
};

type Runner = {
	watch(): Omit<StartedRunner, 'spec' | 'isolation' | 'cleanUp'>;
	remove(): Promise<void>;
};

function createRunner(api: DockerApi, id: string, connection: Duplex): Runner {
	const {stdout, stderr, ended, printedAt} = separate(connection);
	const state: State = {group: undefined, init: undefined, exceeded: [], isKilled: false, printedAt};
	const gone = new AbortController();
	const inspect = () => api.call('GET', `/containers/${id}/json`, stateSchema);
	const exceeded = () => {
		const now = quietly(() => state.group?.exceeded()) ?? [];
		state.exceeded = [...new Set([...state.exceeded, ...now])];
		return state.exceeded;
	};
	const kill = () => {
		state.isKilled = true;
		exceeded();
		// Sooner than by the engine, which starts a program for it.
		if (!signalInit(state.init)) void killContainer(api, id);
		// An engine that hangs would not say that it ended.
		void delay(ENDED_LIMIT_MS, undefined, {signal: gone.signal}).then(
			() => gone.abort(),
			() => {},
		);
	};
	const exit = async (): Promise<Omit<Death, 'stderr'>> => {
		const wait = {query: {condition: 'not-running'}, limitMs: null, signal: gone.signal};
		const [{StatusCode: code}] = await Promise.all([api.call('POST', `/containers/${id}/wait`, exitSchema, wait), ended]);
		// Nothing inside can kill the first process: it was us, or the kernel for want of memory.
		if (code === KILLED && !state.isKilled && (await isOutOfMemory(inspect))) state.exceeded = ['memoryBytes'];
		return {code, by: null, exceeded: state.exceeded};
	};
	return {
		watch() {
			inspect().then(
				({State: {Pid}}) => quietly(() => adopt(state, Pid, id)),
				() => {}, // the engine went away, which the wait for its end says
			);
			const exited = exit();
			exited.catch(kill);
			// Who has closed all its outputs can answer nothing any more.
			void ended.then(() => delay(CLOSED_LIMIT_MS, undefined, {signal: gone.signal})).then(kill, () => {});
			return {
				...{requests: connection, frames: stdout, stdout: null, stderr, exited, kill, exceeded},
				usage: () => measure(api, id, state),
				processBytes: () => quietly(() => state.group?.processBytes()) ?? 0,
				cpuMs: () => quietly(() => state.group?.usage().cpuMs) ?? null,
			};
		},
		async remove() {
			gone.abort();
			try {
				await removeContainer(api, id);
			} catch (error) {
				signalInit(state.init);
				throw error;
			} finally {
				connection.destroy();
			}
		},
	};
}

/** Its process and control group, where they are those of this container: an engine may live among other processes than we do. */
function adopt(state: State, pid: number, id: string): void {
	if (pid === 0 || !readFileSync(`/proc/${pid}/cgroup`, 'utf8').includes(id)) return;
	state.init = readIdentity(pid);
	state.group = groupOf(pid);
}

async function killContainer(api: DockerApi, id: string): Promise<void> {
	const query = {signal: 'KILL'};
	// Whether it was there to be killed shows at its end.
	await api.call('POST', `/containers/${id}/kill`, z.unknown(), {query, limitMs: CALL_LIMIT_MS}).catch(() => {});
}

const CALL_LIMIT_MS = 1_000;

/** True when the container's first process was killed, and all others with it. We may not be allowed to, or not be where it is. */
function signalInit(init: ProcessIdentity | undefined): boolean {
	return quietly(() => init !== undefined && isAlive(init) && process.kill(init.pid, 'SIGKILL')) ?? false;
}

/** The engine hears of it from the kernel, which may be after the end. */
async function isOutOfMemory(inspect: () => Promise<z.infer<typeof stateSchema>>): Promise<boolean> {
	for (const pause of [0, 20, 50, 100, 200]) {
		await delay(pause);
		if ((await inspect()).State.OOMKilled) return true;
	}
	return false;
}

type Consumption = Awaited<ReturnType<StartedRunner['usage']>>;

async function measure(api: DockerApi, id: string, state: State): Promise<Consumption> {
	await untilPrinted(state);
	const own = quietly(() => state.group?.usage());
	if (own) return own;
	const query = {stream: 'false', 'one-shot': 'true'};
	const stats = await api.call('GET', `/containers/${id}/stats`, statsSchema, {query, limitMs: CALL_LIMIT_MS}).catch(() => null);
	const nanoseconds = stats?.cpu_stats?.cpu_usage?.total_usage ?? 0;
	return {cpuMs: nanoseconds > 0 ? nanoseconds / 1e6 : null, peakMemoryBytes: stats?.memory_stats?.max_usage ?? null};
}

/** What was printed comes by another way than the frames, and may be behind them: when there was something, wait until no more comes. */
async function untilPrinted({printedAt}: State): Promise<void> {
	const limit = performance.now() + PRINTING_LIMIT_MS;
	for (let at = printedAt(); at !== undefined && performance.now() < Math.min(at + QUIET_MS, limit); at = printedAt())
		await delay(1);
}

const QUIET_MS = 5;
const PRINTING_LIMIT_MS = 50;

/** What is read of a container's processes and control group may end while it is read. */
function quietly<T>(read: () => T): T | undefined {
	try {
		return read();
	} catch {
		return undefined;
	}
}
