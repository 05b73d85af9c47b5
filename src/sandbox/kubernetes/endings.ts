/** Why a pod did not start, or ended, in words for the person who asked. */
import {WritError} from '#contract/errors.ts';
import type {SandboxLimits} from '#contract/sandbox.ts';
import {beyond, type Death, notStarted} from '../endings.ts';
import {RUNNER} from './manifest.ts';
import {type Pod, stateOf} from './objects.ts';

/** These do not mend themselves while somebody waits. */
const HOPELESS: Readonly<Record<string, string>> = {
	ImagePullBackOff: 'the image cannot be pulled: check its name, its registry and the pull secrets of the namespace',
	ErrImageNeverPull: 'the image is not on the node and K8S_IMAGE_PULL_POLICY is Never: load it there, or allow pulling',
	InvalidImageName: 'RUNNER_IMAGE is not the name of an image',
	CreateContainerConfigError: 'the pod refers to something that the namespace does not have; its message says what',
	CreateContainerError: 'the container runtime refuses the container; its message says why',
	RunContainerError: 'the container runtime refuses the container; its message says why',
};

/** Why this pod will never start, if that is certain. */
export function hopeless(pod: Pod | undefined, limits: SandboxLimits): WritError | undefined {
	if (!pod) return undefined;
	for (const {name, state} of pod.status.containerStatuses) {
		const {reason = '', message = ''} = state.waiting ?? {};
		const hint = HOPELESS[reason];
		if (hint)
			return new WritError('sandbox_unavailable', `container ${name} cannot start: ${reason}: ${message}`, {
				hint,
				details: {reason},
			});
	}
	return pod.status.phase === 'Failed' ? asStartFailure(endedError(pod, limits)) : undefined;
}

/** The time to start is over: what was the pod waiting for? */
export function waitedFor(pod: Pod | undefined, limitMs: number): WritError {
	const unscheduled = pod?.status.conditions.find(({type, status}) => type === 'PodScheduled' && status === 'False');
	const waiting = pod?.status.containerStatuses.find(({state}) => state.waiting)?.state.waiting;
	const known = {
		...(unscheduled ? {reason: unscheduled.reason ?? 'Unschedulable', message: unscheduled.message ?? ''} : waiting),
	};
	const {reason = pod ? pod.status.phase : 'NoPod', message = ''} = known;
	const hint = unscheduled
		? 'no node has room for a runner pod, or none may take it: add a node, or lower WRIT_SANDBOX_MEMORY_MB and WRIT_SANDBOX_CPUS'
		: pod
			? 'raise K8S_START_TIMEOUT_SECONDS when images are slow to arrive; `kubectl describe pod` says what it waits for'
			: 'a quota, an admission policy or a missing RuntimeClass may refuse the pod: `kubectl describe job` says which';
	return new WritError(
		'sandbox_unavailable',
		`the pod did not start within ${limitMs} ms: ${[reason, message].filter(Boolean).join(': ')}`,
		{
			hint,
			details: {reason},
		},
	);
}

/** What to tell of a runner that is gone without our doing; a limit of its own is told by its exit. */
export function deathOf(pod: Pod): Omit<Death, 'stderr'> | undefined {
	const {terminated} = stateOf(pod, RUNNER);
	if (!terminated || pod.status.reason !== undefined) return undefined;
	return {code: terminated.exitCode, by: null, exceeded: terminated.reason === 'OOMKilled' ? ['memoryBytes'] : []};
}

const STORAGE = /ephemeral|emptydir|storage/i;

/** The pod ended as a whole: evicted, past its deadline, or with its node. */
export function endedError({status}: Pod, limits: SandboxLimits): WritError {
	const {reason = 'Failed', message = ''} = status;
	if (reason === 'Evicted' && STORAGE.test(message)) return beyond('scratchBytes', limits);
	if (reason === 'DeadlineExceeded')
		return new WritError('runner_timeout', 'the cluster ended the pod at its deadline', {
			hint: 'raise RUN_TIMEOUT_SECONDS',
			details: {limit: 'wallMs', value: limits.wallMs},
		});
	return new WritError('runner_internal_error', `the cluster ended the pod: ${reason}: ${message}`, {
		hint: reason === 'Evicted' ? 'the node ran short of a resource; try again, or give the cluster more room' : 'try again',
		details: {reason},
	});
}

export function deletedError(): WritError {
	return new WritError('runner_internal_error', 'somebody deleted the pod while it was in use', {
		hint: 'try again; runner pods end by themselves and need no cleaning up',
		details: {reason: 'Deleted'},
	});
}

export function connectionLost(): WritError {
	return new WritError('runner_internal_error', 'the connection to the pod was lost', {
		hint: 'the API server, the node or a proxy between them went away; try again',
		details: {reason: 'ConnectionLost'},
	});
}

/** Before its run there is nobody to blame but the cluster. */
export function asStartFailure(error: WritError, log = ''): WritError {
	const {message, hint, details, cause} = error;
	if (error.code === 'sandbox_unavailable' || error.code === 'cancelled') return error;
	const said = log.trim() ? `${message}; it said: ${log.trim()}` : message;
	const started = notStarted(said, cause);
	return new WritError('sandbox_unavailable', started.message, {hint: hint ?? started.hint ?? '', cause, details});
}
