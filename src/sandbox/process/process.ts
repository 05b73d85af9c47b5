/** The `process` provider: bubblewrap, all namespaces, a system call filter, control groups where the host lets us make them. */
import {type ChildProcess, execFile, spawn} from 'node:child_process';
import {once} from 'node:events';
import type {Readable, Writable} from 'node:stream';
import {promisify} from 'node:util';
import {WritError} from '#contract/errors.ts';
import type {Isolation, SandboxLimits, SandboxSpec} from '#contract/sandbox.ts';
import {CACHE_MOUNT} from '../compile-cache.ts';
import {withEgress} from '../egress/attach.ts';
import type {Egress} from '../egress/egress.ts';
import {notStarted} from '../endings.ts';
import {createOpenSandboxes} from '../open-sandboxes.ts';
import {reclaim, watchOutput} from '../output.ts';
import {findProcess, type ProcessIdentity, untilDead} from '../process-identity.ts';
import type {Program, Runtime} from '../runtime.ts';
import type {OpenOptions, ProviderFacts, Sandbox, SandboxProvider} from '../sandbox.ts';
import {type StartedRunner, supervise} from '../supervise.ts';
import {browserArguments, filterFor} from './browser.ts';
import {ARGUMENTS_FD, bubblewrapArguments, INFO_FD, NAMESPACES, SECCOMP_FD} from './bubblewrap.ts';
import {type CgroupHost, createGroup, findCgroups, type Group, sweepGroups} from './cgroup.ts';
import {hostId, zygoteId} from './host-identity.ts';
import {
	countsFiles,
	findPrograms,
	killGroup,
	launchCommand,
	makeReachable,
	PRLIMIT,
	type Programs,
	processLimits,
	resolveMounts,
	scratchFiles,
	strayDescriptors,
} from './launch.ts';
import {createProcesses, type Processes} from './processes.ts';
import {compileFilter, hasFilter} from './seccomp.ts';
import type {Forked, Zygote} from './zygote.ts';
import {createZygotes, type Zygotes} from './zygotes.ts';

type ProcessProviderOptions = {
	readonly runtime: Runtime;
	/** `off` leaves the limits to rlimits even where control groups could be made */
	readonly cgroups?: 'auto' | 'off';
	/** `off` is for the tests that show what the filter stops */
	readonly seccomp?: 'auto' | 'off';
	/** opens the way out of a sandbox whose spec names destinations; without it there is none */
	readonly egress?: Egress;
	/** `off` starts every program anew, in bubblewrap */
	readonly zygotes?: 'auto' | 'off';
};

const run = promisify(execFile);

type Switches = Omit<ProcessProviderOptions, 'runtime' | 'egress'>;

type Host = {
	readonly programs: Programs;
	readonly cgroups: CgroupHost | undefined;
	readonly weaknesses: readonly string[];
	readonly filter: Buffer | undefined;
	/** the filter of a sandbox with a way out */
	readonly clientFilter: Buffer | undefined;
	readonly strays: readonly number[];
	readonly zygotes: Zygotes | undefined;
};

export function createProcessProvider({runtime, egress, ...switches}: ProcessProviderOptions): SandboxProvider {
	const state: {serial: number; host: Promise<Host> | undefined} = {serial: 0, host: undefined};
	const sandboxes = createOpenSandboxes();
	const host = () => {
		state.host ??= inspectHost(switches);
		state.host.catch(() => (state.host = undefined)); // what is missing may be installed later
		return state.host;
	};
	const launch = async (spec: SandboxSpec, program: Program, {warm, signal}: OpenOptions) => {
		state.serial += 1;
		const {serial} = state;
		const options = {warm, signal: sandboxes.orClosing(signal)};
		const {zygotes, ...found} = await host();
		// A zygote's children have no forwarder before them.
		const zygote = spec.network === 'none' ? await zygotes?.find(program, spec, options.signal) : undefined;
		const started = await start({spec, program, host: found, zygote, serial}, options).catch((error) => {
			throw error instanceof WritError ? error : notStarted(String(error), error);
		});
		sandboxes.add(started.sandbox);
		return started;
	};
	const open = async (spec: SandboxSpec, options: OpenOptions) => {
		const program = await runtime.program(spec);
		const closed: SandboxSpec = {...spec, mounts: [], network: 'none'};
		const directory = program.cache?.find((output) => sandboxes.track(fillCache({...closed, output}, program, launch)));
		const cached = directory === undefined ? program : withCache(program, directory);
		return withEgress(spec, cached, egress, async (behind) => (await launch(spec, behind, options)).sandbox);
	};
	return {
		name: 'process',
		open: (spec, options) => sandboxes.track(open(spec, options)),
		facts: async (how) => ({...(await inspect(host, how?.thorough ? runtime : undefined)), egress: egress !== undefined}),
		runners: () => runtime.versions(),
		async close() {
			await sandboxes.close();
			await (await state.host?.catch(() => undefined))?.zygotes?.close();
		},
	};
}

/** Starts the program where it may write its cache, and lets it end by itself: its request is the end of its input. */
async function fillCache(spec: SandboxSpec, program: Program, launch: Launch): Promise<void> {
	const environment = {...program.environment, NODE_COMPILE_CACHE: '/out'};
	const {sandbox, requests} = await launch(
		spec,
		{...program, environment},
		{warm: false, signal: AbortSignal.timeout(CACHE_LIMIT_MS)},
	);
	const timer = setTimeout(() => void sandbox.dispose(), CACHE_LIMIT_MS);
	requests.end();
	await sandbox.ended.finally(() => clearTimeout(timer));
}

const CACHE_LIMIT_MS = 20_000;

type Launch = (spec: SandboxSpec, program: Program, options: OpenOptions) => Promise<Started>;
type Started = {readonly sandbox: Sandbox; readonly requests: Writable};

function withCache({mounts, environment, ...program}: Program, directory: string): Program {
	return {
		...program,
		mounts: [...mounts, {source: directory, target: CACHE_MOUNT}],
		environment: {...environment, NODE_COMPILE_CACHE: CACHE_MOUNT},
	};
}

async function inspectHost({cgroups = 'auto', seccomp = 'auto', zygotes = 'auto'}: Switches): Promise<Host> {
	const [programs, strays] = [findPrograms(), strayDescriptors()];
	const found = cgroups === 'off' ? {none: 'control groups are switched off'} : findCgroups();
	const filter = seccomp === 'auto' && hasFilter(process.arch) ? compileFilter(process.arch) : undefined;
	const weaknesses = [
		...('none' in found
			? [
					`${found.none}: memory and processor time are limited per process, and for the sandbox by looking: what is shared and not mapped, or lives shorter than a look, is not seen`,
				]
			: missing(found)),
		...(filter ? [] : [`no system call filter for ${process.arch}`]),
		...(hostId(0) === undefined ? ['the sandbox has the rights of the user who runs writ on every file mounted into it'] : []),
		...(countsFiles(hostId(0)) ? [] : ['the number of files in scratch is limited for programs with a zygote only']),
	];
	const clientFilter = filter && hasFilter(process.arch) ? compileFilter(process.arch, 'client') : undefined;
	const host = {
		programs,
		weaknesses,
		filter,
		clientFilter,
		strays,
		zygotes: zygotes === 'auto' ? createZygotes(filtersOf(filter)) : undefined,
	};
	if ('none' in found) return {...host, cgroups: undefined};
	await sweepGroups(found);
	return {...host, cgroups: found};
}

function filtersOf(filter: Buffer | undefined): Parameters<typeof createZygotes>[0] {
	if (!(filter && hasFilter(process.arch))) return {filter: '', zygoteFilter: ''};
	return {filter: filter.toString('hex'), zygoteFilter: compileFilter(process.arch, 'zygote').toString('hex')};
}

function missing({parents}: CgroupHost): string[] {
	return (['memory', 'cpu', 'pids'] as const)
		.filter((controller) => !parents[controller])
		.map((controller) => `no ${controller} control group: limited per process, not per sandbox`);
}

type Start = {
	readonly spec: SandboxSpec;
	readonly program: Program;
	readonly host: Omit<Host, 'zygotes'>;
	/** what to fork it from; without one bubblewrap starts it */
	readonly zygote: Zygote | undefined;
	readonly serial: number;
};

async function start({spec, program, host, zygote, serial}: Start, options: OpenOptions): Promise<Started> {
	const id = hostId(serial);
	const wanted = {spec, program, id};
	const begin = zygote ? await prepareFork(zygote, wanted) : await prepareLaunch(host, wanted);
	const filesCounted = zygote !== undefined || countsFiles(id);
	const group = host.cgroups && createGroup(host.cgroups, serial, spec.limits);
	const grouped = group?.limits ?? new Set<string>();
	const rlimits = processLimits(spec.limits, grouped, program.reservedBytes);
	const ends = await begin({rlimits, joinFiles: group?.joinFiles ?? []}).catch(async (error: unknown) => {
		await group?.remove();
		throw error;
	});
	/** Everything at once: the process namespace dies with its first process, and the control group catches what is still starting. */
	const kill = () => {
		ends.kill();
		group?.kill();
	};
	const processes = createProcesses(ends.first);
	const overrun: 'fileBytes'[] = [];
	const watched = watch(spec, processes, () => {
		overrun.push('fileBytes');
		kill();
	});
	const exceeded = () => [...(group?.exceeded() ?? []), ...overrun];
	const runner: StartedRunner = {
		...ends,
		spec,
		isolation: {
			...isolationOf({grouped, seccomp: host.filter !== undefined, filesCounted}, options.warm),
			network: spec.network === 'none' ? 'none' : 'allow-list',
		},
		exited: ends.exited.finally(watched).then((death) => ({...death, exceeded: exceeded()})),
		kill,
		exceeded,
		usage: () => group?.usage() ?? {cpuMs: null, peakMemoryBytes: null},
		processBytes: () => (group && grouped.has('memory') ? group.processBytes() : processes.bytes()),
		cpuMs: () => group?.usage().cpuMs ?? processes.cpuMs(),
		cleanUp: () => cleanUp(group, id, spec.output),
	};
	const sandbox = await supervise(runner, options);
	group?.yieldProcessors();
	return {sandbox, requests: ends.requests};
}

/** A disk has no quota of ours: what is written to `/out` in all is looked at, and may be as much as its largest file. */
function watch({output, limits}: SandboxSpec, {namelessBytes}: Processes, exceeded: () => void): () => void {
	if (output === undefined) return () => {};
	return watchOutput(output, limits.fileBytes ?? limits.scratchBytes, exceeded, () => namelessBytes(output));
}

type Wanted = {readonly spec: SandboxSpec; readonly program: Program; readonly id: number | undefined};
type Confinement = {readonly rlimits: Readonly<Record<string, number>>; readonly joinFiles: readonly string[]};
type Begin = (confinement: Confinement) => Promise<Forked>;

/** A child of the zygote, which has the program's own mounts. */
async function prepareFork(zygote: Zygote, {spec, program, id}: Wanted): Promise<Begin> {
	const {mounts, output} = await resolveMounts(spec.mounts, spec.output, id);
	const {scratchBytes} = spec.limits;
	const script = program.zygote?.script ?? '';
	const child = {
		...{uid: zygoteId(id), scratchBytes, scratchFiles: scratchFiles(spec.limits)},
		arguments: program.command.slice(program.command.indexOf(script) + 1),
	};
	const outputs = output === undefined ? [] : [{source: output, target: '/out', writable: true}];
	const all = [...mounts.map((mount) => ({...mount, writable: false})), ...outputs];
	return async ({rlimits, joinFiles}) => zygote.fork({mounts: all, joinFiles, child: {...child, rlimits}});
}

/** A program of its own, in bubblewrap. */
async function prepareLaunch(host: Omit<Host, 'zygotes'>, {spec, program, id}: Wanted): Promise<Begin> {
	const mounts = [...program.mounts, {source: host.programs.prlimit, target: PRLIMIT}, ...spec.mounts];
	const reachable = await makeReachable(mounts, spec.output, id);
	const {command, environment} = program;
	const filter = spec.network === 'none' ? host.filter : host.clientFilter;
	const plan = {...reachable, environment, limits: spec.limits, seccomp: filter !== undefined};
	return async (confinement) => {
		const [file, ...args] = launchCommand({...host, ...confinement, id, limits: spec.limits, stage: reachable.stage, command});
		const sixth = filter ? 'pipe' : 'ignore';
		const child = spawn(file, args, {
			cwd: '/',
			env: {},
			detached: true,
			stdio: ['pipe', 'pipe', 'pipe', 'pipe', 'pipe', sixth, 'pipe'],
		});
		if (child.pid === undefined) throw notStarted(`${file} did not start`, (await once(child, 'error'))[0]);
		const descriptors: readonly unknown[] = child.stdio;
		feed(descriptors[ARGUMENTS_FD], Buffer.concat([browserArguments(program, spec.limits), bubblewrapArguments(plan)]));
		if (filter) feed(descriptors[SECCOMP_FD], filterFor(program, filter));
		return endsOf(child);
	};
}

function endsOf(child: ChildProcess): Forked {
	const descriptors: readonly unknown[] = child.stdio;
	const [requests, stdout, stderr, frames] = descriptors as [Writable, Readable, Readable, Readable];
	const {promise: exited, resolve, reject} = Promise.withResolvers<Awaited<Forked['exited']>>();
	child.once('error', (cause) => reject(notStarted(cause.message, cause)));
	const first = firstInside(descriptors[INFO_FD] as Readable);
	// Not 'exit': what the runner sent before it died must be read first. Bubblewrap waits for the runner and for nobody else.
	child.once('close', async (code, by) => {
		if (first.process) await untilDead(first.process);
		resolve({code, by});
	});
	child.once('exit', () => killGroup(child));
	return {requests, stdout, stderr, frames, exited, first: () => first.process, kill: () => killGroup(child)};
}

/** The first process of the sandbox, as soon as bubblewrap has said so; nothing runs in there before. */
function firstInside(info: Readable): {process?: ProcessIdentity} {
	const first: {process?: ProcessIdentity} = {};
	const said = {text: ''};
	info.on('data', (chunk: Buffer) => {
		said.text += chunk;
		const pid = /"child-pid": (\d+)\D/.exec(said.text)?.[1];
		const found = pid === undefined || first.process ? undefined : findProcess(Number(pid));
		if (found) first.process = found;
	});
	return first;
}

function feed(stream: unknown, bytes: Buffer): void {
	const writable = stream as NodeJS.WritableStream | null | undefined;
	writable?.on('error', () => {}); // it did not start: its exit says why
	writable?.end(bytes);
}

type Enforced = {readonly grouped: ReadonlySet<string>; readonly seccomp: boolean; readonly filesCounted: boolean};

function isolationOf({seccomp, ...enforced}: Enforced, warm: boolean): Isolation {
	return {
		provider: 'process',
		level: 'kernel-shared',
		namespaces: NAMESPACES,
		seccomp,
		limits: enforcement(enforced),
		network: 'none',
		warm,
	};
}

function enforcement({grouped, filesCounted}: Omit<Enforced, 'seccomp'>): Isolation['limits'] {
	return {
		wallMs: 'kill',
		memoryBytes: grouped.has('memory') ? 'cgroup' : 'rlimit',
		cpus: grouped.has('cpu') ? 'cgroup' : 'rlimit',
		processes: grouped.has('pids') ? 'cgroup' : 'rlimit',
		openFiles: 'rlimit',
		fileBytes: 'rlimit',
		scratchBytes: 'tmpfs',
		scratchFiles: filesCounted ? 'tmpfs' : 'none',
		outBytes: 'kill',
		outputBytes: 'kill',
	};
}

async function cleanUp(group: Group | undefined, id: number | undefined, output: string | undefined): Promise<void> {
	await group?.remove();
	if (output !== undefined) await reclaim(output, id);
}

/** Builds one for real: nothing less shows that the kernel, its settings and the distribution agree. */
async function inspect(host: () => Promise<Host>, runtime: Runtime | undefined): Promise<ProviderFacts> {
	const base = {
		name: 'process',
		level: 'kernel-shared',
		namespaces: NAMESPACES,
		runs: ['sql', 'python', 'ingest', 'javascript', 'shell', 'tests'],
		egress: false,
	} as const;
	try {
		const {programs, cgroups, filter, zygotes, ...found} = await host();
		const grouped = new Set(Object.keys(cgroups?.parents ?? {}));
		const {stdout} = await run(programs.bwrap, ['--version']);
		await run(programs.bwrap, PROBE).catch((error) => {
			throw notStarted(String(error.stderr ?? error.message), error);
		});
		const versions = {bubblewrap: stdout.trim().replace('bubblewrap ', '')};
		const limits = enforcement({grouped, filesCounted: countsFiles(hostId(0))});
		if (runtime) await tryZygote(zygotes, runtime);
		const weaknesses = [...found.weaknesses, ...(zygotes?.refusals() ?? [])];
		return {...base, seccomp: filter !== undefined, limits, versions, weaknesses, availability: {kind: 'available'}};
	} catch (error) {
		if (!(error instanceof WritError)) throw error;
		const availability = {kind: 'unavailable', reason: error.message, hint: error.hint ?? ''} as const;
		return {...base, seccomp: false, limits: {}, versions: {}, weaknesses: [], availability};
	}
}

/** The refusal of one is known when it was tried. Where there is nothing to fork there is nothing to refuse. */
async function tryZygote(zygotes: Zygotes | undefined, runtime: Runtime): Promise<void> {
	const spec: SandboxSpec = {runner: 'python', mounts: [], network: 'none', limits: PROBE_LIMITS};
	const program = await runtime.program(spec).catch(() => undefined);
	if (program) await zygotes?.find(program, spec, AbortSignal.timeout(ZYGOTE_LIMIT_MS)).catch(() => undefined);
}

const ZYGOTE_LIMIT_MS = 20_000;
const PROBE_LIMITS: SandboxLimits = {
	...{wallMs: 1_000, memoryBytes: 2 ** 28, cpus: 1, processes: 16, openFiles: 64, scratchBytes: 2 ** 20, outputBytes: 2 ** 20},
};
const PROBE = ['--unshare-all', '--unshare-user', '--disable-userns', '--ro-bind', '/', '/', '--', 'true'];
