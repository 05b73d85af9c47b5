/**
 * Every setting: its place in `writ.yaml`, its environment name, its default, its range and what it is for. The type of the
 * configuration, `docs/configuration.md` and `GET /api/v1/config` are all derived from this one table.
 */
import {z} from 'zod';
import {LEVELS} from '#contract/sandbox.ts';
import {exceptionEntry, injectionEntry, tokenEntry} from './entries.ts';
import {identity} from './identity-settings.ts';
import {retentionMinutes, trustedProxies} from './keeping-settings.ts';
import {models} from './model-settings.ts';
import {count, type Facts, facts, optionalText, setting, text} from './setting.ts';

const server = {
	host: setting(text.default('127.0.0.1'), 'the address to listen on; anything but a loopback address needs auth tokens', {
		env: 'WRIT_HOST',
	}),
	port: setting(count(0, 65_535, 8_000), 'the port to listen on; 0 takes a free one', {env: 'WRIT_PORT'}),
	allowedHosts: setting(
		z.array(text).default([]),
		'further Host header values, with port, that a loopback server answers to; for tunnels and port forwards',
		{env: 'WRIT_ALLOWED_HOSTS'},
	),
	trustedProxies,
	authTokens: setting(
		z.array(tokenEntry).default([]),
		'bearer tokens and who they stand for, each as token=person@tenant, or token=account:person@tenant; with :role+role at the end for less than all',
		{
			env: 'WRIT_AUTH_TOKENS',
			secret: true,
		},
	),
	maxJsonBytes: setting(count(1_024, 64 * 2 ** 20, 2 ** 20), 'the largest JSON body accepted', {
		env: 'WRIT_MAX_JSON_BYTES',
		unit: 'bytes',
	}),
	maxUploadBytes: setting(count(1_024, 2 ** 40, 2 * 2 ** 30), 'the largest upload accepted, all its files together', {
		env: 'WRIT_MAX_UPLOAD_BYTES',
		unit: 'bytes',
	}),
	maxUploadFiles: setting(count(1, 64, 50), 'the number of files one upload may hold', {env: 'WRIT_MAX_UPLOAD_FILES'}),
	requestsPerMinute: setting(count(1, 10_000_000, 6_000), 'requests one client may make, on average', {
		env: 'WRIT_REQUESTS_PER_MINUTE',
		unit: 'per minute',
	}),
	burst: setting(count(1, 1_000_000, 1_000), 'requests one client may make at once before the rate counts', {env: 'WRIT_BURST'}),
	maxConcurrentRuns: setting(count(1, 10_000, 64), 'runs in progress at once; more are refused with `rate_limited`', {
		env: 'WRIT_MAX_CONCURRENT_RUNS',
	}),
	heartbeatSeconds: setting(count(1, 300, 15), 'the time between heartbeats of an event stream', {
		env: 'WRIT_HEARTBEAT_SECONDS',
		unit: 's',
	}),
	disconnectGraceSeconds: setting(count(0, 3_600, 5), 'how long a run goes on after its last watcher has gone', {
		env: 'WRIT_DISCONNECT_GRACE_SECONDS',
		unit: 's',
	}),
	shutdownSeconds: setting(count(0, 3_600, 10), 'how long a stopping server lets runs finish before it cancels them', {
		env: 'WRIT_SHUTDOWN_SECONDS',
		unit: 's',
	}),
};

const data = {
	dir: setting(text.default('.writ'), 'the directory of everything written: state, snapshots, keys, uploads', {
		env: 'WRIT_DATA_DIR',
	}),
	datasetsDir: setting(optionalText, 'the directory of dataset snapshots; by default `datasets` under the data directory', {
		env: 'DATASETS_DIR',
	}),
	storage: setting(
		z.enum(['sqlite', 'postgres'], {error: 'Unsupported storage provider; available: sqlite, postgres'}).default('sqlite'),
		'where runs are kept',
		{env: 'STORAGE_PROVIDER'},
	),
	sqlitePath: setting(optionalText, 'the SQLite file; by default `writ.db` under the data directory', {env: 'CAPSULE_DB_PATH'}),
	retentionMinutes,
	anchor: setting(
		optionalText,
		'a file, or a directory, outside of the data directory to which the checkpoint of every finished run is appended: what tells that the log was cut or rewritten',
		{env: 'WRIT_ANCHOR'},
	),
	databaseUrl: setting(
		z
			.url({protocol: /^postgres(ql)?$/})
			.or(z.string().regex(/^secret:/))
			.nullable()
			.default(null),
		'the PostgreSQL server, when that is the storage',
		{
			env: 'DATABASE_URL',
			secret: true,
		},
	),
};

const limits = {
	runTimeoutSeconds: setting(count(1, 3_600, 10), 'how long one query or program may take', {
		env: 'RUN_TIMEOUT_SECONDS',
		unit: 's',
	}),
	maxRows: setting(count(1, 1_000_000, 1_000), 'the rows of a result; more are cut and the cut is flagged', {
		env: 'MAX_ROWS',
		unit: 'rows',
	}),
	maxOutputBytes: setting(count(1_024, 2 ** 30, 2 ** 20), 'the bytes of a result; more are cut and the cut is flagged', {
		env: 'MAX_OUTPUT_BYTES',
		unit: 'bytes',
	}),
	memoryMb: setting(count(64, 1_048_576, 1_024), 'the memory of one sandbox', {env: 'WRIT_SANDBOX_MEMORY_MB', unit: 'MiB'}),
	cpus: setting(z.number().min(0.1).max(256).default(2), 'the processors of one sandbox', {
		env: 'WRIT_SANDBOX_CPUS',
		unit: 'processors',
	}),
	processes: setting(count(8, 4_096, 64), 'the processes and threads of one sandbox', {env: 'WRIT_SANDBOX_PROCESSES'}),
	openFiles: setting(count(64, 65_536, 256), 'the files one sandbox may hold open', {env: 'WRIT_SANDBOX_OPEN_FILES'}),
	scratchMb: setting(count(16, 1_048_576, 2_048), 'the scratch space of one sandbox', {
		env: 'WRIT_SANDBOX_SCRATCH_MB',
		unit: 'MiB',
	}),
	enablePython: setting(z.boolean().default(true), 'whether Python may run at all', {env: 'ENABLE_PYTHON_EXECUTION'}),
};

const sandbox = {
	provider: setting(
		z
			.enum(['auto', 'process', 'docker', 'wasm', 'microsandbox', 'kubernetes', 'k8s'], {
				error: ({input}) =>
					`Unsupported sandbox provider \`${String(input)}\`; available: process, docker, wasm, microsandbox, kubernetes, or auto to choose`,
			})
			.default('auto'),
		'what isolates a run; `auto` takes the strongest that works here',
		{env: 'SANDBOX_PROVIDER'},
	),
	level: setting(z.enum(LEVELS).default('none'), 'the least isolation a run may have; where there is less, it is denied', {
		env: 'WRIT_SANDBOX_LEVEL',
	}),
	image: setting(optionalText, 'the image that docker, kubernetes and microsandbox start; by default the one built here', {
		env: 'RUNNER_IMAGE',
	}),
	dockerHost: setting(optionalText, 'the Docker engine, as unix:// and a path; by default /var/run/docker.sock', {
		env: 'DOCKER_HOST',
	}),
	dockerRuntime: setting(
		z.enum(['auto', 'runc', 'runsc']).default('auto'),
		'the runtime of the Docker engine; `auto` takes runsc (gVisor) where the engine has it',
		{env: 'WRIT_DOCKER_RUNTIME'},
	),
	microsandbox: setting(optionalText, 'the `msb` program of microsandbox; by default where its installers put it', {
		env: 'MSB_CLI_PATH',
	}),
	poolSize: setting(count(0, 64, 2), 'unused sandboxes kept warm for each runner', {env: 'WRIT_POOL_SIZE'}),
	maxSandboxes: setting(count(1, 1_024, 8), 'sandboxes at work at once; more runs wait', {env: 'WRIT_MAX_SANDBOXES'}),
};

const kubernetes = {
	kubeconfig: setting(optionalText, 'a kubeconfig; by default the service account of the pod, else ~/.kube/config', {
		env: 'KUBECONFIG',
	}),
	context: setting(optionalText, 'a context of the kubeconfig; by default the current one', {env: 'K8S_CONTEXT'}),
	namespace: setting(optionalText, 'where Jobs are made; by default that of the context', {env: 'K8S_NAMESPACE'}),
	serviceAccount: setting(optionalText, 'the service account of runner pods; it needs no rights', {
		env: 'K8S_SERVICE_ACCOUNT_NAME',
	}),
	pullPolicy: setting(z.enum(['Always', 'IfNotPresent', 'Never']).default('IfNotPresent'), 'when the runner image is pulled', {
		env: 'K8S_IMAGE_PULL_POLICY',
	}),
	datasetsClaim: setting(optionalText, 'a volume claim that holds the datasets; without it files are sent to each pod', {
		env: 'K8S_DATASETS_PVC',
	}),
	jobTtlSeconds: setting(count(0, 604_800, 300), 'how long the cluster keeps a Job that has ended', {
		env: 'K8S_JOB_TTL_SECONDS',
		unit: 's',
	}),
	runtimeClass: setting(optionalText, 'the RuntimeClass of runner pods', {env: 'K8S_RUNTIME_CLASS'}),
	runtimeIsolation: setting(
		z.enum(['kernel-isolated', 'vm-isolated']).default('kernel-isolated'),
		'what that class gives: `kernel-isolated` for gVisor, `vm-isolated` for Kata',
		{env: 'K8S_RUNTIME_ISOLATION'},
	),
};

const secrets = {
	keyFile: setting(optionalText, 'the key of the secret store; by default `keys/secrets.key` under the data directory', {
		env: 'WRIT_SECRETS_KEY_FILE',
	}),
	passphrase: setting(optionalText, 'a passphrase to encrypt the secret store with, instead of a key file', {
		env: 'WRIT_SECRETS_PASSPHRASE',
		secret: true,
	}),
};

const egress = {
	inject: setting(
		z.array(injectionEntry).default([]),
		'secrets that requests of sandboxed code get on their way out, each as host=Header: Bearer secret:NAME',
		{env: 'WRIT_EGRESS_INJECT'},
	),
	exceptions: setting(
		z.array(exceptionEntry).default([]),
		'hosts that sandboxed code may reach at private addresses, each as host=network; policy must allow the host too',
		{env: 'WRIT_EGRESS_EXCEPTIONS'},
	),
	caFile: setting(optionalText, 'further certificate authorities that sandboxed code trusts, as a file of PEM', {
		env: 'WRIT_EGRESS_CA_FILE',
	}),
};

const agent = {
	historyWindow: setting(count(1, 200, 12), 'the earlier messages of a thread a model is shown', {
		env: 'THREAD_HISTORY_WINDOW',
		unit: 'messages',
	}),
};

const governance = {
	policyFile: setting(optionalText, 'the policy: a `policy.yaml`, or Cedar rules (`*.cedar`) to be added to the built-in ones', {
		env: 'WRIT_POLICY_FILE',
	}),
	approvers: setting(z.array(text).default([]), 'the people who may answer approvals; by default everybody of the tenant', {
		env: 'WRIT_APPROVERS',
	}),
	escalateTo: setting(z.array(text).default([]), 'people who are asked too, and may answer, when nobody has for a while', {
		env: 'WRIT_ESCALATE_TO',
	}),
	escalateAfter: setting(
		z.number().min(0.01).max(0.99).default(0.5),
		'the part of the time to answer after which they are asked',
		{
			env: 'WRIT_ESCALATE_AFTER',
		},
	),
	webhookUrl: setting(
		z
			.url({protocol: /^https?$/})
			.nullable()
			.default(null),
		'where approvals are told, as a Slack-compatible message',
		{env: 'WRIT_WEBHOOK_URL', secret: true},
	),
	webhookSecret: setting(optionalText, 'what signs those messages, HMAC-SHA256; needed with the address', {
		env: 'WRIT_WEBHOOK_SECRET',
		secret: true,
	}),
	grantsInWindow: setting(
		count(1, 10_000, 10),
		'the approvals one person may grant in the window; for more, each wants a reason and the id of its action',
		{env: 'WRIT_GRANTS_IN_WINDOW'},
	),
	grantWindowSeconds: setting(count(1, 86_400, 600), 'the window in which grants of one person are counted', {
		env: 'WRIT_GRANT_WINDOW_SECONDS',
		unit: 's',
	}),
};

const observability = {
	logLevel: setting(
		z.enum(['silent', 'error', 'warn', 'info', 'debug']).default('info'),
		'the least important log line written',
		{
			env: 'LOG_LEVEL',
		},
	),
	otlpEndpoint: setting(
		z
			.url({protocol: /^https?$/})
			.nullable()
			.default(null),
		'an OpenTelemetry collector (OTLP over HTTP); setting it turns tracing on',
		{env: 'OTEL_EXPORTER_OTLP_ENDPOINT'},
	),
	mlflowEnabled: setting(z.boolean().default(false), 'whether traces go to MLflow', {env: 'MLFLOW_ENABLED'}),
	mlflowTrackingUri: setting(
		z
			.url({protocol: /^https?$/})
			.nullable()
			.default(null),
		'the MLflow server',
		{env: 'MLFLOW_TRACKING_URI'},
	),
	mlflowExperimentName: setting(text.default('Writ'), 'the MLflow experiment; it is created when it does not exist', {
		env: 'MLFLOW_EXPERIMENT_NAME',
	}),
	mlflowExperimentId: setting(optionalText, 'the id of the MLflow experiment, to be used instead of its name', {
		env: 'MLFLOW_EXPERIMENT_ID',
	}),
};

const client = {
	url: setting(
		z
			.url({protocol: /^https?$/})
			.nullable()
			.default(null),
		'the server the command line talks to; by default a local one, or one inside the command',
		{env: 'WRIT_URL'},
	),
	token: setting(optionalText, 'the bearer token the command line sends', {env: 'WRIT_TOKEN', secret: true}),
};

const section = <T extends z.ZodRawShape>(shape: T) => z.strictObject(shape).prefault({} as never);

export const configSchema = z.strictObject({
	server: section(server),
	data: section(data),
	models: section(models),
	limits: section(limits),
	sandbox: section(sandbox),
	kubernetes: section(kubernetes),
	secrets: section(secrets),
	egress: section(egress),
	identity: section(identity),
	agent: section(agent),
	governance: section(governance),
	observability: section(observability),
	client: section(client),
});
export type Config = z.infer<typeof configSchema>;

export type Setting = Facts & {
	/** place in `writ.yaml`, e.g. `server.port` */
	readonly path: string;
	readonly about: string;
	readonly schema: z.ZodType;
	readonly initial: unknown;
	readonly kind: 'integer' | 'number' | 'boolean' | 'list' | 'text';
};

/** The table, flat. */
export function listSettings(): readonly Setting[] {
	const sections = {
		server,
		data,
		models,
		limits,
		sandbox,
		kubernetes,
		secrets,
		egress,
		identity,
		agent,
		governance,
		observability,
		client,
	};
	return Object.entries(sections).flatMap(([name, shape]) =>
		Object.entries(shape).map(([key, schema]) => {
			const known = facts.get(schema);
			if (!known) throw new Error(`setting ${name}.${key} has no environment name`);
			return {
				...known,
				path: `${name}.${key}`,
				about: schema.description ?? '',
				schema,
				initial: schema.parse(undefined),
				kind: kindOf(schema),
			};
		}),
	);
}

function kindOf(schema: z.ZodType): Setting['kind'] {
	const inner = schema instanceof z.ZodDefault || schema instanceof z.ZodNullable ? (schema.unwrap() as z.ZodType) : null;
	if (inner) return kindOf(inner);
	if (schema instanceof z.ZodNumber) return schema.format === 'safeint' ? 'integer' : 'number';
	if (schema instanceof z.ZodBoolean) return 'boolean';
	return schema instanceof z.ZodArray ? 'list' : 'text';
}
