import type {Event, Label, Principal} from '#contract/event.ts';
import type {Level} from '#contract/sandbox.ts';
import {createFold} from './fold.ts';
import type {Action, Facts, Journal, Kernel, Step} from './ports.ts';
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
	const {startedAt, actions, tokens, costUsd, calls, retries, bytes, labels} = totalsOf(journal.events);
	const [first] = journal.events;
	const now = kernel.clock.now();
	const within = withinOf(journal, kernel.tools);
	const taken = past.filter(({runId}) => runId === journal.runId); // what led to the result that an export takes out
	const done: {steps?: readonly Step[]} = {};
	return {
		id: journal.runId,
		startedAt: startedAt ?? now,
		waitedMs: waitedMs(journal.events, now),
		...{actions, tokens, costUsd, calls, retries, bytes},
		// Few gates ask: only what changes something or goes out is judged by what came before it.
		get steps() {
			done.steps ??= [...past, ...stepsOf(journal, kernel.tools)];
			return done.steps;
		},
		labels: new Set([...labels, ...taken.flatMap((step) => step.labels)]),
		scope: scopeOf(first),
		...(within && {within}),
		budget: kernel.budget,
	};
}

type Totals = Pick<Facts['run'], 'actions' | 'tokens' | 'costUsd' | 'calls' | 'retries' | 'bytes'>;

type Folded = {-readonly [Name in keyof Totals]: Totals[Name]} & {startedAt: Date | null; readonly labels: Set<Label>};

const totalsOf = createFold<Folded>(
	() => ({startedAt: null, actions: 0, tokens: 0, costUsd: 0, calls: 0, retries: 0, bytes: 0, labels: new Set()}),
	(totals, event) => {
		totals.startedAt ??= new Date(event.at);
		if (event.type === 'action.intent') totals.actions += 1;
		if (event.type === 'action.outcome') {
			totals.bytes += event.data.usage?.outputBytes ?? 0;
			for (const label of event.data.labels) totals.labels.add(label);
		}
		if (event.type === 'model.failed') totals.retries += 1;
		if (event.type === 'model.responded') {
			totals.calls += 1;
			totals.tokens += event.data.inputTokens + event.data.outputTokens;
			totals.costUsd += event.data.costUsd;
		}
	},
);

function scopeOf(first: Event | undefined): string | null {
	return first?.type === 'run.started' ? (first.data.dataset?.id ?? null) : null;
}

/** What the run of an action was opened for; null for one that code in a sandbox called for. */
export function modeOf({parent}: Pick<Action, 'parent'>, [first]: readonly Event[]): string | null {
	return parent === undefined && first?.type === 'run.started' ? first.data.mode : null;
}

/** Whom the requester of a run acts for; null when that is nobody but themselves. */
export function ownerOf([first]: readonly Event[]): Principal | null {
	if (first?.type !== 'run.started') return null;
	const {principal} = first.data;
	const {kind, id} = first.actor;
	return principal.kind === kind && principal.id === id ? null : principal;
}
