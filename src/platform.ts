import {randomBytes} from 'node:crypto';
import {accessSync, constants, mkdirSync} from 'node:fs';
import path from 'node:path';
import {assertRunning, createKillSwitch, INITIAL, type KillSwitch, type ModeHolder} from '#agents/kill-switch.ts';
import {createNews, type News} from '#agents/news.ts';
import {createRuns, type Runs} from '#agents/runs.ts';
import {createChartTool} from '#analyst/chart.ts';
import {specOver} from '#analyst/compute.ts';
import {AnalystRoom} from '#analyst/create-analyst.ts';
import type {Datasets} from '#analyst/datasets.ts';
import {createDescribeTool, createListDatasetsTool} from '#analyst/discover.ts';
import {sweepDirectory} from '#analyst/durable-files.ts';
import {createExportTool} from '#analyst/export.ts';
import {createIngestTool} from '#analyst/ingest.ts';
import {createPythonTool} from '#analyst/python.ts';
import {createQueryPlanTool} from '#analyst/query-plan.ts';
import {createRemoveTool} from '#analyst/remove.ts';
import {createSqlTool} from '#analyst/sql.ts';
import type {Answerer, Progress} from '#analyst/turn.ts';
import type {Config} from '#config/config.ts';
import type {Secrets} from '#config/secrets.ts';
import {makeDirectory} from '#contract/directory.ts';
import {WritError} from '#contract/errors.ts';
import type {Event} from '#contract/event.ts';
import type {SandboxLimits} from '#contract/sandbox.ts';
import {digest} from '#evidence/canonical.ts';
import {openJournal, resumeJournal} from '#evidence/journal.ts';
import {type Keyring, openKeyring} from '#evidence/keyring.ts';
import {type SigningKey, signHead} from '#evidence/keys.ts';
import {createRedactor} from '#evidence/redact.ts';
import type {ServerLog} from '#evidence/server-log.ts';
import type {Kernel, Redactor, Store} from '#kernel/ports.ts';
import type {AnyTool} from '#kernel/tool.ts';
import type {LivePolicy} from '#policy/live.ts';
import {modesOf, withMode} from '#policy/mode.ts';
import {limitsMoney} from '#policy/money.ts';
import {createPool, type Pool} from '#sandbox/pool.ts';
import {openSqlite} from '#store/sqlite.ts';
import type {FileStore} from '#tools/files.ts';
import {createJavaScriptTool} from '#tools/javascript.ts';
import {createPythonTool as createCodePythonTool} from '#tools/python.ts';
import {createShellTool} from '#tools/shell.ts';
import {createTestsTool} from '#tools/tests.ts';
import {createClock} from './clock.ts';
import {createDatasetHolds, type HeldBy} from './dataset-holds.ts';
import {isGone, nameHolder} from './holder.ts';
import {createKeeping, type Keeping} from './keeping.ts';
import {createKept} from './kept.ts';
import {openLog} from './open-log.ts';
import {approvalsOf, createPolicyRoom, createThreadHistory, openPolicy, type PolicyRoom} from './policies.ts';
import type {createFacts} from './reproducibility.ts';
import {createSandboxing, type Sandboxing} from './sandboxes.ts';
import {knownSecrets, openStoreOfSecrets} from './secrets.ts';
import {hasTwoPeople} from './single-user.ts';
import type {TenantStorage} from './storage.ts';
import {withTenantBudgets} from './tenant-budgets.ts';

/** Every room built and joined; nothing listens yet. */
export type Platform = Keeping & {
	readonly kernel: Kernel;
	readonly store: Store;
	readonly runs: Runs;
	readonly datasets: Datasets;
	readonly analyst: AnalystRoom;
	/** what programs and tests read and left */
	readonly files: FileStore;
	/** what tenants may keep */
	readonly storage: TenantStorage;
	readonly approvals: ReturnType<typeof approvalsOf>;
	readonly policy: LivePolicy;
	readonly policies: PolicyRoom;
	readonly sandboxing: Sandboxing;
	readonly pool: Pool;
	/** the one in use now */
	readonly key: SigningKey;
	readonly keyring: Keyring;
	readonly serverLog: ServerLog;
	readonly redact: Redactor;
	readonly secrets: Secrets;
	readonly killSwitch: KillSwitch;
	/** every event this process made durable; returns how to stop */
	watch(listener: (event: Event) => void): () => void;
	/** Fills the pool for the datasets there are. */
	warm(): Promise<void>;
	/** Removes what crashes left in the data directory; resolves to how many leftovers there were. */
	sweep(): Promise<number>;
	close(): Promise<void>;
};

export type PlatformOptions = {
	readonly config: Config;
	/** the directory that holds `src` and `node_modules` */
	readonly root: string;
	readonly software: string;
	/** a bug: logged with its stack, never shown */
	readonly report: (bug: unknown) => void;
	readonly answerer: (parts: AnswererParts) => Answerer;
	/** secrets of the environment, by name */
	readonly environment?: Readonly<Record<string, string>>;
};

export type AnswererParts = Pick<Platform, 'kernel' | 'store' | 'datasets' | 'secrets'> & {
	/** whether the policy in force limits what models may cost */
	readonly limitsMoney: () => boolean;
};

/**
 * How long a run stays with a server that no longer says it is there. Between processes of one machine no network can hide a living
 * one, and a person waits for what a crash interrupted.
 */
const LEASE_MS = {sqlite: 5_000, postgres: 15_000};

export async function createPlatform(options: PlatformOptions): Promise<Platform> {
	const {config, root, software, report, answerer, environment = {}} = options;
	const dataDir = path.resolve(config.data.dir);
	prepareDirectory(dataDir);
	const secrets = openStoreOfSecrets(config, {environment, report});
	const redact = createRedactor(knownSecrets(config, secrets));
	const clock = createClock();
	const news = createNews<Progress>();

	const [store, keyring, sandboxing] = await Promise.all([
		openStore(config, dataDir, secrets),
		openKeyring(path.join(dataDir, 'keys')),
		createSandboxing(config, root, secrets),
	]);
	const pool = createPool({...poolOptions(config), provider: sandboxing.provider});
	const policy = openPolicy(config, dataDir);
	const approvals = approvalsOf(policy, config, newId);

	const {datasets, files, storage} = createKept({config, dataDir, store, policy, clock, redact, report});
	const limits = sandboxLimits(config);
	const heldBy = createDatasetHolds({store, listed: () => policy.current().document.retention.legalHold});
	const parts = {datasets, files, storage, heldBy, limits, config, dataDir};
	const known = new Map([...analystTools(parts), ...generalTools(parts)].map((tool) => [tool.name, tool]));
	const mode = {state: INITIAL, catchUp: async () => {}};
	const defaults = () => modesOf(policy.current().document);
	const kernel = createKernel({known, mode, policy, store, approvals, pool, sandboxing, clock, redact, news, report});

	const durable = createNews<Event>();
	const {serverLog, finished, facts} = openLog({store, keyring, config, dataDir, root, report});
	const budgeted = withTenantBudgets(store, policy);
	const recording = {mode, defaults, keyring, facts, finished, redact, clock, durable};
	const runs = holdRuns({...recording, store: budgeted, leaseMs: LEASE_MS[config.data.storage]});
	const needsSecond = (tenant: string | null) => hasTwoPeople(config, tenant);
	const killSwitch = await createKillSwitch({holder: mode, defaults, store, runs, kernel, software, needsSecond});
	mode.catchUp = killSwitch.catchUp;
	const answer = answerer({kernel, store, datasets, secrets, limitsMoney: () => limitsMoney(policy.current().document.budgets)});
	const analyst = new AnalystRoom({kernel, news, datasets, runs, store, software, answer});

	const policies = createPolicyRoom({live: policy, kernel, store, runs, config, dataDir, software});
	const sweep = () => sweepAll(dataDir, datasets);
	return {
		...{kernel, store, runs, datasets, analyst, files, storage, approvals, policy, policies, sandboxing, pool},
		...{keyring, serverLog, redact, secrets, killSwitch},
		...createKeeping({store, runs, kernel, files, datasets, heldBy, policy, sweep, software, needsSecond}),
		get key() {
			return keyring.current();
		},
		watch: (listener) => durable.listen(ALL, listener),
		async warm() {
			const all = await datasets.list(LOCAL);
			await pool.warm(
				all.map((dataset) => ({tenant: LOCAL, spec: specOver(datasets.source(LOCAL, dataset).mounts, limits, 'sql')})),
			);
		},
		sweep,
		async close() {
			await killSwitch.close();
			await runs.close();
			await pool.close();
			await serverLog.settled();
			await store.close();
			secrets.close();
		},
	};
}

type KernelParts = Pick<Platform, 'store' | 'policy' | 'approvals' | 'pool' | 'sandboxing' | 'redact'> & {
	readonly known: Kernel['tools'];
	readonly mode: ModeHolder & {readonly catchUp: () => Promise<void>};
	readonly clock: Kernel['clock'];
	readonly news: News<Progress>;
	readonly report: Kernel['report'];
};

function createKernel({
	known,
	mode,
	policy,
	store,
	approvals,
	pool,
	sandboxing,
	clock,
	redact,
	news,
	report,
}: KernelParts): Kernel {
	return {
		tools: known,
		policy: () => withMode(policy.current(), mode.state),
		catchUp: () => mode.catchUp(),
		thread: createThreadHistory(store, known),
		approvals,
		sandboxes: {run: pool.run, level: sandboxing.provider.level},
		clock,
		redact,
		digest,
		newId,
		get budget() {
			return policy.current().budget;
		},
		progress: news.publish,
		report,
	};
}

async function sweepAll(dataDir: string, datasets: Datasets): Promise<number> {
	const places = ['exports', 'uploads', 'work'].map((name) => sweepDirectory(path.join(dataDir, name), Date.now() - STALE_MS));
	return (await Promise.all([datasets.sweep(), ...places])).reduce((sum, count) => sum + count, 0);
}

/** Longer than an upload takes, or an export its client: what nobody touched for this long has no owner. */
const STALE_MS = 2 * 3_600_000;

/** The tenant of a single-user server. */
export const LOCAL = 'local';

/** The channel on which every run's events are published. */
const ALL = '*';

/** Throws `invalid_config` where there can be no directory, and `store_unavailable` where nothing could be kept in it. */
function prepareDirectory(dataDir: string): void {
	makeDirectory(dataDir, 0o711);
	try {
		for (const name of ['exports', 'uploads', 'samples', 'work'])
			mkdirSync(path.join(dataDir, name), {recursive: true, mode: 0o711});
		accessSync(dataDir, constants.W_OK);
	} catch (cause) {
		const reason = (cause as NodeJS.ErrnoException).code ?? 'unknown';
		throw new WritError('store_unavailable', `the data directory \`${dataDir}\` cannot be written: ${reason}`, {
			hint: 'make it writable, or name another with WRIT_DATA_DIR',
			cause,
		});
	}
}

type Holding = Pick<Platform, 'store' | 'keyring' | 'redact'> & {
	/** stated at the start of every run */
	readonly facts: ReturnType<typeof createFacts>;
	/** called when a run's end is durable */
	readonly finished: () => void;
	readonly mode: ModeHolder;
	/** what policy.yaml says of modes */
	readonly defaults: () => ReturnType<typeof modesOf>;
	readonly clock: Kernel['clock'];
	readonly durable: News<Event>;
	readonly leaseMs: number;
};

function holdRuns({mode, defaults, store, keyring, facts, finished, redact, clock, durable, leaseMs}: Holding): Runs {
	const holder = nameHolder();
	const sign = (end: Parameters<typeof signHead>[1]) => signHead(keyring.current(), end);
	const journal = {store: publishing(store, durable, finished), clock, redact, sign};
	return createRuns({
		store,
		clock,
		holder,
		leaseMs,
		newRunId: () => newId('run'),
		isGone,
		assertMayStart: (principal) => assertRunning(mode, defaults(), principal),
		journals: {
			async open(runId, given, principal, rest = []) {
				const started = {...given, facts: await facts(given)};
				return openJournal({...journal, runId, principal, started, fence: {holder, leaseMs}, rest});
			},
			resume: (runId, token) => resumeJournal({...journal, runId, fence: {holder, token, leaseMs}}),
		},
	});
}

function publishing(store: Store, news: News<Event>, finished: () => void): Pick<Store, 'append' | 'read' | 'renew'> {
	return {
		async append(batch) {
			await store.append(batch);
			if (batch.head) finished();
			for (const event of batch.events) news.publish(ALL, event);
		},
		read: (runId, after) => store.read(runId, after),
		renew: (runId, fence) => store.renew(runId, fence),
	};
}

async function openStore({data}: Config, dataDir: string, secrets: Secrets): Promise<Store> {
	if (data.storage === 'postgres')
		return (await import('#store/postgres.ts')).openPostgres(secrets.resolve(data.databaseUrl) ?? '');
	return openSqlite(data.sqlitePath ?? path.join(dataDir, 'writ.db'));
}

type Parts = {
	readonly datasets: Datasets;
	readonly files: FileStore;
	readonly storage: TenantStorage;
	readonly heldBy: HeldBy;
	readonly limits: SandboxLimits;
	readonly config: Config;
	readonly dataDir: string;
};

/** The tools as they describe themselves; none of these can run. */
export function describeTools(config: Config): Kernel['tools'] {
	const absent = {datasets: {} as Datasets, files: {} as FileStore, storage: {} as TenantStorage};
	const parts = {
		...absent,
		heldBy: async () => null,
		limits: sandboxLimits(config),
		config,
		dataDir: path.resolve(config.data.dir),
	};
	return new Map([...analystTools(parts), ...generalTools(parts)].map((tool) => [tool.name, tool]));
}

function analystTools({datasets, storage, heldBy, limits, config, dataDir}: Parts): readonly AnyTool[] {
	const computing = {datasets, limits, maxRows: config.limits.maxRows, maxBytes: config.limits.maxOutputBytes};
	return [
		createListDatasetsTool(datasets),
		createDescribeTool(datasets),
		createQueryPlanTool(computing),
		createSqlTool(computing),
		createPythonTool(computing),
		createChartTool(),
		createExportTool(computing, path.join(dataDir, 'exports')),
		createIngestTool({datasets, storage, limits: {...limits, ...INGEST}, ...ingestPlaces(config, dataDir)}),
		createRemoveTool({datasets, heldBy}),
	];
}

/** Which files become datasets: what was uploaded and the samples, but nothing else of what the platform keeps. */
function ingestPlaces({data, secrets}: Config, dataDir: string) {
	const database = data.sqlitePath === null ? [] : ['', '-wal', '-shm'].map((end) => `${data.sqlitePath}${end}`);
	const elsewhere = [data.datasetsDir, secrets.keyFile].filter((place) => place !== null);
	return {
		roots: ['uploads', 'samples'].map((name) => path.join(dataDir, name)),
		closed: [dataDir, ...[...elsewhere, ...database].map((place) => path.resolve(place))],
	};
}

function generalTools({files, limits, config, dataDir}: Parts): readonly AnyTool[] {
	const {maxRows, maxOutputBytes} = config.limits;
	const room = {
		files,
		directory: path.join(dataDir, 'work'),
		limits,
		maxRows,
		maxBytes: maxOutputBytes,
		caps: ARTIFACTS,
		injections: config.egress.inject,
	};
	const testing = {...limits, ...TESTING, memoryBytes: Math.max(limits.memoryBytes, TESTING.memoryBytes)};
	return [
		createJavaScriptTool(room),
		createCodePythonTool(room),
		createShellTool(room),
		createTestsTool({...room, limits: testing}),
	];
}

/** Of one program or test run. */
const ARTIFACTS = {fileBytes: 32 * 2 ** 20, totalBytes: 128 * 2 ** 20, files: 200};
/** A suite takes minutes, and a browser many threads. */
const TESTING = {wallMs: 300_000, memoryBytes: 2 ** 31, processes: 512, openFiles: 4_096};

/** Converting 10 GB takes minutes, and leaves a snapshot larger than any scratch; the disk's free space is its other limit. */
const INGEST = {wallMs: 3_600_000, fileBytes: 2 ** 40} as const;

function sandboxLimits({limits}: Config): SandboxLimits {
	return {
		wallMs: limits.runTimeoutSeconds * 1_000,
		memoryBytes: limits.memoryMb * 2 ** 20,
		cpus: limits.cpus,
		processes: limits.processes,
		openFiles: limits.openFiles,
		scratchBytes: limits.scratchMb * 2 ** 20,
		outputBytes: limits.maxOutputBytes + 2 ** 20,
	};
}

function poolOptions({sandbox}: Config) {
	return {size: sandbox.poolSize * 4, perSpec: sandbox.poolSize, concurrency: sandbox.maxSandboxes, queue: 1_000};
}

/** Sortable by time, unguessable, and short enough to type. */
function newId<P extends string>(prefix: P): string {
	const time = Date.now().toString(36).padStart(9, '0');
	return `${prefix}_${time}${randomBytes(10).toString('hex')}`;
}
