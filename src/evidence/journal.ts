/**
 * Evidence: what happened, so that somebody who does not trust us can check it. A journal redacts and chains each event before it
 * is stored, under the token of whoever holds the run. Nothing here decides, and nothing is changed once written. The verifier
 * (verify.ts) shares only the canonical form with this file.
 */
import {WritError} from '#contract/errors.ts';
import {CONTENT, EVENTS, type Event, type EventBody, type EventData, type Principal, type SignedHead} from '#contract/event.ts';
import type {AppendBatch, Clock, Journal, Redactor, Store} from '#kernel/ports.ts';
import {hashOf, newSalt} from './content.ts';
import {createInstants} from './instants.ts';
import {withOrigin} from './origin.ts';

/** A journal whose lease its holder has to keep. */
export type RunJournal = Journal & {
	/** Extends the lease during long work. False when another holder took the run over; then every later append fails. */
	renew(): Promise<boolean>;
};

type JournalPorts = {
	readonly store: Pick<Store, 'append' | 'read' | 'renew'>;
	readonly runId: string;
	readonly clock: Clock;
	readonly redact: Redactor;
	readonly sign: (end: Omit<SignedHead, 'keyId' | 'signature'>) => SignedHead;
};

type Fence = {readonly holder: string; readonly token: number; readonly leaseMs: number};

/** Starts the event stream of a new run with `run.started`. Throws `conflict` when the run exists. */
export async function openJournal(
	options: JournalPorts & {
		readonly principal: Principal;
		readonly fence: Omit<Fence, 'token'>;
		/** names a principal of its own when the run is an agent's, on behalf of somebody */
		readonly started: Omit<EventData<'run.started'>, 'principal'> & {readonly principal?: Principal};
		/** what else is recorded in the same transaction */
		readonly rest?: readonly EventBody[];
	},
): Promise<RunJournal> {
	const {principal, started, fence, rest = [], ...ports} = options;
	const journal = createJournal(ports, {...fence, token: 1}, {principal, events: []});
	await journal.append({type: 'run.started', actor: principal, data: {principal, ...started}}, ...rest);
	return journal;
}

/** Opens the stream of a run that was claimed from the store. Throws `evidence_tampered` rather than extend a broken chain. */
export async function resumeJournal(options: JournalPorts & {readonly fence: Fence}): Promise<RunJournal> {
	const {fence, ...ports} = options;
	const events = await ports.store.read(ports.runId);
	const [first] = events;
	if (!first) throw new WritError('not_found', `there is no run \`${ports.runId}\``);
	assertChain(events, ports.runId);
	if (first.type !== 'run.started') throw tampered(ports.runId, 1);
	return createJournal(ports, fence, {principal: first.actor, events: [...events]});
}

/** One call of `append`: what it stated, and its events as they are linked now. */
type Part = {
	readonly bodies: readonly EventBody[];
	readonly events: readonly Event[];
	readonly written: PromiseWithResolvers<void>;
};
type Batch = readonly Part[];

function createJournal(
	{store, runId, clock, redact, sign}: JournalPorts,
	{holder, token, leaseMs}: Fence,
	{principal, events}: {readonly principal: Principal; readonly events: Event[]},
): RunJournal {
	const state: {failure: unknown; writing: boolean; next: Batch | null} = {failure: null, writing: false, next: null};
	const watchers = new Set<() => void>();
	const [instant, untilInstant] = [createInstants(), createInstants()];
	const lease = () => ({holder, token, until: untilInstant(clock.now().getTime() + leaseMs)});

	const link = (bodies: readonly EventBody[]): Event[] => {
		const linked: Event[] = [];
		const now = instant(clock.now().getTime());
		let last = events.at(-1);
		for (const body of bodies) {
			if (last?.type === 'run.finished') throw new WritError('conflict', `the run \`${runId}\` has finished`, {details: {runId}});
			last = linkEvent(body, {runId, last, now, redact});
			linked.push(last);
		}
		return linked;
	};

	const write = async (batch: readonly Event[]): Promise<void> => {
		const [first, last] = [batch[0], batch.at(-1)];
		if (!first || !last) return;
		const request: AppendBatch = {runId, expectedSeq: first.seq - 1, events: batch, fence: lease()};
		const end = {runId, seq: last.seq, hash: last.hash, at: last.at};
		await store.append(last.type === 'run.finished' ? {...request, head: sign(end)} : request);
	};

	const settle = async (batch: Batch): Promise<void> => {
		try {
			if (state.failure) throw state.failure;
			await write(batch.flatMap((part) => part.events));
			for (const {written} of batch) written.resolve();
		} catch (error) {
			if (isOutdated(error)) {
				state.next = relink([...batch, ...(state.next ?? [])], error, {events, link});
				return;
			}
			// INVARIANT: what could not be written is in `events` all the same, so nothing may be appended after it.
			state.failure = error;
			for (const {written} of batch) written.reject(error);
		}
	};

	// One write at a time; what arrives meanwhile is one batch, so a slow store gets fewer and larger writes.
	const drain = async (batch: Batch): Promise<void> => {
		state.writing = true;
		for (let current: Batch | null = batch; current; [current, state.next] = [state.next, null]) await settle(current);
		state.writing = false;
	};

	return {
		runId,
		principal,
		events,
		async append(...bodies) {
			if (state.failure) throw state.failure;
			const linked = link(bodies);
			events.push(...linked);
			for (const wake of watchers) wake();
			const part = {bodies, events: linked, written: Promise.withResolvers<void>()};
			if (state.writing) state.next = [...(state.next ?? []), part];
			else void drain([part]);
			return part.written.promise;
		},
		async changed(seq, signal) {
			if (events.length > seq || signal.aborted) return;
			const {promise, resolve} = Promise.withResolvers<void>();
			watchers.add(resolve);
			signal.addEventListener('abort', () => resolve(), {once: true});
			await promise;
			watchers.delete(resolve);
		},
		async renew() {
			const kept = await store.renew(runId, lease());
			if (!kept) state.failure ??= new WritError('conflict', `another process has taken over the run \`${runId}\``);
			return kept;
		},
	};
}

type Chain = {readonly events: Event[]; link(bodies: readonly EventBody[]): Event[]};

/** Takes back what was decided under modes that no longer hold, and links what remains anew: none of it was written. */
function relink(batch: Batch, refusal: unknown, {events, link}: Chain): Batch {
	events.length = (batch[0]?.events[0]?.seq ?? 1) - 1;
	return batch.flatMap((part): Batch => {
		if (part.bodies.some(({type}) => type === 'action.intent')) {
			part.written.reject(refusal);
			return [];
		}
		const linked = link(part.bodies);
		events.push(...linked);
		return [{...part, events: linked}];
	});
}

/** The store refuses an intent when a mode was changed meanwhile; it is decided again, and the run goes on. */
function isOutdated(error: unknown): boolean {
	return error instanceof WritError && error.code === 'conflict' && 'modeNumber' in error.details;
}

const GENESIS = '0'.repeat(64);

type Place = {readonly runId: string; readonly last: Event | undefined; readonly now: string; readonly redact: Redactor};

/** Redacts, checks and hashes: what leaves here is what is stored, streamed and exported. */
function linkEvent(body: EventBody, {runId, last, now, redact}: Place): Event {
	const clean = redact(withOrigin(body)).value as object;
	// What is stopped is named as it is: with a part of the name blotted out it would stop nobody.
	const named = body.type === 'mode.changed' && body.data.scope ? {...clean, scope: body.data.scope} : clean;
	const data: unknown = EVENTS[body.type].parse(named);
	const at = last && last.at > now ? last.at : now; // a clock set back must not break the order
	const seq = (last?.seq ?? 0) + 1;
	const unhashed = {actor: body.actor, at, data, prev: last?.hash ?? GENESIS, runId, seq, type: body.type, v: 2};
	const salted = (CONTENT[body.type] ? {...unhashed, salt: newSalt()} : unhashed) as Omit<Event, 'hash'>;
	return {...salted, hash: hashOf(salted)} as Event;
}

/** Throws `evidence_tampered`, naming the first event that is not linked to the one before or not what was hashed. */
export function assertChain(events: readonly Event[], runId: string): void {
	let prev = GENESIS;
	for (const [index, event] of events.entries()) {
		const linked = event.seq === index + 1 && event.runId === runId && event.prev === prev;
		if (!linked || hashOf(event) !== event.hash) throw tampered(runId, index + 1);
		prev = event.hash;
	}
}

function tampered(runId: string, seq: number): WritError {
	return new WritError('evidence_tampered', `event ${seq} of run \`${runId}\` was changed after it was written`, {
		hint: `keep the database as it is and run \`writ evidence verify ${runId}\``,
		details: {runId, seq},
	});
}
