/** What of a store is kept for how long: holds, what was erased, and what could be. */
export type HoldRow = {
	readonly holdId: string;
	readonly tenant: string;
	readonly kind: 'run' | 'thread' | 'tenant' | 'dataset';
	readonly target: string;
	readonly reason: string;
	readonly placedBy: string;
	readonly placedAt: string;
	/** `asked`: somebody wishes for its release, and another person has to agree; it holds until then */
	readonly state: 'held' | 'asked' | 'released';
	/** the person who asked */
	readonly askedBy: string | null;
	readonly askReason: string | null;
	readonly releasedBy: string | null;
	readonly releasedAt: string | null;
	readonly releaseReason: string | null;
};

export type ErasureRow = {
	readonly runId: string;
	/** the run in which it is recorded */
	readonly byRunId: string;
	readonly at: string;
	readonly rule: string;
	readonly bytesBefore: number;
	readonly bytesAfter: number;
};

/** A finished run whose content could be erased as far as the store can tell. */
export type ErasableRow = {
	readonly runId: string;
	readonly tenant: string;
	readonly job: string;
	readonly threadId: string | null;
	readonly finishedAt: string;
	/** of its events as they are stored */
	readonly bytes: number;
};

export type ErasableFilter = {
	/** null for all */
	readonly tenant: string | null;
	/** finished before */
	readonly before: string;
	/** the last of the page before */
	readonly after: Pick<ErasableRow, 'finishedAt' | 'runId'> | null;
	/** 1..200 */
	readonly limit: number;
};

export type RetentionStore = {
	/** Newest first; of a tenant, or with null of all of them. */
	holds(tenant: string | null): Promise<readonly HoldRow[]>;
	erasure(runId: string): Promise<ErasureRow | null>;
	/** Finished runs of version 2 with content that nothing holds, but those of the system; the first to finish first. */
	erasable(filter: ErasableFilter): Promise<readonly ErasableRow[]>;
	/**
	 * What the policy file holds: runs, threads and tenants. No erasure of them commits once this has resolved. With `add` the rest of
	 * the list stays: a server whose file is older takes nothing off it.
	 */
	holdListed(targets: readonly string[], how: 'replace' | 'add'): Promise<void>;
	/** Whether a run with content names this file, or names this snapshot of a dataset. */
	isCited(tenant: string, sha256: string): Promise<boolean>;
	/** Whether a run whose content is not erased used this snapshot of a dataset. */
	isUsed(tenant: string, datasetId: string, hash: string): Promise<boolean>;
	/** Everyone who has runs. */
	tenants(): Promise<readonly string[]>;
	/** Since when the files that runs name are known; what is older may be named without that being known. */
	citedSince(): Promise<string>;
	/** Removes the remains of what was erased from where the store itself keeps older states; backups are not its own. */
	forget(): Promise<void>;
	/** True for one holder at a time, until `leaseMs` after it asked last. */
	lease(name: string, holder: string, now: Date, leaseMs: number): Promise<boolean>;
};

export type HasRetention = {readonly retention: RetentionStore};
