/** What is kept on disk for tenants, and the account of it. */
import path from 'node:path';
import {createDatasets, type Datasets} from '#analyst/datasets.ts';
import type {Config} from '#config/config.ts';
import type {Clock, Redactor, Store} from '#kernel/ports.ts';
import type {LivePolicy} from '#policy/live.ts';
import {createFileStore, type FileStore} from '#tools/files.ts';
import {isGone, nameHolder} from './holder.ts';
import {createStorage, type TenantStorage} from './storage.ts';

type Parts = {
	readonly config: Config;
	readonly dataDir: string;
	readonly store: Pick<Store, 'quota'>;
	readonly policy: Pick<LivePolicy, 'current'>;
	readonly clock: Clock;
	readonly redact: Redactor;
	/** hears of datasets that cannot be read */
	readonly report: (problem: unknown) => void;
};

export type Kept = {readonly datasets: Datasets; readonly files: FileStore; readonly storage: TenantStorage};

export function createKept({config, dataDir, store, policy, clock, redact, report}: Parts): Kept {
	const measure = async (tenant: string) => (await datasets.bytes(tenant)) + (await files.bytes(tenant));
	const storage = createStorage({store, policy, measure, clock, holder: nameHolder(), isGone});
	const dir = config.data.datasetsDir ?? path.join(dataDir, 'datasets');
	const datasets = createDatasets({dir, storage, redact, report});
	const files = createFileStore(path.join(dataDir, 'files'), storage);
	return {datasets, files, storage};
}
