import {readFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import type {Config} from '#config/config.ts';
import type {Secrets} from '#config/secrets.ts';
import {WritError} from '#contract/errors.ts';
import type {SandboxSpec} from '#contract/sandbox.ts';
import {type Candidate, chooseStrongest, type DemandingProvider, withDemands} from '#sandbox/choose.ts';
import type {Egress} from '#sandbox/egress/egress.ts';
import {createProcessProvider} from '#sandbox/process/process.ts';
import {createRuntime} from '#sandbox/runtime.ts';
import type {ProviderFacts} from '#sandbox/sandbox.ts';

export type Sandboxing = {
	readonly provider: DemandingProvider;
	/** why it is this provider, in a sentence */
	readonly why: string;
	/** What every provider would be here: asks each of them. */
	survey(): Promise<readonly ProviderFacts[]>;
};

/** Builds the provider that the configuration names, or finds the strongest one. One that was named is not asked whether it works. */
export async function createSandboxing(config: Config, root: string, secrets: Secrets): Promise<Sandboxing> {
	const {sandbox} = config;
	const candidates = [...onThisMachine(config, root, secrets), kubernetes(config, root)];
	const wanted = sandbox.provider === 'k8s' ? 'kubernetes' : sandbox.provider;
	const named = candidates.find(({name}) => name === wanted);
	const {provider, facts, why} = named
		? {provider: await named.create(), facts: undefined, why: `SANDBOX_PROVIDER=${sandbox.provider}`}
		: await chooseStrongest(candidates.filter(({name}) => name !== 'kubernetes')); // a cluster is never taken by surprise
	return {
		provider: withDemands(provider, sandbox.level, facts),
		why,
		survey: () =>
			Promise.all(
				candidates.map((candidate) => (candidate.name === provider.name ? provider.facts({thorough: true}) : ask(candidate))),
			),
	};
}

async function ask({create}: Candidate): Promise<ProviderFacts> {
	const provider = await create();
	try {
		return await provider.facts();
	} finally {
		await provider.close();
	}
}

/** Between equals the earlier is preferred: a process needs no engine. Each imports what it needs when it is built. */
function onThisMachine(config: Config, root: string, secrets: Secrets): readonly Candidate[] {
	const {dockerHost, dockerRuntime, image, microsandbox} = config.sandbox;
	const nodePath = process.execPath;
	return [
		{
			name: 'microsandbox',
			best: 'vm-isolated',
			async create() {
				const {createMicrosandboxProvider} = await import('#sandbox/microsandbox/microsandbox.ts');
				const {program, ...rest} = await inImage(image, root);
				const guest = (spec: SandboxSpec) => ({...program(spec), reservedBytes: RESERVED_BYTES});
				return createMicrosandboxProvider({...rest, program: guest, cliPath: microsandbox ?? undefined});
			},
		},
		{
			name: 'process',
			best: 'kernel-shared',
			async create() {
				const egress = await egressOf(config, secrets);
				return createProcessProvider({runtime: createRuntime({root, nodePath, pythonPath: pythonIn(root)}), egress});
			},
		},
		{
			name: 'docker',
			best: 'kernel-isolated',
			async create() {
				const {createDockerProvider} = await import('#sandbox/docker/docker.ts');
				const egress = await egressOf(config, secrets);
				return createDockerProvider({root, host: dockerHost, image, runtime: dockerRuntime, egress});
			},
		},
		{
			name: 'wasm',
			best: 'kernel-shared',
			create: async () => (await import('#sandbox/wasm/wasm.ts')).createWasmProvider({root, nodePath}),
		},
	];
}

/** A secret goes where a setting says, whatever the rule of a proposal names; its value is looked up when a way is opened. */
async function egressOf({egress}: Config, secrets: Secrets): Promise<Egress> {
	const [{createEgress}, {coversHost}] = await Promise.all([
		import('#sandbox/egress/egress.ts'),
		import('#sandbox/egress/host-name.ts'),
	]);
	const {inject: injections, exceptions, caFile} = egress;
	return createEgress({
		...{directory: tmpdir(), injections, exceptions, trust: caFile === null ? [] : [readAuthorities(caFile)]},
		secrets: (name, host) =>
			injections.some((each) => each.secret === name && coversHost(each.host, host)) ? secrets.value(name) : undefined,
	});
}

function readAuthorities(file: string): string {
	try {
		const pem = readFileSync(file, 'utf8');
		if (pem.includes('-----BEGIN CERTIFICATE-----')) return pem;
	} catch (cause) {
		throw new WritError('invalid_config', `the file of certificate authorities \`${file}\` cannot be read`, {cause});
	}
	throw new WritError('invalid_config', `\`${file}\` holds no certificate in PEM form`, {hint: 'mend WRIT_EGRESS_CA_FILE'});
}

function kubernetes({kubernetes: cluster, sandbox: {image}, data}: Config, root: string): Candidate {
	const {kubeconfig, context, namespace, serviceAccount, pullPolicy, jobTtlSeconds} = cluster;
	const {runtimeClass, runtimeIsolation: level, datasetsClaim: claim} = cluster;
	const datasets = data.datasetsDir ?? path.resolve(data.dir, 'datasets');
	return {
		name: 'kubernetes',
		best: 'vm-isolated',
		async create() {
			const {createKubernetesProvider} = await import('#sandbox/kubernetes/kubernetes.ts');
			const inside = await inImage(image, root);
			return createKubernetesProvider({
				...{...inside, image: inside.image()},
				...{pullPolicy, ttlSeconds: jobTtlSeconds},
				cluster: {kubeconfig: kubeconfig ?? undefined, context: context ?? undefined},
				namespace: namespace ?? undefined,
				serviceAccount: serviceAccount ?? undefined,
				runtime: runtimeClass === null ? undefined : {className: runtimeClass, level},
				datasets: claim === null ? undefined : {claim, root: datasets},
			});
		},
	};
}

/** Of an image nobody here has looked into: what the one that is built here can run. */
async function inImage(image: string | null, root: string) {
	const {imageName, programIn} = await import('#sandbox/docker/image.ts');
	const runs = ['sql', 'python', 'ingest', 'javascript', 'shell'] as const;
	const known = {name: image};
	const nameOnce = () => {
		known.name ??= imageName(root); // reads every file that goes into it
		return known.name;
	};
	return {image: nameOnce, program: (spec: SandboxSpec) => programIn(root, spec), runs};
}

/** What the greediest runner asks for when it starts and never touches. */
const RESERVED_BYTES = 1_280 * 2 ** 20;

function pythonIn(root: string): string {
	return path.join(root, '.writ', 'python', 'bin', 'python3');
}
