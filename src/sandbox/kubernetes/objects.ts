/** What we read of the objects of the Kubernetes API. They hold much more; whatever else is there is left alone. */
import {z} from 'zod';

const metadataSchema = z.looseObject({
	name: z.string(),
	uid: z.string(),
	resourceVersion: z.string(),
	labels: z.record(z.string(), z.string()).optional(),
	deletionTimestamp: z.string().optional(),
});

const terminatedSchema = z.looseObject({exitCode: z.int(), reason: z.string().optional(), message: z.string().optional()});

const containerStatusSchema = z.looseObject({
	name: z.string(),
	state: z
		.looseObject({
			waiting: z.looseObject({reason: z.string().optional(), message: z.string().optional()}).optional(),
			running: z.looseObject({}).optional(),
			terminated: terminatedSchema.optional(),
		})
		.default({}),
});

export const podSchema = z.looseObject({
	metadata: metadataSchema,
	status: z
		.looseObject({
			phase: z.string().default('Pending'),
			reason: z.string().optional(),
			message: z.string().optional(),
			conditions: z
				.array(
					z.looseObject({type: z.string(), status: z.string(), reason: z.string().optional(), message: z.string().optional()}),
				)
				.default([]),
			containerStatuses: z.array(containerStatusSchema).default([]),
		})
		.default({phase: 'Pending', conditions: [], containerStatuses: []}),
});
export type Pod = z.infer<typeof podSchema>;

export const listSchema = z.looseObject({metadata: z.looseObject({resourceVersion: z.string()}), items: z.array(z.unknown())});

export const leaseSchema = z.looseObject({metadata: metadataSchema});
export type Lease = z.infer<typeof leaseSchema>;

const rulesSchema = z.array(z.unknown()).nullish();
export const networkPolicySchema = z.looseObject({
	metadata: z.looseObject({name: z.string()}),
	spec: z.looseObject({
		podSelector: z
			.looseObject({
				matchLabels: z.record(z.string(), z.string()).nullish(),
				matchExpressions: z
					.array(z.looseObject({key: z.string(), operator: z.string(), values: z.array(z.string()).nullish()}))
					.nullish(),
			})
			.nullish(),
		policyTypes: z.array(z.string()).nullish(),
		ingress: rulesSchema,
		egress: rulesSchema,
	}),
});
export type NetworkPolicy = z.infer<typeof networkPolicySchema>;

export type ContainerState = z.infer<typeof containerStatusSchema>['state'];

export function stateOf(pod: Pod, container: string): ContainerState {
	return pod.status.containerStatuses.find(({name}) => name === container)?.state ?? {};
}
