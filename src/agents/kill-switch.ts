/**
 * The mode of the whole platform. Each change is a run of its own, `mode-1`, `mode-2`, …, whose events are its record; every server
 * follows the next one in the store, so that all hear of it when it becomes durable. The first to write a number wins.
 */
import {setTimeout as pause} from 'node:timers/promises';
import {WritError} from '#contract/errors.ts';
import type {Event, EventData, Principal} from '#contract/event.ts';
import {MODES, type Mode, type ModeReply} from '#contract/mode.ts';
import type {Kernel, Store} from '#kernel/ports.ts';
import {withdraw} from '#kernel/withdraw.ts';
import type {Runs} from './runs.ts';

/** What the mode is now; asked by the gates on every pass, and by every run before it starts. */
export type ModeHolder = {readonly state: ModeReply};

export type KillSwitch = {
	state(): ModeReply;
	/**
	 * A stricter mode is in force here at once, and everywhere when it is durable. A looser one needs somebody else's agreement where
	 * there is somebody else: then this is the wish, or the agreement to it. Throws `store_unavailable`; what was stopped stays stopped.
	 */
	change(wanted: {readonly mode: Mode; readonly reason: string}, by: Principal): Promise<ModeReply>;
	close(): Promise<void>;
};

export type KillSwitchOptions = {
	/** what is in force here, which can be stricter than what is on record */
	readonly holder: ModeHolder & {state: ModeReply};
	readonly store: Store;
	readonly runs: Runs;
	readonly kernel: Kernel;
	readonly software: string;
	/** whether to loosen takes two people */
	readonly needsSecond: boolean;
};

export const INITIAL: ModeReply = {mode: 'execute', number: 0, since: null, by: null, reason: '', asked: null};

/** Throws `stopped` while no run may start. */
export function assertRunning({state}: ModeHolder): void {
	if (state.mode !== 'observe') return;
	throw new WritError('stopped', `the platform was stopped${state.by ? ` by ${state.by.id}` : ''}${because(state.reason)}`, {
		hint: 'a person lets it go on with `writ resume`',
	});
}

/** Resolves when the mode in force is known and every further change will be heard of. */
export async function createKillSwitch(options: KillSwitchOptions): Promise<KillSwitch> {
	const {holder, store, runs, kernel} = options;
	const durable = {state: holder.state};
	const stopping = new AbortController();
	const heard = new EventTarget();
	const apply = async (event: Extract<Event, {type: 'mode.changed'}>) => {
		durable.state = stateAfter(event);
		holder.state = durable.state;
		heard.dispatchEvent(new globalThis.Event('change'));
		if (holder.state.mode === 'observe') await runs.abortAll(stopped(holder.state));
	};
	for (let past = await store.read(idOf(1)); past.length > 0; past = await store.read(idOf(durable.state.number + 1))) {
		const change = past.find((event) => event.type === 'mode.changed');
		if (!past.some((event) => event.type === 'run.finished')) break; // it is being written, and will be heard of
		durable.state = change ? stateAfter(change) : {...durable.state, number: durable.state.number + 1};
	}
	holder.state = durable.state;
	const following = follow(options, durable, {signal: stopping.signal, apply});

	return {
		state: () => holder.state,
		async change(wanted, by) {
			const entry = entryFor(wanted, by, {...options, durable: durable.state});
			const isHeld = isStricter(wanted.mode, holder.state.mode);
			// Before it is on record: what stops a platform must not wait for its store.
			if (isHeld) holder.state = {...holder.state, ...wanted, by, since: kernel.clock.now().toISOString(), asked: null};
			const recorded = record(entry, by, options); // the others hear of it while what runs here is ended
			if (isHeld && wanted.mode === 'observe') void runs.abortAll(stopped(holder.state));
			await recorded;
			const number = entry.number;
			while (durable.state.number < number) await once(heard);
			if (entry.mode === 'observe' && entry.asked === null) await cancelWaiting(options);
			return holder.state;
		},
		async close() {
			stopping.abort();
			await following;
		},
	};
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
	{mode, reason}: {mode: Mode; reason: string},
	by: Principal,
	{durable: state, needsSecond}: Pick<KillSwitchOptions, 'needsSecond'> & {readonly durable: ModeReply},
): Entry {
	const number = state.number + 1;
	if (by.kind !== 'user') throw new WritError('forbidden', 'only a person may change the mode of the platform');
	if (mode === state.mode && state.number > 0 && state.asked === null)
		throw new WritError('conflict', `the platform is in the mode \`${mode}\` already`);
	if (!isStricter(state.mode, mode) || !needsSecond) return {number, mode, reason, asked: null};
	const {asked} = state;
	const agrees = asked !== null && asked.mode === mode && !(asked.by.id === by.id && asked.by.tenant === by.tenant);
	return agrees ? {number, mode, reason, asked} : {number, mode: state.mode, reason, asked: {by, mode}};
}

function isStricter(one: Mode, other: Mode): boolean {
	return MODES.indexOf(one) < MODES.indexOf(other);
}

async function record(entry: Entry, by: Principal, {runs, kernel, software}: KillSwitchOptions): Promise<void> {
	const started = {
		...({job: 'system', mode: 'kill-switch', threadId: null, dataset: null, software} as const),
		...{question: entry.reason === '' ? null : entry.reason, principal: by, policyVersion: kernel.policy().version},
	};
	const id = idOf(entry.number);
	const run = await runs.open(started, by, new AbortController().signal, id).catch(async (error: unknown) => {
		await closeAbandoned(id, runs);
		throw error;
	});
	const data = kernel.redact(entry).value as Entry;
	await run.finish({status: 'succeeded', resultActionId: null, error: null}, {type: 'mode.changed', actor: by, data});
}

/** A change whose server died before it was made would keep its number from everybody. One that is being made is left alone. */
async function closeAbandoned(id: string, runs: Runs): Promise<void> {
	const error = new WritError('interrupted', 'the platform stopped before the mode was changed').toJSON();
	await runs
		.take(id, new AbortController().signal)
		.then((run) => run.finish({status: 'failed', resultActionId: null, error}))
		.catch(() => {}); // it is finished, is somebody's, or there is no store: the first failure says so
}

type Ears = {readonly signal: AbortSignal; apply(event: Extract<Event, {type: 'mode.changed'}>): Promise<void>};

const AGAIN_MS = 250;

async function follow({store, kernel}: KillSwitchOptions, durable: {state: ModeReply}, {signal, apply}: Ears): Promise<void> {
	for (let number = durable.state.number + 1; !signal.aborted; ) {
		const current = number;
		try {
			for await (const event of store.subscribe(idOf(number), 0, signal)) {
				if (event.type === 'mode.changed') void apply(event).catch(kernel.report);
				if (event.type !== 'run.finished') continue;
				number += 1;
				break;
			}
		} catch (error) {
			kernel.report(error);
		}
		if (number === current && !signal.aborted) await pause(AGAIN_MS);
		durable.state = {...durable.state, number: Math.max(durable.state.number, number - 1)};
	}
}

function stateAfter({data, actor, at}: Extract<Event, {type: 'mode.changed'}>): ModeReply {
	const {mode, reason, number, asked} = data;
	return {mode, number, since: at, by: actor, reason, asked: asked !== null && asked.mode !== mode ? asked : null};
}

/** Ends every run that waits for a person. One that somebody else is ending at this moment is left to them. */
async function cancelWaiting({store, runs, kernel}: KillSwitchOptions): Promise<void> {
	for (const {runId, actionId} of await store.approvals(null, 'pending')) {
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

function stopped({by, reason}: ModeReply): WritError {
	return new WritError('cancelled', `stopped${by ? ` by ${by.id}` : ''} with everything else${because(reason)}`);
}

function because(reason: string): string {
	return reason === '' ? '' : `: ${reason}`;
}

function idOf(number: number): string {
	return `mode-${number}`;
}
