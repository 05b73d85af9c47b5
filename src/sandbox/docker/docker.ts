/** The `docker` provider: one container per run of an engine on this machine, with the kernel of gVisor where the engine has it. */
import {text} from 'node:stream/consumers';
import {WritError} from '#contract/errors.ts';
import type {Isolation, SandboxSpec} from '#contract/sandbox.ts';
import {withEgress} from '../egress/attach.ts';
import type {Egress} from '../egress/egress.ts';
import {cancelled, notStarted} from '../endings.ts';
import {createOpenSandboxes} from '../open-sandboxes.ts';
import {reclaim, watchOutput} from '../output.ts';
import {INSIDE_ID} from '../process/bubblewrap.ts';
import {resolveMounts} from '../process/launch.ts';
import type {Program} from '../runtime.ts';
import type {OpenOptions, ProviderFacts, Sandbox, SandboxProvider} from '../sandbox.ts';
import {type StartedRunner, supervise} from '../supervise.ts';
import {createDockerApi, type DockerApi, unavailable} from './api.ts';
import {containerBody, NOBODY} from './container.ts';
import {type Engine, inspectEngine, ping, type RuntimeChoice} from './engine.ts';
import {programIn} from './image.ts';
import {createOwner, type Owner, sweepContainers} from './owner.ts';
import {startContainer} from './runner.ts';

export type DockerProviderOptions = {
	/** the directory whose runners the image holds */
	readonly root: string;
	/** as in DOCKER_HOST; null for the socket where engines usually listen */
	readonly host: string | null;
	/** null for the one that `scripts/docker.sh image` builds */
	readonly image: string | null;
	/** `auto` takes gVisor where the engine has it; what is asked for by name and is not there is not replaced */
	readonly runtime: RuntimeChoice;
	readonly egress?: Egress | undefined;
	/** how a runner is started in the image */
	readonly program?: (spec: SandboxSpec) => Pick<Program, 'command' | 'mounts' | 'environment'>;
};

type Provider = {
	readonly api: DockerApi;
	readonly owner: Owner;
	readonly program: NonNullable<DockerProviderOptions['program']>;
	readonly egress: Egress | undefined;
	/** the name of every container that is ours and not gone */
	readonly live: Set<string>;
	readonly state: {serial: number; engine: Promise<Engine> | undefined};
	inspect(): Promise<Engine>;
};

export function createDockerProvider(options: DockerProviderOptions): SandboxProvider {
	const program = options.program ?? ((spec: SandboxSpec) => programIn(options.root, spec));
	const [api, owner] = [createDockerApi(options.host), createOwner()];
	const provider: Provider = {
		...{api, owner, program, egress: options.egress, live: new Set(), state: {serial: 0, engine: undefined}},
		inspect: () => inspectEngine(api, options),
	};
	const {state} = provider;
	const sandboxes = createOpenSandboxes();
	const open = async (spec: SandboxSpec, {warm, signal}: OpenOptions) => {
		const sandbox = await openSandbox(provider, spec, {warm, signal: sandboxes.orClosing(signal)});
		sandboxes.add(sandbox);
		return sandbox;
	};
	return {
		name: 'docker',
		open: (spec, options) => sandboxes.track(open(spec, options)),
		facts: () => factsOf(provider),
		runners: () => versions(provider),
		async close() {
			await sandboxes.close();
			// What an engine that is gone cannot be asked to remove, the sweep of the next server finds.
			if (state.engine) await sweepContainers(api, owner, () => false).catch(() => {});
		},
	};
}

/** The engine, as it was found when it was last new to us. One that hangs or is gone is noticed first. */
async function engineOf(provider: Provider, signal?: AbortSignal): Promise<Engine> {
	const {api, owner, live, state} = provider;
	try {
		await ping(api, signal);
		state.engine ??= provider.inspect().then(async (engine) => {
			await sweepContainers(api, owner, (name) => live.has(name));
			await runOnce(provider, engine, 'true'); // nothing less shows that the runtime, the image and this kernel agree
			return engine;
		});
		return await state.engine;
	} catch (error) {
		if (!isCancelled(error)) state.engine = undefined; // what is missing may come
		throw error;
	}
}

function isCancelled(error: unknown): boolean {
	return error instanceof WritError && error.code === 'cancelled';
}

async function openSandbox(provider: Provider, spec: SandboxSpec, options: OpenOptions): Promise<Sandbox> {
	if (options.signal.aborted) throw cancelled();
	const engine = await engineOf(provider, options.signal);
	// Its memory is what the control group counts, and no address space.
	const program = {...provider.program(spec), reservedBytes: 0};
	if (spec.network !== 'none' && engine.clientSeccomp === null)
		throw unavailable('no way out to a network can be opened from a container here', {
			hint: 'set WRIT_DOCKER_RUNTIME=runc or SANDBOX_PROVIDER=process for runs that need one',
		});
	return withEgress(spec, program, provider.egress, (behind) =>
		openContainer(provider, engine, {spec, program: behind}, options),
	);
}

type Given = Pick<Start, 'spec' | 'program'>;

async function openContainer(provider: Provider, engine: Engine, given: Given, options: OpenOptions): Promise<Sandbox> {
	const {live, state} = provider;
	const {name, runner} = await startIn(provider, engine, {...given, warm: options.warm});
	try {
		const sandbox = await supervise(runner, options);
		// What could not be removed is found by the sweep that comes with asking the engine anew.
		sandbox.ended.catch(() => (state.engine = undefined)).finally(() => live.delete(name));
		return sandbox;
	} catch (error) {
		live.delete(name);
		if (!isCancelled(error)) state.engine = undefined;
		throw error;
	}
}

type Start = {
	readonly spec: SandboxSpec;
	readonly program: ReturnType<Provider['program']>;
	readonly warm: boolean;
};

async function startIn(
	provider: Provider,
	engine: Engine,
	{spec, program, warm}: Start,
): Promise<{name: string; runner: StartedRunner}> {
	const {api, owner, live, state} = provider;
	const user = userFor(spec, engine);
	// What is private above a mount does not matter: the engine looks its path up as root.
	const id = user === NOBODY ? INSIDE_ID : undefined;
	const {mounts, output} = await resolveMounts([...program.mounts, ...spec.mounts], spec.output, id);
	const labels = owner.labels();
	const seccomp = spec.network === 'none' ? engine.seccomp : engine.clientSeccomp;
	const body = containerBody({...engine, seccomp, user, program, mounts, output, limits: spec.limits, labels});
	const cleanUp = async () => {
		if (spec.output !== undefined) await reclaim(spec.output, id);
	};
	state.serial += 1;
	const name = `writ-${owner.instance}-${state.serial}`;
	live.add(name);
	try {
		const isolation = isolationOf(engine, spec, warm);
		return {name, runner: watched(await startContainer({api, name, body, spec, isolation, cleanUp}))};
	} catch (error) {
		live.delete(name);
		state.engine = undefined;
		throw error instanceof WritError ? error : notStarted(String(error), error);
	}
}

/** What is written to `/out` lies on our disk, where no engine limits it. */
function watched(runner: StartedRunner): StartedRunner {
	const {output, limits} = runner.spec;
	if (output === undefined) return runner;
	const overrun: 'fileBytes'[] = [];
	const stop = watchOutput(output, limits.fileBytes ?? limits.scratchBytes, () => {
		overrun.push('fileBytes');
		runner.kill();
	});
	return {
		...runner,
		exited: runner.exited.finally(stop).then((death) => ({...death, exceeded: [...death.exceeded, ...overrun]})),
		exceeded: async () => [...(await runner.exceeded()), ...overrun],
	};
}

/**
 * Who writes to `/out` must be somebody whose files we can take. Root can take anybody's. Any other user lends its own id, which in a
 * rootless engine is that of the root inside.
 */
function userFor({output}: SandboxSpec, {isRootless}: Engine): string {
	const id = process.getuid?.() ?? 0;
	if (output === undefined || (id === 0 && !isRootless)) return NOBODY;
	return isRootless ? '0:0' : `${id}:${process.getgid?.() ?? id}`;
}

function isolationOf({level, namespaces, seccomp, limits}: Engine, {network}: SandboxSpec, warm: boolean): Isolation {
	return {
		...{provider: 'docker', level, namespaces: [...namespaces], seccomp: seccomp !== null, limits},
		...{network: network === 'none' ? 'none' : 'allow-list', warm},
	};
}

async function factsOf(provider: Provider): Promise<ProviderFacts> {
	const base = {name: 'docker', egress: false} as const;
	try {
		const {level, namespaces, seccomp, clientSeccomp, runs, limits, versions: found, weaknesses} = await engineOf(provider);
		const facts = {level, namespaces, runs, limits, versions: found, weaknesses, availability: {kind: 'available'}} as const;
		return {...base, ...facts, seccomp: seccomp !== null, egress: provider.egress !== undefined && clientSeccomp !== null};
	} catch (error) {
		if (!(error instanceof WritError)) throw error;
		const availability = {kind: 'unavailable', reason: error.message, hint: error.hint ?? ''} as const;
		const nothing = {level: 'none', namespaces: [], runs: [], seccomp: false, limits: {}, versions: {}, weaknesses: []} as const;
		return {...base, ...nothing, availability};
	}
}

async function versions(provider: Provider): Promise<Readonly<Record<string, string>>> {
	const said = await runOnce(provider, await engineOf(provider), ASK_VERSIONS);
	const lines = said.split('\n').map((line) => line.split(': '));
	return Object.fromEntries(lines.flatMap(([name, version]) => (name && version ? [[name, version]] : [])));
}

const ASK_VERSIONS = `node=$(/runtime/node --version) || exit
echo "node: \${node#v}"
python3 -I -c 'import sys, pandas; print("python: " + sys.version.split()[0] + ", pandas " + pandas.__version__)' 2>/dev/null || true`;

const MIB = 2 ** 20;
const ONCE: SandboxSpec = {
	...{runner: 'shell', mounts: [], network: 'none'},
	limits: {
		...{wallMs: 20_000, memoryBytes: 512 * MIB, cpus: 1, processes: 64, openFiles: 256},
		...{scratchBytes: MIB, outputBytes: MIB},
	},
};

/** What a script of ours prints in a container like any other. */
async function runOnce(provider: Provider, engine: Engine, script: string): Promise<string> {
	const program = {command: ['/usr/bin/sh', '-c', script], mounts: [], environment: {}};
	const {name, runner} = await startIn(provider, engine, {spec: ONCE, program, warm: false});
	const late = setTimeout(() => runner.kill(), ONCE.limits.wallMs);
	try {
		const [{code}, said] = await Promise.all([runner.exited, text(runner.stderr)]);
		if (code !== 0) throw unavailable(`a container of it ended with exit code ${code}: ${said.trim().slice(-500)}`);
		return said;
	} finally {
		clearTimeout(late);
		await runner.cleanUp();
		provider.live.delete(name);
	}
}
