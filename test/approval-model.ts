/**
 * Two servers, real kernels, real approvals and a store in memory, whose every step waits until a schedule lets it go on. A schedule
 * is a list of choices; what must never happen is judged by a record of its own, which shares nothing with what is examined.
 */
import {setImmediate} from 'node:timers/promises';
import {createRuns, type OpenRun, type Runs} from '#agents/runs.ts';
import {createApprovals} from '#approvals/approvals.ts';
import {WritError} from '#contract/errors.ts';
import type {Event, EventData, Principal} from '#contract/event.ts';
import {digest} from '#evidence/canonical.ts';
import {openJournal, resumeJournal} from '#evidence/journal.ts';
import {govern} from '#kernel/govern.ts';
import type {AppendBatch, Journal, Kernel, Store} from '#kernel/ports.ts';
import {createTool} from '#kernel/test-kernel.ts';
import {openMemory} from '#store/memory.ts';

const AGENT: Principal = {kind: 'agent', id: 'ops', tenant: 'local'};
const APPROVE_MS = 60_000;
const EXECUTE_MS = 30_000;
const LEASE_MS = 9_000;

/** What can happen, in any order and between any two steps of each other. `evil` proposes other input under the same id. */
export const TASKS = [
	'one',
	'two',
	'bob',
	'cy',
	'unbob',
	'reject',
	'late',
	'stale',
	'policy',
	'target',
	'evil',
	'crash',
] as const;
export type Task = (typeof TASKS)[number];

/** A defence that is switched off, to see that it is missed. */
export type Mutation = 'binding' | 'single-use' | null;

export type Scenario = {
	readonly tasks: readonly Task[];
	readonly required: number;
	/** granted before anything else happens */
	readonly granted?: boolean;
	/** which steps wait for the schedule */
	readonly steps: 'few' | 'all';
	readonly mutation?: Mutation;
	/** the store does not look at approvals: the kernel is alone */
	readonly lenient?: boolean;
};

export type Found = {
	/** effects that happened */
	readonly effects: number;
	/** intents without a live approval of exactly what they are for */
	readonly unapproved: readonly string[];
	/** how often the effect happened more than once */
	readonly doubled: number;
	/** how many could be chosen from at each choice */
	readonly branches: readonly number[];
};

/** Carries one scenario out; `choose` says which of `n` goes on. */
export async function play(scenario: Scenario, choose: (n: number) => number): Promise<Found> {
	const world = createWorld(scenario);
	await world.begin();
	const [branches, left] = [[] as number[], [...scenario.tasks]];
	for (;;) {
		await setImmediate(); // everything that does not wait for the schedule is done by then
		const enabled = left.length + world.gates.length;
		if (enabled === 0) break;
		branches.push(enabled);
		const choice = choose(enabled);
		const [task] = choice < left.length ? left.splice(choice, 1) : [];
		if (task) world.start(task);
		else world.gates.splice(choice - left.length, 1)[0]?.release();
	}
	await world.end();
	return {...world.judge.found(), branches};
}

type Gate = {readonly who: string; release(): void; fail(): void};
type Server = {readonly name: 'one' | 'two'; readonly runs: Runs; readonly kernel: Kernel};

function createWorld({required, granted = false, steps, mutation = null, lenient = false}: Scenario) {
	const state = {ms: Date.parse('2026-03-01T12:00:00Z'), policy: 'p1', target: 't1', open: false, ids: 0};
	const change = (to: Partial<typeof state>): void => void Object.assign(state, to);
	const dead = new Set<string>();
	const gates: Gate[] = [];
	const background: Promise<unknown>[] = [];
	const gate = (who: string, kind: 'few' | 'all'): Promise<void> => {
		if (!state.open || (kind === 'all' && steps === 'few')) return Promise.resolve();
		const {promise, resolve, reject} = Promise.withResolvers<void>();
		const fail = () => reject(new WritError('cancelled', 'the process has died'));
		if (dead.has(who)) corpses.push({who, release: resolve, fail});
		else gates.push({who, release: resolve, fail});
		return promise;
	};
	const corpses: Gate[] = [];
	const judge = createJudge(required);
	const clock = {now: () => new Date(state.ms)};
	const newId = (prefix: string) => `${prefix}_${++state.ids}`;
	const store = lenient ? openLenient() : openMemory();
	const approvals = createApprovals({approveWithinMs: APPROVE_MS, executeWithinMs: EXECUTE_MS, newId});

	const server = (name: 'one' | 'two'): Server => {
		const seen = {target: ''};
		/** by event, what the world was like when it was decided to write it */
		const decided = new Map<number, Before>();
		const noting = <T extends Journal>(journal: T): T => ({
			...journal,
			append(...bodies) {
				const first = journal.events.length + 1;
				for (const index of bodies.keys()) decided.set(first + index, {policy: state.policy, target: seen.target});
				return journal.append(...bodies);
			},
		});
		const own: Store = {
			...store,
			async claim(...args) {
				await gate(name, 'all');
				return store.claim(...args);
			},
			async append(batch) {
				await gate(name, 'few');
				await store.append(batch);
				judge.appended(batch, decided);
				await gate(name, 'all'); // durable, and whoever wrote it does not know yet
			},
		};
		const ports = {store: own, clock, redact: (value: unknown) => ({value, count: 0}), sign};
		const fence = {holder: name, leaseMs: LEASE_MS};
		const runs = createRuns({
			...{store: own, clock, holder: name, leaseMs: LEASE_MS, newRunId: () => 'run_1'},
			journals: {
				open: async (runId, started, principal) => noting(await openJournal({...ports, runId, principal, started, fence})),
				resume: async (runId, token) => noting(await resumeJournal({...ports, runId, fence: {...fence, token}})),
			},
		});
		const tool = createTool({
			...{name: 'ops.restart', effect: 'write', risk: 'medium'},
			async fingerprint() {
				await gate(name, 'few');
				seen.target = state.target;
				return seen.target;
			},
			async run({text}) {
				await gate(name, 'few');
				judge.happened(text);
				return {};
			},
		});
		const kernel: Kernel = {
			...{tools: new Map([[tool.name, tool]]), approvals, clock, newId, redact: ports.redact, digest: digestOf(mutation)},
			policy: () => ({version: state.policy, gates: [asking(required)]}),
			sandboxes: {level: async () => 'none', run: () => Promise.reject(new Error('nothing runs in a sandbox here'))},
			budget: {actions: 100, tokens: 1_000, costUsd: 1, wallMs: 3_600_000},
			progress: () => {},
			report: (bug) => {
				throw bug;
			},
		};
		return {name, runs, kernel};
	};
	const servers = {one: server('one'), two: server('two')};

	const propose = async ({kernel}: Server, run: OpenRun, text = 'web') => {
		const journal = mutation === 'single-use' ? forgetful(run.journal) : run.journal;
		const outcome = await govern({id: 'act_1', tool: 'ops.restart', input: {text}}, journal, kernel, run.signal);
		run.park();
		return outcome;
	};
	const work = async (on: Server, text?: string) => {
		const run = await on.runs.take('run_1', new AbortController().signal);
		await propose(on, run, text).finally(run.park);
	};
	const answer = async (on: Server, id: string, verb: 'grant' | 'revoke' | 'reject') => {
		const [row] = (await store.approvals('local')).filter((each) => each.state === 'pending' || each.state === 'granted');
		if (!row) return;
		const given = {approvalId: row.approvalId, approver: person(id), comment: '', previewDigest: row.previewDigest};
		await on.runs.write('run_1', (events) => approvals[verb](events, given, clock.now()));
	};

	const doTask: Record<Task, () => Promise<void> | void> = {
		one: () => work(servers.one),
		two: () => work(servers.two),
		evil: () => work(servers.two, 'everything'),
		bob: () => answer(servers.one, 'bob', 'grant'),
		cy: () => answer(servers.two, 'cy', 'grant'),
		unbob: () => answer(servers.one, 'bob', 'revoke'),
		reject: () => answer(servers.two, 'cy', 'reject'),
		late: () => change({ms: state.ms + APPROVE_MS}),
		stale: () => change({ms: state.ms + EXECUTE_MS}),
		policy: () => change({policy: `${state.policy}'`}),
		target: () => change({target: `${state.target}'`}),
		crash() {
			dead.add('one');
			for (const lost of gates.filter(({who}) => who === 'one')) corpses.push(lost);
			gates.splice(0, gates.length, ...gates.filter(({who}) => who !== 'one'));
			state.ms += LEASE_MS;
		},
	};
	return {
		gates,
		judge,
		async begin() {
			const run = await servers.one.runs.open({...STARTED, principal: AGENT}, AGENT, new AbortController().signal);
			await propose(servers.one, run);
			if (granted) for (const id of ['bob', 'cy'].slice(0, required)) await answer(servers.one, id, 'grant');
			state.open = true;
		},
		start(task: Task) {
			// Refusals and lost races are how most of them end.
			background.push((async () => doTask[task]())().catch(expected));
		},
		async end() {
			for (const corpse of corpses.splice(0)) corpse.fail();
			state.open = false;
			await Promise.all(background);
		},
	};
}

const STARTED: Omit<EventData<'run.started'>, 'principal'> = {
	...{job: 'ops', mode: 'model', threadId: null, question: null, dataset: null, software: 'test', policyVersion: 'p1'},
};

function asking(quorum: number): ReturnType<Kernel['policy']>['gates'][number] {
	return {
		name: 'policy',
		decide: () => ({gate: 'policy', effect: 'ask', rules: ['asks'], reason: 'a person decides', quorum}),
	};
}

function person(id: string): Principal {
	return {kind: 'user', id, tenant: 'local'};
}

function sign(end: object) {
	return {...end, keyId: '', signature: ''} as never;
}

function expected(error: unknown): void {
	if (!(error instanceof WritError)) throw error;
}

type Before = {readonly policy: string; readonly target: string};
/** Of the first event of a run, which no journal has announced. */
const UNKNOWN: Before = {policy: '', target: ''};

type Asked = Before & {readonly at: number; readonly input: string; readonly grants: Map<string, number>; over: boolean};

/** Keeps its own account of who asked for what and who granted it, from what became durable, and judges each intent by it. */
function createJudge(required: number) {
	const asked = new Map<string, Asked>();
	const unapproved: string[] = [];
	const effects: string[] = [];
	const inputs = {proposed: ''};
	const judgeIntent = ({approvalId}: EventData<'action.intent'>, at: number, now: Before): string | null => {
		const given = approvalId === null ? undefined : asked.get(approvalId);
		if (!given) return 'nobody was asked';
		if (given.policy !== now.policy) return 'it was approved under another policy';
		if (given.target !== now.target) return 'it was approved for another state of its target';
		if (given.input !== inputs.proposed) return 'it was approved with another input';
		return lacking(given, at, required);
	};
	const note = (event: Event, before: Before) => {
		const at = Date.parse(event.at);
		switch (event.type) {
			case 'action.proposed':
				inputs.proposed = JSON.stringify(event.data.input);
				break;
			case 'approval.requested':
				asked.set(event.data.approvalId, {...before, at, input: inputs.proposed, grants: new Map(), over: false});
				break;
			case 'approval.granted':
				asked.get(event.data.approvalId)?.grants.set(event.data.approver.id, at);
				break;
			case 'approval.revoked':
				asked.get(event.data.approvalId)?.grants.delete(event.data.approver.id);
				if (event.data.takesBack === 'all') over(event.data.approvalId);
				break;
			case 'approval.rejected':
			case 'approval.expired':
			case 'approval.cancelled':
				over(event.data.approvalId);
				break;
			case 'action.intent': {
				const fault = judgeIntent(event.data, at, before);
				if (fault) unapproved.push(fault);
				if (event.data.approvalId !== null) over(event.data.approvalId);
				break;
			}
		}
	};
	const over = (approvalId: string) => {
		const given = asked.get(approvalId);
		if (given) given.over = true;
	};
	return {
		appended({events}: AppendBatch, decided: ReadonlyMap<number, Before>) {
			for (const event of events) note(event, decided.get(event.seq) ?? UNKNOWN);
		},
		happened(text: string) {
			effects.push(text);
			if (JSON.stringify({text}) !== inputs.proposed) unapproved.push(`the effect was on \`${text}\``);
		},
		found: () => ({effects: effects.length, unapproved, doubled: Math.max(0, effects.length - 1)}),
	};
}

function lacking({grants, at: askedAt, over}: Asked, at: number, required: number): string | null {
	if (over) return 'its approval was over';
	const inTime = [...grants.values()].filter((when) => when < askedAt + APPROVE_MS).toSorted((a, b) => a - b);
	const last = inTime[required - 1];
	if (last === undefined) return `${inTime.length} of ${required} people had granted it`;
	return at >= last + EXECUTE_MS ? 'its approval had run out' : null;
}

/** With the mutation every binding is the same, so that an approval seems to cover whatever it is used for. */
function digestOf(mutation: Mutation): Kernel['digest'] {
	if (mutation !== 'binding') return digest;
	return (value) => (typeof value === 'object' && value !== null && 'policy' in value ? 'same' : digest(value));
}

/** A journal that does not show what was started: nothing seems to have been used. */
function forgetful(journal: Journal): Journal {
	const isShown = ({type}: Event) => !['action.intent', 'action.outcome', 'action.verified'].includes(type);
	return {
		...journal,
		get events() {
			return journal.events.filter(isShown);
		},
	};
}

/** A store that keeps what it is given and judges no use of an approval. */
function openLenient(): Store {
	const store = openMemory();
	const events = new Map<string, Event[]>();
	return {
		...store,
		async append(batch) {
			const unjudged = batch.events.map((event) =>
				event.type === 'action.intent' ? {...event, data: {...event.data, approvalId: null}} : event,
			);
			await store.append({...batch, events: unjudged});
			events.set(batch.runId, [...(events.get(batch.runId) ?? []), ...batch.events]);
		},
		read: async (runId, after = 0) => (events.get(runId) ?? []).slice(after),
	};
}
