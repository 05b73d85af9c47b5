/**
 * The registry of datasets: immutable snapshots in directories named by their content, and one pointer per dataset that says which
 * is current. `<dir>/<tenant>/<id>/<hash>/{manifest.json, *.parquet}` and `<dir>/<tenant>/<id>/current`.
 */
import {randomUUID} from 'node:crypto';
import {mkdir, readdir, readFile, rename, rm, stat} from 'node:fs/promises';
import {join, resolve} from 'node:path';
import {type Dataset, datasetSchema, identifierSchema} from '#contract/dataset.ts';
import {WritError} from '#contract/errors.ts';
import type {SandboxSpec, View} from '#contract/sandbox.ts';
import type {Redactor} from '#kernel/ports.ts';
import {type Storage, type StorageHolding, UNLIMITED} from '#kernel/storage.ts';
import {bytesOnDisk} from '#sandbox/bytes-on-disk.ts';
import {emptyIfMissing, isMissing, replaceFile, sweepDirectory, UNLISTED} from './durable-files.ts';
import {withoutSecrets} from './profile-secrets.ts';
import {ADD_AGAIN, createSnapshots, datasetHash, notFound, seal} from './snapshots.ts';

/** What a sandbox needs to read a dataset: its snapshot read-only at `/data`, and the view each table becomes. */
export type DatasetSource = {
	readonly mounts: SandboxSpec['mounts'];
	readonly views: readonly View[];
};

/** A place where a snapshot is made. Disposing of it removes what was not published. */
export type Staging = AsyncDisposable & {
	/** what a sandbox may write to; nothing in it is trusted */
	readonly out: string;
	/** becomes the snapshot's directory */
	readonly snapshot: string;
};

export type PastSnapshot = {readonly id: string; readonly hash: string; readonly at: number};

export type Datasets = {
	/** Those whose manifest can be read, by id. The others are reported. */
	list(tenant: string): Promise<readonly Dataset[]>;
	/** The current snapshot. Throws `not_found`, or `dataset_corrupt` when a file is not what was published. */
	get(tenant: string, id: string): Promise<Dataset>;
	/** The snapshot a run cites, current or not. Throws as `get` does. */
	at(tenant: string, id: string, hash: string): Promise<Dataset>;
	source(tenant: string, dataset: Pick<Dataset, 'id' | 'hash' | 'tables'>): DatasetSource;
	stage(): Promise<Staging>;
	/**
	 * Makes the staged Parquet files the current snapshot; all or nothing, and safe to do twice or at the same time. A snapshot that
	 * is there already and whole keeps its files; only what is said about it changes. `holding` is settled; throws `budget_exceeded`
	 * when it cannot grow to what is staged.
	 */
	publish(tenant: string, staging: Staging, dataset: Omit<Dataset, 'hash'>, holding?: StorageHolding): Promise<Dataset>;
	/** Reads every byte again. Throws `dataset_corrupt` with the files that changed. */
	verify(
		tenant: string,
		id: string,
		hash?: string,
	): Promise<{readonly dataset: Dataset; readonly files: number; readonly bytes: number}>;
	/** What the datasets of a tenant take on disk. */
	bytes(tenant: string): Promise<number>;
	/** Removes the dataset with all its snapshots; resolves to the bytes that are given back. Throws `not_found`. */
	remove(tenant: string, id: string): Promise<number>;
	/** The snapshots that are not current any more, with when they were published. */
	past(tenant: string): Promise<readonly PastSnapshot[]>;
	/** Removes a snapshot unless it is the current one by then; resolves to whether it did. */
	removePast(tenant: string, snapshot: Pick<PastSnapshot, 'id' | 'hash'>): Promise<boolean>;
	/** Removes what crashes left behind; resolves to how many leftovers there were. */
	sweep(): Promise<number>;
};

type DatasetsOptions = {
	readonly dir: string;
	readonly storage?: Storage;
	/** takes out what is not kept in what is said of a dataset */
	readonly redact?: Redactor;
	/** a leftover is something in staging that nobody touched for this long */
	readonly staleMs?: number;
	/** hears of datasets that `list` had to leave out */
	readonly report?: (problem: WritError) => void;
};

const HOUR_MS = 3_600_000;
const STAGING = '.staging';

const ALL: Redactor = (value) => ({value, count: 0});

export function createDatasets(options: DatasetsOptions): Datasets {
	const {dir, storage = UNLIMITED, redact = ALL, staleMs = HOUR_MS, report = () => {}} = options;
	const [root, staging] = [resolve(dir), resolve(dir, STAGING)];
	const snapshots = createSnapshots((dataset) => withoutSecrets(dataset, redact));
	const inTurn = createTurns();

	const home = (tenant: string, id: string) => join(root, safeTenant(tenant), safeId(id));
	const at = async (tenant: string, id: string, hash: string) => snapshots.check(join(home(tenant, id), safeHash(hash)), id);
	const current = async (tenant: string, id: string) => readPointer(home(tenant, id), id);

	const bury = createBurial({staging, storage, inTurn});

	return {
		at,
		get: async (tenant, id) => at(tenant, id, await current(tenant, id)),
		async list(tenant) {
			const ids = await readdir(join(root, safeTenant(tenant))).catch(emptyIfMissing);
			const found = await Promise.all(
				ids
					.filter((id) => identifierSchema.safeParse(id).success)
					.sort()
					.map(async (id) => {
						try {
							const hash = await current(tenant, id);
							return (await snapshots.read(join(home(tenant, id), hash), id)).dataset;
						} catch (error) {
							if (!(error instanceof WritError)) throw error;
							// Being added or removed just now is no problem; anything else hides only this one dataset.
							if (error.code !== 'not_found') report(error);
							return null;
						}
					}),
			);
			return found.filter((dataset) => dataset !== null);
		},
		source(tenant, {id, hash, tables}) {
			const views = tables.map(({name, file}) => ({table: name, path: `/data/${file}`}));
			return {mounts: [{source: join(home(tenant, id), safeHash(hash)), target: '/data'}], views};
		},
		async stage() {
			const path = join(staging, randomUUID());
			const [out, snapshot] = [join(path, 'out'), join(path, 'snapshot')];
			await mkdir(path, {recursive: true, mode: UNLISTED});
			await mkdir(out);
			await mkdir(snapshot);
			return {out, snapshot, [Symbol.asyncDispose]: () => rm(path, {recursive: true, force: true})};
		},
		async publish(tenant, {snapshot}, draft, holding) {
			const dataset = withoutSecrets(datasetSchema.parse({...draft, hash: datasetHash(draft.tables)}), redact);
			const place = home(tenant, dataset.id);
			await seal(snapshot, dataset);
			await holding?.resize((await bytesOnDisk(snapshot)) + POINTER_BYTES);
			return inTurn(async () => {
				await settling(holding, [join(place, dataset.hash), join(place, 'current')], async () => {
					await snapshots.settle(snapshot, join(place, dataset.hash), dataset);
					await replaceFile(join(place, 'current'), `${dataset.hash}\n`);
				});
				return at(tenant, dataset.id, dataset.hash);
			});
		},
		bytes: async (tenant) => (TENANT.test(tenant) ? bytesOnDisk(join(root, tenant)) : 0),
		async verify(tenant, id, hash) {
			const path = join(home(tenant, id), safeHash(hash ?? (await current(tenant, id))));
			return snapshots.rehash(path, id);
		},
		async remove(tenant, id) {
			const bytes = await bury(tenant, home(tenant, id));
			if (bytes === null) throw notFound(id);
			return bytes;
		},
		past: (tenant) => pastIn(join(root, safeTenant(tenant))),
		async removePast(tenant, {id, hash}) {
			const place = join(home(tenant, id), safeHash(hash));
			return (await bury(tenant, place, async () => (await current(tenant, id)) !== hash)) !== null;
		},
		sweep: () => sweepDirectory(staging, Date.now() - staleMs),
	};
}

type Burying = {readonly staging: string; readonly storage: Storage; readonly inTurn: ReturnType<typeof createTurns>};

/** Takes a directory away, all at once; resolves to the bytes given back, or null where there is none or it may not be. */
function createBurial({staging, storage, inTurn}: Burying) {
	return async (tenant: string, place: string, may: () => Promise<boolean> = async () => true): Promise<number | null> => {
		const grave = join(staging, randomUUID());
		await mkdir(staging, {recursive: true, mode: UNLISTED});
		const bytes = await inTurn(async () => {
			if (!(await may())) return null;
			await rename(place, grave);
			return bytesOnDisk(grave);
		}).catch((error) => {
			if (isMissing(error)) return null;
			throw error;
		});
		if (bytes === null) return null;
		await storage.giveBack(tenant, bytes);
		await rm(grave, {recursive: true, force: true});
		return bytes;
	};
}

async function pastIn(directory: string): Promise<PastSnapshot[]> {
	const all: PastSnapshot[] = [];
	for (const id of await readdir(directory).catch(emptyIfMissing)) {
		const home = join(directory, id);
		const now = await readPointer(home, id).catch(() => null); // what says of none that it is current keeps all
		const names = now === null ? [] : await readdir(home);
		for (const hash of names.filter((name) => HASH.test(name) && name !== now))
			all.push({id, hash, at: (await stat(join(home, hash))).mtimeMs});
	}
	return all;
}

/** Settles to how much more is in `places` than before, whether or not the work succeeds. */
async function settling(
	holding: StorageHolding | undefined,
	places: readonly string[],
	work: () => Promise<void>,
): Promise<void> {
	const kept = async () => (await Promise.all(places.map(bytesOnDisk))).reduce((sum, bytes) => sum + bytes, 0);
	const before = await kept();
	try {
		await work();
	} finally {
		// Never less: what another server removed meanwhile that one gives back.
		await holding?.settle(Math.max(0, (await kept()) - before));
	}
}

/** One after the other: a dataset is never published and removed at the same moment. */
function createTurns(): <T>(work: () => Promise<T>) => Promise<T> {
	const queue: {last: Promise<unknown>} = {last: Promise.resolve()};
	return (work) => {
		const next = queue.last.then(work);
		queue.last = next.catch(() => {}); // its caller hears of it
		return next;
	};
}

const TENANT = /^[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}$/;
const HASH = /^[0-9a-f]{64}$/;
/** of the file that says which snapshot is current */
const POINTER_BYTES = 65;

function safeTenant(tenant: string): string {
	if (TENANT.test(tenant)) return tenant;
	throw new WritError('invalid_request', 'a tenant with datasets is named with letters, digits and ._@+- only', {
		details: {tenant},
	});
}

/** Names that cannot be ids name no dataset; saying more would help only whoever tries paths. */
function safeId(id: string): string {
	if (identifierSchema.safeParse(id).success) return id;
	throw notFound(id);
}

function safeHash(hash: string): string {
	if (HASH.test(hash)) return hash;
	throw new WritError('not_found', 'a snapshot is named by 64 hexadecimal digits');
}

async function readPointer(home: string, id: string): Promise<string> {
	const text = await readFile(join(home, 'current'), 'utf8').catch((error) => {
		throw isMissing(error) ? notFound(id) : error;
	});
	if (HASH.test(text.trim())) return text.trim();
	throw new WritError('dataset_corrupt', `dataset \`${id}\` does not say which snapshot is current`, {hint: ADD_AGAIN});
}
