import {type ErrorBody, toErrorBody, WritError} from '#contract/errors.ts';
import type {Decision, Event, EventData, Label, Verdict} from '#contract/event.ts';
import type {Isolation, Level, RunnerRequest, SandboxSpec, Usage} from '#contract/sandbox.ts';
import {callsOf, eventsOf} from './by-action.ts';
import {answerCalls, type Calls, type Propose} from './calls.ts';
import {modeOf} from './facts.ts';
import {strongerOf} from './level.ts';
import {assertPermit, type Permit} from './permit.ts';
import type {Action, Journal, Kernel} from './ports.ts';
import {startTimer} from './timer.ts';
import type {Stopwatch, World} from './tool.ts';

/** What became of one proposal. Refusals are values; only a journal that cannot be written throws. */
export type Outcome =
	| {
			readonly kind: 'succeeded';
			readonly actionId: string;
			readonly output: unknown;
			readonly verdict: Verdict;
			readonly usage: Usage | null;
			readonly durationMs: number;
	  }
	| {readonly kind: 'denied'; readonly actionId: string; readonly decision: Decision}
	| {readonly kind: 'awaiting_approval'; readonly actionId: string; readonly approvalId: string; readonly approveBy: string}
	| {
			readonly kind: 'failed' | 'timed_out' | 'killed' | 'cancelled' | 'unknown' | 'rejected' | 'expired';
			readonly actionId: string;
			readonly error: ErrorBody;
	  };

/** An action that may happen now. `propose` takes what its code calls for through the gates. */
export type Permitted = {
	readonly action: Action;
	readonly permit: Permit;
	/** its sandbox is that at least */
	readonly level: Level;
	/** the fingerprint that was decided on */
	readonly target: string | null;
	readonly propose: Propose;
};

/** The deadline runs on while the effect is verified; `verify` ends it. */
export type EffectRecord = Pick<Permitted, 'action' | 'permit'> & {
	readonly data: EventData<'action.outcome'>;
	readonly world: World;
	readonly deadline: Disposable;
};

/** Lets a sandbox stop by itself, and say why, before the kernel gives up on it. */
const GRACE_MS = 1_000;

/** Runs the tool once, inside its limits, and returns what happened: a tool that throws has failed, and that is a result. */
export async function execute(
	{action, permit, level, target, propose}: Permitted,
	journal: Journal,
	kernel: Kernel,
	signal: AbortSignal,
): Promise<EffectRecord> {
	const {limits} = action.tool;
	const deadline = startDeadline(signal, limits.wallMs + GRACE_MS);
	const seen: {usage: Usage | null; isolation: Isolation | null} = {usage: null, isolation: null};
	const opened: Calls[] = [];
	const world: World = {
		permit,
		principal: journal.principal,
		mode: modeOf(action, journal.events),
		target,
		limits,
		signal: deadline.signal,
		async sandbox(spec, request) {
			assertPermit(permit);
			const nested = action.parent !== undefined;
			const parent = {id: action.id, propose, signal: deadline.signal, clock: deadline};
			const calls = callsTools(request) ? answerCalls(parent, journal, kernel) : undefined;
			if (calls) opened.push(calls);
			const answering = calls && {answerCall: calls.answer};
			const job = {spec: demanding(level, spec), request, nested, onStart: deadline.resume, ...answering};
			// Who waits for a place has not used up time. The wait ends: who has a place is limited, or waits for a person and gives it back.
			deadline.pause();
			const result = await kernel.sandboxes.run(permit, job, deadline.signal).finally(() => {
				deadline.resume();
				return calls?.close();
			});
			seen.usage = result.usage;
			seen.isolation = result.isolation;
			return result;
		},
		progress: (stage) => kernel.progress(journal.runId, {actionId: action.id, stage}),
	};
	const started = performance.now();
	const result = await attempt(action, world, kernel, deadline);
	await Promise.all(opened.map((calls) => calls.close())); // a tool that was given up on has not waited for them
	const durationMs = Math.round((performance.now() - started) * 1000) / 1000;
	const labels = [...new Set([...action.tool.labels, ...labelsOfCalls(action.id, journal.events)])];
	return {
		action,
		permit,
		world,
		deadline,
		data: {
			actionId: action.id,
			...result,
			labels,
			...seen,
			durationMs,
		},
	};
}

function demanding(level: Level, spec: SandboxSpec): SandboxSpec {
	return {...spec, level: strongerOf(level, spec.level ?? 'none')};
}

function callsTools(request: RunnerRequest): boolean {
	return 'tools' in request && request.tools === true;
}

/** What code was told may be in what it returns. */
function labelsOfCalls(parent: string, events: readonly Event[]): readonly Label[] {
	const outcomes = callsOf(parent, events).flatMap((call) => eventsOf(call, events));
	return outcomes.flatMap((event) => (event.type === 'action.outcome' ? event.data.labels : []));
}

type Attempt = Pick<EventData<'action.outcome'>, 'status' | 'output' | 'outputDigest' | 'error'>;

async function attempt(action: Action, world: World, kernel: Kernel, deadline: Deadline): Promise<Attempt> {
	try {
		world.signal.throwIfAborted();
		world.progress('executing');
		const returned = await untilAborted(action.tool.run(action.input as never, world), world.signal);
		const output = kernel.redact(action.tool.output.parse(returned)).value;
		return {status: 'succeeded', output, outputDigest: kernel.digest(output), error: null};
	} catch (thrown) {
		const error = deadline.isOver() ? timedOut(world.limits.wallMs) : world.signal.aborted ? cancelled() : thrown;
		if (!(error instanceof WritError)) kernel.report(error);
		return {status: statusOf(error), output: null, outputDigest: kernel.digest(null), error: toRecord(error, kernel)};
	}
}

/** What a tool throws reaches the record and the model like any output: redacted, and JSON or not at all. */
function toRecord(error: unknown, kernel: Kernel): ErrorBody {
	const {value} = kernel.redact(toErrorBody(error));
	try {
		kernel.digest(value);
		return value as ErrorBody;
	} catch (bug) {
		kernel.report(bug);
		return toErrorBody(bug);
	}
}

type Deadline = Disposable & Stopwatch & {readonly signal: AbortSignal; isOver(): boolean};

/** Aborts with its caller or after `ms`, pauses not counted. */
function startDeadline(caller: AbortSignal, ms: number): Deadline {
	const controller = new AbortController();
	const state = {over: false};
	const cancel = () => controller.abort(caller.reason);
	const timer = startTimer(ms, () => {
		state.over = !controller.signal.aborted;
		controller.abort();
	});
	if (caller.aborted) cancel();
	else caller.addEventListener('abort', cancel, {once: true});
	return {
		...{signal: controller.signal, pause: timer.pause, resume: timer.resume},
		isOver: () => state.over,
		[Symbol.dispose]() {
			timer[Symbol.dispose]();
			caller.removeEventListener('abort', cancel);
		},
	};
}

/** A tool that ignores its signal does not keep its caller waiting. */
export async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
	const {promise: aborted, reject} = Promise.withResolvers<never>();
	const onAbort = () => reject(signal.reason);
	if (signal.aborted) onAbort();
	signal.addEventListener('abort', onAbort, {once: true});
	try {
		return await Promise.race([work, aborted]);
	} finally {
		signal.removeEventListener('abort', onAbort);
		work.catch(() => {}); // its failure is the abort's, already reported
	}
}

function timedOut(wallMs: number): WritError {
	return new WritError('runner_timeout', `stopped after ${wallMs} ms, the time limit of this action`, {
		hint: 'ask for less data, or raise RUN_TIMEOUT_SECONDS',
		details: {limit: 'wallMs', value: wallMs},
	});
}

function cancelled(): WritError {
	return new WritError('cancelled', 'cancelled before it finished');
}

function statusOf(error: unknown): Attempt['status'] {
	if (!(error instanceof WritError)) return 'failed';
	if (error.code === 'runner_timeout') return 'timed_out';
	if (error.code === 'runner_resource_exceeded') return 'killed';
	return error.code === 'cancelled' ? 'cancelled' : 'failed';
}

/** What the run's events already say of an action; undefined while nothing was decided for good. */
export function recorded(
	actionId: string,
	events: readonly Event[],
): {settled: true; outcome: Outcome} | {settled: false} | undefined {
	const mine = eventsOf(actionId, events);
	const outcome = mine.findLast((event) => event.type === 'action.outcome');
	const verified = mine.findLast((event) => event.type === 'action.verified');
	if (outcome) return {settled: true, outcome: toOutcome(outcome.data, verified?.data.verdict ?? null)};
	if (mine.some((event) => event.type === 'action.intent')) return {settled: false};
	const last = mine.findLast((event) => event.type === 'action.decided');
	if (last?.data.decision.effect === 'deny')
		return {settled: true, outcome: {kind: 'denied', actionId, decision: last.data.decision}};
	return undefined;
}

/** The caller's view of a recorded outcome. */
export function toOutcome(data: EventData<'action.outcome'>, verdict: Verdict | null): Outcome {
	const {actionId, status, output, usage, durationMs, error} = data;
	if (status === 'succeeded') return {kind: status, actionId, output, usage, durationMs, verdict: verdict ?? UNVERIFIED};
	return {kind: status, actionId, error: error as ErrorBody};
}

const UNVERIFIED: Verdict = {kind: 'unverified', checks: []};
