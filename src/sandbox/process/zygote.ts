/**
 * The platform's side of a zygote: a process that has imported a runner and forks a child of it for each run, in a sandbox of its own.
 * Its keeper (zygote-keeper.py) is started here, asked for children, and says how each ended; their streams come straight from them.
 */
import {type ChildProcess, spawn} from 'node:child_process';
import {once} from 'node:events';
import {connect, Socket} from 'node:net';
import {join} from 'node:path';
import {createInterface} from 'node:readline';
import type {Readable, Writable} from 'node:stream';
import {finished} from 'node:stream/promises';
import {z} from 'zod';
import {notStarted} from '../endings.ts';
import {findProcess, type ProcessIdentity, untilDead} from '../process-identity.ts';
import type {Mount} from '../runtime.ts';
import type {zygoteIds} from './host-identity.ts';

/** What a zygote is made of; none of it belongs to a run. */
export type ZygotePlan = {
	/** an interpreter and its options, as the host and the sandbox both name it */
	readonly interpreter: readonly [string, ...string[]];
	/** inside: a Python file with `main`, and `warm_up` for what is to be done once */
	readonly script: string;
	readonly mounts: readonly Mount[];
	readonly devices: readonly string[];
	readonly links: Readonly<Record<string, string>>;
	readonly environment: Readonly<Record<string, string>>;
	readonly ids: ReturnType<typeof zygoteIds>;
	/** system call filters, in hexadecimal; empty for none */
	readonly filter: string;
	readonly zygoteFilter: string;
};

/** What one child gets of the host. */
export type ForkOrder = {
	readonly mounts: readonly (Mount & {readonly writable: boolean})[];
	readonly joinFiles: readonly string[];
	readonly child: {
		/** among the zygote's ids; null where it has only one */
		readonly uid: number | null;
		readonly rlimits: Readonly<Record<string, number>>;
		readonly scratchBytes: number;
		readonly scratchFiles: number;
		readonly arguments: readonly string[];
	};
};

export type Forked = {
	readonly requests: Writable;
	readonly stdout: Readable;
	readonly stderr: Readable;
	readonly frames: Readable;
	/** Settles when nothing of it is left and all it sent was read. Rejects when it could not be started. */
	readonly exited: Promise<{code: number | null; by: NodeJS.Signals | null}>;
	/** the first process inside, once it is known */
	readonly first: () => ProcessIdentity | undefined;
	kill(): void;
};

export type Zygote = {
	fork(order: ForkOrder): Forked;
	/** Resolves when it has died, and its children with it. */
	readonly gone: Promise<void>;
	close(): Promise<void>;
};

/** Where its program is on the host, and where inside. */
export const ZYGOTE = {source: join(import.meta.dirname, '../runners/zygote.py'), target: '/runtime/zygote.py'};

const KEEPER = join(import.meta.dirname, 'zygote-keeper.py');
const START_LIMIT_MS = 15_000;

const eventSchema = z.union([
	z.object({address: z.string()}),
	z.object({refused: z.string()}),
	z.object({id: z.int(), started: z.int()}),
	z.object({id: z.int(), failed: z.string()}),
	z.object({id: z.int(), code: z.int().nullable()}),
]);
type Event = z.infer<typeof eventSchema>;

type Waiting = {
	started: boolean;
	/** of its namespace, unless it was gone when we heard of it */
	first: ProcessIdentity | undefined;
	resolve(end: {code: number | null; by: NodeJS.Signals | null}): void;
	reject(error: Error): void;
};

/** Resolves when its imports are done. Throws `sandbox_unavailable` with what the kernel refused. */
export async function startZygote({interpreter, script, filter, ...plan}: ZygotePlan): Promise<Zygote> {
	const [python, ...options] = interpreter;
	const keeper = spawn(python, ['-I', '-S', '-B', KEEPER], {cwd: '/', env: {}, stdio: ['pipe', 'ignore', 'pipe', 'pipe']});
	const children = new Map<number, Waiting>();
	const gone = outlive(keeper, children);
	const belowScratch = plan.mounts.map(({target}) => target).filter((target) => target.startsWith('/tmp/'));
	const command = [python, ...options, ZYGOTE.target, JSON.stringify({script, filter, belowScratch})];
	tell(keeper, {...plan, command});
	const address = await untilReady(keeper, gone, children).catch(async (error: unknown) => {
		keeper.ref();
		keeper.kill('SIGKILL');
		await gone;
		throw error;
	});
	const pipes = keeper.stdio.filter((pipe) => pipe instanceof Socket);
	for (const pipe of pipes) pipe.unref();
	const state = {serial: 0};
	return {
		gone,
		fork(order) {
			state.serial += 1;
			return fork({keeper, address, children}, state.serial, order);
		},
		async close() {
			for (const each of [keeper, ...pipes]) each.ref(); // it is gone only once they are closed
			keeper.kill('SIGKILL');
			await gone;
		},
	};
}

function tell(keeper: ChildProcess, order: object): void {
	keeper.stdin?.write(`${JSON.stringify(order)}\n`);
}

/** Resolves when the keeper is gone; whoever was not buried by then died with it. */
async function outlive(keeper: ChildProcess, children: Map<number, Waiting>): Promise<void> {
	keeper.stdin?.on('error', () => {}); // its end says so better
	keeper.once('error', () => {});
	if (keeper.pid === undefined) return;
	await once(keeper, 'close');
	for (const {started, first, resolve, reject} of children.values()) {
		if (started) (first ? untilDead(first) : Promise.resolve()).then(() => resolve({code: null, by: 'SIGKILL'}), reject);
		else reject(notStarted('its zygote died'));
	}
	children.clear();
}

/** Hears what the keeper says, for as long as it lives. Resolves with the address at which it takes the streams of children. */
async function untilReady(keeper: ChildProcess, gone: Promise<void>, children: Map<number, Waiting>): Promise<string> {
	const {promise, resolve, reject} = Promise.withResolvers<string>();
	const said = {text: ''};
	keeper.stderr?.on('data', (chunk: Buffer) => (said.text = (said.text + chunk).slice(-2_000)));
	const hear = (event: Event) => {
		if ('address' in event) resolve(`\0${event.address}`);
		else if ('refused' in event) reject(notStarted(event.refused));
		else hearOf(event, children);
		if (children.size === 0) keeper.unref(); // a waiting zygote is no reason to go on living; a child of it is
	};
	if (keeper.pid !== undefined) createInterface(keeper.stdio[3] as Readable).on('line', (line) => hear(parseEvent(line)));
	const timer = setTimeout(() => reject(notStarted(`it was not ready after ${START_LIMIT_MS} ms`)), START_LIMIT_MS);
	gone.then(() => reject(notStarted(said.text)));
	return promise.finally(() => clearTimeout(timer));
}

function hearOf(event: Extract<Event, {id: number}>, children: Map<number, Waiting>): void {
	const child = children.get(event.id);
	if (!child) return;
	if ('started' in event) {
		child.started = true;
		child.first = findProcess(event.started);
		return;
	}
	children.delete(event.id);
	if ('failed' in event) child.reject(notStarted(event.failed));
	else child.resolve({code: event.code, by: event.code === null ? 'SIGKILL' : null});
}

function parseEvent(line: string): Event {
	return eventSchema.parse(JSON.parse(line));
}

type Connection = {readonly keeper: ChildProcess; readonly address: string; readonly children: Map<number, Waiting>};

function fork({keeper, address, children}: Connection, id: number, order: ForkOrder): Forked {
	const [requests, stdout, stderr, frames] = [0, 1, 2, 3].map((stream) => open(address, id, stream)) as [
		Socket,
		Socket,
		Socket,
		Socket,
	];
	requests.resume(); // nothing comes, but its end must be seen
	const {promise, resolve, reject} = Promise.withResolvers<{code: number | null; by: NodeJS.Signals | null}>();
	if (keeper.exitCode !== null || keeper.signalCode !== null) reject(notStarted('its zygote died'));
	else {
		children.set(id, {started: false, first: undefined, resolve, reject});
		keeper.ref();
	}
	tell(keeper, {id, ...order});
	// Not before: what the runner sent before it died must be read first.
	const read = Promise.allSettled([stdout, stderr, frames].map((stream) => finished(stream, {writable: false})));
	const exited = promise.then(
		async (end) => {
			await read;
			return end;
		},
		(error: unknown) => {
			for (const stream of [requests, stdout, stderr, frames]) stream.destroy();
			throw error;
		},
	);
	return {requests, stdout, stderr, frames, exited, first: () => children.get(id)?.first, kill: () => tell(keeper, {kill: id})};
}

/** One of a child's first four descriptors; says first whose it is and which. */
function open(address: string, id: number, stream: number): Socket {
	const socket = connect({path: address});
	socket.on('error', () => {}); // the keeper is gone: that is told once, for all four
	const header = Buffer.alloc(5);
	header.writeUInt32BE(id);
	header.writeUInt8(stream, 4);
	socket.write(header);
	return socket;
}
