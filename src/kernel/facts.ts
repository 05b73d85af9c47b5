import type {Event, Label} from '#contract/event.ts';
import type {Facts, Journal, Kernel} from './ports.ts';

/** What the gates know of the run: a fold over its own events, so that a resumed run is judged like an uninterrupted one. */
export function factsOf(journal: Journal, kernel: Kernel): Facts {
	const labels = new Set<Label>();
	let [actions, tokens, costUsd] = [0, 0, 0];
	for (const event of journal.events) {
		if (event.type === 'action.intent') actions += 1;
		if (event.type === 'action.outcome') for (const label of event.data.labels) labels.add(label);
		if (event.type === 'model.responded') {
			tokens += event.data.inputTokens + event.data.outputTokens;
			costUsd += event.data.costUsd;
		}
	}
	const [first] = journal.events;
	const now = kernel.clock.now();
	return {
		principal: journal.principal,
		now,
		run: {
			id: journal.runId,
			startedAt: first ? new Date(first.at) : now,
			actions,
			tokens,
			costUsd,
			labels,
			scope: scopeOf(first),
			budget: kernel.budget,
		},
	};
}

function scopeOf(first: Event | undefined): string | null {
	return first?.type === 'run.started' ? (first.data.dataset?.id ?? null) : null;
}
