/** What became of one operation of a group. */
export type Settled<Result> = {readonly ok: true; readonly value: Result} | {readonly ok: false; readonly error: unknown};

type Waiting<Operation, Result> = {
	readonly operation: Operation;
	readonly resolve: (value: Result) => void;
	readonly reject: (error: unknown) => void;
};

/** Bounds the memory and the lock time of one commit. */
const MAX_GROUP = 128;
/** As many that wait are handed over while the commit before them is under way: it and their making then go on at the same time. */
const WORTH_HANDING_OVER = MAX_GROUP / 2;

/**
 * Group commit: operations that arrive in one turn of the event loop, or while a commit is under way, share a commit. `commit` is given
 * the next group before it has answered for the last when that is large, and answers for each operation in order; if it throws, all of
 * a group failed.
 */
export class Group<Operation, Result> {
	readonly #commit: (operations: readonly Operation[]) => Promise<readonly Settled<Result>[]>;
	readonly #queue: Waiting<Operation, Result>[] = [];
	readonly #under = new Set<Promise<void>>();
	#isScheduled = false;

	constructor(commit: (operations: readonly Operation[]) => Promise<readonly Settled<Result>[]>) {
		this.#commit = commit;
	}

	submit(operation: Operation): Promise<Result> {
		const {promise, resolve, reject} = Promise.withResolvers<Result>();
		this.#queue.push({operation, resolve, reject});
		this.#schedule();
		return promise;
	}

	/** Resolves when everything submitted so far is settled. */
	async drain(): Promise<void> {
		while (this.#isScheduled || this.#under.size > 0) {
			await Promise.all(this.#under);
			await new Promise((resolve) => setImmediate(resolve));
		}
	}

	#schedule(): void {
		const waiting = this.#queue.length;
		const isWorthIt = this.#under.size === 0 ? waiting > 0 : this.#under.size === 1 && waiting >= WORTH_HANDING_OVER;
		if (this.#isScheduled || !isWorthIt) return;
		this.#isScheduled = true;
		// The end of this turn: whoever was waiting for the last commit gets to join the next one.
		setImmediate(() => {
			this.#isScheduled = false;
			const settled = this.#settle(this.#queue.splice(0, MAX_GROUP)).finally(() => {
				this.#under.delete(settled);
				this.#schedule();
			});
			this.#under.add(settled);
			this.#schedule();
		});
	}

	async #settle(group: readonly Waiting<Operation, Result>[]): Promise<void> {
		try {
			const settled = await this.#commit(group.map(({operation}) => operation));
			for (const [index, {resolve, reject}] of group.entries()) {
				const result = settled[index];
				if (result?.ok) resolve(result.value);
				else reject(result?.error ?? new Error('a commit left an operation without an answer'));
			}
		} catch (error) {
			for (const {reject} of group) reject(error);
		}
	}
}
