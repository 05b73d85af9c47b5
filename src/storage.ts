/** What a tenant may keep on disk by policy.yaml: datasets, and the files that programs and tests read and left. */
import {randomUUID} from 'node:crypto';
import type {Clock, Store} from '#kernel/ports.ts';
import {type Storage, type StorageHolding, UNLIMITED} from '#kernel/storage.ts';
import type {LivePolicy} from '#policy/live.ts';

type Options = {
	readonly store: Pick<Store, 'quota'>;
	readonly policy: Pick<LivePolicy, 'current'>;
	/** the bytes of a tenant that are on disk now */
	readonly measure: (tenant: string) => Promise<number>;
	readonly clock: Clock;
	readonly holder: string;
	readonly isGone: (holder: string) => boolean;
};

export type TenantStorage = Storage & {
	/** Bytes kept and reserved, and how many there may be. */
	use(tenant: string): Promise<{readonly used: number; readonly reserved: number; readonly limit: number | null}>;
};

/** Longer than anybody takes to keep what is held; a hold of a server on another machine that died ends then. */
const HOLD_MS = 2 * 3_600_000;

/**
 * The store has the account, the disk the truth: a tenant's bytes are counted when this process first deals with them under a policy,
 * and before somebody is refused, as long as nobody is about to keep more.
 */
export function createStorage(options: Options): TenantStorage {
	const {store, policy, measure, clock, holder, isGone} = options;
	const counted = new Map<string, string>();
	const counting = new Map<string, Promise<boolean>>();
	const limitOf = () => policy.current().document.budgets.tenant?.storage;

	const count = async (tenant: string): Promise<boolean> => {
		const {holds, changes} = await store.quota.stored(tenant);
		const now = clock.now().toISOString();
		const gone = holds.filter((hold) => hold.until < now || isGone(hold.holder)).map(({holdId}) => holdId);
		if (gone.length < holds.length) return false;
		return store.quota.change({kind: 'count', tenant, kept: await measure(tenant), seen: changes, gone});
	};
	/** One count of a tenant at a time, for all who wait for it. */
	const countOnce = (tenant: string): Promise<boolean> => {
		const running = counting.get(tenant) ?? count(tenant).finally(() => counting.delete(tenant));
		counting.set(tenant, running);
		return running;
	};
	const countIfNew = async (tenant: string) => {
		const {version} = policy.current();
		if (counted.get(tenant) !== version && (await countOnce(tenant))) counted.set(tenant, version);
	};
	const take = async (tenant: string, holdId: string, bytes: number) => {
		const until = new Date(clock.now().getTime() + HOLD_MS).toISOString();
		const attempt = () =>
			store.quota.change({kind: 'hold', tenant, holdId, holder, bytes, until, limit: limitOf() ?? Number.MAX_SAFE_INTEGER});
		try {
			await attempt();
		} catch (error) {
			// What a server that died held, or somebody removed by hand, may be room enough.
			if ((error as {code?: unknown}).code !== 'budget_exceeded' || !(await countOnce(tenant))) throw error;
			await attempt();
		}
	};

	return {
		async hold(tenant, bytes) {
			if (limitOf() === undefined) {
				counted.delete(tenant); // nobody accounts for what is kept now
				return UNLIMITED.hold(tenant, bytes);
			}
			await countIfNew(tenant);
			const holdId = randomUUID();
			await take(tenant, holdId, bytes);
			return holding(store, tenant, {holdId, resize: (size) => take(tenant, holdId, size)});
		},
		async giveBack(tenant, bytes) {
			if (limitOf() !== undefined) await store.quota.change({kind: 'settle', tenant, holdId: null, change: -bytes});
		},
		async use(tenant) {
			const limit = limitOf();
			if (limit === undefined) return {used: await measure(tenant), reserved: 0, limit: null};
			await countIfNew(tenant);
			const {kept, holds} = await store.quota.stored(tenant);
			return {used: kept, reserved: holds.reduce((sum, {bytes}) => sum + bytes, 0), limit};
		},
	};
}

function holding(
	store: Options['store'],
	tenant: string,
	{holdId, resize}: {readonly holdId: string; readonly resize: StorageHolding['resize']},
): StorageHolding {
	const state = {isSettled: false};
	const settle = async (change: number) => {
		if (state.isSettled) return;
		state.isSettled = true;
		await store.quota.change({kind: 'settle', tenant, holdId, change});
	};
	return {resize, settle, [Symbol.asyncDispose]: () => settle(0)};
}
