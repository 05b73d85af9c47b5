/** What the `kubernetes` provider would enforce in this cluster, and what it lacks there. */
import {z} from 'zod';
import {WritError} from '#contract/errors.ts';
import type {Isolation} from '#contract/sandbox.ts';
import type {ProviderFacts} from '../sandbox.ts';
import {enforcement} from './manifest.ts';
import {openNetwork} from './network.ts';
import {missingRights} from './rights.ts';
import type {Session, Settings} from './session.ts';

const NAMESPACES = ['mount', 'pid', 'net', 'ipc', 'uts'];

/** What isolates a run. */
export function isolationOf({runtime, scratch}: Settings, warm: boolean): Isolation {
	return {
		provider: 'kubernetes',
		level: runtime?.level ?? 'kernel-shared',
		namespaces: NAMESPACES,
		seccomp: true,
		limits: enforcement(scratch),
		network: 'none',
		warm,
	};
}

/** A run that must have no network is not started where it would have one. */
export function openNetworkError(wrong: string): WritError {
	return new WritError('sandbox_unavailable', `runner pods would have a network: ${wrong}`, {
		hint: 'run `kubectl apply -f charts/writ-runners/networkpolicy.yaml` in the namespace of the runner pods',
		details: {reason: 'NetworkPolicy'},
	});
}

const versionSchema = z.looseObject({gitVersion: z.string()});

/** Asks the cluster for all that a run needs; starts nothing. */
export async function factsOf(settings: Settings, session: () => Promise<Session>): Promise<ProviderFacts> {
	const {level, namespaces, limits} = isolationOf(settings, false);
	const base = {name: 'kubernetes', level, namespaces, seccomp: true, runs: settings.runs, egress: false, limits} as const;
	try {
		const {api, verified} = await session();
		const {gitVersion} = await api.call('GET', '/version', versionSchema);
		const versions = {kubernetes: gitVersion};
		const missing = await missingRights(api);
		if (missing) throw missing;
		const wrong = await openNetwork(api);
		if (wrong !== undefined) throw openNetworkError(wrong);
		return {...base, versions, weaknesses: weaknesses(settings, verified), availability: {kind: 'available'}};
	} catch (error) {
		if (!(error instanceof WritError)) throw error;
		const availability = {kind: 'unavailable', reason: error.message, hint: error.hint ?? ''} as const;
		return {...base, versions: {}, weaknesses: [], availability};
	}
}

function weaknesses({runtime, scratch}: Settings, verified: boolean): string[] {
	return [
		'tested against a double of the Kubernetes API only; no cluster has been driven yet',
		'a NetworkPolicy counts only where the network plugin of the cluster enforces it, which is not checked',
		'processes are limited by the node (podPidsLimit of the kubelet), not per run',
		'what a run answers is also in the log that the node keeps of its container until the pod is gone',
		...(runtime ? [`that the RuntimeClass ${runtime.className} is ${runtime.level} is taken from the configuration`] : []),
		...(scratch === 'disk' ? ['scratch on disk is limited by eviction, some time after it was filled'] : []),
		...(verified ? [] : ['the kubeconfig says not to verify who the API server is']),
	];
}
