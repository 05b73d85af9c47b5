import type {Event, Label, Principal} from '#contract/event.ts';
import type {Level} from '#contract/sandbox.ts';
import type {Facts, Journal, Kernel, Step} from './ports.ts';
import {stepsOf} from './steps.ts';
import {waitedMs} from './waited.ts';
import {withinOf} from './within.ts';

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
	const within = withinOf(journal, kernel.tools);
	return {
		id: journal.runId,
		startedAt: first ? new Date(first.at) : now,
		waitedMs: waitedMs(journal.events, now),
		...{actions, tokens, costUsd, calls, retries, bytes},
		steps: [...past, ...stepsOf(journal, kernel.tools)],
		labels,
		scope: scopeOf(first),
		...(within && {within}),
		budget: kernel.budget,
	};
}

function scopeOf(first: Event | undefined): string | null {
	return first?.type === 'run.started' ? (first.data.dataset?.id ?? null) : null;
}

/** Whom the requester of a run acts for; null when that is nobody but themselves. */
export function ownerOf([first]: readonly Event[]): Principal | null {
	if (first?.type !== 'run.started') return null;
	const {principal} = first.data;
	const {kind, id} = first.actor;
	return principal.kind === kind && principal.id === id ? null : principal;
}
