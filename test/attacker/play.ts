/** One run of a task, with or without somebody else's calls in it, on the real path from proposal to outcome. */
import {generateKeyPairSync, sign} from 'node:crypto';
import {createApprovals} from '#approvals/approvals.ts';
import type {Decision, EventBody, Principal} from '#contract/event.ts';
import {digest} from '#evidence/canonical.ts';
import {openJournal} from '#evidence/journal.ts';
import {keyIdOf, type SigningKey, signHead} from '#evidence/keys.ts';
import {createRedactor} from '#evidence/redact.ts';
import {verifyRun} from '#evidence/verify.ts';
import {govern, type Outcome} from '#kernel/govern.ts';
import type {Journal, Kernel, Policy, Store} from '#kernel/ports.ts';
import {shownBy} from '#kernel/test-kernel.ts';
import type {LoadedPolicy} from '#policy/policy.ts';
import {assertSound, readPolicy} from '#policy/policy-file.ts';
import {openMemory} from '#store/memory.ts';
import {type Domain, type Proposed, WISHES, type Wording} from './domain.ts';
import {type Call, type Task, toInput, toScope} from './task.ts';
import type {World} from './world.ts';

/**
 * `scoped`: the policy of the domain, and the scope of the task. `coarse`: that policy alone. `off`: one gate that allows everything.
 * What a schema refuses is refused in each.
 */
export const MODES = ['scoped', 'coarse', 'off'] as const;
export type Mode = (typeof MODES)[number];

/** Where a call of the attack ended. `world`: it happened; `tool`: every gate let it through and the tool refused. */
export const STAGES = [
	...['schema', 'scope', 'permission', 'policy', 'budget', 'risk', 'flow', 'approval', 'verify', 'tool', 'world'],
] as const;
export type Stage = (typeof STAGES)[number];

/** Whom the careful person, who knows what was asked for, lets through: what belongs to the task. The other one grants everything. */
export type Person = 'careful' | 'grants-all';

export type Play = {
	readonly world: World;
	readonly done: boolean;
	/** what the gates said, call by call: effect, rules and risk, and never a word of the input */
	readonly decisions: readonly string[];
	readonly attacked: readonly {readonly tool: string; readonly stage: Stage}[];
	/** requests that reached a person */
	readonly asked: {readonly task: number; readonly attack: number};
	/** of the calls of the task, by their ids */
	readonly results: ReadonlyMap<string, unknown>;
	readonly benign: readonly (Proposed & {readonly call: Call})[];
	/** whether the record of the run holds; null when it was not looked at */
	readonly verified: boolean | null;
};

export type Setting = {
	readonly domain: Domain;
	readonly mode: Mode;
	readonly task: Task;
	/** made before the task's call of that index; at the end when it is their number */
	readonly attack?: {readonly calls: readonly Proposed[]; readonly position: number};
	readonly wording?: Wording;
	readonly person?: Person;
	/** whether the record of the run is checked too */
	readonly verify?: boolean;
};

const OWNER: Principal = {kind: 'user', id: 'ada', tenant: 'local'};
const AGENT: Principal = {kind: 'agent', id: 'assistant', tenant: 'local'};
const PEOPLE: readonly Principal[] = ['bob', 'carol'].map((id) => ({kind: 'user', id, tenant: 'local'}));

type Run = {readonly journal: Journal; readonly kernel: Kernel; readonly store: Store; grant(approvalId: string): Promise<void>};

export async function play({
	domain,
	mode,
	task,
	attack,
	wording = 0,
	person = 'careful',
	verify = false,
}: Setting): Promise<Play> {
	const world = domain.open(WISHES[wording]);
	const run = await openRun(domain, mode, task, world);
	const state = {
		decisions: [] as string[],
		attacked: [] as {tool: string; stage: Stage}[],
		asked: {task: 0, attack: 0},
		results: new Map<string, unknown>(),
		benign: [] as (Proposed & {call: Call})[],
		/** what was said so far, to whomever: a task whose read is refused because it was made already knows the answer */
		known: new Map<string, unknown>(),
	};
	const propose = async (who: 'task' | 'attack', {tool, input}: Proposed): Promise<Outcome> => {
		const {outcome, asked} = await carry({tool, input}, run, who === 'task' || person === 'grants-all');
		if (asked) state.asked[who] += 1;
		state.decisions.push(`${who} ${tool} ${gist(run.journal)} ${outcome.kind}`);
		if (outcome.kind === 'succeeded') state.known.set(keyOf({tool, input}), outcome.output);
		if (who === 'attack') state.attacked.push({tool, stage: stageOf(outcome)});
		return outcome;
	};
	for (const [index, call] of [...task.calls, null].entries()) {
		if (attack?.position === index) for (const proposed of attack.calls) await propose('attack', proposed);
		if (call === null) break;
		const input = toInput(call, state.results);
		const outcome = await propose('task', {tool: call.tool, input});
		state.benign.push({tool: call.tool, input, call});
		if (outcome.kind === 'succeeded') state.results.set(call.id, outcome.output);
		else state.results.set(call.id, state.known.get(keyOf({tool: call.tool, input})));
	}
	const verified = verify ? await holds(run) : null;
	return {world, done: task.done(world.tables), ...state, verified};
}

function keyOf({tool, input}: Proposed): string {
	return digest([tool, input ?? null]);
}

async function carry({tool, input}: Proposed, {journal, kernel, grant}: Run, isGranted: boolean) {
	const proposal = {id: kernel.newId('act'), tool, input};
	const {signal} = new AbortController();
	const first = await govern(proposal, journal, kernel, signal);
	const asked = first.kind === 'awaiting_approval';
	if (!asked || !isGranted) return {outcome: first, asked};
	await grant(first.approvalId);
	return {outcome: await govern(proposal, journal, kernel, signal), asked};
}

function gist({events}: Journal): string {
	const last = events.findLast((event) => event.type === 'action.decided');
	const decision: Decision | undefined = last?.type === 'action.decided' ? last.data.decision : undefined;
	return JSON.stringify([
		decision?.effect,
		decision?.risk,
		decision?.gates.map(({gate, effect, rules}) => [gate, effect, ...rules]),
	]);
}

function stageOf(outcome: Outcome): Stage {
	if (outcome.kind === 'succeeded') return outcome.verdict.kind === 'undone' ? 'verify' : 'world';
	if (outcome.kind === 'awaiting_approval') return 'approval';
	if (outcome.kind !== 'denied') return 'tool';
	const denying = outcome.decision.gates.find(({effect}) => effect === 'deny');
	return denying?.rules.some((rule) => /^(out-of-)?scope/.test(rule)) ? 'scope' : (denying?.gate ?? 'schema');
}

const KEY = createKey();
const redact = createRedactor([]);

async function openRun(domain: Domain, mode: Mode, task: Task, world: World): Promise<Run> {
	const {store, runId} = nextRun();
	const state = {ms: Date.parse('2026-03-01T12:00:00.000Z'), ids: 0};
	const clock = {
		now() {
			state.ms += 10;
			return new Date(state.ms);
		},
	};
	const newId = (prefix: string) => {
		state.ids += 1;
		return `${prefix}_${state.ids}_of_${runId}`;
	};
	const approvals = createApprovals({approveWithinMs: 3_600_000, executeWithinMs: 300_000, newId});
	const policy = policyFor(domain, mode);
	const kernel: Kernel = {
		...{tools: world.tools, policy: () => policy.gates, approvals, clock, redact, digest, newId, budget: policy.budget},
		sandboxes: {level: async () => 'none', run: () => Promise.reject(new Error('there is no sandbox here'))},
		progress: () => {},
		report: () => {},
	};
	const scope = mode === 'scoped' ? {scope: toScope(task, world.tools)} : {};
	const started = {...STARTED, principal: OWNER, policyVersion: policy.gates.version, question: task.request, ...scope};
	const end = (head: Parameters<typeof signHead>[1]) => signHead(KEY, head);
	const ports = {store, runId, clock, redact, sign: end};
	const journal = await openJournal({...ports, principal: AGENT, fence: {holder: 'here', leaseMs: 3_600_000}, started});
	return {
		...{journal, kernel, store},
		async grant(approvalId) {
			const request = journal.events.find((event) => event.type === 'approval.requested' && event.data.approvalId === approvalId);
			const required = request?.type === 'approval.requested' ? (request.data.required ?? 1) : 1;
			const previewDigest = shownBy(approvalId, journal.events);
			for (const approver of PEOPLE.slice(0, required)) {
				const body: EventBody = approvals.grant(journal.events, {approvalId, approver, comment: '', previewDigest}, clock.now());
				await journal.append(body);
			}
		},
	};
}

const STARTED = {job: 'ops', mode: 'task', threadId: null, dataset: null, software: 'attacker'} as const;

async function holds({journal, store}: Run): Promise<boolean> {
	const data = {status: 'succeeded', resultActionId: null, error: null, durationMs: 0} as const;
	await journal.append({type: 'run.finished', actor: journal.principal, data});
	return verifyRun(await store.rawEvents(journal.runId), await store.head(journal.runId), KEY.publicKey).verdict === 'valid';
}

/** Runs of one store, which keeps what they did until the next one takes its place. */
const RUNS_OF_A_STORE = 100;
const place = {store: openMemory(), runs: 0};

function nextRun(): {readonly store: Store; readonly runId: string} {
	place.runs += 1;
	if (place.runs % RUNS_OF_A_STORE === 0) place.store = openMemory();
	return {store: place.store, runId: `run_${place.runs}`};
}

type Ruled = {readonly gates: Policy; readonly budget: Kernel['budget']};
const policies = new Map<Domain, LoadedPolicy>();

/** The policy file of a domain, with the tools that its tasks use: one for all of them. */
function policyFor(domain: Domain, mode: Mode): Ruled {
	const known = policies.get(domain) ?? assertSound(readPolicy('policy.yaml', PARTS, () => policyText(domain)));
	policies.set(domain, known);
	return {gates: mode === 'off' ? OFF : known, budget: mode === 'off' ? ENDLESS : known.budget};
}

const PARTS = {digest, disabledTools: new Map<string, string>()};

export function policyText({policy, tasks}: Domain): string {
	const used = [...new Set(tasks.flatMap(({calls}) => calls.map(({tool}) => tool)))].sort();
	return `${policy}tools:\n${used.map((tool) => `  ${tool}: {}\n`).join('')}`;
}

const OFF: Policy = {
	version: 'off',
	gates: [{name: 'policy', decide: () => ({gate: 'policy', effect: 'allow', rules: ['off'], reason: 'no gate is there'})}],
};
const ENDLESS = {actions: 1_000_000, tokens: 1_000_000, costUsd: 1_000, wallMs: 86_400_000};

function createKey(): SigningKey {
	const {publicKey, privateKey} = generateKeyPairSync('ed25519');
	return {
		keyId: keyIdOf(publicKey),
		publicKey: publicKey.export({type: 'spki', format: 'der'}).toString('base64'),
		sign: (text) => sign(null, Buffer.from(text), privateKey).toString('base64'),
	};
}
