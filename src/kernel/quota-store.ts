/** What tenants keep on disk, as the store accounts for it: bytes that are kept, and bytes that somebody is about to keep. */

/** Whoever holds bytes back until they are on disk; a server that died does not say that it kept none. */
export type StorageHold = {readonly holdId: string; readonly holder: string; readonly bytes: number; readonly until: string};

export type StorageState = {
	readonly kept: number;
	readonly holds: readonly StorageHold[];
	/** counts every change, so that a count of the disk can tell whether it is still about the same state */
	readonly changes: number;
};

export type StorageChange = {readonly tenant: string} & (
	| (StorageHold & {
			/** a hold that is there already gets this size */
			readonly kind: 'hold';
			readonly limit: number;
	  })
	/** ends a hold, or with null says what became of kept bytes: so many more are kept now, or fewer */
	| {readonly kind: 'settle'; readonly holdId: string | null; readonly change: number}
	/** what a count of the disk found; written only if nothing changed since `seen` and nobody holds bytes but those in `gone` */
	| {readonly kind: 'count'; readonly kept: number; readonly seen: number; readonly gone: readonly string[]}
);

/** What the runs of a tenant used in a window, and what of it is only reserved. */
export type WindowUse = Record<'used' | 'reserved', {readonly [name in 'runs' | 'tokens' | 'costMicros' | 'bytes']: number}> & {
	/** runs under way */
	readonly open: number;
};

export type QuotaStore = {
	/** True when it was written. Throws `budget_exceeded` for a hold that there is no room for. */
	change(change: StorageChange): Promise<boolean>;
	stored(tenant: string): Promise<StorageState>;
	spent(tenant: string, window: string): Promise<WindowUse>;
};

export type HasQuota = {readonly quota: QuotaStore};
