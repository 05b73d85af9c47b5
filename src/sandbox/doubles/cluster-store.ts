/** What an API server keeps: objects with versions, a history that watches read from, and the removal of what lost its owner. */
import {randomUUID} from 'node:crypto';

export type Metadata = {
	name: string;
	namespace: string;
	uid: string;
	resourceVersion: string;
	creationTimestamp: string;
	labels?: Record<string, string>;
	ownerReferences?: {uid: string}[];
	deletionTimestamp?: string;
};
// biome-ignore lint/suspicious/noExplicitAny: the objects of a cluster are JSON of many shapes; validation looks at those we send
export type KubernetesObject = {metadata: Metadata; [field: string]: any};
export type WatchEvent = {version: number; type: 'ADDED' | 'MODIFIED' | 'DELETED'; resource: string; object: KubernetesObject};

/** A refusal as the API server words it: an HTTP status and the reason of a Status object. */
export class Refusal extends Error {
	readonly code: number;
	readonly reason: string;

	constructor(code: number, reason: string, message: string) {
		super(message);
		this.code = code;
		this.reason = reason;
	}
}

export class Store {
	#version = 1_000;
	#compacted = 0;
	readonly #objects = new Map<string, Map<string, KubernetesObject>>();
	readonly #history: WatchEvent[] = [];
	readonly #listeners = new Set<(event: WatchEvent) => void>();

	version(): number {
		return this.#version;
	}

	list(resource: string): KubernetesObject[] {
		return [...this.#of(resource).values()];
	}

	get(resource: string, name: string): KubernetesObject {
		const object = this.#of(resource).get(name);
		if (!object) throw new Refusal(404, 'NotFound', `${resource} "${name}" not found`);
		return object;
	}

	create(resource: string, namespace: string, given: {metadata: Partial<Metadata>}): KubernetesObject {
		const name = given.metadata.name ?? '';
		if (this.#of(resource).has(name)) throw new Refusal(409, 'AlreadyExists', `${resource} "${name}" already exists`);
		const made = {uid: randomUUID(), namespace, creationTimestamp: new Date().toISOString(), resourceVersion: ''};
		const object: KubernetesObject = {...structuredClone(given), metadata: {...given.metadata, name, ...made}};
		this.#of(resource).set(name, object);
		this.#publish('ADDED', resource, object);
		return object;
	}

	/** The whole object, as `PUT` has it: who read an older one must read again. */
	replace(resource: string, name: string, given: KubernetesObject): KubernetesObject {
		const {metadata} = this.get(resource, name);
		const {uid, resourceVersion} = given.metadata;
		if ((uid && uid !== metadata.uid) || (resourceVersion && resourceVersion !== metadata.resourceVersion))
			throw new Refusal(409, 'Conflict', `Operation cannot be fulfilled on ${resource} "${name}": the object has been modified`);
		const object = {...structuredClone(given), metadata: {...metadata, ...given.metadata}};
		this.#of(resource).set(name, object);
		this.#publish('MODIFIED', resource, object);
		return object;
	}

	/** Tells of a change that was made to the object itself. */
	touch(resource: string, object: KubernetesObject): void {
		if (this.#of(resource).has(object.metadata.name)) this.#publish('MODIFIED', resource, object);
	}

	remove(resource: string, name: string): void {
		const object = this.get(resource, name);
		this.#of(resource).delete(name);
		this.#publish('DELETED', resource, object);
	}

	dependents(uid: string): {resource: string; object: KubernetesObject}[] {
		return [...this.#objects].flatMap(([resource, objects]) =>
			[...objects.values()]
				.filter(({metadata}) => metadata.ownerReferences?.some((owner) => owner.uid === uid))
				.map((object) => ({resource, object})),
		);
	}

	/** Forgets the past: a watch that wants to go on from there has to start again. */
	compact(): void {
		this.#version += 1;
		this.#compacted = this.#version;
		this.#history.length = 0;
	}

	/** Events after `version`, then those to come, until the function that it returns is called. Throws 410 when they are forgotten. */
	watch(version: number, listener: (event: WatchEvent) => void): () => void {
		if (version < this.#compacted) throw new Refusal(410, 'Expired', `too old resource version: ${version} (${this.#compacted})`);
		for (const event of this.#history) if (event.version > version) listener(event);
		this.#listeners.add(listener);
		return () => void this.#listeners.delete(listener);
	}

	#of(resource: string): Map<string, KubernetesObject> {
		const found = this.#objects.get(resource) ?? new Map<string, KubernetesObject>();
		this.#objects.set(resource, found);
		return found;
	}

	#publish(type: WatchEvent['type'], resource: string, object: KubernetesObject): void {
		this.#version += 1;
		object.metadata.resourceVersion = String(this.#version);
		const event = {version: this.#version, type, resource, object: structuredClone(object)};
		this.#history.push(event);
		for (const listener of [...this.#listeners]) listener(event);
	}
}
