/** A cluster double with an image that holds the attacker of the sandbox tests, and providers that lead there. */
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {createKubernetesProvider} from '../kubernetes/kubernetes.ts';
import type {KubernetesProviderOptions} from '../kubernetes/session.ts';
import type {SandboxProvider} from '../sandbox.ts';
import {type Cluster, createCluster} from './cluster.ts';

export const IMAGE = 'registry.example/writ-runner:test';
export const DENY_ALL = {metadata: {name: 'writ-runners'}, spec: {podSelector: {}, policyTypes: ['Ingress', 'Egress']}};

export type TestCluster = Cluster & {
	/** where the test may write */
	readonly directory: string;
	provider(options?: Partial<KubernetesProviderOptions>): SandboxProvider;
};

export async function createTestCluster(): Promise<TestCluster> {
	const directory = mkdtempSync(join(tmpdir(), 'writ-kubernetes-'));
	const probe = join(import.meta.dirname, '../fixtures/probe.py');
	const programs = ['/usr/lib', '/usr/lib64', '/usr/bin'].map((path) => ({source: path, target: path}));
	const images = {[IMAGE]: [...programs, {source: probe, target: '/runtime/probe.py'}]};
	const cluster = await createCluster({images, claims: {datasets: join(directory, 'datasets')}, runtimeClasses: ['gvisor']});
	cluster.store.create('networkpolicies', cluster.namespace, DENY_ALL);
	const kubeconfig = join(directory, 'kubeconfig');
	writeFileSync(kubeconfig, cluster.kubeconfig());
	return {
		...cluster,
		directory,
		provider: (options = {}) =>
			createKubernetesProvider({
				cluster: {kubeconfig},
				image: IMAGE,
				runs: ['python'],
				program: () => ({command: ['/usr/bin/python3', '-I', '-S', '-B', '/runtime/probe.py'], environment: {}}),
				...options,
			}),
		async close() {
			await cluster.close();
			rmSync(directory, {recursive: true});
		},
	};
}
