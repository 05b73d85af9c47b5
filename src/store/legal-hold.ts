import type {RetentionStore} from '#kernel/retention-store.ts';

/** One row: a list in JSON, sorted. */
export type LegalHoldTable = {id: number; targets: string};

type Row = {
	/** Its list as it is written. */
	read(): Promise<string>;
	/** False when it was not `before` any more. */
	swap(before: string, next: string): Promise<boolean>;
};

export function createLegalHold({read, swap}: Row): RetentionStore['holdListed'] {
	return async (targets, how) => {
		for (;;) {
			const before = await read();
			const known = how === 'add' ? (JSON.parse(before) as readonly string[]) : [];
			const next = JSON.stringify([...new Set([...known, ...targets])].sort());
			if (next === before || (await swap(before, next))) return; // else somebody else changed it meanwhile
		}
	};
}
