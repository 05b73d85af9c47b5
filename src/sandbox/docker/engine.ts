/** The engine that is there: what it can start, how it would hold it, and what of that is weaker than it could be. */
import {basename} from 'node:path';
import {z} from 'zod';
import type {Isolation, RunnerName, SandboxLimits} from '#contract/sandbox.ts';
import {hasFilter} from '../process/seccomp.ts';
import {type DockerApi, unavailable} from './api.ts';
import {imageName, runnersIn} from './image.ts';
import {seccompProfile} from './seccomp.ts';

export type RuntimeChoice = 'auto' | 'runc' | 'runsc';

export type Engine = {
	/** as the engine calls it */
	readonly runtime: string;
	readonly level: Isolation['level'];
	readonly image: string;
	readonly runs: readonly RunnerName[];
	/** null where no filter would be applied */
	readonly seccomp: string | null;
	/** the same for what has a way out; null where none can be opened */
	readonly clientSeccomp: string | null;
	readonly limits: Record<keyof SandboxLimits, Isolation['limits'][string]>;
	readonly namespaces: readonly string[];
	readonly isRootless: boolean;
	readonly isGvisor: boolean;
	readonly versions: Readonly<Record<string, string>>;
	readonly weaknesses: readonly string[];
};

const runtimeSchema = z.looseObject({path: z.string().default(''), runtimeArgs: z.array(z.string()).nullish()});
const infoSchema = z.looseObject({
	ServerVersion: z.string(),
	Driver: z.string(),
	CgroupDriver: z.string().default('none'),
	CgroupVersion: z.string().default('1'),
	SecurityOptions: z.array(z.string()).nullable(),
	Runtimes: z.record(z.string(), runtimeSchema),
	DefaultRuntime: z.string().default('runc'),
	MemoryLimit: z.boolean().default(false),
	SwapLimit: z.boolean().default(false),
	CpuCfsQuota: z.boolean().default(false),
	PidsLimit: z.boolean().default(false),
});
type Info = z.infer<typeof infoSchema>;

const versionSchema = z.looseObject({Components: z.array(z.looseObject({Name: z.string(), Version: z.string()})).default([])});
const imageSchema = z.looseObject({
	Id: z.string(),
	Config: z.looseObject({Labels: z.record(z.string(), z.string()).nullish()}).nullish(),
});

const PING_LIMIT_MS = 3_000;

/** An engine that hangs is told from one that is busy by the one question that costs it nothing. */
export async function ping(api: DockerApi, signal?: AbortSignal): Promise<void> {
	await api.call('GET', '/_ping', z.unknown(), {limitMs: PING_LIMIT_MS, signal});
}

type Wanted = {readonly root: string; readonly image: string | null; readonly runtime: RuntimeChoice};

/** Throws `sandbox_unavailable` when there is no engine, no such runtime or no image; never takes another instead. */
export async function inspectEngine(api: DockerApi, {root, image, runtime}: Wanted): Promise<Engine> {
	await ping(api);
	const name = image ?? imageName(root);
	const [info, version, found] = await Promise.all([
		api.call('GET', '/info', infoSchema),
		api.call('GET', '/version', versionSchema),
		api.call('GET', `/images/${name}/json`, imageSchema),
	]);
	const chosen = chooseRuntime(info, runtime);
	const runsc = isRunsc(info, chosen);
	const security = info.SecurityOptions ?? [];
	const isRootless = security.some((option) => option.startsWith('name=rootless'));
	const runcVersion = version.Components.find((component) => component.Name === 'runc')?.Version;
	const seccomp = filterFor(info, chosen, {gvisor: runsc, confined: 'runner'});
	// gVisor opens no socket of the host, which is where the way out begins.
	const clientSeccomp = runsc ? null : filterFor(info, chosen, {gvisor: false, confined: 'client'});
	const limits = enforcement(info, runsc);
	return {
		...{runtime: chosen, image: found.Id, isRootless, isGvisor: runsc, seccomp, clientSeccomp, limits},
		level: runsc ? 'kernel-isolated' : 'kernel-shared',
		runs: runnersIn(found.Config?.Labels ?? {}),
		namespaces: [
			...(isRootless || security.includes('name=userns') ? ['user'] : []),
			'mount',
			'pid',
			'net',
			'ipc',
			'uts',
			'cgroup',
		],
		versions: {
			...{docker: info.ServerVersion, runtime: chosen, storage: info.Driver},
			...{cgroup: `${info.CgroupDriver}, version ${info.CgroupVersion}`, image: name},
			...(runsc || runcVersion === undefined ? {} : {runc: runcVersion}),
		},
		weaknesses: weaknessesOf({info, isRootless, limits, seccomp, runsc, runcVersion}),
	};
}

type Found = Pick<Engine, 'isRootless' | 'limits' | 'seccomp'> & {
	readonly info: Info;
	readonly runsc: boolean;
	readonly runcVersion: string | undefined;
};

function weaknessesOf({info, isRootless, limits, seccomp, runsc, runcVersion}: Found): string[] {
	return [
		...(isRootless ? [] : ['the engine runs as root: whoever may use its socket is root on this machine']),
		...Object.entries(limits).flatMap(([limit, by]) => (by === 'none' ? [`the engine cannot enforce ${limit} here`] : [])),
		...(info.MemoryLimit && !info.SwapLimit ? ['the engine cannot limit swap here'] : []),
		...(info.Driver === 'vfs' ? ['the storage driver vfs copies the whole image for each sandbox: starts are slow'] : []),
		...(seccomp === null ? [NO_FILTER[runsc ? 'runsc' : 'runc']] : []),
		...(runsc && seccomp !== null ? ['gVisor cannot refuse `clone3`: code inside can make namespaces of its kernel'] : []),
		...(runsc ? [] : ['code inside can read the mount table, which names directories of this machine', ...flawsOf(runcVersion)]),
	];
}

const NO_FILTER = {
	runc: 'the engine cannot filter system calls here',
	runsc: 'runsc is registered without `--oci-seccomp`: every system call of its own kernel can be made inside',
};

function chooseRuntime(info: Info, wanted: RuntimeChoice): string {
	const names = Object.keys(info.Runtimes);
	const gvisor = names.find((name) => isRunsc(info, name));
	if (wanted !== 'runc' && gvisor !== undefined) return gvisor;
	if (wanted === 'runsc')
		throw unavailable('it has no runtime `runsc`', {
			hint: 'install gVisor and run `runsc install`, or build it with `scripts/gvisor.sh` and name it under `runtimes` in daemon.json',
		});
	const shared = [info.DefaultRuntime, 'runc', ...names].find((name) => names.includes(name) && !isRunsc(info, name));
	if (shared === undefined) throw unavailable('it has no runtime but gVisor', {hint: 'ask for the runtime `runsc` or `auto`'});
	return shared;
}

function isRunsc({Runtimes}: Info, name: string): boolean {
	return name === 'runsc' || basename(Runtimes[name]?.path ?? '') === 'runsc';
}

function filterFor(info: Info, runtime: string, filter: Parameters<typeof seccompProfile>[1]): string | null {
	if (!hasFilter(process.arch)) return null;
	const applies = filter.gvisor
		? info.Runtimes[runtime]?.runtimeArgs?.some((argument) => /^--?oci-seccomp(=true)?$/.test(argument))
		: info.SecurityOptions?.some((option) => option.startsWith('name=seccomp'));
	return applies ? seccompProfile(process.arch, filter) : null;
}

/** The kernel of gVisor serves one sandbox, so that its count of a user's processes is the count of the sandbox's. */
function enforcement({MemoryLimit, CpuCfsQuota, PidsLimit, CgroupDriver}: Info, runsc: boolean): Engine['limits'] {
	const byGroup = (can: boolean) => (can && CgroupDriver !== 'none' ? 'cgroup' : 'none');
	return {
		...{wallMs: 'kill', outputBytes: 'kill', outBytes: 'kill', scratchBytes: 'tmpfs', openFiles: 'rlimit', fileBytes: 'rlimit'},
		...{memoryBytes: byGroup(MemoryLimit), cpus: byGroup(CpuCfsQuota), processes: runsc ? 'rlimit' : byGroup(PidsLimit)},
	};
}

/** The first version of each line without what was known when this was written. */
const MENDED = [
	[1, 2, 8],
	[1, 3, 3],
	[1, 4, 0],
] as const;

function flawsOf(runc: string | undefined): string[] {
	const [major = 0, minor = 0, patch = 0] = (runc?.match(/\d+/g) ?? []).map(Number);
	if (runc === undefined || major > 1) return [];
	const mended = MENDED.find(([, line]) => line === minor);
	if (minor > 4 || (mended && patch >= mended[2])) return [];
	const known =
		minor < 1 || (minor === 1 && patch < 12) ? 'CVE-2024-21626 and CVE-2025-31133' : 'CVE-2025-31133, -52565 and -52881';
	return [`runc ${runc} is older than the versions that closed ${known}, unless the distribution mended it`];
}
