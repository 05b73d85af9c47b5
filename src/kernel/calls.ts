/**
 * Tool calls of the code inside a sandbox. Each is a proposal like any other, of the same run and principal, through every gate; what
 * the code is told is an answer or a refusal. Ids, promises and order that the code claims count for nothing here.
 */
import {WritError} from '#contract/errors.ts';
import type {Event} from '#contract/event.ts';
import type {CallReply} from '#contract/sandbox.ts';
import {awaitAnswer} from './await-answer.ts';
import {eventsOf} from './by-action.ts';
import {denialError} from './denial.ts';
import type {Outcome} from './execute.ts';
import type {Journal, Kernel} from './ports.ts';
import type {AnswerCall, Stopwatch} from './tool.ts';
import type {Proposal} from './validate.ts';

/** How a nested proposal gets its outcome: `govern`, with the run and the kernel that are already there. `clock` is of who waits for it. */
export type Propose = (proposal: Proposal, signal: AbortSignal, clock: Stopwatch) => Promise<Outcome>;

export type Calls = {
	readonly answer: AnswerCall;
	/** Ends what is under way. Resolves when all of it is on record: nothing of a call follows the outcome of the action that made it. */
	close(): Promise<void>;
};

/** Calls of one sandbox; what a call may be given; and how deep code may call tools that run code that calls tools. */
export const CALL_LIMITS = {calls: 100, inputBytes: 256 * 1024, depth: 3} as const;

type Parent = {readonly id: string; readonly propose: Propose; readonly signal: AbortSignal; readonly clock: Stopwatch};

/** Answers the calls of one sandbox, which come one after the other. A call that a person has to approve waits for the answer. */
export function answerCalls({id: parent, propose, signal, clock}: Parent, journal: Journal, kernel: Kernel): Calls {
	const closing = new AbortController();
	const underWay = new Set<Promise<Outcome>>();
	const state = {calls: 0, lastId: Number.NEGATIVE_INFINITY};
	const depth = depthOf(parent, journal.events);
	const carry = async (tool: string, input: unknown, held: Stopwatch): Promise<Outcome> => {
		const proposal = {id: kernel.newId('act'), tool, input, parent};
		const stop = AbortSignal.any([signal, closing.signal]);
		const outcome = awaitAnswer({propose: () => propose(proposal, stop, held), clock: held, signal: stop}, journal, kernel);
		underWay.add(outcome);
		return outcome.finally(() => underWay.delete(outcome));
	};
	return {
		async answer({id, tool, input}, sandbox) {
			if (!(id > state.lastId)) throw new WritError('runner_internal_error', REUSED);
			state.lastId = id;
			state.calls += 1;
			const refusal = refusalOf({calls: state.calls, depth, input, over: closing.signal.aborted || signal.aborted});
			if (refusal) return {type: 'refused', id, ...refusal};
			return {id, ...toReply(await carry(tool, input, together([kernel.held, sandbox, clock])), tool)};
		},
		async close() {
			closing.abort(new WritError('cancelled', 'the code that called this has ended'));
			await Promise.allSettled(underWay);
		},
	};
}

const REUSED = 'the runner broke its protocol: the ids of its calls do not ascend';

type Refusal = {readonly code: string; readonly message: string; readonly hint?: string};
type Asked = {readonly calls: number; readonly depth: number; readonly input: unknown; readonly over: boolean};

/** What is refused before it is a proposal, so that a flood of calls leaves no flood of events. */
function refusalOf({calls, depth, input, over}: Asked): Refusal | null {
	if (over) return {code: 'cancelled', message: 'the action that this code belongs to is over'};
	if (depth >= CALL_LIMITS.depth)
		return {code: 'budget_exceeded', message: `calls may be nested ${CALL_LIMITS.depth} deep at most`};
	if (calls > CALL_LIMITS.calls) {
		const message = `this code has made ${CALL_LIMITS.calls} calls, the most that one action may make`;
		return {code: 'budget_exceeded', message, hint: 'ask for more with each call'};
	}
	const bytes = Buffer.byteLength(JSON.stringify(input));
	if (bytes <= CALL_LIMITS.inputBytes) return null;
	const message = `the input of the call has ${bytes} bytes, more than the limit of ${CALL_LIMITS.inputBytes}`;
	return {code: 'request_too_large', message, hint: 'let the tool read the data itself'};
}

type Answer = CallReply extends infer Reply ? (Reply extends {id: number} ? Omit<Reply, 'id'> : never) : never;

function toReply(outcome: Outcome, tool: string): Answer {
	switch (outcome.kind) {
		case 'succeeded':
			if (outcome.verdict.kind === 'undone')
				return {type: 'refused', code: 'undone', message: `what \`${tool}\` did failed its check and was undone`};
			return {type: 'reply', output: outcome.output as never};
		case 'denied': {
			const {code, message} = denialError(outcome.decision);
			return {type: 'refused', code, message};
		}
		case 'rejected':
		case 'expired':
			return {type: 'refused', code: `approval_${outcome.kind}`, message: outcome.error.message};
		case 'awaiting_approval':
			throw new Error('a call that waits for a person has no answer yet');
		default: {
			const {code, message, hint} = outcome.error;
			return {type: 'refused', code, message, ...(hint === undefined ? {} : {hint})};
		}
	}
}

/** Those that there are, as one. The first may refuse to be paused, and takes its time to go on: it is the one that holds a place. */
function together(clocks: readonly (Stopwatch | undefined)[]): Stopwatch {
	return {
		pause() {
			for (const clock of clocks) clock?.pause();
		},
		async resume() {
			for (const clock of clocks) await clock?.resume();
		},
	};
}

/** How many calls led to an action: 0 for one that no code called for. */
function depthOf(actionId: string, events: readonly Event[]): number {
	const proposed = eventsOf(actionId, events).find(({type}) => type === 'action.proposed');
	const parent = proposed?.type === 'action.proposed' ? proposed.data.parentActionId : undefined;
	return parent === undefined ? 0 : 1 + depthOf(parent, events);
}
