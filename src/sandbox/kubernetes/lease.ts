/**
 * A server owns its Jobs through a Lease that it renews. When the Lease goes, the cluster's garbage collector removes what it owned;
 * so a server that starts deletes the Leases that nobody renews, and the runs of a server that died are gone.
 */
import {randomUUID} from 'node:crypto';
import {z} from 'zod';
import {type KubernetesApi, statusOf} from './api.ts';
import {LABELS} from './manifest.ts';
import {type Lease, leaseSchema, listSchema} from './objects.ts';

/** A pod that the server itself runs in. */
export type OwnPod = {readonly name: string; readonly uid: string};

export type HeldLease = {
	/** The Lease as it is now; made again if somebody deleted it. */
	current(): Promise<Lease>;
	/** Deletes it, and with it whatever is left. */
	release(): Promise<void>;
};

type LeaseOptions = {readonly instance: string; readonly owner: OwnPod | undefined; readonly renewMs: number};

const NOT_FOUND = 404;
const CONFLICT = 409;
/** A Lease that did not change over so many of our own renewals has no holder. No clock but ours is asked. */
const MISSED = 4;
const MS = 1_000;

export function newInstance(): string {
	return `writ-${randomUUID()}`;
}

export function holdLease(api: KubernetesApi, options: LeaseOptions): HeldLease {
	const state: {lease: Promise<Lease> | undefined; released: boolean; renewing: boolean} = {
		lease: undefined,
		released: false,
		renewing: false,
	};
	const others = new Map<string, {version: string; times: number}>();
	const renew = async () => {
		const held = await state.lease?.catch(() => undefined);
		if (!held || state.released || state.renewing) return;
		state.renewing = true;
		try {
			const lease = await renewed(api, held, options);
			state.lease = Promise.resolve(lease);
			await sweep(api, options.instance, others);
		} finally {
			state.renewing = false;
		}
	};
	const timer = setInterval(() => void renew().catch(() => {}), options.renewMs); // a server that is away cannot lose what it does not see
	timer.unref();
	return {
		current() {
			state.lease ??= create(api, options);
			state.lease.catch(() => (state.lease = undefined));
			return state.lease;
		},
		async release() {
			state.released = true;
			clearInterval(timer);
			const held = await state.lease?.catch(() => undefined);
			if (held) await remove(api, held.metadata.name, {propagationPolicy: 'Background'});
		},
	};
}

function manifest({instance, owner, renewMs}: LeaseOptions) {
	return {
		apiVersion: 'coordination.k8s.io/v1',
		kind: 'Lease',
		metadata: {
			name: instance,
			labels: LABELS,
			...(owner ? {ownerReferences: [{apiVersion: 'v1', kind: 'Pod', ...owner}]} : {}),
		},
		spec: {holderIdentity: instance, leaseDurationSeconds: Math.ceil((renewMs * MISSED) / MS), renewTime: now()},
	};
}

/** Kubernetes keeps times of leases to the microsecond. */
function now(): string {
	return new Date().toISOString().replace('Z', '000Z');
}

async function create(api: KubernetesApi, options: LeaseOptions): Promise<Lease> {
	return api.call('POST', leasesOf(api), leaseSchema, {body: manifest(options)});
}

/** A conflict is with ourselves, over an answer that was lost: the Lease is read again. One that somebody deleted is made again. */
async function renewed(api: KubernetesApi, held: Lease, options: LeaseOptions): Promise<Lease> {
	return put(api, held, options).catch(async (error) => {
		if (statusOf(error) === NOT_FOUND) return create(api, options);
		if (statusOf(error) !== CONFLICT) return held; // the next time will do
		const {items} = await api.call('GET', leasesOf(api), listSchema);
		return items.map((item) => leaseSchema.parse(item)).find(({metadata}) => metadata.uid === held.metadata.uid) ?? held;
	});
}

async function put(api: KubernetesApi, {metadata}: Lease, options: LeaseOptions): Promise<Lease> {
	const {metadata: wanted, ...rest} = manifest(options);
	const {uid, resourceVersion} = metadata;
	const body = {...rest, metadata: {...wanted, uid, resourceVersion}};
	return api.call('PUT', `${leasesOf(api)}/${metadata.name}`, leaseSchema, {body});
}

/** Deletes Leases of other servers that stopped. The precondition lets one win that is renewed in this moment. */
async function sweep(api: KubernetesApi, own: string, others: Map<string, {version: string; times: number}>): Promise<void> {
	const labelSelector = Object.entries(LABELS)
		.map((pair) => pair.join('='))
		.join(',');
	const {items} = await api.call('GET', leasesOf(api), listSchema, {query: {labelSelector}});
	const leases = items.map((item) => leaseSchema.parse(item).metadata).filter(({name}) => name !== own);
	for (const known of others.keys()) if (!leases.some(({uid}) => uid === known)) others.delete(known);
	for (const {name, uid, resourceVersion} of leases) {
		const before = others.get(uid);
		const times = before?.version === resourceVersion ? before.times + 1 : 0;
		others.set(uid, {version: resourceVersion, times});
		if (times >= MISSED) await remove(api, name, {propagationPolicy: 'Background', preconditions: {uid, resourceVersion}});
	}
}

async function remove(api: KubernetesApi, name: string, body: Readonly<Record<string, unknown>>): Promise<void> {
	await api.call('DELETE', `${leasesOf(api)}/${name}`, z.unknown(), {body}).catch((error) => {
		if (statusOf(error) !== NOT_FOUND && statusOf(error) !== CONFLICT) throw error;
	});
}

function leasesOf({namespace}: KubernetesApi): string {
	return `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases`;
}
