/** The `process` provider: bubblewrap, all namespaces, a system call filter, control groups where the host lets us make them. */
import {execFile, spawn} from 'node:child_process';
import {lchown, lstat, readdir, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {promisify} from 'node:util';
import {WritError} from '#contract/errors.ts';
import type {Isolation, SandboxLimits, SandboxSpec} from '#contract/sandbox.ts';
import {ARGUMENTS_FD, bubblewrapArguments, NAMESPACES, SECCOMP_FD} from './bubblewrap.ts';
import {type CgroupHost, createGroup, findCgroups, type Group, sweepGroups} from './cgroup.ts';
import {notStarted} from './endings.ts';
import {hostId} from './host-identity.ts';
import {findPrograms, launchCommand, makeReachable, PRLIMIT, type Programs, processLimits, strayDescriptors} from './launch.ts';
import {superviseProcess} from './process-sandbox.ts';
import type {Program, Runtime} from './runtime.ts';
import type {OpenOptions, ProviderFacts, Sandbox, SandboxProvider} from './sandbox.ts';
import {compileFilter, hasFilter} from './seccomp.ts';

export type ProcessProviderOptions = {
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
	const host = () => {
		state.host ??= inspectHost(cgroups, seccomp);
		state.host.catch(() => (state.host = undefined)); // what is missing may be installed later
		return state.host;
	};
	const open = async (spec: SandboxSpec, options: OpenOptions) => {
		const [program, facts] = await Promise.all([runtime.program(spec), host()]);
		state.serial += 1;
		const sandbox = await start({spec, program, host: facts, serial: state.serial}, options);
		live.add(sandbox);
		sandbox.ended.finally(() => live.delete(sandbox)).catch(() => {});
		return sandbox;
	};
	return {
		name: 'process',
		open,
		facts: () => describe(host, runtime),
		async close() {
			await Promise.all([...live].map((sandbox) => sandbox.dispose()));
		},
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

async function start({spec, program, host, serial}: Start, options: OpenOptions): Promise<Sandbox> {
	const {limits} = spec;
	const id = hostId(serial);
	const mounts = [...program.mounts, {source: host.programs.prlimit, target: PRLIMIT}, ...spec.mounts];
	const reachable = await makeReachable(mounts, spec.output, id);
	const group = host.cgroups && createGroup(host.cgroups, serial, limits);
	const grouped = group?.limits ?? new Set<string>();
	const launch = {
		...host,
		id,
		strays: strayDescriptors(),
		stage: reachable.stage,
		joinFiles: group?.joinFiles ?? [],
		command: program.command,
	};
	const [file, ...args] = launchCommand({...launch, rlimits: processLimits(limits, grouped)});
	const child = spawn(file, args, {
		cwd: '/',
		env: {},
		stdio: ['pipe', 'pipe', 'pipe', 'pipe', 'pipe', host.filter ? 'pipe' : 'ignore'],
	});
	const plan = {...reachable, environment: program.environment, limits, seccomp: host.filter !== undefined};
	const descriptors: readonly unknown[] = child.stdio;
	feed(descriptors[ARGUMENTS_FD], bubblewrapArguments(plan));
	if (host.filter) feed(descriptors[SECCOMP_FD], host.filter);
	const isolation = isolationOf(grouped, host.filter !== undefined, options.warm);
	return superviseProcess({child, group, spec, isolation, cleanUp: () => cleanUp(group, id, spec.output)}, options);
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
		scratchBytes: 'tmpfs',
		outputBytes: 'kill',
	};
}

async function cleanUp(group: Group | undefined, id: number | undefined, output: string | undefined): Promise<void> {
	await group?.remove();
	if (output !== undefined) await reclaim(output, id);
}

/** Only plain files leave a sandbox: a link would make whoever collects it read something else. What is left belongs to us again. */
async function reclaim(directory: string, id: number | undefined): Promise<void> {
	for (const name of await readdir(directory)) {
		const path = join(directory, name);
		const found = await lstat(path);
		if (!found.isFile()) await rm(path, {recursive: true, force: true});
		else if (id !== undefined) await lchown(path, 0, 0);
	}
	if (id !== undefined) await lchown(directory, 0, 0);
}

/** Builds one for real: nothing less shows that the kernel, its settings and the distribution agree. */
async function describe(host: () => Promise<Host>, runtime: Runtime): Promise<ProviderFacts> {
	const base = {name: 'process', level: 'kernel-shared', namespaces: NAMESPACES} as const;
	try {
		const {programs, cgroups, weaknesses, filter} = await host();
		const grouped = new Set(Object.keys(cgroups?.parents ?? {}));
		const {stdout} = await run(programs.bwrap, ['--version']);
		await run(programs.bwrap, PROBE).catch((error) => {
			throw notStarted(String(error.stderr ?? error.message), error);
		});
		const versions = {bubblewrap: stdout.trim().replace('bubblewrap ', ''), ...(await runtime.versions())};
		const limits = enforcement(grouped);
		return {...base, seccomp: filter !== undefined, limits, versions, weaknesses, availability: {kind: 'available'}};
	} catch (error) {
		if (!(error instanceof WritError)) throw error;
		const availability = {kind: 'unavailable', reason: error.message, hint: error.hint ?? ''} as const;
		return {...base, seccomp: false, limits: {}, versions: await runtime.versions(), weaknesses: [], availability};
	}
}

const PROBE = ['--unshare-all', '--unshare-user', '--disable-userns', '--ro-bind', '/', '/', '--', 'true'];
