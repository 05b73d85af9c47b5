/**
 * Sandboxes that wait, ready, for their one run. A claim takes one off its shelf and costs a pipe write; the shelf is filled again in
 * the background. A shelf holds sandboxes of one spec for one tenant: nothing is ever shared, and a used sandbox never comes back.
 */
import {WritError} from '#contract/errors.ts';
import type {SandboxSpec} from '#contract/sandbox.ts';
import {isAtLeast} from '#kernel/level.ts';
import {assertPermit} from '#kernel/permit.ts';
import type {Sandboxes} from '#kernel/ports.ts';
import {createPlaces} from './places.ts';
import type {Sandbox, SandboxProvider} from './sandbox.ts';
import {type ShelfStats, Shelves, type Target} from './shelves.ts';

export type PoolOptions = {
	readonly provider: SandboxProvider;
	/** sandboxes that wait, over all specs and tenants; the least recently used give way */
	readonly size: number;
	/** sandboxes that wait for the same spec and tenant */
	readonly perSpec: number;
	/** runs at the same time, without those whose code waits for a person */
	readonly concurrency: number;
	/** runs that may wait for a place */
	readonly queue: number;
};

export type PoolStats = ShelfStats & {
	readonly busy: number;
	readonly waiting: number;
	readonly warmRuns: number;
	readonly coldRuns: number;
};

export type Pool = Pick<Sandboxes, 'run'> & {
	/** Fills the shelves of these, and keeps them filled while nothing used more recently needs the room. Resolves when it was tried once. */
	warm(targets: readonly Target[]): Promise<void>;
	stats(): PoolStats;
	/** Turns away who waits, and ends every sandbox. */
	close(): Promise<void>;
};

export function createPool({provider, size, perSpec, concurrency, queue: maxWaiting}: PoolOptions): Pool {
	const queue = createPlaces(concurrency);
	const shelves = new Shelves({provider, size, perSpec});
	const state = {closed: false, warmRuns: 0, coldRuns: 0};
	/** What a sandbox is can have changed while it waited. */
	const takeStrong = async (target: Target, signal: AbortSignal): Promise<Sandbox | undefined> => {
		const sandbox = await shelves.take(target, signal);
		if (!sandbox || isAtLeast(sandbox.level, target.spec.level ?? 'none')) return sandbox;
		sandbox.dispose().catch(() => {}); // the provider's close() tries again, and reports
		return undefined;
	};
	const claim = async (target: Target, signal: AbortSignal): Promise<Sandbox> => {
		const isShared = mayWait(target.spec);
		const waiting = isShared ? await takeStrong(target, signal) : undefined;
		if (waiting) state.warmRuns += 1;
		else state.coldRuns += 1;
		const sandbox = waiting ?? (await provider.open(target.spec, {warm: false, signal}));
		if (isShared) shelves.refillAfter(sandbox);
		return sandbox;
	};
	return {
		async run(permit, {spec, request, answerCall, nested, onStart}, signal) {
			assertPermit(permit);
			if (state.closed) throw closing();
			if (!nested && queue.waiting >= maxWaiting) throw crowded(maxWaiting);
			// A nested run that waited for a place would wait for the sandbox that waits for it. One sandbox makes one call at a time.
			const place = nested ? undefined : await queue.enter(permit.tenant, signal);
			const leave = () => place?.leave();
			try {
				const sandbox = await claim({spec, tenant: permit.tenant}, signal);
				// The place is free when the sandbox is gone, which its caller need not wait for.
				sandbox.ended.then(leave, leave);
				onStart?.();
				const answer: typeof answerCall = answerCall && ((call, clock) => answerCall(call, place?.givenBack(clock) ?? clock));
				return await sandbox.run(permit, request, signal, answer);
			} catch (error) {
				leave();
				throw error;
			}
		},
		warm: (targets) => shelves.fill(targets),
		stats: () => ({
			...shelves.stats(),
			busy: queue.busy,
			waiting: queue.waiting,
			warmRuns: state.warmRuns,
			coldRuns: state.coldRuns,
		}),
		async close() {
			state.closed = true;
			queue.refuse(closing());
			await shelves.close();
			await provider.close();
		},
	};
}

/** A directory to write to, files in `/in`, and a way out belong to one run: such a sandbox cannot have been built before, nor be wanted again. */
function mayWait({output, network, mounts}: SandboxSpec): boolean {
	return output === undefined && network === 'none' && !mounts.some(({target}) => target === '/in');
}

function closing(): WritError {
	return new WritError('sandbox_unavailable', 'the server is shutting down');
}

function crowded(limit: number): WritError {
	return new WritError('sandbox_unavailable', `${limit} runs are waiting for a sandbox already`, {
		hint: 'try again later, or raise WRIT_MAX_SANDBOXES',
		details: {limit: 'queue', value: limit},
	});
}
