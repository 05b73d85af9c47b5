/** What must be so after a crash, however it came: each fault is a sentence. Nothing here trusts what the platform says of itself. */

import {existsSync, readFileSync} from 'node:fs';
import {isDeepStrictEqual} from 'node:util';
import type {Event} from '#contract/event.ts';
import {assertChain} from '#evidence/journal.ts';
import type {RunRow, Store} from '#kernel/ports.ts';
import {openMemory} from '#store/memory.ts';
import {verifyStored} from '../../src/pack-evidence.ts';
import type {Accepted, Stage} from './scenarios.ts';

export type Effect = {readonly runId: string; readonly actionId: string; readonly intended: boolean};

export type Report = {
	readonly faults: readonly string[];
	readonly runs: number;
	readonly events: number;
	readonly effects: number;
	readonly promises: number;
	readonly unknown: number;
};

/** Nobody comes back before a lease of another process has run out, not even far in the future. */
const FAR_MS = 100 * 24 * 3_600_000;

export async function examine(stage: Stage, files: {readonly accepted: string; readonly effects: string}): Promise<Report> {
	const {platform} = stage.started;
	const {store} = platform;
	const faults: string[] = [];
	if (platform.killSwitch.state().mode === 'observe') await resume(stage);
	const [accepted, effects] = [linesOf<Accepted>(files.accepted), linesOf<Effect>(files.effects)];
	const runs = await allRuns(store);
	const all = new Map<string, readonly Event[]>();
	for (const {runId} of runs) all.set(runId, await store.read(runId));
	for (const row of runs) faults.push(...(await faultsOfRun(row, all.get(row.runId) ?? [], stage)));
	faults.push(...faultsOfEffects(effects, all), ...faultsOfApprovals(all), ...(await faultsOfStops(store, all)));
	for (const promise of accepted) faults.push(...(await broken(promise, {stage, all, runs})));
	faults.push(...(await faultsOfProjections(store, runs, all)));
	const {kind, size, why} = await platform.serverLog.state();
	const finished = runs.filter(({finishedAt}) => finishedAt !== null).length;
	if (kind === 'forked' || size !== finished) faults.push(`the log holds ${size} of ${finished} runs and is ${kind}: ${why}`);
	// Last, because it takes them: whatever can be taken over now is what nobody did.
	const later = new Date(platform.kernel.clock.now().getTime() + FAR_MS);
	for (let left = await store.claim('examiner', later, 1); left; left = await store.claim('examiner', later, FAR_MS))
		if (!waits(runs, left.runId)) faults.push(`${left.runId} was left behind`);
	const unknown = [...all.values()]
		.flat()
		.filter(({type, data}) => type === 'action.outcome' && data.status === 'unknown').length;
	const events = [...all.values()].reduce((sum, each) => sum + each.length, 0);
	return {faults, runs: runs.length, events, effects: effects.length, promises: accepted.length, unknown};
}

/** Somebody lets a platform go on that was stopped, so that it can be seen what was left waiting. */
async function resume({started, tend}: Stage): Promise<void> {
	const by = {kind: 'user', id: 'local', tenant: 'local'} as const;
	await started.platform.killSwitch.change({mode: 'execute', reason: 'after a crash'}, by);
	await tend();
}

function waits(runs: readonly RunRow[], runId: string): boolean {
	return runs.find((run) => run.runId === runId)?.status === 'awaiting_approval';
}

async function faultsOfRun(row: RunRow, events: readonly Event[], {started: {platform}}: Stage): Promise<string[]> {
	const faults: string[] = [];
	const fault = (what: string) => void faults.push(`${row.runId} (${row.mode}): ${what}`);
	try {
		assertChain(events, row.runId);
	} catch (error) {
		fault(String(error));
	}
	if (row.status === 'running') fault('nobody works on it, and it is running');
	if (row.status === 'awaiting_approval') {
		const approvals = await platform.store.approvals(row.tenant, 'pending');
		if (!approvals.some(({runId}) => runId === row.runId)) fault('it waits for an approval that nobody is asked for');
	}
	faults.push(...openIntents(events).map((each) => `${row.runId}: ${each}`));
	if (row.finishedAt === null) return faults;
	const {verdict, checks} = await verifyStored(platform, row.runId);
	const revoked = verdict === 'cannot_tell' && checks.every(({passed, name}) => passed || name === 'revoked key');
	if (verdict !== 'valid' && !revoked) fault(`it is ${verdict}: ${JSON.stringify(checks.filter(({passed}) => !passed))}`);
	return faults;
}

/** An intent has one outcome: what happened, or that nobody knows. */
function openIntents(events: readonly Event[]): string[] {
	return events.flatMap((event) => {
		if (event.type !== 'action.intent') return [];
		const {actionId} = event.data;
		const outcomes = events.filter(({type, data}) => type === 'action.outcome' && data.actionId === actionId).length;
		return outcomes === 1 ? [] : [`${actionId} was begun and has ${outcomes} outcomes`];
	});
}

function faultsOfEffects(effects: readonly Effect[], all: ReadonlyMap<string, readonly Event[]>): string[] {
	const times = Map.groupBy(effects, ({actionId}) => actionId);
	return [...times].flatMap(([actionId, each]) => {
		const [{runId, intended} = {runId: '', intended: false}] = each;
		const outcome = all.get(runId)?.findLast(({type, data}) => type === 'action.outcome' && data.actionId === actionId);
		return [
			...(each.length > 1 ? [`${actionId} happened ${each.length} times`] : []),
			...(intended ? [] : [`${actionId} happened before its intent was durable`]),
			...(outcome ? [] : [`${actionId} happened and has no outcome`]),
		];
	});
}

function faultsOfApprovals(all: ReadonlyMap<string, readonly Event[]>): string[] {
	const used = [...all.values()].flat().flatMap((event) => (event.type === 'action.intent' ? (event.data.approvalId ?? []) : []));
	return [...Map.groupBy(used, (approvalId) => approvalId)].flatMap(([approvalId, times]) =>
		times.length > 1 ? [`${approvalId} was used ${times.length} times`] : [],
	);
}

/** Whoever stops everything ends what waits for people too, and so it stays when everything goes on. */
async function faultsOfStops(store: Store, all: ReadonlyMap<string, readonly Event[]>): Promise<string[]> {
	const stops = [...all.values()].flat().filter((event) => event.type === 'mode.changed' && event.data.mode === 'observe');
	const waiting = await store.approvals(null, 'pending');
	const asked = waiting.filter(({requestedAt}) => stops.some(({at}) => at > requestedAt));
	return asked.map(({approvalId}) => `${approvalId} waits since before everything was stopped`);
}

type Known = {readonly stage: Stage; readonly all: ReadonlyMap<string, readonly Event[]>; readonly runs: readonly RunRow[]};

/** A promise that was not kept. */
async function broken(promise: Accepted, known: Known): Promise<string[]> {
	const kept = await (KEPT[promise.kind] as (promise: Accepted, known: Known) => boolean | Promise<boolean>)(promise, known);
	return kept ? [] : [`it was lost that ${JSON.stringify(promise)}`];
}

type Kept = {[Kind in Accepted['kind']]: (promise: Extract<Accepted, {kind: Kind}>, known: Known) => boolean | Promise<boolean>};

const KEPT: Kept = {
	run({runId, status}, {runs}) {
		const now = runs.find((row) => row.runId === runId)?.status;
		return now === status || (now !== undefined && status === 'awaiting_approval');
	},
	answer({runId, event, approvalId}, {all}) {
		const isIt = ({type, data}: Event) => type === event && 'approvalId' in data && data.approvalId === approvalId;
		return all.get(runId)?.some(isIt) ?? false;
	},
	policy({version}, {stage, all}) {
		const changes = [...all.values()].flat().filter((event) => event.type === 'policy.changed');
		const inForce = stage.started.platform.policy.current().version;
		return inForce === version && changes.some(({data}) => data.version === version);
	},
	mode({number, mode}, {stage, all}) {
		const change = all.get(`mode-${number}`)?.find((event) => event.type === 'mode.changed');
		return change?.data.mode === mode && stage.started.platform.killSwitch.state().number >= number;
	},
	async dataset({id}, {stage}) {
		const found = await stage.started.platform.datasets.get('local', id).catch(() => null); // what is lost is missed below
		return found?.id === id;
	},
	key: ({keyId}, {stage}) => stage.started.platform.keyring.records().some((record) => record.keyId === keyId),
};

/** The rows that lists are made of are those that the events say: all of them are stored again, in memory, and compared. */
async function faultsOfProjections(
	store: Store,
	runs: readonly RunRow[],
	all: ReadonlyMap<string, readonly Event[]>,
): Promise<string[]> {
	const again = openMemory();
	const fence = {holder: 'again', token: 1, until: new Date(0).toISOString()};
	for (const [runId, events] of all) await again.append({runId, expectedSeq: 0, events, fence});
	const faults: string[] = [];
	const compare = (what: string, stored: unknown, replayed: unknown) => {
		if (!isDeepStrictEqual(stored, replayed))
			faults.push(`${what} is not what its events say: ${JSON.stringify({stored, replayed})}`);
	};
	for (const run of runs) compare(run.runId, {...run}, await again.run(run.runId));
	const sorted = async (from: Store) =>
		(await from.approvals(null)).map((row) => ({...row})).toSorted((a, b) => (a.approvalId < b.approvalId ? -1 : 1));
	compare('the list of approvals', await sorted(store), await sorted(again));
	const tenants = new Set(runs.map(({tenant}) => tenant));
	for (const tenant of tenants)
		compare(
			'the list of threads',
			(await store.threads(tenant, 200)).map((row) => ({...row})),
			await again.threads(tenant, 200),
		);
	return faults;
}

async function allRuns(store: Store): Promise<readonly RunRow[]> {
	return (await store.runs({tenant: 'local', limit: 200})).rows;
}

function linesOf<Line>(file: string): readonly Line[] {
	if (!existsSync(file)) return [];
	return readFileSync(file, 'utf8')
		.split('\n')
		.filter(Boolean)
		.map((line) => JSON.parse(line) as Line);
}
