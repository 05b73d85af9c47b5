/** What keeps the data of a dataset: a hold on it or on its tenant, on a run or a thread that used it, or the policy file. */
import type {PolicyDocument} from '#contract/policy.ts';
import type {Store} from '#kernel/ports.ts';

type Ports = {
	readonly store: Pick<Store, 'run' | 'runs' | 'retention'>;
	readonly listed: () => PolicyDocument['retention']['legalHold'];
};

/** In words; null when nothing does. */
export type HeldBy = (tenant: string, datasetId: string) => Promise<string | null>;

type Kind = 'run' | 'thread' | 'tenant' | 'dataset';

export function createDatasetHolds({store, listed}: Ports): HeldBy {
	const isIts: Readonly<Record<Kind, (target: string, tenant: string, datasetId: string) => Promise<boolean>>> = {
		tenant: async (target, tenant) => target === tenant,
		dataset: async (target, _tenant, datasetId) => target === datasetId,
		async run(target, tenant, datasetId) {
			const run = await store.run(target);
			return run?.tenant === tenant && run.datasetId === datasetId;
		},
		thread: async (threadId, tenant, datasetId) => (await store.runs({tenant, threadId, datasetId, limit: 1})).rows.length > 0,
	};
	return async (tenant, datasetId) => {
		for (const target of listed())
			for (const kind of ['tenant', 'run', 'thread'] as const)
				if (await isIts[kind](target, tenant, datasetId)) return 'the policy file lists it under `legalHold`';
		const holds = (await store.retention.holds(tenant)).filter(({state}) => state !== 'released');
		for (const {holdId, kind, target} of holds)
			if (await isIts[kind](target, tenant, datasetId)) return `${kind} ${target}, by ${holdId}`;
		return null;
	};
}
