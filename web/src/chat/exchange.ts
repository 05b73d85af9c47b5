import type {z} from 'zod';
import type {ChatResponse, messageSchema, RunSummary} from '#contract/api.ts';
import type {RunStatus} from '#contract/event.ts';
import type {TurnEvent} from '#contract/stream.ts';

export type Stage = Extract<TurnEvent, {event: 'status'}>['data']['stage'];
export type Step =
	| {readonly kind: 'stage'; readonly stage: Stage; readonly at: number}
	| {
			readonly kind: 'tool';
			readonly id: string;
			readonly name: string;
			readonly input: unknown;
			readonly status: string;
			readonly output: unknown;
			readonly at: number;
	  };
export type TurnError = {readonly type: string; readonly message: string; readonly hint?: string | undefined};

/** A question and what became of it. `phase` is what this page does about it; `status` is what the run itself says. */
export type Exchange = {
	readonly key: string;
	readonly runId: string | null;
	readonly question: string;
	readonly answer: string;
	readonly suggestions: readonly string[];
	readonly warnings: readonly string[];
	readonly steps: readonly Step[];
	readonly phase: 'sending' | 'streaming' | 'reconnecting' | 'stopping' | 'over';
	readonly status: RunStatus | null;
	readonly approvalId: string | null;
	readonly error: TurnError | null;
	readonly startedAt: number;
	readonly endedAt: number | null;
};

export type Message = z.infer<typeof messageSchema>;

export function ask(question: string): Exchange {
	return {
		key: crypto.randomUUID(),
		runId: null,
		question,
		answer: '',
		suggestions: [],
		warnings: [],
		steps: [],
		phase: 'sending',
		status: null,
		approvalId: null,
		error: null,
		startedAt: Date.now(),
		endedAt: null,
	};
}

/** What one frame of the stream changes. */
export function applyFrame(exchange: Exchange, event: TurnEvent, at: number): Exchange {
	switch (event.event) {
		case 'status': {
			const last = exchange.steps.findLast((step) => step.kind === 'stage');
			if (last?.kind === 'stage' && last.stage === event.data.stage) return exchange;
			return {...exchange, steps: [...exchange.steps, {kind: 'stage', stage: event.data.stage, at}]};
		}
		case 'token':
			return {...exchange, answer: exchange.answer + event.data.content};
		case 'tool_call': {
			const {id, name, input} = event.data;
			return {...exchange, steps: [...exchange.steps, {kind: 'tool', id, name, input, status: 'running', output: null, at}]};
		}
		case 'tool_result': {
			const {id, status, output} = event.data;
			const steps = exchange.steps.map((step) => (step.kind === 'tool' && step.id === id ? {...step, status, output} : step));
			return {...exchange, steps};
		}
		case 'result':
			return applyResponse(exchange, event.data, at);
		case 'error':
			return {...exchange, error: event.data, endedAt: at};
		case 'done':
			return exchange;
	}
}

function applyResponse(
	exchange: Exchange,
	{run_id, assistant_message, status, result, details}: ChatResponse,
	at: number,
): Exchange {
	const {suggestions, approval_id} = details;
	// Beside the table a truncation has a place of its own.
	const warnings = result.truncated ? details.warnings.slice(1) : details.warnings;
	return {
		...exchange,
		runId: run_id,
		answer: assistant_message,
		status,
		suggestions,
		warnings,
		approvalId: approval_id,
		error: null,
		endedAt: at,
	};
}

/** A stored conversation. A question without an answer is still being worked on, unless its run says otherwise. */
export function restore(messages: readonly Message[], runs: readonly RunSummary[]): Exchange[] {
	const statusOf = new Map(runs.map((run) => [run.run_id, run]));
	const exchanges: Exchange[] = [];
	for (const message of messages) {
		const index = exchanges.findLastIndex((exchange) => exchange.runId === message.run_id);
		const open = exchanges[index];
		if (message.role === 'assistant' && open) exchanges[index] = {...open, answer: message.content};
		else {
			const run = statusOf.get(message.run_id);
			const startedAt = Date.parse(message.created_at);
			const said = message.role === 'user' ? {question: message.content} : {answer: message.content};
			const endedAt = run?.duration_ms == null ? null : startedAt + run.duration_ms;
			exchanges.push({
				...ask(''),
				...said,
				runId: message.run_id,
				status: run?.status ?? null,
				phase: 'over',
				startedAt,
				endedAt,
			});
		}
	}
	return exchanges;
}
