/** What became of one operation of a group. */
export type Settled<Result> = {readonly ok: true; readonly value: Result} | {readonly ok: false; readonly error: unknown};

type Waiting<Operation, Result> = {
	readonly operation: Operation;
	readonly resolve: (value: Result) => void;
	readonly reject: (error: unknown) => void;
};

/** Bounds the memory and the lock time of one commit. */
const MAX_GROUP = 256;

/**
 * Group commit: operations that arrive in one turn of the event loop, or while a commit is under way, share the next commit.
 * `commit` answers for each operation in order; if it throws, all of them failed.
 */
export class Group<Operation, Result> {
	readonly #commit: (operations: readonly Operation[]) => Promise<readonly Settled<Result>[]>;
	#queue: Waiting<Operation, Result>[] = [];
	#running: Promise<void> | null = null;

	constructor(commit: (operations: readonly Operation[]) => Promise<readonly Settled<Result>[]>) {
		this.#commit = commit;
	}

	submit(operation: Operation): Promise<Result> {
		const {promise, resolve, reject} = Promise.withResolvers<Result>();
		this.#queue.push({operation, resolve, reject});
		this.#running ??= this.#run();
		return promise;
	}

	/** Resolves when everything submitted so far is settled. */
	async drain(): Promise<void> {
		await this.#running;
	}

	async #run(): Promise<void> {
		while (this.#queue.length > 0) {
			// The end of this turn: whoever was waiting for the last commit gets to join the next one.
			await new Promise((resolve) => setImmediate(resolve));
			const group = this.#queue.splice(0, MAX_GROUP);
			await this.#settle(group);
		}
		this.#running = null;
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
