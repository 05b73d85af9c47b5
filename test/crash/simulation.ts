/**
 * Seeded histories of several workers on one store: they start runs, ask people, answer, take over what others left, lose their
 * leases, lose messages and die. When all of it is over a last worker puts things in order, and what is left is judged.
 */

import {setImmediate} from 'node:timers/promises';
import {createRuns, type OpenRun, type Runs} from '#agents/runs.ts';
import {createApprovals} from '#approvals/approvals.ts';
import {WritError} from '#contract/errors.ts';
import type {EventData, Principal} from '#contract/event.ts';
import {digest} from '#evidence/canonical.ts';
import {openJournal, resumeJournal} from '#evidence/journal.ts';
import {createKey, signHead} from '#evidence/keys.ts';
import {govern} from '#kernel/govern.ts';
import type {Kernel, Store} from '#kernel/ports.ts';
import {createTool} from '#kernel/test-kernel.ts';
import {createFollowers, judge, type Promised} from './judge.ts';
import {createNetwork, type Mutant, type Random, type Tally} from './network.ts';

export type History = {readonly seed: number; readonly faults: readonly string[]; readonly tally: Tally; readonly steps: number};

const ADA: Principal = {kind: 'user', id: 'ada', tenant: 'local'};
const PEOPLE = ['bob', 'cy'];
const LEASE_MS = 600_000;
const APPROVE_MS = 3_000_000;
const EXECUTE_MS = 2_000_000;
const WORKERS = 3;
const {key} = createKey();
const STARTED: EventData<'run.started'> = {
	...{job: 'ops', mode: 'model', threadId: null, question: null, dataset: null, software: 'test', policyVersion: 'p1'},
	principal: ADA,
};

type Worker = {
	readonly name: string;
	readonly runs: Runs;
	readonly kernel: Kernel;
	readonly answers: ReturnType<typeof createApprovals>;
	readonly store: Store;
	readonly clock: {skew: number};
};

export function noTally(): Tally {
	return {
		lost: 0,
		unanswered: 0,
		repeated: 0,
		posthumous: 0,
		deaths: 0,
		jumps: 0,
		takeovers: 0,
		refused: 0,
		effects: 0,
		unknown: 0,
		used: 0,
		unheard: 0,
	};
}

/** Lives one history on `store`, in which nothing else is going on. */
export async function simulate(seed: number, store: Store, mutant: Mutant | null = null): Promise<History> {
	const random = createRandom(seed);
	const pick = (n: number) => Math.floor(random() * n);
	const tally = noTally();
	const time = {ms: Date.parse('2026-03-01T12:00:00Z')};
	const ids = {next: 0};
	const newId = (prefix: string) => `${prefix}_${seed}_${++ids.next}`;
	const promised: Promised[] = [];
	const effects: {readonly runId: string; readonly actionId: string}[] = [];
	const wakes: string[] = [];
	const network = createNetwork({store, random, tally, mutant, appended: (runId) => void wakes.push(runId)});
	const {messages, faults} = network;
	const runIds = new Set<string>();
	const followers = createFollowers(store);

	const kernelOf = (name: string, clock: {now(): Date}, approvals: Kernel['approvals']): Kernel => {
		const tool = (called: string) =>
			createTool({
				...{name: called, effect: 'write', risk: 'medium'},
				async run(_input, {permit: {runId, actionId}}) {
					await network.gate(name, async () => {
						const events = await store.read(runId);
						if (!events.some(({type, data}) => type === 'action.intent' && data.actionId === actionId))
							faults.push(`${actionId} happened before its intent was durable`);
						effects.push({runId, actionId});
						tally.effects += 1;
					});
					await network.gate(name);
					return {};
				},
			});
		return {
			tools: new Map(['ops.do', 'ops.ask'].map((called) => [called, tool(called)])),
			policy: () => ({version: 'p1', gates: [{name: 'policy', decide: ({tool: {name: called}}) => answerFor(called)}]}),
			sandboxes: {level: async () => 'none', run: () => Promise.reject(new Error('nothing runs in a sandbox here'))},
			...{approvals, clock, newId, digest, redact: (value) => ({value, count: 0}), progress: () => {}},
			budget: {actions: 100, tokens: 1_000, costUsd: 1, wallMs: 36_000_000},
			report: (bug) => void (bug instanceof WritError || faults.push(`a bug: ${bug}`)),
		};
	};
	const hire = (): Worker => {
		const name = newId('worker');
		const clock = {skew: pick(4_000) - 2_000, now: () => new Date(time.ms + clock.skew)};
		const own = network.storeOf(name);
		const ports = {
			store: own,
			clock,
			redact: (value: unknown) => ({value, count: 0}),
			sign: (end: Parameters<typeof signHead>[1]) => signHead(key, end),
		};
		const runs = createRuns({
			...{store: own, clock, holder: name, leaseMs: LEASE_MS, newRunId: () => newId('run')},
			journals: {
				open(runId, started, principal) {
					runIds.add(runId);
					return openJournal({...ports, runId, principal, started, fence: {holder: name, leaseMs: LEASE_MS}});
				},
				resume: (runId, token) => resumeJournal({...ports, runId, fence: {holder: name, token, leaseMs: LEASE_MS}}),
			},
		});
		const approvals = createApprovals({approveWithinMs: APPROVE_MS, executeWithinMs: EXECUTE_MS, newId});
		return {name, runs, kernel: kernelOf(name, clock, approvals), answers: approvals, store: own, clock};
	};
	const workers = Array.from({length: WORKERS}, hire);
	const any = () => workers[pick(workers.length)] as Worker;
	const promise = (runId: string, what: string) => void promised.push({runId, what});

	const tasks: (() => Promise<void> | void)[] = [];
	const start = (tool: string) => async () => {
		const worker = any();
		const run = await worker.runs.open(STARTED, ADA, new AbortController().signal);
		const status = await carryOn(worker, run, tool);
		promise(run.id, status);
	};
	const answer = async () => {
		const worker = any();
		const [row] = (await worker.store.approvals('local', 'pending')).filter(({runId}) => runIds.has(runId));
		if (!row) return;
		const verb = random() < 0.7 ? 'grant' : 'reject';
		const approver: Principal = {kind: 'user', id: PEOPLE[pick(2)] ?? '', tenant: 'local'};
		const given = {approvalId: row.approvalId, approver, comment: '', previewDigest: row.previewDigest};
		await worker.runs.write(row.runId, (events) => worker.answers[verb](events, given, worker.kernel.clock.now()));
		promise(row.runId, `approval.${verb === 'grant' ? 'granted' : 'rejected'} ${row.approvalId}`);
		const run = await worker.runs.take(row.runId, new AbortController().signal);
		promise(row.runId, await carryOn(worker, run));
	};
	const recover = async (worker = any()) => {
		await worker.runs.recover(async (run) => void (await carryOn(worker, run)));
	};
	const die = () => {
		tally.deaths += 1;
		const index = pick(workers.length);
		const [gone] = workers.splice(index, 1, hire());
		if (gone) network.kill(gone.name);
	};
	const jump = () => {
		tally.jumps += 1;
		if (random() < 0.3) any().clock.skew += pick(2) === 0 ? LEASE_MS : -LEASE_MS;
		else time.ms += pick(2 * LEASE_MS);
	};
	for (let n = 2 + pick(3); n > 0; n -= 1) tasks.push(start(random() < 0.4 ? 'ops.do' : 'ops.ask'));
	for (let n = 2 + pick(6); n > 0; n -= 1) tasks.push(answer);
	for (let n = 1 + pick(4); n > 0; n -= 1) tasks.push(() => recover());
	for (let n = pick(3); n > 0; n -= 1) tasks.push(die);
	for (let n = pick(5); n > 0; n -= 1) tasks.push(jump);

	/** A notification is lost, comes twice, or comes when others have overtaken it. */
	const announce = (runId: string) => {
		const fate = random();
		if (fate < 0.2) tally.unheard += 1;
		const times = fate < 0.2 ? 0 : fate < 0.4 ? 2 : 1;
		for (let n = 0; n < times; n += 1) messages.push({from: 'the store', deliver: () => followers.wake(runId), fail: () => {}});
	};
	/** One thing at a time: a task begins, or a message arrives. */
	const live = async (): Promise<number> => {
		for (let steps = 0; steps < MOST_STEPS; steps += 1) {
			await setImmediate();
			await setImmediate(); // whatever can go on by itself has done so
			for (const runId of wakes.splice(0)) announce(runId);
			const enabled = tasks.length + messages.length;
			if (enabled === 0) return steps;
			const choice = pick(enabled);
			if (choice >= tasks.length) await messages.splice(choice - tasks.length, 1)[0]?.deliver();
			else void Promise.resolve(tasks.splice(choice, 1)[0]?.()).catch(known(faults));
		}
		throw new Error(`seed ${seed} does not end`);
	};
	let steps = await live();
	for (const worker of workers.splice(0)) network.kill(worker.name);
	network.heal();
	for (const wait of [2 * LEASE_MS, APPROVE_MS + 2 * LEASE_MS]) {
		time.ms += wait;
		const last = hire();
		workers.push(last);
		tasks.push(() => recover(last));
		steps += await live();
	}
	network.close();
	const now = new Date(time.ms + 10 * APPROVE_MS);
	faults.push(...(await judge({store, runIds, promised, effects, tally, now, publicKey: key.publicKey})));
	faults.push(...(await followers.end([...runIds])));
	return {seed, faults, tally, steps};
}

const MOST_STEPS = 20_000;

function answerFor(called: string) {
	const effect = called === 'ops.ask' ? ('ask' as const) : ('allow' as const);
	return {gate: 'policy' as const, effect, rules: ['r1'], reason: 'it is so'};
}

/** Errors that a client or a timer would be told of; anything else is a bug of the platform. */
function known(faults: string[]): (error: unknown) => void {
	return (error) => {
		const codes = ['store_unavailable', 'conflict', 'cancelled', 'not_found', 'forbidden', 'policy_denied'];
		if (!(error instanceof WritError && codes.includes(error.code)))
			faults.push(`a bug: ${error instanceof Error ? error.stack : error}`);
	};
}

/** Goes on where the events of a run stop, and ends it: what the rooms do with their runs. */
async function carryOn({kernel}: Worker, run: OpenRun, first = 'ops.do'): Promise<string> {
	try {
		const proposed = run.journal.events.findLast((event) => event.type === 'action.proposed')?.data;
		const [tool, id] = proposed && 'tool' in proposed ? [proposed.tool, proposed.actionId] : [first, `act_${run.id}`];
		const outcome = await govern({id: String(id), tool: String(tool), input: {text: run.id}}, run.journal, kernel, run.signal);
		if (outcome.kind === 'awaiting_approval') return 'awaiting_approval';
		const status =
			outcome.kind === 'denied' || outcome.kind === 'rejected' || outcome.kind === 'expired'
				? 'rejected'
				: outcome.kind === 'killed'
					? 'failed'
					: outcome.kind;
		await run.finish({status, resultActionId: null, error: 'error' in outcome ? outcome.error : null});
		return status;
	} finally {
		run.park();
	}
}

/** Small, and the same everywhere: a seed names its history for good. */
function createRandom(seed: number): Random {
	let state = seed;
	return () => {
		state = (state + 0x6d2b79f5) | 0;
		let mixed = Math.imul(state ^ (state >>> 15), state | 1);
		mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
		return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
	};
}
