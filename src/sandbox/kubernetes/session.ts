/** How the `kubernetes` provider is set up, and what it has with the cluster while it is at work. */
import type {RunnerName, SandboxSpec} from '#contract/sandbox.ts';
import {createKubernetesApi, type KubernetesApi} from './api.ts';
import {type ClusterOptions, findCluster} from './cluster.ts';
import {type HeldLease, holdLease, newInstance, type OwnPod} from './lease.ts';
import type {ImageProgram, ImagePullPolicy, PodRuntime} from './manifest.ts';
import {openNetwork} from './network.ts';
import {createPods, type Pods} from './pods.ts';

export type KubernetesProviderOptions = {
	readonly cluster?: ClusterOptions;
	/** where Jobs are made; by default that of the service account or the context */
	readonly namespace?: string | undefined;
	readonly image: string;
	/** what the image starts for a spec */
	readonly program: (spec: SandboxSpec) => ImageProgram;
	readonly runs: readonly RunnerName[];
	readonly pullPolicy?: ImagePullPolicy;
	readonly runtime?: PodRuntime | undefined;
	/** a claim that holds the datasets, and the directory where this machine has it; without it files are sent to each pod */
	readonly datasets?: {readonly claim: string; readonly root: string} | undefined;
	readonly scratch?: 'memory' | 'disk';
	readonly ttlSeconds?: number;
	/** of the runner pods; it needs no rights */
	readonly serviceAccount?: string | undefined;
	/** from the Job to a runner that could start: scheduling, pulling, starting */
	readonly startLimitMs?: number;
	/** a pod that waits longer for its run is replaced */
	readonly warmLimitMs?: number;
	/** the pod that this server runs in: what it leaves goes with it */
	readonly ownPod?: OwnPod | undefined;
	/** how often the server says that it is alive */
	readonly renewMs?: number;
	/** of one call of the API */
	readonly callLimitMs?: number;
};

export type Settings = Required<Omit<KubernetesProviderOptions, 'cluster'>> & {readonly cluster: ClusterOptions};

const NETWORK_KEPT_MS = 30_000;

export function withDefaults(options: KubernetesProviderOptions): Settings {
	return {
		cluster: {},
		namespace: undefined,
		pullPolicy: 'IfNotPresent',
		runtime: undefined,
		datasets: undefined,
		scratch: 'memory',
		ttlSeconds: 300,
		serviceAccount: undefined,
		startLimitMs: 60_000,
		warmLimitMs: 3_600_000,
		ownPod: undefined,
		renewMs: 10_000,
		callLimitMs: 10_000,
		...options,
	};
}

export type Session = {
	readonly api: KubernetesApi;
	readonly pods: Pods;
	readonly lease: HeldLease;
	readonly verified: boolean;
	/** what of the runner pods' network is open; asked now and then */
	network(): Promise<string | undefined>;
};

/** Looks for the cluster; asks it for nothing yet. */
export async function begin({cluster: options, namespace, ownPod, renewMs, callLimitMs}: Settings): Promise<Session> {
	const cluster = await findCluster(options);
	const api = createKubernetesApi(cluster, namespace ?? cluster.namespace ?? 'default', callLimitMs);
	const instance = newInstance();
	const known: {wrong: Promise<string | undefined> | undefined; at: number} = {wrong: undefined, at: 0};
	const forget = () => (known.wrong = undefined);
	return {
		api,
		pods: createPods(api, instance),
		lease: holdLease(api, {instance, owner: ownPod, renewMs}),
		verified: cluster.verify,
		network() {
			if (known.wrong && performance.now() - known.at < NETWORK_KEPT_MS) return known.wrong;
			const asked = openNetwork(api);
			Object.assign(known, {wrong: asked, at: performance.now()});
			asked.then((wrong) => wrong !== undefined && forget(), forget); // what is wrong may be mended
			return asked;
		},
	};
}
