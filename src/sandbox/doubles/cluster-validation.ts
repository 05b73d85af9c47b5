/** What an API server refuses: names, labels, quantities, unknown fields, and what Pod Security calls "restricted". */
import {z} from 'zod';
import {type KubernetesObject, Refusal} from './cluster-store.ts';

const LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const VALUE = /^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$/;

const dnsLabel = z.string().max(63).regex(LABEL);
const subdomain = z.string().max(253).regex(SUBDOMAIN);
const labels = z.record(
	z.string().regex(/^([a-z0-9.-]{1,253}\/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/),
	z.string().max(63).regex(VALUE),
);
const quantity = z.string().regex(/^\d+(\.\d+)?(m|Ki|Mi|Gi|Ti|k|M|G|T)?$/);
const path = z
	.string()
	.startsWith('/')
	.refine((value) => !value.includes(':'), "must not contain ':'");
const owner = z.strictObject({
	apiVersion: z.string(),
	kind: z.string(),
	name: subdomain,
	uid: z.uuid(),
	controller: z.boolean().optional(),
});
const metadata = z.strictObject({
	name: subdomain,
	labels: labels.optional(),
	ownerReferences: z.array(owner).optional(),
	uid: z.string().optional(),
	resourceVersion: z.string().optional(),
});
const resources = z.record(z.enum(['cpu', 'memory', 'ephemeral-storage']), quantity);

const container = z.strictObject({
	name: dnsLabel,
	image: z.string().min(1),
	imagePullPolicy: z.enum(['Always', 'IfNotPresent', 'Never']),
	command: z.array(z.string()),
	stdin: z.boolean().optional(),
	stdinOnce: z.boolean().optional(),
	tty: z.boolean().optional(),
	workingDir: z.string().optional(),
	securityContext: z.strictObject({
		allowPrivilegeEscalation: z.literal(false),
		privileged: z.literal(false),
		readOnlyRootFilesystem: z.boolean(),
		capabilities: z.strictObject({drop: z.tuple([z.literal('ALL')])}),
	}),
	resources: z.strictObject({requests: resources, limits: resources}),
	volumeMounts: z.array(
		z.strictObject({name: dnsLabel, mountPath: path, readOnly: z.boolean().optional(), subPath: z.string().optional()}),
	),
});

const volume = z.strictObject({
	name: dnsLabel,
	emptyDir: z.strictObject({medium: z.enum(['', 'Memory']).optional(), sizeLimit: quantity.optional()}).optional(),
	persistentVolumeClaim: z.strictObject({claimName: subdomain, readOnly: z.boolean().optional()}).optional(),
});

const podSpec = z.strictObject({
	restartPolicy: z.enum(['Never', 'OnFailure']),
	activeDeadlineSeconds: z.int().positive(),
	terminationGracePeriodSeconds: z.int().nonnegative(),
	automountServiceAccountToken: z.boolean(),
	enableServiceLinks: z.boolean(),
	hostname: dnsLabel,
	hostNetwork: z.literal(false),
	hostPID: z.literal(false),
	hostIPC: z.literal(false),
	shareProcessNamespace: z.boolean(),
	dnsPolicy: z.enum(['None', 'Default', 'ClusterFirst']),
	dnsConfig: z.strictObject({
		nameservers: z.array(z.ipv4()).min(1),
		options: z.array(z.strictObject({name: z.string(), value: z.string()})).optional(),
	}),
	runtimeClassName: subdomain.optional(),
	serviceAccountName: subdomain.optional(),
	securityContext: z.strictObject({
		runAsNonRoot: z.literal(true),
		runAsUser: z.int().positive(),
		runAsGroup: z.int().positive(),
		seccompProfile: z.strictObject({type: z.enum(['RuntimeDefault', 'Localhost']), localhostProfile: z.string().optional()}),
	}),
	containers: z.array(container).min(1),
	volumes: z.array(volume),
});

const job = z.strictObject({
	apiVersion: z.literal('batch/v1'),
	kind: z.literal('Job'),
	metadata,
	spec: z.strictObject({
		backoffLimit: z.int().nonnegative(),
		completions: z.int().positive(),
		parallelism: z.int().positive(),
		activeDeadlineSeconds: z.int().positive(),
		ttlSecondsAfterFinished: z.int().nonnegative(),
		template: z.strictObject({metadata: z.strictObject({labels}), spec: podSpec}),
	}),
});

const lease = z.strictObject({
	apiVersion: z.literal('coordination.k8s.io/v1'),
	kind: z.literal('Lease'),
	metadata,
	spec: z.strictObject({
		holderIdentity: z.string(),
		leaseDurationSeconds: z.int().positive(),
		renewTime: z.string().regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/),
	}),
});

/** Throws the 422 that an API server answers with. */
export function validate(resource: string, object: unknown): KubernetesObject {
	const schema = {jobs: job, leases: lease}[resource];
	if (!schema) throw new Refusal(405, 'MethodNotAllowed', `${resource} cannot be created here`);
	const parsed = schema.safeParse(object);
	if (!parsed.success) throw new Refusal(422, 'Invalid', `${resource} is invalid: ${z.prettifyError(parsed.error)}`);
	if (parsed.data.kind === 'Job') validateJob(parsed.data);
	return parsed.data as unknown as KubernetesObject;
}

type Job = z.infer<typeof job>;
type PodSpec = Job['spec']['template']['spec'];

function validateJob({metadata: {name}, spec}: Job): void {
	const {volumes, containers} = spec.template.spec;
	const wrong = [
		// A pod is called after its Job, and a label holds that name.
		...(name.length > 63 ? ['metadata.name: must be no more than 63 characters'] : []),
		...(hasTwice(volumes.map((each) => each.name)) ? ['spec.volumes: Duplicate value'] : []),
		...volumes
			.filter(({name: _, ...sources}) => Object.keys(sources).length !== 1)
			.map((each) => `volume ${each.name} must specify one source`),
		...containers.flatMap((each) => wrongMounts(each, volumes)),
		...containers.flatMap(wrongResources),
	];
	if (wrong.length > 0) throw new Refusal(422, 'Invalid', `Job.batch "${name}" is invalid: ${wrong.join(', ')}`);
}

function wrongMounts({name, volumeMounts}: PodSpec['containers'][number], volumes: PodSpec['volumes']): string[] {
	const isOutside = (subPath = '') => subPath.startsWith('/') || subPath.split('/').includes('..');
	return [
		...(hasTwice(volumeMounts.map(({mountPath}) => mountPath)) ? [`${name}.volumeMounts: must be unique`] : []),
		...volumeMounts
			.filter((mount) => !volumes.some((each) => each.name === mount.name))
			.map((mount) => `volumeMounts.name: Not found: "${mount.name}"`),
		...volumeMounts.filter(({subPath}) => isOutside(subPath)).map(() => 'subPath: must be a relative path within the volume'),
	];
}

function wrongResources({resources: {requests, limits}}: PodSpec['containers'][number]): string[] {
	const given: Readonly<Record<string, string>> = limits;
	return Object.entries(requests).flatMap(([key, value]) =>
		amountOf(value) > amountOf(given[key] ?? '0') ? [`${key}: must be less than or equal to the limit`] : [],
	);
}

function hasTwice(values: readonly string[]): boolean {
	return new Set(values).size < values.length;
}

function amountOf(value: string): number {
	const [, number = '0', unit = ''] = /^([\d.]+)(\w*)$/.exec(value) ?? [];
	return Number(number) * ({m: 1e-3, Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30}[unit] ?? 1);
}
