/** One running sandbox of the `process` provider: from the spawned program to its answer and its end. */
import type {ChildProcess} from 'node:child_process';
import type {Readable, Writable} from 'node:stream';
import {setImmediate as turn} from 'node:timers/promises';
import {WritError} from '#contract/errors.ts';
import type {Frame, Isolation, RunnerRequest, SandboxSpec, Usage} from '#contract/sandbox.ts';
import {assertPermit} from '#kernel/permit.ts';
import type {SandboxResult} from '#kernel/tool.ts';
import {type CapturedText, createCapturedText} from './captured-text.ts';
import type {Group} from './cgroup.ts';
import {beyond, cancelled, type Death, diedError, exceededBy, limitBehind, notStarted, timedOut} from './endings.ts';
import {createFrameReader, encodeFrame, isLast} from './frames.ts';
import type {OpenOptions, Sandbox} from './sandbox.ts';

const START_LIMIT_MS = 15_000;
/** The control group stops processes and scratch together; this stops processes that take the room of an empty scratch. */
const WATCH_MS = 100;

export type Running = {
	readonly child: ChildProcess;
	readonly group: Group | undefined;
	readonly spec: SandboxSpec;
	readonly isolation: Isolation;
	/** what is left to do once no process is left */
	cleanUp(): Promise<void>;
};

type Listener = {frame(frame: Frame): void; failed(error: WritError): void};

/** Resolves when the runner says that it is ready. */
export async function superviseProcess(running: Running, {signal}: OpenOptions): Promise<Sandbox> {
	const {child, group, spec} = running;
	const [stdin, stdout, stderr, results] = child.stdio as unknown as [Writable, Readable, Readable, Readable];
	const printed = {stdout: createCapturedText(), stderr: createCapturedText()};
	stdout.on('data', printed.stdout.push);
	stderr.on('data', printed.stderr.push);
	// A runner that is gone cannot be written to; its exit says so better than a broken pipe would.
	for (const stream of child.stdio) stream?.on('error', () => {});
	const state: {listener: Listener | undefined; used: boolean; death: Death | undefined} = {
		listener: undefined,
		used: false,
		death: undefined,
	};
	const reader = createFrameReader(spec.limits.outputBytes, (frame) => state.listener?.frame(frame));
	results.on('data', (chunk: Buffer) => {
		try {
			reader.push(chunk);
		} catch (error) {
			state.listener?.failed(error as WritError);
			kill(running);
		}
	});
	const {promise: ended, resolve: settle, reject: leak} = Promise.withResolvers<void>();
	child.once('error', (cause) => state.listener?.failed(notStarted(cause.message, cause)));
	// Not 'exit': what the runner sent before it died must be read first.
	child.once('close', (code, by) => {
		state.death = {code, by, stderr: printed.stderr.text(), exceeded: group?.exceeded() ?? []};
		state.listener?.failed(diedError(state.death, spec.limits));
		running.cleanUp().then(settle, leak);
	});
	ended.catch(() => {}); // reported by whoever disposes
	const sandbox: Sandbox = {
		ended,
		async run(permit, request, cancel) {
			if (state.used) throw new Error('a sandbox runs once');
			state.used = true;
			assertPermit(permit);
			if (state.death) throw diedError(state.death, spec.limits);
			return answer({running, printed, stdin, state, received: () => reader.bytes, ended}, request, cancel);
		},
		async dispose() {
			kill(running);
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

/** Everything at once: the process namespace dies with bubblewrap, and the control group catches what is still starting. */
function kill({child, group}: Running): void {
	child.kill('SIGKILL');
	group?.kill();
}

async function untilReady(state: {listener: Listener | undefined}, signal: AbortSignal): Promise<void> {
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
	readonly running: Running;
	readonly printed: {readonly stdout: CapturedText; readonly stderr: CapturedText};
	readonly stdin: Writable;
	readonly state: {listener: Listener | undefined};
	received(): number;
	readonly ended: Promise<void>;
};

async function answer(talk: Conversation, request: RunnerRequest, signal: AbortSignal): Promise<SandboxResult> {
	const {running, state, stdin, printed, ended} = talk;
	const {limits, output} = running.spec;
	const started = performance.now();
	const frames: Frame[] = [];
	const failure: {error: WritError | undefined} = {error: undefined};
	const {promise: last, resolve, reject} = Promise.withResolvers<void>();
	const timer = setTimeout(() => reject(timedOut(limits.wallMs)), limits.wallMs);
	const watch = setInterval(() => {
		if ((running.group?.processBytes() ?? 0) > limits.memoryBytes) reject(beyond('memoryBytes', limits));
	}, WATCH_MS);
	const onAbort = () => reject(cancelled());
	signal.addEventListener('abort', onAbort, {once: true});
	if (signal.aborted) onAbort();
	state.listener = {
		frame(frame) {
			frames.push(frame);
			if (isLast(frame.type)) resolve();
		},
		failed(error) {
			failure.error ??= error;
			reject(error);
		},
	};
	try {
		stdin.end(encodeFrame(request));
		await last;
		// What followed a good answer in the same breath makes it no answer.
		if (failure.error && frames.at(-1)?.type === 'done') throw failure.error;
		const usage = measure(talk, started);
		const exceeded = exceededBy(frames.at(-1), running.group?.exceeded() ?? [], limits);
		if (exceeded) throw exceeded;
		await turn(); // what was printed before the last frame has arrived, but may not have been read
		return {frames: withPrinted(frames, printed), usage, isolation: running.isolation};
	} catch (error) {
		throw limitBehind(error, running.group?.exceeded() ?? [], limits);
	} finally {
		clearTimeout(timer);
		clearInterval(watch);
		signal.removeEventListener('abort', onAbort);
		kill(running);
		// INVARIANT: nobody looks into `/out` while something could still write there.
		if (output !== undefined) await ended;
	}
}

function measure({running, received}: Conversation, started: number): Usage {
	const {cpuMs, peakMemoryBytes} = running.group?.usage() ?? {cpuMs: null, peakMemoryBytes: null};
	return {wallMs: performance.now() - started, cpuMs, peakMemoryBytes, outputBytes: received()};
}

/** What went to the real descriptors joins the last frame, unless the runner captured it itself. */
function withPrinted(frames: Frame[], printed: Conversation['printed']): Frame[] {
	const last = frames.at(-1);
	if (last?.type !== 'done') return frames;
	const [stdout, stderr] = [last.stdout ?? printed.stdout.text(), last.stderr ?? printed.stderr.text()];
	return [...frames.slice(0, -1), {...last, ...(stdout ? {stdout} : {}), ...(stderr ? {stderr} : {})}];
}
