/** What the server must be allowed in the namespace of the runner pods; the same list as charts/writ-runners/rbac.yaml. */
import {z} from 'zod';
import {WritError} from '#contract/errors.ts';
import type {KubernetesApi} from './api.ts';

export const RIGHTS = [
	{group: 'batch', resource: 'jobs', verbs: ['create', 'delete']},
	{group: '', resource: 'pods', verbs: ['list', 'watch']},
	{group: '', resource: 'pods/log', verbs: ['get']},
	// A WebSocket begins with GET; newer API servers ask for `create` as well.
	{group: '', resource: 'pods/attach', verbs: ['get', 'create']},
	{group: '', resource: 'pods/exec', verbs: ['get', 'create']},
	{group: 'coordination.k8s.io', resource: 'leases', verbs: ['create', 'update', 'list', 'delete']},
	{group: 'networking.k8s.io', resource: 'networkpolicies', verbs: ['list']},
] as const;

const reviewSchema = z.looseObject({status: z.looseObject({allowed: z.boolean()})});

/** Everybody who is known to a cluster may ask what they may do. */
export async function missingRights(api: KubernetesApi): Promise<WritError | undefined> {
	const asked = RIGHTS.flatMap(({group, resource, verbs}) => verbs.map((verb) => ({group, resource, verb})));
	const allowed = await Promise.all(asked.map((right) => isAllowed(api, right)));
	const missing = asked.filter((_, at) => !allowed[at]).map(({verb, resource}) => `${verb} ${resource}`);
	if (missing.length === 0) return undefined;
	return new WritError('sandbox_unavailable', `in namespace ${api.namespace} we may not: ${missing.join(', ')}`, {
		hint: 'run `kubectl apply -f charts/writ-runners/rbac.yaml` in that namespace, and use its service account',
		details: {missing},
	});
}

type Right = {readonly group: string; readonly resource: string; readonly verb: string};

const REVIEWS = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';

async function isAllowed(api: KubernetesApi, {group, resource: whole, verb}: Right): Promise<boolean> {
	const [resource, subresource] = whole.split('/');
	const resourceAttributes = {namespace: api.namespace, group, resource, subresource, verb};
	const body = {apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectAccessReview', spec: {resourceAttributes}};
	return (await api.call('POST', REVIEWS, reviewSchema, {body})).status.allowed;
}
