/** What a cluster does by itself: a Job gets its pod, the pod its processes, and what lost its owner goes. */
import {randomBytes} from 'node:crypto';
import {setTimeout as delay} from 'node:timers/promises';
import {type ContainerProcess, containerOf, type Node} from './cluster-kubelet.ts';
import type {KubernetesObject, Store} from './cluster-store.ts';

/** What goes wrong in the cluster, as a test wants it. Each is true until it is changed. */
export type ClusterFaults = {
	/** no node takes a pod, for this reason */
	unschedulable?: string | undefined;
	/** a pod waits this long before its containers start */
	startDelayMs?: number;
};

type Options = {
	readonly store: Store;
	readonly node: Node;
	readonly images: Readonly<Record<string, unknown>>;
	readonly runtimeClasses: readonly string[];
	readonly faults: ClusterFaults;
};

type Running = {
	readonly processes: Map<string, ContainerProcess>;
	readonly log: Map<string, Buffer[]>;
	readonly timers: NodeJS.Timeout[];
};

const MS = 1_000;
const LOG_CHUNKS = 200;

export class Controllers {
	readonly #options: Options;
	readonly #running = new Map<string, Running>();
	readonly #busy = new Set<Promise<void>>();
	#closed = false;

	constructor(options: Options) {
		this.#options = options;
	}

	/** A Job was made. One whose owner is not there is collected, as any other orphan. */
	jobCreated(job: KubernetesObject): void {
		const {store} = this.#options;
		setImmediate(() => {
			if (this.#closed || !store.list('jobs').includes(job)) return; // deleted already
			const owners = job.metadata.ownerReferences ?? [];
			const present = store.list('leases').some(({metadata}) => owners.some(({uid}) => uid === metadata.uid));
			if (owners.length > 0 && !present) this.remove('jobs', job);
			else this.#createPod(job);
		});
	}

	/** Removes an object, then what it owned: the garbage collector does it in the background. */
	remove(resource: string, object: KubernetesObject): void {
		const {store} = this.#options;
		if (resource === 'pods') {
			this.#track(this.#deletePod(object));
			return;
		}
		store.remove(resource, object.metadata.name);
		setImmediate(() => {
			for (const dependent of store.dependents(object.metadata.uid)) this.remove(dependent.resource, dependent.object);
		});
	}

	process(pod: KubernetesObject, container: string): ContainerProcess | undefined {
		return this.#running.get(pod.metadata.uid)?.processes.get(container);
	}

	execute(pod: KubernetesObject, container: string, command: readonly string[]): Promise<ContainerProcess> {
		return this.#options.node.start(pod, container, command);
	}

	log(pod: KubernetesObject, container: string): Buffer {
		return Buffer.concat(this.#running.get(pod.metadata.uid)?.log.get(container) ?? []);
	}

	/** The kernel ends a container for its memory. */
	killForMemory(pod: KubernetesObject, container: string): void {
		pod.oomKilled = container;
		this.process(pod, container)?.signal('SIGKILL');
	}

	/** The kubelet ends a pod. */
	fail(pod: KubernetesObject, reason: string, message: string): void {
		Object.assign(pod.status, {phase: 'Failed', reason, message});
		this.#options.store.touch('pods', pod);
		this.#stop(pod);
	}

	async close(): Promise<void> {
		const {store, node} = this.#options;
		this.#closed = true;
		for (const pod of store.list('pods')) this.#track(this.#deletePod(pod));
		while (this.#busy.size > 0) await Promise.all(this.#busy);
		await node.close();
	}

	#track(work: Promise<void>): void {
		const tracked = work.finally(() => this.#busy.delete(tracked));
		this.#busy.add(tracked);
	}

	#createPod(job: KubernetesObject): void {
		const {store, faults, runtimeClasses} = this.#options;
		const {metadata, spec} = job.spec.template;
		// Admission: nobody but whoever describes the Job learns of it.
		if (spec.runtimeClassName && !runtimeClasses.includes(spec.runtimeClassName)) return;
		const {name, namespace, uid} = job.metadata;
		const labels = {
			...metadata.labels,
			'batch.kubernetes.io/job-name': name,
			'job-name': name,
			'batch.kubernetes.io/controller-uid': uid,
		};
		const ownerReferences = [{apiVersion: 'batch/v1', kind: 'Job', name, uid, controller: true}];
		const scheduled = faults.unschedulable === undefined;
		const condition = {type: 'PodScheduled', status: scheduled ? 'True' : 'False'};
		const conditions = [scheduled ? condition : {...condition, reason: 'Unschedulable', message: faults.unschedulable}];
		const body = {
			...{apiVersion: 'v1', kind: 'Pod', spec: structuredClone(spec)},
			metadata: {name: `${name}-${randomBytes(3).toString('hex').slice(0, 5)}`, labels, ownerReferences},
			status: {phase: 'Pending', conditions, containerStatuses: []},
		};
		const pod = store.create('pods', namespace, body);
		if (scheduled) this.#track(this.#startPod(pod));
	}

	async #startPod(pod: KubernetesObject): Promise<void> {
		const {faults, store} = this.#options;
		const of: Running = {processes: new Map(), log: new Map(), timers: []};
		this.#running.set(pod.metadata.uid, of);
		const over = () => this.fail(pod, 'DeadlineExceeded', 'Pod was active on the node longer than the specified deadline');
		of.timers.push(setTimeout(over, pod.spec.activeDeadlineSeconds * MS));
		const names = (pod.spec.containers as {name: string}[]).map(({name}) => name);
		for (const name of names) this.#setState(pod, name, {waiting: {reason: 'ContainerCreating'}});
		const started = performance.now();
		while (performance.now() - started < (faults.startDelayMs ?? 0) && !pod.metadata.deletionTimestamp) await delay(10);
		for (const name of names) if (!(await this.#startContainer(pod, name, of))) return;
		pod.status.phase = 'Running';
		store.touch('pods', pod);
	}

	async #startContainer(pod: KubernetesObject, name: string, of: Running): Promise<boolean> {
		const {images, node} = this.#options;
		const {image, imagePullPolicy} = containerOf(pod, name);
		if (!(image in images)) {
			const reason = imagePullPolicy === 'Never' ? 'ErrImageNeverPull' : 'ImagePullBackOff';
			this.#setState(pod, name, {waiting: {reason, message: `Back-off pulling image "${image}"`}});
			return false;
		}
		if (pod.metadata.deletionTimestamp) return false;
		const process = await node.start(pod, name);
		of.processes.set(name, process);
		const log: Buffer[] = [];
		of.log.set(name, log);
		// From the first byte on, whether anybody is attached or not.
		for (const stream of [process.stdout, process.stderr])
			stream.on('data', (chunk: Buffer) => log.length < LOG_CHUNKS && log.push(chunk));
		process.exited.then((exitCode) => this.#ended(pod, name, exitCode));
		if (pod.metadata.deletionTimestamp)
			process.signal('SIGKILL'); // deleted meanwhile
		else this.#setState(pod, name, {running: {startedAt: new Date().toISOString()}});
		return true;
	}

	#ended(pod: KubernetesObject, name: string, exitCode: number): void {
		const reason = pod.oomKilled === name ? 'OOMKilled' : exitCode === 0 ? 'Completed' : 'Error';
		this.#setState(pod, name, {terminated: {exitCode, reason}});
		const states = pod.status.containerStatuses as {state: {terminated?: {exitCode: number}}}[];
		if (!states.every(({state}) => state.terminated) || pod.status.phase === 'Failed') return;
		pod.status.phase = states.every(({state}) => state.terminated?.exitCode === 0) ? 'Succeeded' : 'Failed';
		this.#options.store.touch('pods', pod);
	}

	#setState(pod: KubernetesObject, container: string, state: object): void {
		const others = pod.status.containerStatuses.filter((each: {name: string}) => each.name !== container);
		pod.status.containerStatuses = [...others, {name: container, state, ready: 'running' in state, restartCount: 0}];
		this.#options.store.touch('pods', pod);
	}

	#stop(pod: KubernetesObject): void {
		for (const process of this.#running.get(pod.metadata.uid)?.processes.values() ?? []) process.signal('SIGKILL');
	}

	async #deletePod(pod: KubernetesObject): Promise<void> {
		if (pod.metadata.deletionTimestamp) return;
		const {store, node} = this.#options;
		pod.metadata.deletionTimestamp = new Date().toISOString();
		store.touch('pods', pod);
		const {processes = new Map<string, ContainerProcess>(), timers = []} = this.#running.get(pod.metadata.uid) ?? {};
		for (const timer of timers) clearTimeout(timer);
		for (const process of processes.values()) process.signal('SIGTERM');
		const grace = setTimeout(() => this.#stop(pod), pod.spec.terminationGracePeriodSeconds * MS);
		await Promise.all([...processes.values()].map((process) => process.exited));
		clearTimeout(grace);
		this.#running.delete(pod.metadata.uid);
		await node.forget(pod);
		store.remove('pods', pod.metadata.name);
	}
}
