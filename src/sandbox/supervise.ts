/** A runner that was started, wherever that was: from `ready` to its answer and its end. Every provider's sandboxes behave like this. */
import type {Readable, Writable} from 'node:stream';
import {setImmediate as turn} from 'node:timers/promises';
import {WritError} from '#contract/errors.ts';
import type {Frame, Isolation, RunnerRequest, SandboxSpec, Usage} from '#contract/sandbox.ts';
import {assertPermit} from '#kernel/permit.ts';
import {startTimer} from '#kernel/timer.ts';
import type {AnswerCall, SandboxResult, Stopwatch} from '#kernel/tool.ts';
import {type CapturedText, createCapturedText, toCapturedText} from './captured-text.ts';
import {beyond, cancelled, type Death, diedError, exceededBy, limitBehind, notStarted, timedOut} from './endings.ts';
import {createFrameReader, encodeFrame, isLast} from './frames.ts';
import type {OpenOptions, Sandbox} from './sandbox.ts';

const START_LIMIT_MS = 15_000;
/** The control group stops processes and scratch together; this stops processes that take the room of an empty scratch. */
const WATCH_MS = 100;
/** Accounts of processor time, and quotas, are kept in periods: what keeps its quota never uses this much more. */
const CPU_SLACK_MS = 500;

/** The ends of a started runner. Its supervisor reads and writes them; nobody else does. */
export type StartedRunner = {
	readonly spec: SandboxSpec;
	readonly isolation: Isolation;
	/** takes the request, then the answers to calls */
	readonly requests: Writable;
	readonly frames: Readable;
	/** what the program inside printed; `stderr` may hold both */
	readonly stdout: Readable | null;
	readonly stderr: Readable;
	/** Settles once the runner is gone and all it sent has been read. Rejects when it could not be started. */
	readonly exited: Promise<Omit<Death, 'stderr'>>;
	/** Ends everything inside, at once; again if it must. */
	kill(): void;
	/** Limits run into so far; may ask the engine. */
	exceeded(): Death['exceeded'] | Promise<Death['exceeded']>;
	usage(): Consumption | Promise<Consumption>;
	/** memory of its processes now, without scratch and files; 0 when nobody can tell */
	processBytes(): number;
	/** processor time used so far, of those that can tell at once */
	readonly cpuMs?: () => number | null;
	/** what is left to do once no process is left */
	cleanUp(): Promise<void>;
};

type Consumption = Pick<Usage, 'cpuMs' | 'peakMemoryBytes'>;
type Listener = {frame(frame: Frame): void; failed(error: WritError): void};
type State = {listener: Listener | undefined; used: boolean; death: Death | undefined};

/** Resolves when the runner says that it is ready. */
export async function supervise(runner: StartedRunner, {signal}: OpenOptions): Promise<Sandbox> {
	const {spec, requests, stdout, stderr} = runner;
	const printed = {stdout: createCapturedText(), stderr: createCapturedText()};
	stdout?.on('data', printed.stdout.push);
	stderr.on('data', printed.stderr.push);
	// A runner that is gone cannot be written to; its exit says so better than a broken pipe would.
	for (const stream of [requests, runner.frames, stdout, stderr]) stream?.on('error', () => {});
	const state: State = {listener: undefined, used: false, death: undefined};
	const received = readFrames(runner, state);
	const ended = outlive(runner, printed, state);
	const sandbox: Sandbox = {
		level: runner.isolation.level,
		ended,
		async run(permit, request, cancel, answerCall) {
			if (state.used) throw new Error('a sandbox runs once');
			state.used = true;
			assertPermit(permit);
			if (state.death) throw diedError(state.death, spec.limits);
			return converse({runner, printed, state, received, ended, answerCall}, request, cancel);
		},
		async dispose() {
			runner.kill();
			await ended;
		},
	};
	await untilReady(state, signal).catch(async (error: unknown) => {
		await sandbox.dispose();
		throw state.death && error instanceof WritError && error.code === 'runner_internal_error'
			? notStarted(state.death.stderr, error)
			: error;
	});
	return sandbox;
}

function readFrames({spec, frames, kill}: StartedRunner, state: State): () => number {
	const reader = createFrameReader(spec.limits.outputBytes, (frame) => state.listener?.frame(frame));
	frames.on('data', (chunk: Buffer) => {
		try {
			reader.push(chunk);
		} catch (error) {
			state.listener?.failed(error as WritError);
			kill();
		}
	});
	return () => reader.bytes;
}

/** Resolves when the runner has died and was cleaned up after. */
async function outlive(runner: StartedRunner, printed: Conversation['printed'], state: State): Promise<void> {
	const settled = runner.exited.then(
		(death) => {
			state.death = {...death, stderr: printed.stderr.text()};
			state.listener?.failed(diedError(state.death, runner.spec.limits));
		},
		(error: unknown) => {
			const cause = error instanceof WritError ? error : notStarted(String(error), error);
			state.death = {code: null, by: null, stderr: cause.message, exceeded: []};
			state.listener?.failed(cause);
		},
	);
	const ended = settled.then(() => runner.cleanUp());
	ended.catch(() => {}); // reported by whoever disposes
	return ended;
}

async function untilReady(state: State, signal: AbortSignal): Promise<void> {
	const {promise, resolve, reject} = Promise.withResolvers<void>();
	const timer = setTimeout(() => reject(notStarted(`it was not ready after ${START_LIMIT_MS} ms`)), START_LIMIT_MS);
	const onAbort = () => reject(cancelled());
	state.listener = {frame: () => resolve(), failed: reject};
	signal.addEventListener('abort', onAbort, {once: true});
	if (signal.aborted) onAbort();
	try {
		await promise;
	} finally {
		clearTimeout(timer);
		signal.removeEventListener('abort', onAbort);
		state.listener = undefined;
	}
}

type Conversation = {
	readonly runner: StartedRunner;
	readonly printed: {readonly stdout: CapturedText; readonly stderr: CapturedText};
	readonly state: State;
	received(): number;
	readonly ended: Promise<void>;
	readonly answerCall: AnswerCall | undefined;
};

async function converse(talk: Conversation, request: RunnerRequest, signal: AbortSignal): Promise<SandboxResult> {
	const {runner, state, printed, ended} = talk;
	const {limits, output} = runner.spec;
	const started = performance.now();
	const {promise: stopped, reject: stop} = Promise.withResolvers<never>();
	const timer = startTimer(limits.wallMs, () => stop(timedOut(limits.wallMs)));
	const used = () => runner.cpuMs?.() ?? 0;
	const most = used() + limits.wallMs * limits.cpus + CPU_SLACK_MS;
	const watch = setInterval(() => {
		if (runner.processBytes() > limits.memoryBytes) stop(beyond('memoryBytes', limits));
		// The timer stands still while a call waits for a person. Only waiting costs no time: who computes meanwhile uses up its own.
		if (used() > most) stop(beyond('cpus', limits));
	}, WATCH_MS);
	const onAbort = () => {
		stop(cancelled());
		runner.kill(); // before anybody asks what it ran into: that may take an engine a while
	};
	signal.addEventListener('abort', onAbort, {once: true});
	if (signal.aborted) onAbort();
	try {
		const frames = await Promise.race([exchange(talk, request, timer), stopped]);
		const usage = await measure(talk, started);
		const exceeded = exceededBy(frames.at(-1), await runner.exceeded(), limits);
		if (exceeded) throw exceeded;
		await turn(); // what was printed before the last frame has arrived, but may not have been read
		return {frames: withPrinted(frames, printed), usage, isolation: runner.isolation};
	} catch (error) {
		throw limitBehind(error, await runner.exceeded(), limits);
	} finally {
		timer[Symbol.dispose]();
		clearInterval(watch);
		signal.removeEventListener('abort', onAbort);
		state.listener = undefined;
		runner.kill();
		// INVARIANT: nobody looks into `/out` while something could still write there.
		if (output !== undefined) await ended;
	}
}

/** Sends the request, answers calls, and resolves with every frame up to the last. */
async function exchange({runner, state, answerCall}: Conversation, request: RunnerRequest, clock: Stopwatch): Promise<Frame[]> {
	const {requests} = runner;
	const frames: Frame[] = [];
	const failure: {error: WritError | undefined} = {error: undefined};
	const {promise: last, resolve, reject} = Promise.withResolvers<void>();
	const asked = answerCall && ((call: Call) => answerCall(call, clock));
	const answer = createAnswering(requests, asked, () => state.listener === undefined);
	state.listener = {
		frame(frame) {
			if (frame.type === 'call') return void answer(frame).catch(reject);
			frames.push(frame);
			if (isLast(frame.type)) resolve();
		},
		failed(error) {
			failure.error ??= error;
			reject(error);
		},
	};
	if (answerCall) requests.write(encodeFrame(request));
	else requests.end(encodeFrame(request));
	await last;
	// What followed a good answer in the same breath makes it no answer.
	if (failure.error && frames.at(-1)?.type === 'done') throw failure.error;
	return frames;
}

type Call = Extract<Frame, {type: 'call'}>;
type Asked = (call: Call) => ReturnType<AnswerCall>;

/**
 * Answers calls one after the other, the next when the runner has taken the answer to the one before: what nobody reads fills a pipe,
 * and no memory of ours. Calls that wait are no more than the output limit lets through.
 */
function createAnswering(requests: Writable, answerCall: Asked | undefined, isOver: () => boolean) {
	const state = {answered: Promise.resolve()};
	const answer = async (call: Call) => {
		if (isOver()) return;
		if (!answerCall) throw new WritError('runner_internal_error', 'the runner broke its protocol: it called a tool');
		const reply = await answerCall(call);
		if (!isOver()) await new Promise<unknown>((taken) => requests.write(encodeFrame(reply), taken));
	};
	return (call: Call): Promise<void> => {
		state.answered = state.answered.then(() => answer(call));
		return state.answered;
	};
}

async function measure({runner, received}: Conversation, started: number): Promise<Usage> {
	const {cpuMs, peakMemoryBytes} = await runner.usage();
	return {wallMs: performance.now() - started, cpuMs, peakMemoryBytes, outputBytes: received()};
}

/** What went to the real descriptors joins the last frame, unless the runner captured it itself. */
function withPrinted(frames: Frame[], printed: Conversation['printed']): Frame[] {
	const last = frames.at(-1);
	if (last?.type === 'error') return [...frames.slice(0, -1), {...last, ...detailsWith(last.details, printed)}];
	if (last?.type !== 'done') return frames;
	const own = (text: string | undefined) => (text === undefined ? undefined : toCapturedText(text));
	const [stdout, stderr] = [own(last.stdout) ?? printed.stdout.text(), own(last.stderr) ?? printed.stderr.text()];
	return [...frames.slice(0, -1), {...last, ...(stdout ? {stdout} : {}), ...(stderr ? {stderr} : {})}];
}

/** What a program printed before it failed helps to see why. */
function detailsWith(details: Extract<Frame, {type: 'error'}>['details'], printed: Conversation['printed']) {
	const texts = Object.entries(printed).map(([name, captured]) => [name, captured.text()] as const);
	const present = texts.filter(([, text]) => text !== '');
	return present.length === 0 ? {} : {details: {...Object.fromEntries(present), ...details}};
}
