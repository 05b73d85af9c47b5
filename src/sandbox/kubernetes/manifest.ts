/** The Job of one run: a pod that waits for its first byte, may do next to nothing, and ends by itself whatever becomes of us. */
import {randomUUID} from 'node:crypto';
import type {Isolation, SandboxLimits, SandboxSpec} from '#contract/sandbox.ts';
import {ENVIRONMENT} from '../process/bubblewrap.ts';
import type {Program} from '../runtime.ts';
import {FILES, type Inputs} from './files.ts';
import type {Lease} from './objects.ts';

export type ImagePullPolicy = 'Always' | 'IfNotPresent' | 'Never';
/** What of a program matters where its files are in an image. */
export type ImageProgram = Pick<Program, 'command' | 'environment'>;

/** A RuntimeClass of the cluster, and what stands behind it: the cluster does not say, so whoever configures it does. */
export type PodRuntime = {readonly className: string; readonly level: 'kernel-isolated' | 'vm-isolated'};

export type ManifestOptions = {
	readonly image: string;
	readonly pullPolicy: ImagePullPolicy;
	readonly runtime: PodRuntime | undefined;
	/** a claim that holds the datasets */
	readonly claim: string | undefined;
	/** scratch in memory is limited at once; on disk the kubelet evicts a pod that took too much, after a while */
	readonly scratch: 'memory' | 'disk';
	/** seconds that a finished Job stays, should we not be there to delete it */
	readonly ttlSeconds: number;
	/** seconds after which the cluster ends a pod on its own */
	readonly deadlineSeconds: number;
	readonly serviceAccount: string | undefined;
};

type Plan = {readonly spec: SandboxSpec; readonly program: ImageProgram; readonly inputs: Inputs; readonly lease: Lease};

export const RUNNER = 'runner';
/** By these the pods are found, and the NetworkPolicy of charts/writ-runners selects them. */
export const LABELS = {'app.kubernetes.io/name': 'writ-runner', 'app.kubernetes.io/managed-by': 'writ'} as const;
export const INSTANCE = 'app.kubernetes.io/instance';
const NOBODY = 65_534;
const MIB = 2 ** 20;
const LATER_SECONDS = 60;
const CONTAINER_SECURITY = {
	allowPrivilegeEscalation: false,
	privileged: false,
	readOnlyRootFilesystem: true,
	capabilities: {drop: ['ALL']},
};

/** Without files of its own, a pod has no container for them. */
export function needsFiles({output}: SandboxSpec, {uploads}: Inputs): boolean {
	return output !== undefined || uploads.length > 0;
}

/** The payload is not in it: that goes over the attached standard input. */
export function jobManifest({spec, program, inputs, lease}: Plan, options: ManifestOptions) {
	const {name: instance, uid} = lease.metadata;
	const labels = {...LABELS, [INSTANCE]: instance};
	return {
		apiVersion: 'batch/v1',
		kind: 'Job',
		metadata: {
			name: `writ-${randomUUID()}`,
			labels,
			// When the lease goes, so does the Job: that is how the runs of a server that died are found.
			ownerReferences: [{apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', name: instance, uid}],
		},
		spec: {
			backoffLimit: 0,
			completions: 1,
			parallelism: 1,
			// The pod's own deadline comes first: it leaves a pod that says so, where this one only deletes it.
			activeDeadlineSeconds: options.deadlineSeconds + LATER_SECONDS,
			ttlSecondsAfterFinished: options.ttlSeconds,
			template: {metadata: {labels}, spec: podSpec({spec, program, inputs}, options)},
		},
	};
}

function podSpec(plan: Omit<Plan, 'lease'>, options: ManifestOptions) {
	const {runtime, serviceAccount, deadlineSeconds} = options;
	const {spec, inputs} = plan;
	return {
		restartPolicy: 'Never',
		activeDeadlineSeconds: deadlineSeconds,
		terminationGracePeriodSeconds: 1,
		automountServiceAccountToken: false,
		enableServiceLinks: false,
		hostname: 'sandbox',
		hostNetwork: false,
		hostPID: false,
		hostIPC: false,
		shareProcessNamespace: false,
		// `None` needs a server; nobody listens at this one.
		dnsPolicy: 'None',
		dnsConfig: {
			nameservers: ['127.0.0.1'],
			options: [
				{name: 'timeout', value: '1'},
				{name: 'attempts', value: '1'},
			],
		},
		...(runtime ? {runtimeClassName: runtime.className} : {}),
		...(serviceAccount ? {serviceAccountName: serviceAccount} : {}),
		securityContext: {
			runAsNonRoot: true,
			runAsUser: NOBODY,
			runAsGroup: NOBODY,
			seccompProfile: {type: 'RuntimeDefault'},
		},
		// In this order: the kubelet starts them one after the other.
		containers: [...(needsFiles(spec, inputs) ? [filesContainer(plan, options)] : []), runnerContainer(plan, options)],
		volumes: volumes(plan, options),
	};
}

// What is attached late misses what was said before: the runner starts when the first line arrives, which only we can send. Its
// descriptor 3 is the container's standard output, and all it prints is standard error. `env -i`: nothing of the cluster in its
// environment, such as the address of the API server. The shell stays, since a first process only hears of its end by a trap.
const END_AT_ONCE = "trap 'exit 143' TERM";
const WAIT = 'IFS= read -r _ || exit 0; exec 3>&1 1>&2 4<&0; env -i "$@" <&4 4<&- & exec 3>&- 4<&-; wait $!; exit $?';
/** The line that starts the runner. */
export const START_LINE = 'start\n';

function runnerContainer({spec, program, inputs}: Omit<Plan, 'lease'>, {image, pullPolicy, scratch}: ManifestOptions) {
	const {limits, output} = spec;
	const variables = Object.entries({...ENVIRONMENT, ...program.environment}).map(([name, value]) => `${name}=${value}`);
	const memory = limits.memoryBytes + (scratch === 'memory' ? limits.scratchBytes : 0);
	const disk = logBytes(limits) + (output === undefined ? 0 : fileBytes(limits)) + (scratch === 'disk' ? limits.scratchBytes : 0);
	return {
		name: RUNNER,
		image,
		imagePullPolicy: pullPolicy,
		command: ['/bin/sh', '-c', `${END_AT_ONCE}; ${ulimits(limits)}; ${WAIT}`, 'writ', ...variables, ...program.command],
		stdin: true,
		stdinOnce: true,
		tty: false,
		workingDir: '/tmp',
		securityContext: CONTAINER_SECURITY,
		resources: exactly({cpu: `${Math.round(limits.cpus * 1000)}m`, memory: String(memory), 'ephemeral-storage': String(disk)}),
		volumeMounts: [
			{name: 'scratch', mountPath: '/tmp'},
			...(output === undefined ? [] : [{name: 'out', mountPath: FILES.output}]),
			...inputs.uploads.map(({target}, volume) => ({name: `files-${volume}`, mountPath: target, readOnly: true})),
			...inputs.claimed.map(({target, subPath}) => ({
				name: 'datasets',
				mountPath: target,
				readOnly: true,
				...(subPath ? {subPath} : {}),
			})),
		],
	};
}

/** Sits in the same pod, does nothing, and is where files are taken in and given out. The runner can write to none of what it fills. */
function filesContainer({spec, inputs}: Omit<Plan, 'lease'>, {image, pullPolicy, deadlineSeconds}: ManifestOptions) {
	const bytes = inputs.uploads.reduce((total, upload) => total + upload.bytes, 0);
	return {
		name: FILES.container,
		image,
		imagePullPolicy: pullPolicy,
		command: ['/bin/sh', '-c', `${END_AT_ONCE}; sleep ${deadlineSeconds} & wait $!`],
		securityContext: CONTAINER_SECURITY,
		resources: exactly({cpu: '50m', memory: String(64 * MIB), 'ephemeral-storage': String(bytes * 2 + 16 * MIB)}),
		volumeMounts: [
			...inputs.uploads.map((_, volume) => ({name: `files-${volume}`, mountPath: `${FILES.uploads}/${volume}`})),
			...(spec.output === undefined ? [] : [{name: 'out', mountPath: FILES.output, readOnly: true}]),
		],
	};
}

function volumes({spec, inputs}: Omit<Plan, 'lease'>, {scratch, claim}: ManifestOptions) {
	const {limits, output} = spec;
	const medium = scratch === 'memory' ? {medium: 'Memory'} : {};
	return [
		{name: 'scratch', emptyDir: {...medium, sizeLimit: String(limits.scratchBytes)}},
		...(output === undefined ? [] : [{name: 'out', emptyDir: {sizeLimit: String(fileBytes(limits))}}]),
		...inputs.uploads.map(({bytes}, volume) => ({name: `files-${volume}`, emptyDir: {sizeLimit: String(bytes * 2 + MIB)}})),
		...(inputs.claimed.length > 0 && claim
			? [{name: 'datasets', persistentVolumeClaim: {claimName: claim, readOnly: true}}]
			: []),
	];
}

/** Requests equal limits: the pod gets what a run may take, and is the last that a crowded node evicts. */
function exactly(limits: Readonly<Record<string, string>>) {
	return {requests: limits, limits};
}

/** The node keeps what a container says until its pod is gone. */
function logBytes({outputBytes}: SandboxLimits): number {
	return outputBytes * 2 + 64 * MIB;
}

function fileBytes({fileBytes: bytes, scratchBytes}: SandboxLimits): number {
	return bytes ?? scratchBytes;
}

/** Not of processes: those of all pods with our user id on one node would count together. */
function ulimits(limits: SandboxLimits): string {
	return `ulimit -n ${limits.openFiles} && ulimit -f ${Math.ceil(fileBytes(limits) / 512)} && ulimit -c 0 || exit 126`;
}

/** What the cluster enforces of a spec's limits when it runs that manifest. */
export function enforcement(scratch: 'memory' | 'disk'): Record<keyof SandboxLimits, Isolation['limits'][string]> {
	return {
		wallMs: 'kill',
		memoryBytes: 'cgroup',
		cpus: 'cgroup',
		processes: 'none',
		openFiles: 'rlimit',
		fileBytes: 'rlimit',
		scratchBytes: scratch === 'memory' ? 'tmpfs' : 'kill',
		outputBytes: 'kill',
	};
}
