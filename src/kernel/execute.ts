import {type ErrorBody, toErrorBody, WritError} from '#contract/errors.ts';
import type {Decision, Event, EventData, Verdict} from '#contract/event.ts';
import type {Isolation, Usage} from '#contract/sandbox.ts';
import type {Permit} from './permit.ts';
import type {Action, Journal, Kernel} from './ports.ts';
import type {World} from './tool.ts';

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

/** An action that may happen now. */
export type Permitted = {readonly action: Action; readonly permit: Permit};

export type EffectRecord = Permitted & {readonly data: EventData<'action.outcome'>; readonly world: World};

/** Lets a sandbox stop by itself, and say why, before the kernel gives up on it. */
const GRACE_MS = 1_000;

/** Runs the tool once, inside its limits, and returns what happened: a tool that throws has failed, and that is a result. */
export async function execute(
	{action, permit}: Permitted,
	journal: Journal,
	kernel: Kernel,
	signal: AbortSignal,
): Promise<EffectRecord> {
	const {limits} = action.tool;
	const timer = AbortSignal.timeout(limits.wallMs + GRACE_MS);
	const bounded = AbortSignal.any([signal, timer]);
	const seen: {usage: Usage | null; isolation: Isolation | null} = {usage: null, isolation: null};
	const world: World = {
		permit,
		principal: journal.principal,
		limits,
		signal: bounded,
		async sandbox(spec, request) {
			const result = await kernel.sandboxes.run(permit, spec, request, bounded);
			seen.usage = result.usage;
			seen.isolation = result.isolation;
			return result;
		},
		progress: (stage) => kernel.progress(journal.runId, {actionId: action.id, stage}),
	};
	const started = performance.now();
	const result = await attempt(action, world, kernel, {timer, cancel: signal});
	const output = kernel.redact(result.output).value;
	const durationMs = Math.round((performance.now() - started) * 1000) / 1000;
	const labels = [...action.tool.labels];
	return {
		action,
		permit,
		world,
		data: {
			actionId: action.id,
			status: result.status,
			output,
			outputDigest: kernel.digest(output),
			error: result.error,
			labels,
			...seen,
			durationMs,
		},
	};
}

type Attempt = {
	readonly status: EventData<'action.outcome'>['status'];
	readonly output: unknown;
	readonly error: ErrorBody | null;
};

async function attempt(
	action: Action,
	world: World,
	kernel: Kernel,
	signals: {timer: AbortSignal; cancel: AbortSignal},
): Promise<Attempt> {
	try {
		world.progress('executing');
		const output = await untilAborted(action.tool.run(action.input as never, world), world.signal);
		return {status: 'succeeded', output: action.tool.output.parse(output), error: null};
	} catch (thrown) {
		const error = signals.timer.aborted ? timedOut(world.limits.wallMs) : signals.cancel.aborted ? cancelled() : thrown;
		if (!(error instanceof WritError)) kernel.report(error);
		return {status: statusOf(error), output: null, error: toErrorBody(error)};
	}
}

/** A tool that ignores its signal does not keep its caller waiting. */
async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
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
	const mine = events.filter((event) => 'actionId' in event.data && event.data.actionId === actionId);
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
