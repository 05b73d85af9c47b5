/**
 * One turn: a question or a piece of code becomes a run, something is done about it on the governed path, and the run ends with
 * an answer. Chat, direct runs, re-runs, resumed and recovered runs all pass here.
 */
import type {News} from '#agents/news.ts';
import type {OpenRun} from '#agents/runs.ts';
import type {ChatResponse} from '#contract/api.ts';
import type {Dataset} from '#contract/dataset.ts';
import type {ErrorBody} from '#contract/errors.ts';
import type {EventBody, RunStatus} from '#contract/event.ts';
import type {TurnEvent} from '#contract/stream.ts';
import {denialError} from '#kernel/denial.ts';
import {govern, type Outcome} from '#kernel/govern.ts';
import type {Kernel} from '#kernel/ports.ts';
import {statusOf, toResponse} from './answer.ts';
import type {Computed} from './compute.ts';
import {hintOf} from './hint.ts';
import {summarise} from './summary.ts';

/** One question in the making, as whoever answers it sees it. */
export type Turn = {
	readonly run: OpenRun;
	/** null when the run makes one */
	readonly dataset: Dataset | null;
	/** null for a direct run */
	readonly threadId: string | null;
	readonly question: string;
	readonly emit: (event: TurnEvent) => void;
	/** Carries one proposal down the governed path, telling watchers. */
	readonly act: (tool: string, input: unknown) => Promise<Outcome>;
};

/** What was made of a turn. `outcome` is the last computation, when there was one; `error` is why there is no good answer. */
export type Answer = {
	readonly text: string;
	readonly suggestions: readonly string[];
	readonly outcome: Outcome | null;
	readonly error: ErrorBody | null;
};

/** A model with tools, or the built-in planner. What goes wrong is in the answer; only an unwritable store throws. */
export type Answerer = (turn: Turn) => Promise<Answer>;

/** Transient news of an action: what it is doing now. */
export type Progress = {readonly actionId: string; readonly stage: string};

export type Acting = {readonly kernel: Kernel; readonly news: News<Progress>};

/** Runs one proposal; `id` is given when it continues an action that is on record. */
export async function act(
	turn: Pick<Turn, 'run' | 'emit'>,
	{kernel, news}: Acting,
	proposal: {id?: string; tool: string; input: unknown},
): Promise<Outcome> {
	const {run, emit} = turn;
	emit({event: 'status', data: {stage: 'validating'}});
	const stop = news.listen(run.id, ({stage}) => {
		if (stage === 'executing') emit({event: 'status', data: {stage}});
	});
	try {
		return await govern({...proposal, id: proposal.id ?? kernel.newId('act')}, run.journal, kernel, run.signal);
	} finally {
		stop();
	}
}

/** Ends the turn: the answer and the end of the run are one transaction. A run that waits for a person is let go, not ended. */
export async function conclude(turn: Turn, answer: Answer): Promise<ChatResponse> {
	const {run, emit} = turn;
	if (answer.outcome?.kind === 'awaiting_approval') {
		await park(run, answer.outcome.approvalId);
	} else {
		const status = endStatus(answer);
		const resultActionId = answer.outcome && answer.outcome.kind !== 'denied' ? answer.outcome.actionId : null;
		await run.finish({status, resultActionId, error: answer.error}, ...spoken(turn, answer));
	}
	const response = toResponse(run.journal.events, answer.text);
	emit({event: 'result', data: response});
	emit({event: 'done', data: {run_id: run.id}});
	return response;
}

/** What was answered of several requests has been carried out: then the run says that it waits again. */
async function park({journal, park: letGo}: OpenRun, waitsFor: string): Promise<void> {
	const says = statusOf(journal.events) === 'awaiting_approval';
	if (!says) await journal.append({type: 'run.parked', actor: journal.principal, data: {waitsFor}});
	letGo();
}

function spoken({run, threadId, dataset}: Turn, {text, suggestions}: Answer): readonly EventBody[] {
	if (threadId === null) return [];
	const data = {role: 'assistant' as const, content: text, threadId, datasetId: dataset?.id ?? '', suggestions: [...suggestions]};
	return [{type: 'message.added', actor: run.journal.principal, data}];
}

/** The answer to code that was run as given: words made from its result alone. */
export function answerFrom(outcome: Outcome): Answer {
	const error = outcomeError(outcome);
	return {text: outcomeText(outcome), suggestions: [], outcome, error};
}

export function outcomeError(outcome: Outcome): ErrorBody | null {
	if (outcome.kind === 'denied') return denialError(outcome.decision);
	return 'error' in outcome ? outcome.error : null;
}

export function outcomeText(outcome: Outcome): string {
	const error = outcomeError(outcome);
	const reason = error ? reasonOf(error) : '';
	switch (outcome.kind) {
		case 'succeeded':
			return hasTable(outcome.output) ? summarise(outcome.output.table) : 'Done.';
		case 'awaiting_approval':
			return `This needs a person's approval before ${outcome.approveBy} (${outcome.approvalId}). Nothing has been done yet.`;
		case 'denied':
			return `Not done: ${reason}`;
		case 'unknown':
			return 'The platform stopped while this was executing, so its result is not known. Run it again to get one.';
		case 'failed':
			return error?.code === 'sql_policy_violation'
				? `The SQL policy rejected the query: ${reason}`
				: `I couldn't execute that: ${reason}`;
		default:
			return `I couldn't execute that: ${reason}`;
	}
}

/** Tools that compute over data leave a table; what a program leaves is its own affair. */
function hasTable(output: unknown): output is Computed {
	return typeof output === 'object' && output !== null && 'table' in output;
}

/** The objection and what to do about it, as sentences. Where in the code it is, the error itself shows. */
function reasonOf(error: ErrorBody): string {
	const [objection = ''] = error.message.replace(/^(?:Binder|Catalog|Parser) Error: /, '').split(/\n\s*\nLINE \d/);
	const hint = hintOf(error);
	return [objection.replaceAll(/\s*\n\s*/g, ' '), ...(hint ? [`${hint.charAt(0).toUpperCase()}${hint.slice(1)}`] : [])]
		.map(asSentence)
		.join(' ');
}

function asSentence(words: string): string {
	const trimmed = words.trim();
	return /[.!?]$/.test(trimmed) ? trimmed : `${trimmed}.`;
}

type EndStatus = Exclude<RunStatus, 'running' | 'awaiting_approval'>;

const REJECTIONS: ReadonlySet<string> = new Set(['sql_policy_violation', 'feature_disabled', 'policy_denied']);

function endStatus({outcome, error}: Answer): EndStatus {
	if (error?.code === 'cancelled') return 'cancelled';
	if (!outcome) return error ? 'failed' : 'succeeded';
	switch (outcome.kind) {
		case 'succeeded':
			return error ? 'failed' : 'succeeded';
		case 'denied':
		case 'rejected':
		case 'expired':
			return 'rejected';
		case 'timed_out':
		case 'cancelled':
		case 'unknown':
			return outcome.kind;
		default:
			return error && REJECTIONS.has(error.code) ? 'rejected' : 'failed';
	}
}
