/** A run for tests: every kind of event that the verifier has a rule for, written by the journal into a store that only remembers. */
import {generateKeyPairSync, sign} from 'node:crypto';
import type {Event, EventBody, Principal, SignedHead} from '#contract/event.ts';
import type {Isolation, TestCase} from '#contract/sandbox.ts';
import type {Scope} from '#contract/scope.ts';
import type {AppendBatch, Store} from '#kernel/ports.ts';
import {digest} from './canonical.ts';
import {openJournal, type RunJournal} from './journal.ts';
import {keyIdOf, type SigningKey, signHead} from './keys.ts';
import {createRedactor} from './redact.ts';

/** A key that only this process knows. */
export function sampleKey(): SigningKey {
	const {publicKey, privateKey} = generateKeyPairSync('ed25519');
	return {
		keyId: keyIdOf(publicKey),
		publicKey: publicKey.export({type: 'spki', format: 'der'}).toString('base64'),
		sign: (text) => sign(null, Buffer.from(text), privateKey).toString('base64'),
	};
}

export const ADA: Principal = {kind: 'user', id: 'ada', tenant: 'local'};
const BOT: Principal = {kind: 'agent', id: 'bot', tenant: 'local'};

export type MemoryStore = Pick<Store, 'append' | 'read' | 'rawEvents' | 'head' | 'renew'> & {
	readonly batches: AppendBatch[];
	/** what the store holds, for tests that damage it */
	readonly rows: Event[];
};

export function createMemoryStore(): MemoryStore {
	const batches: AppendBatch[] = [];
	const rows: Event[] = [];
	const copy = () => JSON.parse(JSON.stringify(rows)) as Event[];
	return {
		batches,
		rows,
		async append(batch) {
			batches.push(batch);
			rows.push(...(JSON.parse(JSON.stringify(batch.events)) as Event[]));
		},
		read: async () => copy(),
		rawEvents: async () => copy(),
		head: async () => batches.findLast(({head}) => head)?.head ?? null,
		renew: async () => true,
	};
}

export const STARTED = {
	job: 'analyst',
	mode: 'chat',
	threadId: null,
	question: 'How many tickets are open?',
	dataset: null,
	software: 'writ 0.1.0',
	policyVersion: 'p1',
} as const;

/** Advances by 10 ms each time it is read. */
export function createTestClock(): {now(): Date} {
	const state = {ms: Date.parse('2026-03-01T12:00:00.000Z')};
	return {
		now: () => {
			state.ms += 10;
			return new Date(state.ms);
		},
	};
}

type SampleRun = {readonly store: MemoryStore; readonly journal: RunJournal};

const SCOPE: Scope = {
	steps: [{id: 'asked-for', tool: 'ops.restart', times: 9, after: [], input: {target: {is: 'the ward of doctor Noor'}}}],
};

/** Opens a run, with a scope, and nothing more. */
export async function startRun(key: SigningKey, runId = 'run_1', clock = createTestClock()): Promise<SampleRun> {
	const store = createMemoryStore();
	const journal = await openJournal({
		store,
		runId,
		principal: BOT,
		fence: {holder: 'h1', leaseMs: 1_000},
		clock,
		redact: createRedactor([]),
		sign: (end) => signHead(key, end),
		started: {...STARTED, scope: SCOPE},
	});
	return {store, journal};
}

/** One approved action, one allowed action, one denied action, and the end. */
export async function finishedRun(
	key: SigningKey,
	runId?: string,
	bodies = sampleBodies(),
): Promise<SampleRun & {readonly head: SignedHead}> {
	const run = await startRun(key, runId);
	for (const body of bodies) await run.journal.append(body);
	const head = await run.store.head(run.journal.runId);
	if (!head) throw new Error('the run has no head');
	return {...run, head};
}

/** Those of `sampleBodies`, the second action as a test suite that ran in a sandbox. */
export function testedBodies(cases: readonly TestCase[]): EventBody[] {
	return sampleBodies().map((body): EventBody => {
		if (body.type !== 'action.outcome' || body.data.actionId !== 'act_2') return body;
		const output = {cases, artifacts: []};
		return {...body, data: {...body.data, output, outputDigest: digest(output), isolation: ISOLATION}};
	});
}

const ISOLATION: Isolation = {
	provider: 'process',
	level: 'kernel-shared',
	namespaces: ['net', 'pid'],
	seccomp: true,
	limits: {memory: 'cgroup'},
	network: 'none',
	warm: true,
};

export function sampleBodies(): EventBody[] {
	return [
		...proposal('act_1', 'ask'),
		{
			type: 'approval.requested',
			actor: BOT,
			data: {
				approvalId: 'apr_1',
				actionId: 'act_1',
				binding: 'b1',
				tool: 'ops.restart',
				preview: 'restart web',
				risk: 'high',
				requestedBy: BOT,
				approveBy: '2026-03-01T13:00:00.000Z',
				executeWithinMs: 60_000,
			},
		},
		{
			type: 'approval.granted',
			actor: ADA,
			data: {approvalId: 'apr_1', actionId: 'act_1', approver: ADA, comment: 'go', executeBy: '2026-03-01T13:10:00.000Z'},
		},
		...effect('act_1', 'apr_1', 'b1'),
		...proposal('act_2', 'allow'),
		...effect('act_2', null, 'b2'),
		...proposal('act_3', 'deny'),
		{type: 'run.finished', actor: BOT, data: {status: 'succeeded', resultActionId: 'act_2', error: null, durationMs: 1.5}},
	];
}

function proposal(actionId: string, answer: 'allow' | 'ask' | 'deny'): EventBody[] {
	const input = {target: actionId, times: 1};
	const gates = [{gate: 'permission', effect: answer, rules: ['r1'], reason: 'as the rule says'}] as const;
	return [
		{
			type: 'action.proposed',
			actor: BOT,
			data: {actionId, tool: 'ops.restart', toolVersion: '1', input, inputDigest: digest(input), redactions: 0},
		},
		{
			type: 'action.decided',
			actor: BOT,
			data: {
				actionId,
				decision: {
					effect: answer,
					gates: gates.map((gate) => ({...gate, rules: [...gate.rules]})),
					risk: 'high',
					policyVersion: 'p1',
				},
			},
		},
	];
}

function effect(actionId: string, approvalId: string | null, binding: string): EventBody[] {
	const output = {rows: [[1, 'é', null]]};
	return [
		{
			type: 'action.intent',
			actor: BOT,
			data: {actionId, permitId: `pmt_${actionId}`, approvalId, binding, limits: {wallMs: 1_000}},
		},
		{
			type: 'action.outcome',
			actor: BOT,
			data: {
				actionId,
				status: 'succeeded',
				output,
				outputDigest: digest(output),
				error: null,
				labels: ['untrusted'],
				usage: null,
				isolation: null,
				durationMs: 0.25,
			},
		},
		{type: 'action.verified', actor: BOT, data: {actionId, verdict: {kind: 'unverified', checks: []}}},
	];
}
