/**
 * A whole kernel for tests: real policy, real approvals, a real journal on a store in memory, and a sandbox that only remembers.
 */
import {generateKeyPairSync, sign} from 'node:crypto';
import {z} from 'zod';
import {createApprovals} from '#approvals/approvals.ts';
import type {Event, EventBody, Principal} from '#contract/event.ts';
import type {PolicyDocument} from '#contract/policy.ts';
import type {Scope} from '#contract/scope.ts';
import {digest} from '#evidence/canonical.ts';
import {openJournal, type RunJournal, resumeJournal} from '#evidence/journal.ts';
import {keyIdOf, type SigningKey, signHead} from '#evidence/keys.ts';
import {createRedactor} from '#evidence/redact.ts';
import {BUILT_IN, createPolicy, loadDefaultPolicy} from '#policy/policy.ts';
import {openMemory} from '#store/memory.ts';
import {govern, type Outcome} from './govern.ts';
import {assertPermit} from './permit.ts';
import type {Kernel, Policy, Store} from './ports.ts';
import type {AnyTool, Tool} from './tool.ts';

export const ADA: Principal = {kind: 'user', id: 'ada', tenant: 'local'};
export const BOB: Principal = {kind: 'user', id: 'bob', tenant: 'local'};

export type Input = {readonly text: string};

/** A tool that says what it was given. With `effect: 'read'` the default policy allows it, with `write` it asks, elsewhere it denies. */
export function createTool(parts: Partial<Tool<Input, unknown>> = {}): Tool<Input, unknown> {
	return {
		name: 'analyst.echo',
		version: '1',
		title: 'Echo',
		description: 'Says what it was given.',
		input: z.strictObject({text: z.string()}),
		output: z.unknown(),
		effect: 'read',
		risk: 'low',
		idempotent: true,
		labels: [],
		limits: {wallMs: 60_000, maxRows: 10, maxBytes: 1_000},
		resource: () => ({type: 'Run', id: 'run_1'}),
		run: async ({text}) => ({said: text}),
		...parts,
	};
}

/** Waits to be approved under the default policy. */
export function createWriteTool(parts: Partial<Tool<Input, unknown>> = {}): Tool<Input, unknown> {
	return createTool({name: 'ops.restart', effect: 'write', risk: 'medium', ...parts});
}

type Overrides = {
	readonly tools?: readonly AnyTool[];
	readonly policy?: () => Policy;
	readonly budget?: Partial<Kernel['budget']>;
	readonly store?: Store;
	readonly principal?: Principal;
	readonly secrets?: readonly string[];
	readonly scope?: Scope;
};

export type TestKernel = {
	readonly kernel: Kernel;
	readonly journal: RunJournal;
	readonly store: Store;
	readonly key: SigningKey;
	/** what the sandbox was asked to run */
	readonly sandboxed: unknown[];
	/** bugs that were reported */
	readonly reported: unknown[];
	advance(ms: number): void;
	/** Proposes; the id defaults to `act_1`. */
	propose(tool: string, input: unknown, options?: {id?: string; signal?: AbortSignal; journal?: RunJournal}): Promise<Outcome>;
	/** Answers the approval that was asked for, as Bob. */
	answer(how: 'grant' | 'reject', approvalId: string): Promise<void>;
	/** Takes the run over, as another process does after a crash. */
	resume(): Promise<RunJournal>;
	/** types of the durable events after `run.started` */
	recorded(): Promise<string[]>;
	durable(): Promise<readonly Event[]>;
};

/** The default policy with another answer to each risk. */
export function policyOf(decisions: Partial<PolicyDocument['risk']['decisions']>): Policy {
	const {risk} = BUILT_IN;
	const document = {...BUILT_IN, risk: {...risk, decisions: {...risk.decisions, ...decisions}}};
	return createPolicy({...loadDefaultPolicy(), disabledTools: new Map<string, string>(), digest, document});
}

const defaultPolicy = policyOf({critical: 'deny'});

export async function testKernel(overrides: Overrides = {}): Promise<TestKernel> {
	const {tools = [createTool(), createWriteTool()], principal = ADA, store = openMemory(), secrets = []} = overrides;
	const state = {ms: Date.parse('2026-03-01T12:00:00.000Z'), ids: 0};
	const clock = {now: () => new Date(state.ms)};
	const newId = (prefix: string) => {
		state.ids += 1;
		return `${prefix}_${state.ids}`;
	};
	const [sandboxed, reported]: [unknown[], unknown[]] = [[], []];
	const key = createTestKey();
	const approvals = createApprovals({approveWithinMs: 60_000, executeWithinMs: 60_000, newId});
	const kernel: Kernel = {
		tools: new Map(tools.map((tool) => [tool.name, tool])),
		policy: overrides.policy ?? (() => defaultPolicy),
		approvals,
		sandboxes: {
			level: async () => 'kernel-shared',
			async run(permit, {request}) {
				assertPermit(permit);
				sandboxed.push(request);
				return {frames: [], usage: USAGE, isolation: ISOLATION};
			},
		},
		clock,
		redact: createRedactor(secrets),
		digest,
		newId,
		budget: {actions: 100, tokens: 1_000, costUsd: 1, wallMs: 3_600_000, ...overrides.budget},
		progress: () => {},
		report: (bug) => reported.push(bug),
	};
	const ports = {
		store,
		runId: 'run_1',
		clock,
		redact: kernel.redact,
		sign: (end: Parameters<typeof signHead>[1]) => signHead(key, end),
	};
	const fence = {holder: 'h1', leaseMs: 1_000};
	const journal = await openJournal({...ports, principal, fence, started: startedIn(overrides)});
	const durable = () => store.read('run_1');
	return {
		kernel,
		journal,
		store,
		key,
		sandboxed,
		reported,
		advance: (ms) => {
			state.ms += ms;
		},
		propose: (tool, input, {id = 'act_1', signal = new AbortController().signal, journal: other = journal} = {}) =>
			govern({id, tool, input}, other, kernel, signal),
		async answer(how, approvalId) {
			const previewDigest = shownBy(approvalId, journal.events);
			const body: EventBody = approvals[how](
				journal.events,
				{approvalId, approver: BOB, comment: 'seen', previewDigest},
				clock.now(),
			);
			await journal.append(body);
		},
		async resume() {
			state.ms += 2_000;
			const claimed = await store.claim('h2', clock.now(), 1_000, 'run_1');
			return resumeJournal({...ports, fence: {holder: 'h2', token: claimed?.token ?? 0, leaseMs: 1_000}});
		},
		durable,
		recorded: async () => (await durable()).slice(1).map(({type}) => type),
	};
}

/** The digest that whoever answers an approval repeats. */
export function shownBy(approvalId: string, events: readonly Event[]): string {
	const request = events.find((event) => event.type === 'approval.requested' && event.data.approvalId === approvalId);
	return (request?.type === 'approval.requested' && request.data.previewDigest) || '';
}

/** How the run of a test begins. */
function startedIn({scope}: Overrides) {
	return {...STARTED, ...(scope && {scope})};
}

const STARTED = {
	job: 'analyst',
	mode: 'chat',
	threadId: null,
	question: null,
	dataset: null,
	software: 'writ test',
	policyVersion: 'p1',
} as const;

const USAGE = {wallMs: 5, cpuMs: 4, peakMemoryBytes: 1_000, outputBytes: 10};

const ISOLATION = {
	provider: 'process',
	level: 'none',
	namespaces: [] as string[],
	seccomp: false,
	limits: {},
	network: 'none',
	warm: false,
} as const;

function createTestKey(): SigningKey {
	const {publicKey, privateKey} = generateKeyPairSync('ed25519');
	return {
		keyId: keyIdOf(publicKey),
		publicKey: publicKey.export({type: 'spki', format: 'der'}).toString('base64'),
		sign: (text) => sign(null, Buffer.from(text), privateKey).toString('base64'),
	};
}
