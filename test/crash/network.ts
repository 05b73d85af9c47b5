/**
 * A store as workers reach it over a network that loses, repeats and delays what is sent, and answers that come late or not at all.
 * Nothing happens by itself: whatever is under way waits until a seeded scheduler delivers it, so that a seed is one history.
 */
import {WritError} from '#contract/errors.ts';
import type {Event} from '#contract/event.ts';
import type {AppendBatch, Store} from '#kernel/ports.ts';

/** What can be switched off to see that it is missed. */
export const MUTANTS = ['fencing', 'sequence', 'intent', 'durability'] as const;
export type Mutant = (typeof MUTANTS)[number];

export type Random = () => number;

/** Something under way: to the store, back from it, or to the world. */
export type Message = {
	readonly from: string;
	deliver(): Promise<void> | void;
	/** the end of the world: whoever waits for it waits no longer */
	fail(): void;
};

/** How often what happened; a simulation in which something never happens says nothing about it. */
export type Tally = Record<
	| 'lost'
	| 'unanswered'
	| 'repeated'
	| 'posthumous'
	| 'deaths'
	| 'jumps'
	| 'takeovers'
	| 'refused'
	| 'effects'
	| 'unknown'
	| 'used'
	| 'unheard',
	number
>;

export type Network = {
	readonly messages: Message[];
	readonly faults: string[];
	/** The store as `who` reaches it. */
	storeOf(who: string): Store;
	/** Waits for the scheduler, as everything does that a crash can come between; `work` is done when it is its turn. */
	gate(who: string, work?: () => Promise<void>): Promise<void>;
	kill(who: string): void;
	/** From here on nothing is lost. */
	heal(): void;
	/** Ends whatever still waits. */
	close(): void;
};

/** How likely each fate is; the rest arrives and is answered. */
const ODDS = {lost: 0.05, unanswered: 0.06, repeated: 0.06};

type Options = {
	readonly store: Store;
	readonly random: Random;
	readonly tally: Tally;
	readonly mutant: Mutant | null;
	readonly appended: (runId: string) => void;
};

export function createNetwork({store, random, tally, mutant, appended}: Options): Network {
	const messages: Message[] = [];
	const corpses: Message[] = [];
	const dead = new Set<string>();
	const state = {calm: false};
	const watch = createWatch(store, {tally, mutant, appended});

	// Whoever is dead sends nothing more, and hears nothing.
	const post = (message: Message): void => void (dead.has(message.from) ? corpses : messages).push(message);

	/** One request: `work` reaches the store when it is delivered, `answer` its sender when that is. */
	const call = <T>(from: string, work: () => Promise<T>, changes: boolean): Promise<T> => {
		const {promise, resolve, reject} = Promise.withResolvers<T>();
		promise.catch(() => {}); // whoever died does not listen
		const fate = state.calm ? 'ok' : fateOf(random(), changes);
		const fail = () => reject(new WritError('cancelled', 'the process has died'));
		const answer = (deliver: () => void) => post({from, deliver, fail});
		const request = async (isFirst: boolean) => {
			if (dead.has(from) && changes) tally.posthumous += 1;
			const settled = await work().then(
				(value) => () => resolve(value),
				(error: unknown) => () => reject(error),
			);
			if (!isFirst) return;
			answer(fate === 'unanswered' ? () => reject(away()) : settled);
		};
		if (fate === 'lost') answer(() => reject(away()));
		else post({from, deliver: () => request(true), fail});
		if (fate === 'repeated') post({from, deliver: () => request(false), fail: () => {}});
		if (fate !== 'ok') tally[fate] += 1;
		return promise;
	};

	return {
		messages,
		faults: watch.faults,
		storeOf: (who) => ({
			...store,
			append: (batch) => call(who, () => watch.append(who, batch), true),
			claim: (...args) => call(who, () => watch.claim(...args), true),
			renew: (...args) => call(who, () => watch.renew(...args), true),
			read: (...args) => call(who, () => store.read(...args), false),
			run: (...args) => call(who, () => store.run(...args), false),
			approvals: (...args) => call(who, () => store.approvals(...args), false),
		}),
		gate(who, work) {
			const {promise, resolve, reject} = Promise.withResolvers<void>();
			promise.catch(() => {});
			const deliver = async () => {
				await work?.();
				resolve();
			};
			post({from: who, deliver, fail: () => reject(new WritError('cancelled', 'the process has died'))});
			return promise;
		},
		kill(who) {
			dead.add(who);
			// What it has sent may still arrive, or not; what it was waiting for, it never hears.
			for (const message of messages.splice(0)) {
				if (message.from === who && random() < 0.5) corpses.push(message);
				else messages.push(message);
			}
		},
		heal() {
			state.calm = true;
		},
		close() {
			for (const {fail} of [...messages.splice(0), ...corpses.splice(0)]) fail();
		},
	};
}

function fateOf(draw: number, changes: boolean): 'ok' | keyof typeof ODDS {
	if (draw < ODDS.lost) return 'lost';
	if (!changes) return 'ok';
	if (draw < ODDS.lost + ODDS.unanswered) return 'unanswered';
	return draw < ODDS.lost + ODDS.unanswered + ODDS.repeated ? 'repeated' : 'ok';
}

function away(): WritError {
	return new WritError('store_unavailable', 'the store did not answer');
}

type Held = {holder: string; token: number; seq: number};
type Watching = Pick<Options, 'tally' | 'mutant' | 'appended'>;

/** Whatever reaches the store passes here one after the other, and is judged by what the store made of it. */
function createWatch(store: Store, {tally, mutant, appended}: Watching) {
	const faults: string[] = [];
	const held = new Map<string, Held>();
	const unwritten = new Map<string, readonly Event[]>();
	const counts = {appends: 0};

	const write = async (who: string, batch: AppendBatch): Promise<void> => {
		const {runId, events} = batch;
		counts.appends += 1;
		if (mutant === 'durability' && counts.appends % 7 === 0 && events.some(({type}) => type === 'run.finished')) return;
		const key = `${who} ${runId}`;
		const late = unwritten.get(key) ?? [];
		if (mutant === 'intent' && events.some(({type}) => type === 'action.intent')) return void unwritten.set(key, events);
		unwritten.delete(key);
		const whole =
			late.length > 0 ? {...batch, expectedSeq: batch.expectedSeq - late.length, events: [...late, ...events]} : batch;
		await store.append(weakened(whole, held.get(runId), mutant));
	};

	return {
		faults,
		async append(who: string, batch: AppendBatch): Promise<void> {
			const {runId, fence, expectedSeq, events} = batch;
			const before = held.get(runId);
			await write(who, batch).catch((error: unknown) => {
				if (!(error instanceof WritError)) faults.push(`${runId}: the store failed: ${error}`);
				else if (error.code === 'conflict') tally.refused += 1;
				throw error;
			});
			if (before && isOther(fence, before))
				faults.push(
					`${runId}: ${fence.holder} wrote with token ${fence.token} after ${before.holder} took it over with ${before.token}`,
				);
			const seq = before?.seq ?? 0;
			if (seq !== expectedSeq) faults.push(`${runId}: events after ${expectedSeq} were written when it was at ${seq}`);
			held.set(runId, {...(before ?? fence), seq: expectedSeq + events.length});
			appended(runId);
		},
		async claim(...args: Parameters<Store['claim']>): Promise<Awaited<ReturnType<Store['claim']>>> {
			const [holder] = args;
			const taken = await store.claim(...args);
			const before = taken && held.get(taken.runId);
			if (!taken || !before) return taken;
			if (taken.token <= before.token)
				faults.push(`${taken.runId}: the token ${taken.token} was given out after ${before.token}`);
			if (before.holder !== holder) tally.takeovers += 1;
			held.set(taken.runId, {...before, holder, token: taken.token});
			return taken;
		},
		async renew(...[runId, fence]: Parameters<Store['renew']>): Promise<boolean> {
			const kept = await store.renew(runId, fence);
			const now = held.get(runId);
			if (kept && now && isOther(fence, now)) faults.push(`${runId}: a lease that was lost was renewed`);
			return kept;
		},
	};
}

function isOther(fence: Pick<Held, 'holder' | 'token'>, {holder, token}: Held): boolean {
	return fence.holder !== holder || fence.token !== token;
}

/** The batch as a store would take it that has lost one of its defences. */
function weakened(batch: AppendBatch, now: Held | undefined, mutant: Mutant | null): AppendBatch {
	if (!now) return batch;
	if (mutant === 'fencing') return {...batch, fence: {...batch.fence, holder: now.holder, token: now.token}};
	if (mutant !== 'sequence') return batch;
	const events = batch.events.map((event, index) => ({...event, seq: now.seq + index + 1}));
	return {...batch, expectedSeq: now.seq, events};
}
