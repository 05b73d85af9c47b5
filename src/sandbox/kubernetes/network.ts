/** Whether the cluster's own rules leave runner pods without a network. They only count where its network plugin enforces them. */
import type {KubernetesApi} from './api.ts';
import {LABELS} from './manifest.ts';
import {listSchema, type NetworkPolicy, networkPolicySchema} from './objects.ts';

type Direction = 'Ingress' | 'Egress';

/** What is wrong, in words; `undefined` when every way in and out is closed. */
export async function openNetwork(api: KubernetesApi): Promise<string | undefined> {
	const path = `/apis/networking.k8s.io/v1/namespaces/${api.namespace}/networkpolicies`;
	const {items} = await api.call('GET', path, listSchema);
	const policies = items.map((item) => networkPolicySchema.parse(item)).filter(selectsRunners);
	const wrong = (['Ingress', 'Egress'] as const)
		.map((direction) => wrongIn(policies, direction))
		.filter((each) => each !== undefined);
	return wrong.length > 0 ? wrong.join('; ') : undefined;
}

/** Policies add up: one denies all by being there, and any other can allow again. */
function wrongIn(policies: readonly NetworkPolicy[], direction: Direction): string | undefined {
	const deciding = policies.filter((policy) => typesOf(policy).includes(direction));
	if (deciding.length === 0) return `no NetworkPolicy denies ${direction.toLowerCase()} of runner pods`;
	const opening = deciding.find(({spec}) => (direction === 'Ingress' ? spec.ingress : spec.egress)?.length);
	return opening && `the NetworkPolicy ${opening.metadata.name} allows ${direction.toLowerCase()} of runner pods`;
}

/** Without its own word, a policy is about ingress, and about egress when it has rules for it. */
function typesOf({spec}: NetworkPolicy): readonly string[] {
	return spec.policyTypes ?? ['Ingress', ...(spec.egress?.length ? ['Egress'] : [])];
}

function selectsRunners({spec}: NetworkPolicy): boolean {
	const labels: Readonly<Record<string, string>> = LABELS;
	const {matchLabels, matchExpressions} = spec.podSelector ?? {};
	return (
		Object.entries(matchLabels ?? {}).every(([key, value]) => labels[key] === value) &&
		(matchExpressions ?? []).every(({key, operator, values}) => {
			const value = labels[key];
			if (operator === 'Exists') return value !== undefined;
			if (operator === 'DoesNotExist') return value === undefined;
			const listed = value !== undefined && (values ?? []).includes(value);
			return operator === 'In' ? listed : !listed;
		})
	);
}
