/** Where the cluster is and who we are there: a pod's service account, or a kubeconfig. Credentials are read again when they can change. */
import {execFile} from 'node:child_process';
import {access, readFile} from 'node:fs/promises';
import {homedir} from 'node:os';
import {dirname, join, resolve} from 'node:path';
import {promisify} from 'node:util';
import {parse as parseYaml} from 'yaml';
import {z} from 'zod';
import {WritError} from '#contract/errors.ts';

export type Credentials = {readonly token?: string; readonly cert?: string; readonly key?: string};

export type Cluster = {
	readonly server: URL;
	readonly ca: string | undefined;
	/** false only where the kubeconfig says so */
	readonly verify: boolean;
	readonly serverName: string | undefined;
	/** of the service account or the context */
	readonly namespace: string | undefined;
	credentials(): Promise<Credentials>;
};

export type ClusterOptions = {
	/** path of a kubeconfig; without it the pod's own service account, else `~/.kube/config` */
	readonly kubeconfig?: string | undefined;
	/** a context of the kubeconfig; without it the current one */
	readonly context?: string | undefined;
	/** where a pod finds its service account */
	readonly serviceAccount?: string | undefined;
};

const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';
const PLUGIN_LIMIT_MS = 30_000;
/** A credential is renewed this long before it ends. */
const MARGIN_MS = 60_000;
const run = promisify(execFile);

/** Throws `sandbox_unavailable` when there is no cluster to be found, or its description cannot be used. */
export async function findCluster({kubeconfig, context, serviceAccount = SERVICE_ACCOUNT}: ClusterOptions): Promise<Cluster> {
	if (kubeconfig === undefined && (await exists(join(serviceAccount, 'token')))) return inCluster(serviceAccount);
	const path = kubeconfig ?? join(homedir(), '.kube/config');
	const text = await readFile(path, 'utf8').catch((cause) => {
		throw unusable(`there is no cluster: ${path} cannot be read and this is not a pod`, cause);
	});
	return fromKubeconfig(text, path, context);
}

async function inCluster(directory: string): Promise<Cluster> {
	const read = (name: string) => readFile(join(directory, name), 'utf8');
	return {
		server: new URL('https://kubernetes.default.svc'),
		ca: await read('ca.crt'),
		verify: true,
		serverName: undefined,
		namespace: (await read('namespace')).trim(),
		// The kubelet replaces the token before it ends.
		credentials: async () => ({token: (await read('token')).trim()}),
	};
}

const pluginSchema = z.looseObject({
	apiVersion: z.string(),
	command: z.string(),
	args: z.array(z.string()).nullish(),
	env: z.array(z.object({name: z.string(), value: z.string()})).nullish(),
});
const userSchema = z.looseObject({
	token: z.string().optional(),
	tokenFile: z.string().optional(),
	'client-certificate': z.string().optional(),
	'client-certificate-data': z.string().optional(),
	'client-key': z.string().optional(),
	'client-key-data': z.string().optional(),
	exec: pluginSchema.optional(),
});
const clusterSchema = z.looseObject({
	server: z.url(),
	'certificate-authority': z.string().optional(),
	'certificate-authority-data': z.string().optional(),
	'insecure-skip-tls-verify': z.boolean().optional(),
	'tls-server-name': z.string().optional(),
});
const contextSchema = z.looseObject({cluster: z.string(), user: z.string(), namespace: z.string().optional()});
const kubeconfigSchema = z.looseObject({
	'current-context': z.string().optional(),
	clusters: z.array(z.looseObject({name: z.string(), cluster: clusterSchema})),
	contexts: z.array(z.looseObject({name: z.string(), context: contextSchema})),
	users: z.array(z.looseObject({name: z.string(), user: userSchema})),
});

async function fromKubeconfig(text: string, path: string, wanted: string | undefined): Promise<Cluster> {
	const config = kubeconfigSchema.safeParse(readYaml(text, path));
	if (!config.success) throw unusable(`${path} is not a kubeconfig: ${z.prettifyError(config.error)}`);
	const {contexts, clusters, users, 'current-context': current} = config.data;
	const {context} = pick(contexts, wanted ?? current ?? '', 'context', path);
	const {cluster} = pick(clusters, context.cluster, 'cluster', path);
	const {user} = pick(users, context.user, 'user', path);
	const file = (relative: string) => readFile(resolve(dirname(path), relative), 'utf8');
	return {
		server: new URL(cluster.server),
		ca: await inlineOr(cluster['certificate-authority-data'], cluster['certificate-authority'], file),
		verify: cluster['insecure-skip-tls-verify'] !== true,
		serverName: cluster['tls-server-name'],
		namespace: context.namespace,
		credentials: user.exec ? fromPlugin(user.exec, dirname(path)) : () => fromUser(user, file),
	};
}

function readYaml(text: string, path: string): unknown {
	try {
		return parseYaml(text);
	} catch (cause) {
		throw unusable(`${path} is not YAML`, cause);
	}
}

function pick<T extends {name: string}>(entries: readonly T[], name: string, kind: string, path: string): T {
	const found = entries.find((entry) => entry.name === name);
	if (!found)
		throw unusable(`${path} has no ${kind} \`${name}\`; it has ${entries.map((entry) => entry.name).join(', ') || 'none'}`);
	return found;
}

type ReadFile = (path: string) => Promise<string>;

async function fromUser(user: z.infer<typeof userSchema>, file: ReadFile): Promise<Credentials> {
	const token = user.token ?? (user.tokenFile === undefined ? undefined : (await file(user.tokenFile)).trim());
	const cert = await inlineOr(user['client-certificate-data'], user['client-certificate'], file);
	const key = await inlineOr(user['client-key-data'], user['client-key'], file);
	return withoutAbsent({token, cert, key});
}

async function inlineOr(data: string | undefined, path: string | undefined, file: ReadFile): Promise<string | undefined> {
	if (data !== undefined) return Buffer.from(data, 'base64').toString('utf8');
	return path === undefined ? undefined : file(path);
}

const credentialSchema = z.looseObject({
	status: z.looseObject({
		expirationTimestamp: z.string().optional(),
		token: z.string().optional(),
		clientCertificateData: z.string().optional(),
		clientKeyData: z.string().optional(),
	}),
});

/** What the clouds use: a program that prints an ExecCredential. Its answer is kept until shortly before it ends. */
function fromPlugin({apiVersion, command, args, env}: z.infer<typeof pluginSchema>, cwd: string): () => Promise<Credentials> {
	const kept: {value: Credentials | undefined; until: number} = {value: undefined, until: 0};
	const info = {apiVersion, kind: 'ExecCredential', spec: {interactive: false}};
	const variables = [...(env ?? []).map(({name, value}) => `${name}=${value}`), `KUBERNETES_EXEC_INFO=${JSON.stringify(info)}`];
	return async () => {
		if (kept.value && Date.now() < kept.until) return kept.value;
		// Through `env`, so that the plugin has our own environment and these on top: it looks for its login there.
		const {stdout} = await run('env', [...variables, command, ...(args ?? [])], {cwd, timeout: PLUGIN_LIMIT_MS}).catch(
			(cause) => {
				throw unusable(
					`the credential plugin ${command} failed: ${String(cause.stderr || cause.message)
						.trim()
						.slice(-500)}`,
					cause,
				);
			},
		);
		const {status} = parseCredential(stdout, command);
		kept.value = withoutAbsent({token: status.token, cert: status.clientCertificateData, key: status.clientKeyData});
		kept.until = status.expirationTimestamp === undefined ? Infinity : Date.parse(status.expirationTimestamp) - MARGIN_MS;
		return kept.value;
	};
}

function parseCredential(stdout: string, command: string): z.infer<typeof credentialSchema> {
	try {
		return credentialSchema.parse(JSON.parse(stdout));
	} catch (cause) {
		throw unusable(`the credential plugin ${command} did not print an ExecCredential`, cause);
	}
}

function withoutAbsent(credentials: {readonly [name in keyof Credentials]: string | undefined}): Credentials {
	return Object.fromEntries(Object.entries(credentials).filter(([, value]) => value !== undefined));
}

async function exists(path: string): Promise<boolean> {
	return access(path).then(
		() => true,
		() => false,
	);
}

function unusable(message: string, cause?: unknown): WritError {
	return new WritError('sandbox_unavailable', message, {
		hint: 'set KUBECONFIG to a file that `kubectl` can use, or run writ in a pod with a service account',
		cause,
	});
}
