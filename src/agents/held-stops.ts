/** Stops that are in force here and that the store did not take: recorded as soon as it works, so that others and a restart obey them. */
import {setTimeout as pause} from 'node:timers/promises';
import {WritError} from '#contract/errors.ts';
import type {Principal} from '#contract/event.ts';
import type {Mode, ModeScope, ScopedMode} from '#contract/mode.ts';
import {isStricter} from '#policy/mode.ts';

export type Held = {readonly scope: ModeScope | undefined; readonly next: Omit<ScopedMode, 'scope'> & {readonly by: Principal}};

type Recording<Entry> = {
	record(one: Held): Promise<Entry>;
	/** what follows when it is on record */
	settle(entry: Entry): Promise<void>;
	report(error: unknown): void;
	readonly signal: AbortSignal;
};

const AGAIN_MS = 250;

/** Whoever was refused is told so, and what they asked for is tried again until nothing is held. */
export function keepRecording<Entry>(held: ReadonlyMap<string, Held>, {record, settle, report, signal}: Recording<Entry>) {
	const state = {now: Promise.resolve(), isOn: false};
	const run = async () => {
		while (held.size > 0 && !signal.aborted) {
			for (const one of held.values())
				await record(one).then(
					(entry) => settle(entry).catch(report),
					() => {}, // who asked for it was told already
				);
			if (held.size > 0) await pause(AGAIN_MS);
		}
		state.isOn = false;
	};
	return {
		refused(key: string, error: unknown): never {
			if (!held.has(key)) throw error;
			if (!state.isOn) {
				state.isOn = true;
				state.now = run();
			}
			throw notYetDurable('the store did not take it', error);
		},
		ended: () => state.now,
	};
}

/** Throws `store_unavailable` for what would undo a stop that nobody else knows of yet. */
export function assertOnRecord(held: Held | undefined, wanted: Mode): void {
	if (held && isStricter(held.next.mode, wanted)) throw notYetDurable('only what is on record can be undone');
}

function notYetDurable(why: string, cause?: unknown): WritError {
	return new WritError('store_unavailable', `the stop is in force on this server and not on record, so on no other: ${why}`, {
		hint: 'it is recorded as soon as the store works; until then `writ mode` says that it is not',
		cause,
	});
}
