/** The `process` provider: bubblewrap, all namespaces, a system call filter, control groups where the host lets us make them. */
import {type ChildProcess, execFile, spawn} from 'node:child_process';
import {once} from 'node:events';
import type {Readable, Writable} from 'node:stream';
import {promisify} from 'node:util';
import {WritError} from '#contract/errors.ts';
import type {Isolation, SandboxLimits, SandboxSpec} from '#contract/sandbox.ts';
import {browserArguments, filterFor} from './browser.ts';
import {ARGUMENTS_FD, bubblewrapArguments, NAMESPACES, SECCOMP_FD} from './bubblewrap.ts';
import {type CgroupHost, createGroup, findCgroups, type Group, sweepGroups} from './cgroup.ts';
import {CACHE_MOUNT} from './compile-cache.ts';
import {notStarted} from './endings.ts';
import {hostId} from './host-identity.ts';
import {findPrograms, launchCommand, makeReachable, PRLIMIT, type Programs, processLimits, strayDescriptors} from './launch.ts';
import {reclaim} from './output.ts';
import type {Program, Runtime} from './runtime.ts';
import type {OpenOptions, ProviderFacts, Sandbox, SandboxProvider} from './sandbox.ts';
import {compileFilter, hasFilter} from './seccomp.ts';
import {type StartedRunner, supervise} from './supervise.ts';

type ProcessProviderOptions = {
	readonly runtime: Runtime;
	/** `off` leaves the limits to rlimits even where control groups could be made */
	readonly cgroups?: 'auto' | 'off';
	/** `off` is for the tests that show what the filter stops */
	readonly seccomp?: 'auto' | 'off';
};

const run = promisify(execFile);

type Host = {
	readonly programs: Programs;
	readonly cgroups: CgroupHost | undefined;
	readonly weaknesses: readonly string[];
	readonly filter: Buffer | undefined;
	readonly strays: readonly number[];
};

export function createProcessProvider({runtime, cgroups = 'auto', seccomp = 'auto'}: ProcessProviderOptions): SandboxProvider {
	const state: {serial: number; host: Promise<Host> | undefined} = {serial: 0, host: undefined};
	const live = new Set<Sandbox>();
	const openings = new Set<Promise<unknown>>();
	const closing = new AbortController();
	const host = () => {
		state.host ??= inspectHost(cgroups, seccomp);
		state.host.catch(() => (state.host = undefined)); // what is missing may be installed later
		return state.host;
	};
	const launch = async (spec: SandboxSpec, program: Program, {warm, signal}: OpenOptions) => {
		state.serial += 1;
		const {serial} = state;
		const options = {warm, signal: AbortSignal.any([signal, closing.signal])};
		const started = await start({spec, program, host: await host(), serial}, options).catch((error) => {
			throw error instanceof WritError ? error : notStarted(String(error), error);
		});
		live.add(started.sandbox);
		started.sandbox.ended.finally(() => live.delete(started.sandbox)).catch(() => {});
		return started;
	};
	const open = async (spec: SandboxSpec, options: OpenOptions) => {
		const program = await runtime.program(spec);
		const directory = program.cache?.find((output) => tracked(fillCache({...spec, mounts: [], output}, program, launch)));
		return (await launch(spec, directory === undefined ? program : withCache(program, directory), options)).sandbox;
	};
	const tracked = <T>(opening: Promise<T>): Promise<T> => {
		const tracking = opening.finally(() => openings.delete(tracking));
		openings.add(tracking);
		return tracking;
	};
	return {
		name: 'process',
		open: (spec, options) => tracked(open(spec, options)),
		facts: () => describe(host),
		runners: () => runtime.versions(),
		async close() {
			closing.abort();
			const disposeAll = () => Promise.all([...live].map((sandbox) => sandbox.dispose()));
			await disposeAll();
			await Promise.allSettled(openings);
			await disposeAll();
		},
	};
}

/** Starts the program where it may write its cache, and lets it end by itself: its request is the end of its input. */
async function fillCache(spec: SandboxSpec, program: Program, launch: Launch): Promise<void> {
	const environment = {...program.environment, NODE_COMPILE_CACHE: '/out'};
	const {sandbox, child} = await launch(
		spec,
		{...program, environment},
		{warm: false, signal: AbortSignal.timeout(CACHE_LIMIT_MS)},
	);
	const timer = setTimeout(() => void sandbox.dispose(), CACHE_LIMIT_MS);
	child.stdin?.end();
	await sandbox.ended.finally(() => clearTimeout(timer));
}

const CACHE_LIMIT_MS = 20_000;

type Launch = (spec: SandboxSpec, program: Program, options: OpenOptions) => Promise<Started>;
type Started = {readonly sandbox: Sandbox; readonly child: ChildProcess};

function withCache({mounts, environment, ...program}: Program, directory: string): Program {
	return {
		...program,
		mounts: [...mounts, {source: directory, target: CACHE_MOUNT}],
		environment: {...environment, NODE_COMPILE_CACHE: CACHE_MOUNT},
	};
}

async function inspectHost(cgroups: 'auto' | 'off', seccomp: 'auto' | 'off'): Promise<Host> {
	const [programs, strays] = [findPrograms(), strayDescriptors()];
	const found = cgroups === 'off' ? {none: 'control groups are switched off'} : findCgroups();
	const filter = seccomp === 'auto' && hasFilter(process.arch) ? compileFilter(process.arch) : undefined;
	const weaknesses = [
		...('none' in found ? [`${found.none}: memory and processor time are limited per process, not per sandbox`] : missing(found)),
		...(filter ? [] : [`no system call filter for ${process.arch}`]),
		...(hostId(0) === undefined ? ['the sandbox has the rights of the user who runs writ on every file mounted into it'] : []),
	];
	if ('none' in found) return {programs, cgroups: undefined, weaknesses, filter, strays};
	await sweepGroups(found);
	return {programs, cgroups: found, weaknesses, filter, strays};
}

function missing({parents}: CgroupHost): string[] {
	return (['memory', 'cpu', 'pids'] as const)
		.filter((controller) => !parents[controller])
		.map((controller) => `no ${controller} control group: limited per process, not per sandbox`);
}

type Start = {readonly spec: SandboxSpec; readonly program: Program; readonly host: Host; readonly serial: number};

async function start({spec, program, host, serial}: Start, options: OpenOptions): Promise<Started> {
	const {limits} = spec;
	const id = hostId(serial);
	const mounts = [...program.mounts, {source: host.programs.prlimit, target: PRLIMIT}, ...spec.mounts];
	const reachable = await makeReachable(mounts, spec.output, id);
	const group = host.cgroups && createGroup(host.cgroups, serial, limits);
	const grouped = group?.limits ?? new Set<string>();
	const {command} = program;
	const rlimits = processLimits(limits, grouped, program.reservedBytes);
	const [file, ...args] = launchCommand({
		...host,
		id,
		stage: reachable.stage,
		joinFiles: group?.joinFiles ?? [],
		command,
		rlimits,
	});
	const sixth = host.filter ? 'pipe' : 'ignore';
	const child = spawn(file, args, {cwd: '/', env: {}, stdio: ['pipe', 'pipe', 'pipe', 'pipe', 'pipe', sixth]});
	const failure = child.pid === undefined ? once(child, 'error') : undefined;
	if (failure) {
		await group?.remove();
		throw notStarted(`${file} did not start`, (await failure)[0]);
	}
	const plan = {...reachable, environment: program.environment, limits, seccomp: host.filter !== undefined};
	const descriptors: readonly unknown[] = child.stdio;
	feed(descriptors[ARGUMENTS_FD], Buffer.concat([browserArguments(program, spec.limits), bubblewrapArguments(plan)]));
	if (host.filter) feed(descriptors[SECCOMP_FD], filterFor(program, host.filter));
	const isolation = isolationOf(grouped, host.filter !== undefined, options.warm);
	const cleanUpAll = () => cleanUp(group, id, spec.output);
	const runner = {...childEnds(child, group), spec, isolation, cleanUp: cleanUpAll};
	return {sandbox: await supervise(runner, options), child};
}

function childEnds(child: ChildProcess, group: Group | undefined): Omit<StartedRunner, 'spec' | 'isolation' | 'cleanUp'> {
	const [requests, stdout, stderr, frames] = child.stdio as unknown as [Writable, Readable, Readable, Readable];
	const {promise: exited, resolve, reject} = Promise.withResolvers<Awaited<StartedRunner['exited']>>();
	child.once('error', (cause) => reject(notStarted(cause.message, cause)));
	// Not 'exit': what the runner sent before it died must be read first.
	child.once('close', (code, by) => resolve({code, by, exceeded: group?.exceeded() ?? []}));
	return {
		...{requests, stdout, stderr, frames, exited},
		/** Everything at once: the process namespace dies with bubblewrap, and the control group catches what is still starting. */
		kill() {
			child.kill('SIGKILL');
			group?.kill();
		},
		exceeded: () => group?.exceeded() ?? [],
		usage: () => group?.usage() ?? {cpuMs: null, peakMemoryBytes: null},
		processBytes: () => group?.processBytes() ?? 0,
	};
}

function feed(stream: unknown, bytes: Buffer): void {
	const writable = stream as NodeJS.WritableStream | null | undefined;
	writable?.on('error', () => {}); // it did not start: its exit says why
	writable?.end(bytes);
}

function isolationOf(grouped: ReadonlySet<string>, seccomp: boolean, warm: boolean): Isolation {
	return {
		provider: 'process',
		level: 'kernel-shared',
		namespaces: NAMESPACES,
		seccomp,
		limits: enforcement(grouped),
		network: 'none',
		warm,
	};
}

function enforcement(grouped: ReadonlySet<string>): Record<keyof SandboxLimits, Isolation['limits'][string]> {
	return {
		wallMs: 'kill',
		memoryBytes: grouped.has('memory') ? 'cgroup' : 'rlimit',
		cpus: grouped.has('cpu') ? 'cgroup' : 'rlimit',
		processes: grouped.has('pids') ? 'cgroup' : 'rlimit',
		openFiles: 'rlimit',
		fileBytes: 'rlimit',
		scratchBytes: 'tmpfs',
		outputBytes: 'kill',
	};
}

async function cleanUp(group: Group | undefined, id: number | undefined, output: string | undefined): Promise<void> {
	await group?.remove();
	if (output !== undefined) await reclaim(output, id);
}

/** Builds one for real: nothing less shows that the kernel, its settings and the distribution agree. */
async function describe(host: () => Promise<Host>): Promise<ProviderFacts> {
	const base = {
		name: 'process',
		level: 'kernel-shared',
		namespaces: NAMESPACES,
		runs: ['sql', 'python', 'ingest', 'javascript', 'shell', 'tests'],
		egress: false,
	} as const;
	try {
		const {programs, cgroups, weaknesses, filter} = await host();
		const grouped = new Set(Object.keys(cgroups?.parents ?? {}));
		const {stdout} = await run(programs.bwrap, ['--version']);
		await run(programs.bwrap, PROBE).catch((error) => {
			throw notStarted(String(error.stderr ?? error.message), error);
		});
		const versions = {bubblewrap: stdout.trim().replace('bubblewrap ', '')};
		const limits = enforcement(grouped);
		return {...base, seccomp: filter !== undefined, limits, versions, weaknesses, availability: {kind: 'available'}};
	} catch (error) {
		if (!(error instanceof WritError)) throw error;
		const availability = {kind: 'unavailable', reason: error.message, hint: error.hint ?? ''} as const;
		return {...base, seccomp: false, limits: {}, versions: {}, weaknesses: [], availability};
	}
}

const PROBE = ['--unshare-all', '--unshare-user', '--disable-userns', '--ro-bind', '/', '/', '--', 'true'];
