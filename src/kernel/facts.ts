import type {Event, Label} from '#contract/event.ts';
import type {Level} from '#contract/sandbox.ts';
import type {Facts, Journal, Kernel, Step} from './ports.ts';
import {stepsOf} from './steps.ts';

type Seen = Pick<Journal, 'runId' | 'principal' | 'events'>;
type Known = Pick<Kernel, 'clock' | 'budget' | 'tools'>;

/** What the gates know besides the action. */
export function factsOf(journal: Seen, kernel: Known, isolation: Level, past: readonly Step[] = []): Facts {
	return {principal: journal.principal, now: kernel.clock.now(), isolation, run: runOf(journal, kernel, past)};
}

/** The run so far: a fold over its own events, so that a resumed run is judged like an uninterrupted one. */
export function runOf(journal: Seen, kernel: Known, past: readonly Step[] = []): Facts['run'] {
	const labels = new Set<Label>();
	let [actions, tokens, costUsd, calls, retries, bytes] = [0, 0, 0, 0, 0, 0];
	for (const event of journal.events) {
		if (event.type === 'action.intent') actions += 1;
		if (event.type === 'action.outcome') {
			bytes += event.data.usage?.outputBytes ?? 0;
			for (const label of event.data.labels) labels.add(label);
		}
		if (event.type === 'model.failed') retries += 1;
		if (event.type === 'model.responded') {
			calls += 1;
			tokens += event.data.inputTokens + event.data.outputTokens;
			costUsd += event.data.costUsd;
		}
	}
	const [first] = journal.events;
	const now = kernel.clock.now();
	return {
		id: journal.runId,
		startedAt: first ? new Date(first.at) : now,
		waitedMs: waitedMs(journal.events, now),
		...{actions, tokens, costUsd, calls, retries, bytes},
		steps: [...past, ...stepsOf(journal, kernel.tools)],
		labels,
		scope: scopeOf(first),
		budget: kernel.budget,
	};
}

function scopeOf(first: Event | undefined): string | null {
	return first?.type === 'run.started' ? (first.data.dataset?.id ?? null) : null;
}

/** The time during which at least one approval was waiting for its answer. */
function waitedMs(events: readonly Event[], now: Date): number {
	const waiting = new Set<string>();
	let [total, since] = [0, 0];
	for (const event of events) {
		if (event.type === 'approval.requested') {
			if (waiting.size === 0) since = Date.parse(event.at);
			waiting.add(event.data.approvalId);
		} else if (isAnswer(event) && waiting.delete(event.data.approvalId) && waiting.size === 0) {
			total += Date.parse(event.at) - since;
		}
	}
	return waiting.size === 0 ? total : total + now.getTime() - since;
}

function isAnswer(event: Event): event is Extract<Event, {type: 'approval.granted' | 'approval.rejected' | 'approval.expired'}> {
	return event.type === 'approval.granted' || event.type === 'approval.rejected' || event.type === 'approval.expired';
}
