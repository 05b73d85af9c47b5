/** What must be so at the end of a history: each fault is a sentence. */
import {setTimeout as pause} from 'node:timers/promises';
import {isDeepStrictEqual} from 'node:util';
import type {Event} from '#contract/event.ts';
import {verifyRun} from '#evidence/verify.ts';
import type {Store} from '#kernel/ports.ts';
import {openMemory} from '#store/memory.ts';
import {Watchers} from '#store/watchers.ts';
import type {Tally} from './network.ts';

/** What a client was told of a run: its status, or an event with the approval that it is of. */
export type Promised = {readonly runId: string; readonly what: string};

/** A follower reads by itself, over a network of its own. */
const PATIENCE_MS = 10_000;

type Effect = {readonly runId: string; readonly actionId: string};
type Runs = ReadonlyMap<string, readonly Event[]>;

type Left = {
	readonly store: Store;
	readonly runIds: ReadonlySet<string>;
	readonly promised: readonly Promised[];
	readonly effects: readonly Effect[];
	readonly tally: Tally;
	/** when every lease has run out */
	readonly now: Date;
	readonly publicKey: string;
};

export async function judge({store, runIds, promised, effects, tally, now, publicKey}: Left): Promise<string[]> {
	const faults: string[] = [];
	const all = new Map<string, readonly Event[]>();
	for (const runId of runIds) {
		if ((await store.run(runId)) === null) continue;
		const events = await store.read(runId);
		all.set(runId, events);
		count(events, tally);
		faults.push(...(await faultsOfRun(runId, events, {store, publicKey})));
	}
	for (const promise of promised)
		if (!(await isKept(promise, store, all))) faults.push(`${promise.runId}: it was lost that ${promise.what}`);
	faults.push(...faultsOfEffects(effects, all), ...faultsOfApprovals(all));
	const left = await store.claim('judge', now, 1);
	if (left) faults.push(`${left.runId} was left behind`);
	return faults;
}

function count(events: readonly Event[], tally: Tally): void {
	for (const {type, data} of events) {
		if (type === 'action.outcome' && data.status === 'unknown') tally.unknown += 1;
		if (type === 'action.intent' && data.approvalId !== null) tally.used += 1;
	}
}

type Judging = Pick<Left, 'store' | 'publicKey'>;

async function faultsOfRun(runId: string, events: readonly Event[], {store, publicKey}: Judging): Promise<string[]> {
	const faults: string[] = [];
	const row = await store.run(runId);
	if (!row?.finishedAt) faults.push(`${runId} is ${row?.status} and nobody works on it`);
	const {verdict, checks} = verifyRun(await store.rawEvents(runId), await store.head(runId), publicKey);
	if (verdict !== 'valid') faults.push(`${runId} is ${verdict}: ${JSON.stringify(checks.filter(({passed}) => !passed))}`);
	return [...faults, ...(await faultsOfRows(store, runId, events))];
}

async function isKept({runId, what}: Promised, store: Store, all: Runs): Promise<boolean> {
	const [kind = '', approvalId] = what.split(' ');
	const isIt = ({type, data}: Event) => type === kind && 'approvalId' in data && data.approvalId === approvalId;
	if (approvalId !== undefined) return all.get(runId)?.some(isIt) ?? false;
	return kind === 'awaiting_approval' ? all.has(runId) : (await store.run(runId))?.status === kind;
}

function faultsOfEffects(effects: readonly Effect[], all: Runs): string[] {
	return [...Map.groupBy(effects, ({actionId}) => actionId)].flatMap(([actionId, each]) => {
		const events = all.get(each[0]?.runId ?? '') ?? [];
		const outcomes = events.filter(({type, data}) => type === 'action.outcome' && data.actionId === actionId).length;
		return [
			...(each.length > 1 ? [`${actionId} happened ${each.length} times`] : []),
			...(outcomes === 1 ? [] : [`${actionId} happened and has ${outcomes} outcomes`]),
		];
	});
}

function faultsOfApprovals(all: Runs): string[] {
	const used = [...all.values()].flat().flatMap((event) => (event.type === 'action.intent' ? (event.data.approvalId ?? []) : []));
	const times = [...Map.groupBy(used, (approvalId) => approvalId)];
	return times.flatMap(([approvalId, each]) => (each.length > 1 ? [`${approvalId} was used ${each.length} times`] : []));
}

/** What lists are made of, against the same events stored once more. */
async function faultsOfRows(store: Store, runId: string, events: readonly Event[]): Promise<string[]> {
	const again = openMemory();
	try {
		await again.append({runId, expectedSeq: 0, events, fence: {holder: 'again', token: 1, until: new Date(0).toISOString()}});
	} catch (error) {
		return [`${runId} cannot have happened: ${error}`];
	}
	const row = await store.run(runId);
	const same = isDeepStrictEqual({...row}, await again.run(runId));
	const mine = (await store.approvals(null)).filter((approval) => approval.runId === runId).map((approval) => ({...approval}));
	return same && isDeepStrictEqual(mine, await again.approvals(null)) ? [] : [`the rows of ${runId} are not what its events say`];
}

/** Whoever follows a run hears of each event once and in order, however notifications come. */
export function createFollowers(store: Store) {
	const watchers = new Watchers({read: store.read});
	const over = new AbortController();
	const heard = new Map<string, number[]>();
	const follow = async (runId: string, seqs: number[]) => {
		for await (const {seq} of watchers.follow(runId, 0, over.signal)) seqs.push(seq);
	};
	return {
		wake(runId: string) {
			if (heard.has(runId)) return watchers.wake(runId);
			const seqs: number[] = [];
			heard.set(runId, seqs);
			void follow(runId, seqs).catch(() => {}); // what it did not hear is missing then
		},
		async end(runIds: readonly string[]): Promise<string[]> {
			watchers.wakeAll(); // as stores do from time to time
			const faults: string[] = [];
			for (const runId of runIds) {
				const seqs = heard.get(runId);
				const {length} = await store.rawEvents(runId);
				for (const end = performance.now() + PATIENCE_MS; seqs && seqs.length < length && performance.now() < end; )
					await pause(1);
				const expected = Array.from({length}, (_, index) => index + 1);
				if (seqs && !isDeepStrictEqual(seqs, expected))
					faults.push(`whoever follows ${runId} heard of ${seqs} of ${length} events`);
			}
			over.abort();
			return faults;
		},
	};
}
