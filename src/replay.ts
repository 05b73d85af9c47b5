import {WritError} from '#contract/errors.ts';
import type {Event, EventData, Principal} from '#contract/event.ts';
import {isRecord} from '#contract/json.ts';
import type {ReplayReply} from '#contract/reproducibility.ts';
import {canonical, digest} from '#evidence/canonical.ts';
import {assertWhole} from '#evidence/content.ts';
import {confinedTo} from '#kernel/delegate.ts';
import {govern, type Outcome} from '#kernel/govern.ts';
import type {Platform} from './platform.ts';

type Proposed = EventData<'action.proposed'>;
type Replayed = ReplayReply['actions'][number];

/**
 * Does again what a run did: every action that nothing but its input decided, as a new run that names the old one, through every
 * gate: judged as whoever did it and as the caller. Compares what came out. Throws `not_found`.
 */
export async function replayRun(
	platform: Platform,
	runId: string,
	caller: {readonly principal: Principal; readonly signal: AbortSignal},
): Promise<ReplayReply> {
	const {store, runs, kernel} = platform;
	const {principal, signal} = caller;
	if ((await store.run(runId))?.tenant !== principal.tenant) throw new WritError('not_found', `there is no run \`${runId}\``);
	const events = await store.read(runId);
	const [first] = events;
	if (first?.type !== 'run.started') throw new WritError('not_found', `there is no run \`${runId}\``);
	assertWhole(events, runId);
	const dataset = await presentDataset(platform, principal.tenant, first.data.dataset);
	const policyVersion = kernel.policy().version;
	const asWell = confinedTo(principal, first.data.principal);
	const started = {...again(first.data), dataset, policyVersion, principal: asWell, replayOf: runId};
	const run = await runs.open(started, confinedTo(started.principal, first.actor), signal);
	const actions: Replayed[] = [];
	const stopped: {reason: string | null} = {reason: whyNot(events, platform)};
	for (const proposed of stopped.reason === null ? topActions(events) : []) {
		const outcome = await govern(
			{id: kernel.newId('act'), tool: proposed.tool, input: proposed.input},
			run.journal,
			kernel,
			run.signal,
		);
		actions.push(compare(proposed, outcomeOf(events, proposed.actionId), outcome));
		if (outcome.kind !== 'awaiting_approval') continue;
		stopped.reason = `\`${proposed.tool}\` now has to be approved by a person`;
		break;
	}
	const verdict = stopped.reason !== null ? 'could_not' : actions.every(({same}) => same) ? 'same' : 'different';
	await run.finish({status: verdict === 'could_not' ? 'failed' : 'succeeded', resultActionId: null, error: null});
	const [now] = run.journal.events;
	const changed = now?.type === 'run.started' ? changesOf(first.data, now.data) : [];
	return {runId: run.id, replayOf: runId, verdict, reason: stopped.reason ?? sentence(actions), actions, changed};
}

/** What is the same of a run that is done again. */
function again({job, question, threadId, software, scope, exportOf}: EventData<'run.started'>) {
	return {
		...{mode: 'replay', question, threadId, software},
		job: job === 'system' ? ('analyst' as const) : job, // what somebody asks for is their tenant's to pay
		...(scope && {scope}),
		...(exportOf !== undefined && {exportOf}),
	};
}

/** Why a run cannot be done again; null when it can. */
function whyNot(events: readonly Event[], {kernel}: Platform): string | null {
	const actions = topActions(events);
	if (actions.length === 0) return 'it did nothing that could be done again';
	const missing = actions.find(({tool}) => !kernel.tools.has(tool));
	if (missing) return `there is no tool \`${missing.tool}\` any more`;
	const acting = actions.find(({tool}) => kernel.tools.get(tool)?.effect !== 'read');
	return acting ? `\`${acting.tool}\` changes the world, which is not done twice to see what happens` : null;
}

/** What the run proposed itself and started: never what a person or a clock refused. What code called for is part of that code's result. */
function topActions(events: readonly Event[]): readonly Proposed[] {
	return events.flatMap((event) => {
		if (event.type !== 'action.proposed' || event.data.parentActionId !== undefined) return [];
		const {actionId} = event.data;
		const isStarted = events.some(({type, data}) => type === 'action.intent' && data.actionId === actionId);
		return isStarted && outcomeOf(events, actionId) ? [event.data] : [];
	});
}

function outcomeOf(events: readonly Event[], actionId: string): EventData<'action.outcome'> | null {
	const found = events.find((event) => event.type === 'action.outcome' && event.data.actionId === actionId);
	return found?.type === 'action.outcome' ? found.data : null;
}

/** The snapshot that its tools will read: the present one, whatever the run read. */
async function presentDataset({datasets}: Platform, tenant: string, dataset: {readonly id: string} | null) {
	if (dataset === null) return null;
	const {id, hash} = await datasets.get(tenant, dataset.id);
	return {id, hash};
}

function compare(proposed: Proposed, was: EventData<'action.outcome'> | null, outcome: Outcome): Replayed {
	const before = was?.status === 'succeeded' ? stable(was.output) : null;
	const after = outcome.kind === 'succeeded' ? stable(outcome.output) : null;
	const digestOf = (value: unknown) => (value === null ? null : digest(value));
	const [a, b] = [
		{status: was?.status ?? 'unknown', digest: digestOf(before)},
		{status: outcome.kind, digest: digestOf(after)},
	];
	const same = a.status === b.status && a.digest === b.digest;
	return {
		tool: proposed.tool,
		was: a,
		is: b,
		same,
		difference: same ? null : (differenceOf(before, after, 'output') ?? 'status'),
	};
}

/** What a clock measured is another each time and says nothing of the result. */
const MEASURED = new Set(['execTimeMs', 'durationMs', 'exec_time_ms']);

function stable(value: unknown): unknown {
	if (Array.isArray(value)) return value.map(stable);
	if (!isRecord(value)) return value;
	return Object.fromEntries(Object.entries(value).flatMap(([key, member]) => (MEASURED.has(key) ? [] : [[key, stable(member)]])));
}

/** The path of the first place where two outputs differ. */
function differenceOf(a: unknown, b: unknown, place: string): string | null {
	if (canonical(a ?? null) === canonical(b ?? null)) return null;
	if (Array.isArray(a) && Array.isArray(b)) {
		const at = Array.from({length: Math.max(a.length, b.length)}, (_, index) => index).find(
			(index) => canonical(a[index] ?? null) !== canonical(b[index] ?? null),
		);
		return at === undefined ? place : differenceOf(a[at], b[at], `${place}[${at}]`);
	}
	if (!isRecord(a) || !isRecord(b)) return place;
	const key = [...new Set([...Object.keys(a), ...Object.keys(b)])]
		.sort()
		.find((each) => canonical(a[each] ?? null) !== canonical(b[each] ?? null));
	return key === undefined ? place : differenceOf(a[key], b[key], `${place}.${key}`);
}

function changesOf(was: EventData<'run.started'>, is: EventData<'run.started'>): ReplayReply['changed'] {
	const [before, after] = [factsOf(was), factsOf(is)];
	return Object.keys(before).flatMap((fact) => {
		const [a, b] = [before[fact] ?? null, after[fact] ?? null];
		return a === b ? [] : [{fact, was: a, is: b}];
	});
}

function factsOf({software, policyVersion, dataset, facts}: EventData<'run.started'>): Record<string, string | boolean | null> {
	return {
		...{software, policyVersion, dataset: dataset?.hash ?? null},
		...{commit: facts?.code.commit ?? null, dirty: facts?.code.dirty ?? null, code: facts?.code.digest ?? null},
		...{dependencies: facts?.dependencies ?? null, model: facts?.model ?? null},
		...{runner: facts?.runner.digest ?? null, image: facts?.runner.image ?? null},
	};
}

function sentence(actions: readonly Replayed[]): string {
	const different = actions.filter(({same}) => !same).length;
	if (different > 0) return `${different} of ${actions.length} results are different`;
	return actions.length === 1 ? 'the result is the same' : `${actions.length} results are the same`;
}
