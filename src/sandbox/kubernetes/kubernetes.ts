/** The `kubernetes` provider: one Job per run. Its pod waits for what we send; the request goes in, and frames come out, over `attach`. */

import {text as readText} from 'node:stream/consumers';
import {finished} from 'node:stream/promises';
import {setTimeout as delay} from 'node:timers/promises';
import {z} from 'zod';
import {WritError} from '#contract/errors.ts';
import type {SandboxSpec} from '#contract/sandbox.ts';
import {cancelled, notStarted} from '../endings.ts';
import {replacedAfter} from '../expiring.ts';
import {createOpenSandboxes} from '../open-sandboxes.ts';
import type {OpenOptions, Sandbox, SandboxProvider} from '../sandbox.ts';
import {type StartedRunner, supervise} from '../supervise.ts';
import {type KubernetesApi, statusOf} from './api.ts';
import {asStartFailure, connectionLost, deathOf, deletedError, endedError, hopeless, waitedFor} from './endings.ts';
import {factsOf, isolationOf, openNetworkError} from './facts.ts';
import {download, FILES, planInputs, upload} from './files.ts';
import {jobManifest, needsFiles, RUNNER, START_LINE} from './manifest.ts';
import {stateOf} from './objects.ts';
import type {Pods, Sighting} from './pods.ts';
import {begin, type KubernetesProviderOptions, type Session, type Settings, withDefaults} from './session.ts';
import {type Channels, connect} from './streams.ts';

const GONE_LIMIT_MS = 30_000;
const DELETE_LIMIT_MS = 10_000;
const DELETE_PAUSE_MS = 500;
/** The kubelet tells of an end after the connection has ended. */
const END_LIMIT_MS = 5_000;
const DEADLINE_SPARE_MS = 60_000;

export function createKubernetesProvider(options: KubernetesProviderOptions): SandboxProvider {
	const settings = withDefaults(options);
	const state: {session: Promise<Session> | undefined} = {session: undefined};
	const sandboxes = createOpenSandboxes();
	const session = () => {
		state.session ??= begin(settings);
		state.session.catch(() => (state.session = undefined)); // a cluster may come
		return state.session;
	};
	const open = async (spec: SandboxSpec, {warm, signal}: OpenOptions) => {
		const either = sandboxes.orClosing(signal);
		if (either.aborted) throw cancelled();
		if (spec.network !== 'none') throw notStarted('a pod has no way out to a network');
		const sandbox = await start(settings, await session(), spec, {warm, signal: either});
		sandboxes.add(sandbox);
		return sandbox;
	};
	return {
		name: 'kubernetes',
		open: (spec, options) => sandboxes.track(open(spec, options)),
		facts: () => factsOf(settings, session),
		runners: async () => ({image: settings.image}),
		async close() {
			await sandboxes.close().catch(() => {}); // what could not be ended ends with its lifetime
			const begun = await state.session?.catch(() => undefined);
			begun?.pods.close();
			await begun?.lease.release();
		},
	};
}

async function start(settings: Settings, session: Session, spec: SandboxSpec, options: OpenOptions): Promise<Sandbox> {
	const {api, pods, lease} = session;
	const wrong = await session.network();
	if (wrong !== undefined) throw openNetworkError(wrong);
	const inputs = await planInputs(spec.mounts, settings.datasets?.root);
	const waiting = options.warm ? settings.warmLimitMs : 0;
	const deadlineSeconds = Math.ceil((settings.startLimitMs + waiting + spec.limits.wallMs + DEADLINE_SPARE_MS) / 1000);
	const plan = {spec, program: settings.program(spec), inputs, lease: await lease.current()};
	const manifest = jobManifest(plan, {...settings, claim: settings.datasets?.claim, deadlineSeconds});
	const job = manifest.metadata.name;
	await createJob(api, manifest, options.signal);
	try {
		const pod = await untilStarted(settings, session, {job, spec, signal: options.signal, withFiles: needsFiles(spec, inputs)});
		if (inputs.uploads.length > 0) await upload(api, pod, inputs.uploads, options.signal);
		const channels = await connect(api, {pod, container: RUNNER, stdin: true}, options.signal);
		channels.stdin.write(START_LINE);
		const sandbox = await supervise(runnerOf(settings, session, {spec, job, pod, channels, warm: options.warm}), options);
		return options.warm ? replacedAfter(sandbox, settings.warmLimitMs) : sandbox;
	} catch (error) {
		const known = error instanceof WritError ? error : notStarted(String(error), error);
		const failure = asStartFailure(known, await lastWords(api, pods.latest(job)));
		await deleteJob(api, job).catch(() => {}); // the lease takes it with it
		await untilGone(pods, job).catch(() => {}); // the error that began it says more
		throw failure;
	}
}

/**
 * Not given up halfway: a Job that is made after we have deleted it would wait for nobody. An answer that was lost on its way makes the
 * next attempt find the Job there.
 */
async function createJob(api: KubernetesApi, manifest: {metadata: {name: string}}, signal: AbortSignal): Promise<void> {
	const query = {fieldValidation: 'Strict'};
	await api.call('POST', jobsOf(api), z.unknown(), {query, body: manifest}).catch((error) => {
		const exists = statusOf(error) === 409 && error.details.reason === 'AlreadyExists';
		if (!exists) throw error;
	});
	if (!signal.aborted) return;
	await deleteJob(api, manifest.metadata.name).catch(() => {}); // the lease takes it with it
	throw cancelled();
}

type Starting = {readonly job: string; readonly spec: SandboxSpec; readonly signal: AbortSignal; readonly withFiles: boolean};

/** Resolves with the name of the pod once its containers run. */
function untilStarted({startLimitMs}: Settings, {pods}: Session, {job, spec, signal, withFiles}: Starting): Promise<string> {
	const containers = withFiles ? [FILES.container, RUNNER] : [RUNNER];
	return pods.until(job, {
		limitMs: startLimitMs,
		signal,
		onLimit: ({pod}) => waitedFor(pod, startLimitMs),
		pick({pod, gone}) {
			if (gone) throw deletedError();
			const failure = hopeless(pod, spec.limits);
			if (failure) throw failure;
			if (pod && containers.every((name) => stateOf(pod, name).running)) return pod.metadata.name;
			const ended = containers.map((name) => pod && stateOf(pod, name).terminated).find(Boolean);
			if (ended) throw notStarted(`a container ended at once with exit code ${ended.exitCode} ${ended.reason ?? ''}`);
			return undefined;
		},
	});
}

type Started = {
	readonly spec: SandboxSpec;
	readonly job: string;
	readonly pod: string;
	readonly channels: Channels;
	readonly warm: boolean;
};

function runnerOf(settings: Settings, session: Session, started: Started): StartedRunner {
	const {spec, job, pod, channels, warm} = started;
	const {api, pods} = session;
	const {promise: killed, resolve: setKilled} = Promise.withResolvers<void>();
	const ending: {deleted: Promise<void> | undefined} = {deleted: undefined};
	const remove = () => {
		ending.deleted ??= deleteSurely(api, job);
		return ending.deleted;
	};
	return {
		spec,
		isolation: isolationOf(settings, warm),
		requests: channels.stdin,
		frames: channels.stdout,
		stdout: null,
		stderr: channels.stderr,
		exited: exitOf(session, started, killed),
		kill() {
			setKilled();
			channels.cut();
			remove().catch(() => {}); // told by cleanUp
		},
		exceeded: () => exceededBy(pods.latest(job)),
		// The runner has answered and its pod is still there: the last moment to fetch its files.
		async usage() {
			if (spec.output !== undefined) await download(api, pod, spec);
			return {cpuMs: null, peakMemoryBytes: null};
		},
		processBytes: () => 0,
		async cleanUp() {
			// A runner that ended by itself leaves its files behind: whoever ran it fetches them, and then kills what is left.
			if (spec.output !== undefined) await killed;
			await remove();
			await untilGone(pods, job);
		},
	};
}

function exceededBy({pod}: Sighting): readonly 'memoryBytes'[] {
	return pod && stateOf(pod, RUNNER).terminated?.reason === 'OOMKilled' ? ['memoryBytes'] : [];
}

/** How it ended: by our hand, by its own exit, or by what happened to its pod. */
async function exitOf(
	{pods}: Session,
	{channels, job, spec}: Started,
	killed: Promise<void>,
): ReturnType<() => StartedRunner['exited']> {
	await channels.closed;
	await Promise.all([channels.stdout, channels.stderr].map((stream) => finished(stream).catch(() => {})));
	const pick = ({pod, gone}: Sighting) => {
		if (pod?.status.reason !== undefined) throw endedError(pod, spec.limits);
		if (gone || pod?.metadata.deletionTimestamp !== undefined) throw deletedError();
		return pod && deathOf(pod);
	};
	const told = pods.until(job, {pick, limitMs: END_LIMIT_MS, onLimit: connectionLost});
	told.catch(() => {}); // nobody waits for it when we killed it
	return Promise.race([killed.then(() => ({code: null, by: 'SIGKILL', exceeded: []}) as const), told]);
}

async function deleteJob(api: KubernetesApi, job: string): Promise<void> {
	const body = {propagationPolicy: 'Background'};
	await api.call('DELETE', `${jobsOf(api)}/${job}`, z.unknown(), {body}).catch((error) => {
		if (statusOf(error) !== 404) throw error;
	});
}

/** Also through a restart of the API server. What is left even so ends at its deadline, or with our lease. */
async function deleteSurely(api: KubernetesApi, job: string): Promise<void> {
	const limit = performance.now() + DELETE_LIMIT_MS;
	for (;;) {
		try {
			return await deleteJob(api, job);
		} catch (error) {
			if (performance.now() > limit) throw error;
			await delay(DELETE_PAUSE_MS);
		}
	}
}

async function untilGone(pods: Pods, job: string): Promise<void> {
	await pods.until(job, {
		pick: ({pod, gone}) => gone || pod === undefined || undefined,
		limitMs: GONE_LIMIT_MS,
		onLimit: () => notStarted(`the pod of ${job} was not removed within ${GONE_LIMIT_MS} ms`),
	});
	pods.forget(job);
}

/** What a container that ended before we were attached has said. */
async function lastWords(api: KubernetesApi, {pod, gone}: Sighting): Promise<string> {
	if (!pod || gone || !stateOf(pod, RUNNER).terminated) return '';
	const path = `/api/v1/namespaces/${api.namespace}/pods/${pod.metadata.name}/log`;
	const query = {container: RUNNER, tailLines: 50, limitBytes: 4_096};
	return api.open(path, {query}).then(readText, () => '');
}

function jobsOf({namespace}: KubernetesApi): string {
	return `/apis/batch/v1/namespaces/${namespace}/jobs`;
}
