import type {Event} from '#contract/event.ts';

type Options = {
	readonly read: (runId: string, after: number) => Promise<readonly Event[]>;
	/** reads again after this time even if nothing was announced; for announcements that can get lost */
	readonly recheckMs?: number;
};

/** Turns "something was appended to this run" into the run's events, in order, each once, none missed. */
export class Watchers {
	readonly #wakers = new Map<string, Set<() => void>>();
	readonly #options: Options;
	#closed = false;

	constructor(options: Options) {
		this.#options = options;
	}

	/** True while anybody follows a run. */
	get watched(): boolean {
		return this.#wakers.size > 0;
	}

	wake(runId: string): void {
		for (const waken of this.#wakers.get(runId) ?? []) waken();
	}

	/** Calls `waken` whenever this name is woken. Returns how to stop. */
	watch(name: string, waken: () => void): () => void {
		this.#add(name, waken);
		return () => this.#remove(name, waken);
	}

	wakeAll(): void {
		for (const runId of this.#wakers.keys()) this.wake(runId);
	}

	/** Ends every subscription. */
	close(): void {
		this.#closed = true;
		this.wakeAll();
	}

	async *follow(runId: string, after: number, signal: AbortSignal): AsyncGenerator<Event, void, undefined> {
		const bell = {rung: false, ring: () => {}};
		const waken = () => {
			bell.rung = true;
			bell.ring();
		};
		this.#add(runId, waken);
		signal.addEventListener('abort', waken);
		const ended = () => signal.aborted || this.#closed;
		let last = after;
		try {
			while (!ended()) {
				// INVARIANT: the bell is reset before the read, so an append during the read is read again and not slept through.
				bell.rung = false;
				for (const event of await this.#options.read(runId, last)) {
					if (ended()) return;
					last = event.seq;
					yield event;
				}
				if (!bell.rung) await this.#sleep(bell);
			}
		} finally {
			signal.removeEventListener('abort', waken);
			this.#remove(runId, waken);
		}
	}

	async #sleep(bell: {rung: boolean; ring: () => void}): Promise<void> {
		const {promise, resolve} = Promise.withResolvers<void>();
		bell.ring = resolve;
		const {recheckMs} = this.#options;
		const timer = recheckMs === undefined ? undefined : setTimeout(resolve, recheckMs);
		await promise;
		clearTimeout(timer);
		bell.ring = () => {};
	}

	#add(runId: string, waken: () => void): void {
		const wakers = this.#wakers.get(runId) ?? new Set();
		this.#wakers.set(runId, wakers.add(waken));
	}

	#remove(runId: string, waken: () => void): void {
		const wakers = this.#wakers.get(runId);
		wakers?.delete(waken);
		if (wakers?.size === 0) this.#wakers.delete(runId);
	}
}
