/**
 * The modes of the platform and of its tenants, agents and tools. Each change is a run of its own, `mode-1`, `mode-2`, …, whose events are its record; every server
 * follows the next one in the store, so that all hear of it when it becomes durable. The first to write a number wins.
 */
import {setTimeout as pause} from 'node:timers/promises';
import {WritError} from '#contract/errors.ts';
import type {Event, EventData, Principal} from '#contract/event.ts';
import type {ModeReply, ModeRequest, ModeScope, ScopedMode} from '#contract/mode.ts';
import type {Journal, Kernel, Store} from '#kernel/ports.ts';
import {personOf} from '#kernel/tally.ts';
import {withdraw} from '#kernel/withdraw.ts';
import {isStricter, keyOf, type ModeRule, modeFor, nameOf} from '#policy/mode.ts';
import {assertOnRecord, type Held, keepRecording} from './held-stops.ts';
import type {Runs} from './runs.ts';

/** What the modes are now; asked by the gates on every pass, and by every run before it starts. */
export type Modes = Omit<ModeReply, 'defaults'>;
export type ModeHolder = {readonly state: Modes};

export type KillSwitch = {
	/** Of the caller's tenant and of the platform, without who of another tenant set it; without a caller all there is. */
	state(caller?: Principal): ModeReply;
	/**
	 * A stricter mode is in force here at once, and everywhere when it is durable. A looser one needs somebody else's agreement where
	 * there is somebody else: then this is the wish, or the agreement to it. Throws `store_unavailable`; what was stopped stays stopped,
	 * shown as `held`, and is recorded as soon as the store works.
	 */
	change(wanted: ModeRequest, by: Principal): Promise<ModeReply>;
	/** Makes the holder know every change that is durable by now. */
	catchUp(): Promise<void>;
	close(): Promise<void>;
};

export type KillSwitchOptions = {
	/** what is in force here, which can be stricter than what is on record */
	readonly holder: ModeHolder & {state: Modes};
	/** what the policy in force says, besides */
	readonly defaults: () => readonly ModeRule[];
	readonly store: Store;
	readonly runs: Runs;
	readonly kernel: Kernel;
	readonly software: string;
	/** whether to loosen takes two people: in a tenant, without one on the whole platform */
	readonly needsSecond: (tenant: string | null) => boolean;
};

/** How many changes by others one waits for. */
const MOST_TRIES = 50;

export const INITIAL: Modes = {mode: 'execute', number: 0, since: null, by: null, reason: '', asked: null, scoped: []};

/** Throws `stopped` while no run of this principal may start; without one, while none at all may. */
export function assertRunning({state}: ModeHolder, defaults: readonly ModeRule[], principal?: Principal): void {
	const all: readonly (ModeRule & Partial<Modes>)[] = [{...state, scope: {}}, ...state.scoped, ...defaults];
	const rules = principal ? all : all.slice(0, 1);
	const {mode, applying} = modeFor(rules, {principal: principal ?? NOBODY});
	const [rule] = applying;
	if (mode !== 'observe' || !rule) return;
	const who = nameOf(rule.scope) === 'platform' ? 'the platform' : `\`${nameOf(rule.scope)}\``;
	const said = {by: rule.by ?? null, reason: rule.reason ?? ''};
	const {by, reason} = principal ? seenBy(said, principal) : said;
	throw new WritError('stopped', `${who} was stopped${by ? ` by ${by.id}` : ''}${because(reason)}`, {
		hint: rule.by === undefined ? 'policy.yaml says so under `modes`' : 'a person lets it go on with `writ resume`',
	});
}

const NOBODY: Principal = {kind: 'service', id: 'recovery', tenant: ''};

/** Resolves when the modes in force are known and every further change will be heard of. */
export async function createKillSwitch(options: KillSwitchOptions): Promise<KillSwitch> {
	const {holder, store, runs, kernel, defaults} = options;
	const durable = {state: holder.state};
	const stopping = new AbortController();
	const heard = new EventTarget();
	/** what was stopped here and is not on record, by the key of its scope */
	const held = new Map<string, Held>();
	const show = () => {
		const all = [...held.values()];
		holder.state = all.reduce((state, {scope, next}) => withState(state, scope, {...next, number: state.number}), durable.state);
	};
	const learn = (number: number, event?: Change): boolean => {
		if (number <= durable.state.number) return false;
		durable.state = event ? stateAfter(event, durable.state) : {...durable.state, number};
		// What is looser than a stop that is not on record does not end it: its own record does.
		const key = keyOf(event?.data.scope ?? {});
		if (event && !isStricter(held.get(key)?.next.mode ?? 'execute', event.data.mode)) held.delete(key);
		show();
		return true;
	};
	const apply: Ears['apply'] = async (number, event) => {
		if (!learn(number, event)) return;
		heard.dispatchEvent(new globalThis.Event('change'));
		await endStopped(holder.state, runs);
	};
	for (let more = true; more; ) more = learn(...(await nextOf(store, durable.state.number)));
	// Whoever stopped it may have died before what waited was ended too; a store that is away says so at every other step.
	await cancelWaiting(holder.state, options).catch(kernel.report);
	const following = follow(options, durable, {signal: stopping.signal, apply});
	const view = (caller?: Principal) => viewOf(holder.state, defaults(), caller);

	const catchUp = async () => {
		for (;;) {
			const [number, event] = await nextOf(store, durable.state.number);
			if (number <= durable.state.number) return;
			void apply(number, event).catch(kernel.report);
		}
	};
	const turn = (wanted: Wanted, by: Principal): Turn => ({
		entry: () => entryFor(wanted, by, {...options, durable: durable.state}),
		isLooser: () => isStricter(modeIn(durable.state, wanted.scope).mode, wanted.mode),
		record: (entry) => record(entry, by, options),
		hear: async (number) => catchUp().then(() => (durable.state.number < number ? once(heard) : undefined)),
	});

	const settle = async (entry: Entry) => {
		while (durable.state.number < entry.number && !stopping.signal.aborted) await once(heard);
		if (entry.mode === 'observe' && entry.asked === null) await cancelWaiting(holder.state, options);
	};
	const recordHeld = async ({scope, next}: Held) => recordInTurn(turn({mode: next.mode, reason: next.reason, scope}, next.by));
	const lasting = keepRecording(held, {record: recordHeld, settle, report: kernel.report, signal: stopping.signal});

	return {
		state: view,
		async change(given, by) {
			const wanted = {...given, ...(given.scope && {scope: scopeOf(given.scope, by)})};
			assertOnRecord(held.get(keyOf(wanted.scope ?? {})), wanted.mode);
			turn(wanted, by).entry(); // nothing that is refused is held
			const isHeld = isStricter(wanted.mode, modeIn(holder.state, wanted.scope).mode);
			// Before it is on record: what stops a platform must not wait for its store.
			if (isHeld) {
				held.set(keyOf(wanted.scope ?? {}), heldOf(wanted, by, kernel.clock.now()));
				show();
			}
			const recorded = recordInTurn(turn(wanted, by));
			// The others hear of it before this server is busy with the ends of its runs, which nothing here needs to wait for.
			if (isHeld) setImmediate(() => void endStopped(holder.state, runs).catch(kernel.report));
			await settle(await recorded.catch((error: unknown) => lasting.refused(keyOf(wanted.scope ?? {}), error)));
			return view(by);
		},
		catchUp,
		async close() {
			await Promise.allSettled([...held.values()].map(recordHeld)); // the last chance of what no other server knows of
			stopping.abort();
			await Promise.all([following, lasting.ended()]);
		},
	};
}

type Turn = {
	/** Throws `conflict` when there is nothing to change any more. */
	entry(): Entry;
	isLooser(): boolean;
	record(entry: Entry): Promise<void>;
	/** Resolves when what took this number is known, or soon. */
	hear(number: number): Promise<void>;
};

/** Takes the next number while others take theirs. What is looser than what they made of it is for a person to decide anew. */
async function recordInTurn({entry, isLooser, record, hear}: Turn): Promise<Entry> {
	for (let tries = 1; ; tries += 1) {
		const next = entry();
		const isLast = isLooser() || tries === MOST_TRIES;
		try {
			await record(next);
			return next;
		} catch (error) {
			if (isLast || !(error instanceof WritError && error.code === 'conflict')) throw error;
			await hear(next.number);
			if (isLooser()) throw error;
		}
	}
}

type Change = Extract<Event, {type: 'mode.changed'}>;

/** The change after `number`; the same number when there is none, or it is being written and will be heard of. */
async function nextOf(store: Pick<Store, 'read'>, number: number): Promise<[number: number, event?: Change]> {
	const past = await store.read(idOf(number + 1));
	if (!past.some((event) => event.type === 'run.finished')) return [number];
	const change = past.find((event) => event.type === 'mode.changed');
	return change ? [number + 1, change] : [number + 1];
}

/** Whoever sets the mode of a part sets it in their own tenant. */
function scopeOf(scope: ModeScope, by: Principal): ModeScope {
	if (scope.tenant === undefined || scope.tenant === by.tenant) return {...scope, tenant: by.tenant};
	throw new WritError('forbidden', 'the mode of another tenant is not yours to change', {
		hint: 'name your own tenant or none, or set it under `modes` in policy.yaml',
	});
}

type State = Omit<ScopedMode, 'scope'>;
type Wanted = Omit<ModeRequest, 'scope'> & {readonly scope?: ModeScope | undefined};

function heldOf({mode, reason, scope}: ModeRequest, by: Principal, now: Date): Held {
	return {scope, next: {mode, reason, by, since: now.toISOString(), number: 0, asked: null, held: true}};
}

function modeIn(state: Modes, scope: ModeScope | undefined): State {
	if (scope === undefined) return state;
	const known = state.scoped.find((one) => keyOf(one.scope) === keyOf(scope));
	return known ?? {...INITIAL, number: state.number};
}

/** What is back in `execute`, and of which nobody wants anything else, is not kept. */
function withState(state: Modes, scope: ModeScope | undefined, next: State): Modes {
	if (scope === undefined) return {...state, ...next};
	const others = state.scoped.filter((one) => keyOf(one.scope) !== keyOf(scope));
	const kept = next.mode === 'execute' && next.asked === null ? [] : [{...next, scope}];
	return {...state, number: next.number, scoped: [...others, ...kept]};
}

function viewOf(state: Modes, defaults: readonly ModeRule[], caller?: Principal): ModeReply {
	if (!caller) return {...state, scoped: [...state.scoped], defaults: defaults.map((rule) => ({...rule}))};
	const isOwn = ({scope}: {readonly scope: ModeScope}) => scope.tenant === undefined || scope.tenant === caller.tenant;
	const scoped = state.scoped.filter(isOwn).map((one) => ({...one, ...seenBy(one, caller)}));
	return {...state, ...seenBy(state, caller), scoped, defaults: defaults.filter(isOwn).map((rule) => ({...rule}))};
}

type Said = Pick<State, 'by' | 'reason'> & Partial<Pick<State, 'asked'>>;

/** INVARIANT: nobody learns who there is in another tenant, nor what they wrote. */
function seenBy<S extends Said>(said: S, {tenant}: Principal): S {
	const isOther = said.by !== null && said.by.tenant !== tenant;
	const asked = said.asked && (said.asked.by.tenant === tenant ? said.asked : {...said.asked, by: SOMEBODY});
	return {...said, ...(isOther && {by: SOMEBODY, reason: ''}), ...(said.asked !== undefined && {asked})};
}

const SOMEBODY = {kind: 'user', id: 'somebody of another tenant', tenant: ''} as const;

/** Ends what is stopped by now: the runs of a tenant or an agent, and those in which a tool is at work. */
async function endStopped(state: Modes, runs: Runs): Promise<void> {
	const isPlatform = state.mode === 'observe';
	const strict = state.scoped.filter(({mode}) => mode === 'observe');
	if (!isPlatform && strict.length === 0) return;
	const reason = stopped(isPlatform ? state : (strict.toSorted((a, b) => b.number - a.number)[0] ?? state));
	await runs.abortAll(reason, (journal) => isPlatform || stops(strict, journal));
}

function stops(rules: readonly ModeRule[], {principal, events}: Pick<Journal, 'principal' | 'events'>): boolean {
	const atWork = new Map<string, string>();
	for (const {type, data} of events) {
		if (type === 'action.proposed') atWork.set(data.actionId, data.tool);
		if (type === 'action.outcome') atWork.delete(data.actionId);
	}
	const tools = [undefined, ...atWork.values()];
	return tools.some((tool) => modeFor(rules, {principal, ...(tool !== undefined && {tool})}).mode === 'observe');
}

async function once(target: EventTarget): Promise<void> {
	const {promise, resolve} = Promise.withResolvers<void>();
	target.addEventListener('change', () => resolve(), {once: true});
	const timer = setTimeout(resolve, 50); // it may have come before we listened
	await promise;
	clearTimeout(timer);
}

type Entry = EventData<'mode.changed'>;

/** Throws `conflict` for the mode that is in force already. */
function entryFor(
	{mode, reason, scope}: ModeRequest,
	by: Principal,
	{durable, needsSecond}: Pick<KillSwitchOptions, 'needsSecond'> & {readonly durable: Modes},
): Entry {
	const state = modeIn(durable, scope);
	const entry = {number: durable.number + 1, reason, ...(scope && {scope})};
	if (by.kind !== 'user') throw new WritError('forbidden', 'only a person may change a mode');
	if (mode === state.mode && state.asked === null && (scope !== undefined || state.number > 0))
		throw new WritError('conflict', `${scope ? `\`${nameOf(scope)}\`` : 'the platform'} is in the mode \`${mode}\` already`);
	if (!isStricter(state.mode, mode) || !needsSecond(scope?.tenant ?? null)) return {...entry, mode, asked: null};
	const {asked} = state;
	// What is everybody's takes two people whatever tenants their accounts are of: one person may have one in each.
	const isSame = asked !== null && personOf(asked.by) === personOf(by) && (scope === undefined || asked.by.tenant === by.tenant);
	const agrees = asked !== null && asked.mode === mode && !isSame;
	return agrees ? {...entry, mode, asked} : {...entry, mode: state.mode, asked: {by, mode}};
}

async function record(entry: Entry, by: Principal, {runs, kernel, software}: KillSwitchOptions): Promise<void> {
	const started = {
		...({job: 'system', mode: 'kill-switch', threadId: null, dataset: null, software} as const),
		...{question: entry.reason === '' ? null : entry.reason, principal: by, policyVersion: kernel.policy().version},
	};
	const id = idOf(entry.number);
	await runs.record(started, by, id, {type: 'mode.changed', actor: by, data: entry}).catch(async (error: unknown) => {
		await closeAbandoned(id, runs);
		throw error;
	});
}

/** A change whose server died before it was made would keep its number from everybody. One that is being made is left alone. */
async function closeAbandoned(id: string, runs: Runs): Promise<void> {
	const error = new WritError('interrupted', 'the platform stopped before the mode was changed').toJSON();
	await runs
		.take(id, new AbortController().signal)
		.then((run) => run.finish({status: 'failed', resultActionId: null, error}))
		.catch(() => {}); // it is finished, is somebody's, or there is no store: the first failure says so
}

type Ears = {readonly signal: AbortSignal; apply(number: number, event?: Change): Promise<void>};

const AGAIN_MS = 250;

async function follow({store, kernel}: KillSwitchOptions, durable: {state: Modes}, {signal, apply}: Ears): Promise<void> {
	while (!signal.aborted) {
		const number = durable.state.number + 1;
		try {
			for await (const event of store.subscribe(idOf(number), 0, signal)) {
				if (event.type === 'mode.changed') void apply(number, event).catch(kernel.report);
				if (event.type !== 'run.finished') continue;
				void apply(number).catch(kernel.report); // one whose server died before it was made changes nothing
				break;
			}
		} catch (error) {
			kernel.report(error);
		}
		if (durable.state.number < number && !signal.aborted) await pause(AGAIN_MS);
	}
}

function stateAfter({data, actor, at}: Change, before: Modes): Modes {
	const {mode, reason, number, asked, scope} = data;
	const isWish = asked !== null && asked.mode !== mode;
	const known = modeIn(before, scope);
	// A wish to loosen changes nothing yet: who set what is in force, when and why stay as they were.
	const {since, by, reason: why} = isWish && known.mode === mode ? known : {since: at, by: actor, reason};
	return withState(before, scope, {mode, number, since, by, reason: why, asked: isWish ? asked : null});
}

/** Ends every run that waits for a person and is stopped. One that somebody else is ending at this moment is left to them. */
async function cancelWaiting({mode, scoped}: Modes, {store, runs, kernel}: KillSwitchOptions): Promise<void> {
	const rules: readonly ModeRule[] = [{mode, scope: {}}, ...scoped];
	if (!rules.some((rule) => rule.mode === 'observe')) return;
	for (const {runId, actionId, tool} of await store.approvals(null, 'pending')) {
		const [first] = await store.read(runId);
		if (!first || modeFor(rules, {principal: first.actor, tool}).mode !== 'observe') continue;
		try {
			const run = await runs.take(runId, new AbortController().signal);
			try {
				const {error} = await withdraw(actionId, run.journal, kernel);
				await run.finish({status: 'cancelled', resultActionId: null, error});
			} finally {
				run.park();
			}
		} catch (error) {
			if (!(error instanceof WritError && error.code === 'conflict')) throw error;
		}
	}
}

function stopped({by, reason, scope}: State & {readonly scope?: ModeScope}): WritError {
	const what = scope ? `with all of \`${nameOf(scope)}\`` : 'with everything else';
	return new WritError('cancelled', `stopped${by ? ` by ${by.id}` : ''} ${what}${because(reason)}`);
}

function because(reason: string): string {
	return reason === '' ? '' : `: ${reason}`;
}

function idOf(number: number): string {
	return `mode-${number}`;
}
