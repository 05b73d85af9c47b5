/** Room on disk for what a tenant keeps: reserved before bytes are accepted, settled to what was kept. */
export type Storage = {
	/** Throws `budget_exceeded` when the tenant may not keep so many bytes more. Whoever disposes of it unsettled has kept nothing. */
	hold(tenant: string, bytes: number): Promise<StorageHolding>;
	/** Bytes that were kept are on disk no more. */
	giveBack(tenant: string, bytes: number): Promise<void>;
};

export type StorageHolding = AsyncDisposable & {
	/** Holds so many bytes in all from now on. Throws as `hold` does, and then holds what it did. */
	resize(bytes: number): Promise<void>;
	/** Ends it: so many bytes more are kept than before. */
	settle(change: number): Promise<void>;
};

const NO_HOLD: StorageHolding = {resize: async () => {}, settle: async () => {}, [Symbol.asyncDispose]: async () => {}};

export const UNLIMITED: Storage = {hold: async () => NO_HOLD, giveBack: async () => {}};
