/** The idle sandboxes of a pool: found by spec and tenant, filled in the background, given up by age. */
import type {SandboxSpec} from '#contract/sandbox.ts';
import {cancelled} from './endings.ts';
import type {Sandbox, SandboxProvider} from './sandbox.ts';

/** Whose sandbox, and which. */
export type Target = {readonly spec: SandboxSpec; readonly tenant: string};

export type ShelfStats = {
	readonly idle: number;
	readonly starting: number;
	/** sandboxes that became ready for the pool, since the start */
	readonly started: number;
	/** attempts that failed, since the start */
	readonly failed: number;
	/** sandboxes that died while they waited, since the start */
	readonly lost: number;
	/** while filling fails: why, and how long until the next attempt */
	readonly failing: {readonly reason: string; readonly retryInMs: number} | null;
};

type Shelf = {
	readonly target: Target;
	readonly idle: Set<Sandbox>;
	/** on their way and promised to nobody */
	readonly coming: Set<Promise<Sandbox | undefined>>;
	failures: number;
	retryAt: number;
	reason: string;
};

/**
 * Starting is work for the processors that a run wants too, so its successor waits until it is over, but no longer than this:
 * of a run that takes longer it costs less than a tenth.
 */
const REFILL_LIMIT_MS = 1_000;
/** After the end of a run: starting a process holds up the event loop for milliseconds, in which its answer would wait. */
const REFILL_PAUSE_MS = 50;
const FIRST_RETRY_MS = 250;
const LAST_RETRY_MS = 30_000;
/** Starting is work for a processor; more at once would only make all of them late. */
const STARTING_AT_ONCE = 2;

type Options = {
	readonly provider: SandboxProvider;
	/** over all shelves */
	readonly size: number;
	readonly perSpec: number;
};

export class Shelves {
	/** insertion order is the order of last use */
	readonly #shelves = new Map<string, Shelf>();
	readonly #counts = {starting: 0, started: 0, failed: 0, lost: 0};
	readonly #stopping = new AbortController();
	readonly #openings = new Set<Promise<unknown>>();
	readonly #options: Options;

	constructor(options: Options) {
		this.#options = options;
	}

	/** A sandbox that waits, or the one that will be ready soonest. Undefined when there is none. */
	async take(target: Target, signal: AbortSignal): Promise<Sandbox | undefined> {
		const shelf = this.#touch(target);
		this.#refillIn(REFILL_LIMIT_MS);
		const [idle] = shelf.idle;
		if (idle) {
			shelf.idle.delete(idle);
			return idle;
		}
		const [coming] = shelf.coming;
		if (!coming) return undefined;
		shelf.coming.delete(coming);
		return untilAborted(coming, signal);
	}

	/** Fills the shelf that it was taken from, or would have been, once it is gone. */
	refillAfter({ended}: Sandbox): void {
		const refill = () => this.#refillIn(REFILL_PAUSE_MS);
		ended.then(refill, refill);
	}

	/** Resolves when each was filled, or failed to be. */
	async fill(targets: readonly Target[]): Promise<void> {
		const wanted = targets.toReversed().map((target) => this.#touch(target));
		this.#refill();
		const isSettled = () => wanted.every((shelf) => shelf.failures > 0 || shelf.idle.size >= this.#options.perSpec);
		while (this.#openings.size > 0 && !isSettled()) {
			await Promise.race(this.#openings);
			this.#refill();
		}
	}

	stats(): ShelfStats {
		const shelves = [...this.#shelves.values()];
		const [failing] = shelves.filter(({failures}) => failures > 0).toSorted((a, b) => b.failures - a.failures);
		const idle = shelves.reduce((sum, shelf) => sum + shelf.idle.size, 0);
		if (!failing) return {...this.#counts, idle, failing: null};
		const retryInMs = Math.max(0, Math.round(failing.retryAt - performance.now()));
		return {...this.#counts, idle, failing: {reason: failing.reason, retryInMs}};
	}

	async close(): Promise<void> {
		this.#stopping.abort();
		await Promise.all(this.#openings);
		const idle = [...this.#shelves.values()].flatMap((shelf) => [...shelf.idle]);
		this.#shelves.clear();
		await Promise.all(idle.map((sandbox) => sandbox.dispose()));
	}

	#touch(target: Target): Shelf {
		const key = shelfKey(target);
		const shelf = this.#shelves.get(key) ?? {target, idle: new Set(), coming: new Set(), failures: 0, retryAt: 0, reason: ''};
		this.#shelves.delete(key);
		this.#shelves.set(key, shelf);
		return shelf;
	}

	#refillIn(milliseconds: number): void {
		setTimeout(() => this.#refill(), milliseconds).unref();
	}

	/** Most recently used first; the others keep what is left of the room. */
	#refill(): void {
		if (this.#stopping.signal.aborted) return;
		for (const shelf of [...this.#shelves.values()].reverse()) {
			const isWanting = () => held(shelf) < this.#options.perSpec && performance.now() >= shelf.retryAt;
			while (this.#counts.starting < STARTING_AT_ONCE && isWanting() && this.#makeRoom(shelf)) this.#start(shelf);
		}
	}

	#makeRoom(shelf: Shelf): boolean {
		const shelves = [...this.#shelves.values()];
		if (shelves.reduce((sum, each) => sum + held(each), 0) < this.#options.size) return true;
		const oldest = shelves.slice(0, shelves.indexOf(shelf)).find((each) => each.idle.size > 0);
		const [victim] = oldest?.idle ?? [];
		if (!(oldest && victim)) return false;
		oldest.idle.delete(victim);
		if (held(oldest) === 0) this.#shelves.delete(shelfKey(oldest.target));
		victim.dispose().catch(() => {}); // the provider's close() tries again, and reports
		return true;
	}

	#start(shelf: Shelf): void {
		const {provider} = this.#options;
		this.#counts.starting += 1;
		const opening = provider.open(shelf.target.spec, {warm: true, signal: this.#stopping.signal});
		const coming: Promise<Sandbox | undefined> = opening.then(
			(sandbox) => this.#ready(shelf, coming, sandbox),
			(error: unknown) => this.#failed(shelf, coming, error),
		);
		shelf.coming.add(coming);
		this.#openings.add(coming);
	}

	/** Who was promised it gets it; else it waits. */
	#ready(shelf: Shelf, coming: Promise<Sandbox | undefined>, sandbox: Sandbox): Sandbox | undefined {
		this.#settle(coming);
		this.#counts.started += 1;
		shelf.failures = 0;
		shelf.retryAt = 0;
		if (!shelf.coming.delete(coming)) return sandbox;
		// The room it was started for may be gone by now.
		if (this.#stopping.signal.aborted || this.#shelves.get(shelfKey(shelf.target)) !== shelf) sandbox.dispose().catch(() => {});
		else this.#shelve(shelf, sandbox);
		return undefined;
	}

	#failed(shelf: Shelf, coming: Promise<Sandbox | undefined>, error: unknown): undefined {
		this.#settle(coming);
		shelf.coming.delete(coming);
		this.#backOff(shelf, error instanceof Error ? error.message : String(error));
	}

	#settle(coming: Promise<Sandbox | undefined>): void {
		this.#counts.starting -= 1;
		this.#openings.delete(coming);
		this.#refillIn(0);
	}

	#shelve(shelf: Shelf, sandbox: Sandbox): void {
		shelf.idle.add(sandbox);
		const lose = () => {
			if (!shelf.idle.delete(sandbox)) return;
			this.#counts.lost += 1;
			this.#backOff(shelf, 'a waiting sandbox died');
		};
		sandbox.ended.then(lose, lose);
	}

	#backOff(shelf: Shelf, reason: string): void {
		if (this.#stopping.signal.aborted) return;
		const pause = Math.min(FIRST_RETRY_MS * 2 ** shelf.failures, LAST_RETRY_MS);
		this.#counts.failed += 1;
		shelf.failures += 1;
		shelf.retryAt = performance.now() + pause;
		shelf.reason = reason;
		this.#refillIn(pause + 1);
	}
}

/** Waiting, or on its way and promised to nobody. */
function held(shelf: Shelf): number {
	return shelf.idle.size + shelf.coming.size;
}

/** Equal for targets whose sandboxes are interchangeable: the order of keys is ours, not the caller's. */
function shelfKey({spec: {runner, framework, level = 'none', mounts, network, limits}, tenant}: Target): string {
	const sorted = Object.entries(limits).toSorted(([a], [b]) => (a < b ? -1 : 1));
	return JSON.stringify([tenant, runner, framework, level, network, mounts.map(({source, target}) => [source, target]), sorted]);
}

/** Who gives up waiting leaves a sandbox that nobody will use. */
async function untilAborted(coming: Promise<Sandbox | undefined>, signal: AbortSignal): Promise<Sandbox | undefined> {
	const {promise, reject} = Promise.withResolvers<never>();
	const onAbort = () => {
		reject(cancelled());
		coming.then((sandbox) => sandbox?.dispose());
	};
	if (signal.aborted) onAbort();
	signal.addEventListener('abort', onAbort, {once: true});
	try {
		return await Promise.race([coming, promise]);
	} finally {
		signal.removeEventListener('abort', onAbort);
	}
}
