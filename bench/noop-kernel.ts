/** A whole kernel, with real gates, keys and redaction, around a tool that does nothing. */
import {generateKeyPairSync, sign} from 'node:crypto';
import {z} from 'zod';
import {createApprovals} from '#approvals/approvals.ts';
import {digest} from '#evidence/canonical.ts';
import {openJournal} from '#evidence/journal.ts';
import {keyIdOf, signHead} from '#evidence/keys.ts';
import {createRedactor} from '#evidence/redact.ts';
import {govern} from '#kernel/govern.ts';
import type {Journal, Kernel, Store} from '#kernel/ports.ts';
import type {Tool} from '#kernel/tool.ts';
import {createPolicy, loadDefaultPolicy} from '#policy/policy.ts';

/** as many as a long run has; `govern` reads the events of its run */
const ACTIONS_PER_RUN = 20;

export const noop: Tool<{readonly text: string}, string> = {
	name: 'analyst.noop',
	version: '1',
	title: 'Nothing',
	description: 'Does nothing.',
	input: z.strictObject({text: z.string()}),
	output: z.string(),
	effect: 'read',
	risk: 'low',
	idempotent: true,
	labels: ['untrusted'],
	limits: {wallMs: 60_000, maxRows: 10, maxBytes: 1_000},
	resource: () => ({type: 'Dataset', id: 'support'}),
	run: async ({text}) => text,
};

const principal = {kind: 'user', id: 'ada', tenant: 'local'} as const;
const {publicKey, privateKey} = generateKeyPairSync('ed25519');
const key = {
	keyId: keyIdOf(publicKey),
	publicKey: publicKey.export({type: 'spki', format: 'der'}).toString('base64'),
	sign: (text: string) => sign(null, Buffer.from(text), privateKey).toString('base64'),
};
const policy = createPolicy({...loadDefaultPolicy(), disabledTools: new Map(), digest});
const ids = {next: 0};
const newId = (prefix: string) => {
	ids.next += 1;
	return `${prefix}_${process.pid}_${ids.next}`;
};
const kernel: Kernel = {
	tools: new Map([[noop.name, noop]]),
	policy: () => policy,
	approvals: createApprovals({approveWithinMs: 60_000, executeWithinMs: 60_000, newId}),
	sandboxes: {level: async () => 'none', run: () => Promise.reject(new Error('not used'))},
	clock: {now: () => new Date()},
	redact: createRedactor(['a-configured-secret']),
	digest,
	newId,
	budget: {actions: 1_000, tokens: 1_000, costUsd: 1, wallMs: 3_600_000},
	progress: () => {},
	report: () => {},
};

export type Agent = {
	/** Governs one action; a new run is begun between actions, where its time is not counted, before the old one gets too long. */
	prepare(): Promise<void>;
	act(): Promise<void>;
	/** the events of the present run */
	events(): Journal['events'];
};

/** Proposes one action after another, in runs of usual length on `store`. */
export function createAgent(store: () => Store): Agent {
	const state: {journal: Journal | null; actions: number} = {journal: null, actions: 0};
	const signal = new AbortController().signal;
	return {
		async prepare() {
			if (state.journal && state.actions % ACTIONS_PER_RUN !== 0) return;
			state.journal = await startRun(store());
		},
		async act() {
			if (!state.journal) throw new Error('prepare first');
			state.actions += 1;
			const proposal = {id: newId('act'), tool: noop.name, input: {text: `hello ${state.actions}`}};
			const {kind} = await govern(proposal, state.journal, kernel, signal);
			if (kind !== 'succeeded') throw new Error(`action ${state.actions} is ${kind}`);
		},
		events: () => state.journal?.events ?? [],
	};
}

function startRun(store: Store): Promise<Journal> {
	return openJournal({
		store,
		runId: newId('run'),
		principal,
		fence: {holder: 'bench', leaseMs: 600_000},
		clock: kernel.clock,
		redact: kernel.redact,
		sign: (end) => signHead(key, end),
		started: {
			job: 'analyst',
			mode: 'sql',
			threadId: null,
			question: null,
			dataset: {id: 'support', hash: 'f'.repeat(64)},
			software: 'writ',
			policyVersion: policy.version,
		},
	});
}
