import {existsSync} from 'node:fs';
import path from 'node:path';
import {type Config, type LoadedConfig, publicConfig} from '#config/config.ts';
import {WritError} from '#contract/errors.ts';
import type {Event} from '#contract/event.ts';
import type {PolicyReply} from '#contract/policy-api.ts';
import {createWebhook, type Webhook} from '#executors/webhook.ts';
import {openOutbox} from '#executors/webhook-outbox.ts';
import type {ServerDeps, ServerOptions} from '#server/deps.ts';
import {createLog, type Log} from '#server/log.ts';
import {createServer, type Server} from '#server/server.ts';
import {startTracing} from '#server/tracing.ts';
import {createAnswerer} from './answerer.ts';
import {type Approving, createApproving} from './approving.ts';
import {doctorChecks, readVersion, readyChecks} from './doctor.ts';
import {giveBackWhenIdle} from './give-back.ts';
import {openIdentity} from './identities.ts';
import {keepErasing} from './keeping.ts';
import {packEvidence, verifyStored} from './pack-evidence.ts';
import {createPlatform, type Platform} from './platform.ts';
import {replayRun} from './replay.ts';
import {tenantBudget} from './tenant-budgets.ts';

export const ROOT = path.resolve(import.meta.dirname, '..');

export type Started = {
	readonly platform: Platform;
	readonly server: Server;
	readonly approving: Approving;
	readonly log: Log;
	readonly config: Config;
};

/** A whole Writ in this process: `listen` on it, or hand its `fetch` to a client. */
export async function start(loaded: LoadedConfig, level?: 'silent'): Promise<Started> {
	const {config, notices} = loaded;
	const version = await readVersion(ROOT);
	const holder: {log: Log | null} = {log: null};
	const report = (bug: unknown) => holder.log?.error('bug', {error: bug});
	const software = `writ ${version}`;
	const platform = await createPlatform({
		config,
		root: ROOT,
		software,
		report,
		answerer: (parts) => createAnswerer(config, parts),
		environment: loaded.secrets,
	});
	const log = createLog({level: level ?? config.observability.logLevel, redact: platform.redact});
	holder.log = log;
	for (const notice of notices) log.warn('config.notice', {notice});
	const approving = createApproving(platform, config);
	const options = serverOptions(config, platform.secrets);
	const identity = await openIdentity(platform, config, {configured: options.authTokens, log});
	const server = createServer({...serverDeps(platform, {loaded, version, log, approving}), identity, options});
	return {platform, server, approving, log, config};
}

type Context = {readonly loaded: LoadedConfig; readonly version: string; readonly log: Log; readonly approving: Approving};

function serverDeps(platform: Platform, {loaded, version, log, approving}: Context): Omit<ServerDeps, 'identity' | 'options'> {
	const {store, kernel, policy, pool} = platform;
	const {config} = loaded;
	const {observability} = config;
	const mlflow = {
		uri: observability.mlflowTrackingUri ?? '',
		experimentId: observability.mlflowExperimentId,
		experimentName: observability.mlflowExperimentName,
	};
	return {
		analyst: platform.analyst,
		files: platform.files,
		store,
		tools: [...kernel.tools.values()],
		policy: () => policyReply(policy),
		policies: platform.policies,
		approving,
		evidence: {
			verify: (runId) => verifyStored(platform, runId),
			replay: (runId, caller) => replayRun(platform, runId, caller),
			pack: (runId, format) => packEvidence(platform, runId, format, `writ ${version}`),
		},
		ready: () => readyChecks(platform),
		doctor: () => doctorChecks(platform, config, ROOT),
		killSwitch: platform.killSwitch,
		...{recordAudit: platform.recordAudit, holds: platform.holds, retention: platform.retention},
		budget: (tenant) => tenantBudget(tenant, {store, policy, storage: platform.storage, clock: kernel.clock}),
		storage: platform.storage,
		config: () => publicConfig(loaded),
		watch: platform.watch,
		redact: platform.redact,
		pools: () => ({[platform.sandboxing.provider.name]: {idle: pool.stats().idle, busy: pool.stats().busy}}),
		log,
		tracing: startTracing({
			otlpEndpoint: observability.otlpEndpoint,
			mlflow: observability.mlflowEnabled ? mlflow : null,
			version,
			log,
		}),
		clock: kernel.clock,
		version,
	};
}

function policyReply(live: Platform['policy']): PolicyReply {
	const {version, gates, document} = live.current();
	const problems = live.problems().map((problem) => ({...problem}));
	return {version, gates: gates.map(({name}) => name), sources: [...live.sources()], document, problems};
}

function serverOptions({server, data, identity}: Config, secrets: Platform['secrets']): ServerOptions {
	const {heartbeatSeconds, disconnectGraceSeconds, shutdownSeconds, ...rest} = server;
	return {
		...rest,
		publicUrl: identity.publicUrl,
		authTokens: rest.authTokens.map(({token, ...who}) => ({...who, token: tokenOf(token, secrets)})),
		heartbeatMs: heartbeatSeconds * 1_000,
		disconnectGraceMs: disconnectGraceSeconds * 1_000,
		shutdownMs: shutdownSeconds * 1_000,
		uploadDir: path.join(path.resolve(data.dir), 'uploads'),
		pageDir: path.join(ROOT, 'web/dist'),
	};
}

const MIN_TOKEN = 16;

/** Throws `invalid_config` for one that could be guessed. */
function tokenOf(setting: string, secrets: Platform['secrets']): string {
	const token = secrets.resolve(setting);
	if (token.length >= MIN_TOKEN) return token;
	throw new WritError('invalid_config', `\`${setting}\` has fewer than ${MIN_TOKEN} characters, too few for a bearer token`);
}

/** Null unless it is configured. Throws `invalid_config` when there is nothing to sign its messages with. */
function openWebhook({secrets, store, redact}: Platform, {governance, data}: Config, log: Log): Webhook | null {
	const [url, secret] = [secrets.resolve(governance.webhookUrl), secrets.resolve(governance.webhookSecret)];
	const file = path.join(path.resolve(data.dir), 'webhook.jsonl');
	if (url === null) {
		if (existsSync(file)) openOutbox(file); // drops the content that earlier versions kept in it
		return null;
	}
	if (secret === null)
		throw new WritError('invalid_config', 'the webhook has an address and no secret to sign its messages with', {
			hint: 'set WRIT_WEBHOOK_SECRET as well, or neither',
		});
	const read = async (runId: string, after: number) =>
		redact((await store.read(runId, after)).slice(0, 1)).value as readonly Event[];
	return createWebhook({url, secret, outbox: openOutbox(file), read, report: (error) => log.warn('webhook.failed', {error})});
}

/** What was recorded of approvals that still wait, and never told because a server died in between. */
async function tellAgain({store}: Platform, webhook: Webhook): Promise<void> {
	for (const {runId, approvalId} of await store.approvals(null, 'pending'))
		for (const event of await store.read(runId))
			if ('approvalId' in event.data && event.data.approvalId === approvalId) webhook.notify(event);
}

/** How often abandoned runs are looked for; where there are none, nothing is written. */
const RECOVERY_MS = 2_000;

/** Serves until `signal` aborts; then finishes what it can and leaves nothing half-done. */
export async function serve(loaded: LoadedConfig, signal: AbortSignal): Promise<void> {
	const {platform, server, approving, log} = await start(loaded);
	const webhook = openWebhook(platform, loaded.config, log);
	const unheard = webhook ? platform.watch(webhook.notify) : () => {};
	if (webhook) void tellAgain(platform, webhook).catch((error: unknown) => log.warn('webhook.failed', {error}));
	const running = await server.listen();
	const recovering = {now: false};
	const recover = async () => {
		if (recovering.now) return;
		recovering.now = true;
		await platform.runs
			.recover((run) => platform.analyst.recover(run))
			.then((recovered) => recovered > 0 && log.info('runs.recovered', {recovered}))
			.catch((error: unknown) => log.error('runs.recovery_failed', {error}));
		await approving.escalate().catch((error: unknown) => log.error('approvals.not_escalated', {error}));
		recovering.now = false;
	};
	// What finished while a process died between the end of a run and its place in the log.
	void platform.serverLog.sync().catch((error: unknown) => log.error('log.not_extended', {error}));
	void platform.warm().catch((error: unknown) => log.warn('pool.not_warm', {error}));
	void platform.sweep().catch((error: unknown) => log.warn('data.not_swept', {error}));
	void recover();
	const deaf = approving.listen();
	void giveBackWhenIdle(signal).catch((error: unknown) => log.warn('memory.not_given_back', {error}));
	const unwatch = platform.policies.watch();
	const stopErasing = keepErasing(platform, loaded.config.data.retentionMinutes, (error) =>
		log.error('retention.failed', {error}),
	);
	const timer = setInterval(recover, RECOVERY_MS);
	await new Promise<void>((resolve) =>
		signal.aborted ? resolve() : signal.addEventListener('abort', () => resolve(), {once: true}),
	);
	clearInterval(timer);
	await stopErasing();
	unwatch();
	await running.close();
	deaf();
	unheard();
	await webhook?.close();
	await platform.close();
	log.info('server.stopped');
}
