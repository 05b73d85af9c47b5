/** The chain of programs that ends in a runner: join the control group, reach the mounts, give up the host's id, isolate, limit. */
import type {ChildProcess} from 'node:child_process';
import {existsSync, readdirSync, readFileSync} from 'node:fs';
import {chown, realpath} from 'node:fs/promises';
import {join} from 'node:path';
import {WritError} from '#contract/errors.ts';
import type {SandboxLimits} from '#contract/sandbox.ts';
import type {Mount} from '../runtime.ts';
import {ARGUMENTS_FD} from './bubblewrap.ts';
import {isHidden} from './host-identity.ts';

/** The programs that a Linux distribution has and we start. */
export type Programs = Readonly<Record<'bwrap' | 'setpriv' | 'prlimit' | 'sh' | 'bash' | 'unshare' | 'mount', string>>;

const PACKAGES = {
	bwrap: 'bubblewrap',
	setpriv: 'util-linux',
	prlimit: 'util-linux',
	sh: 'dash',
	bash: 'bash',
	unshare: 'util-linux',
	mount: 'mount',
};
const DIRECTORIES = ['/usr/bin', '/bin', '/usr/sbin', '/sbin', '/usr/local/bin', '/run/current-system/sw/bin'];

/** Throws `sandbox_unavailable` with the command that installs what is missing. */
export function findPrograms(directories: readonly string[] = DIRECTORIES): Programs {
	const found = Object.keys(PACKAGES).map((name) => {
		const path = directories.map((directory) => join(directory, name)).find((candidate) => existsSync(candidate));
		if (path === undefined) throw missing(name as keyof typeof PACKAGES);
		return [name, path] as const;
	});
	return Object.fromEntries(found) as Programs;
}

function missing(name: keyof typeof PACKAGES): WritError {
	return new WritError('sandbox_unavailable', `the program \`${name}\` is not installed`, {
		hint: `run \`sudo apt-get install -y ${PACKAGES[name]}\``,
		details: {missing: name},
	});
}

/** Every descriptor that a program we start would inherit. Node closes its own; those it was itself started with may stay open. */
export function strayDescriptors(): number[] {
	const open = readdirSync('/proc/self/fdinfo').filter((name) => Number(name) > LAST_PASSED);
	return open.filter((name) => isInherited(`/proc/self/fdinfo/${name}`)).map(Number);
}

const LAST_PASSED = 6;
const CLOSE_ON_EXEC = 0o2000000;

function isInherited(fdinfo: string): boolean {
	// The descriptor of the listing itself is gone by now.
	if (!existsSync(fdinfo)) return false;
	const flags = /^flags:\s*([0-7]+)$/m.exec(readFileSync(fdinfo, 'utf8'))?.[1] ?? '0';
	return (Number.parseInt(flags, 8) & CLOSE_ON_EXEC) === 0;
}

/** Mounts that the sandbox's own user can reach, and the directory to reach them through where the paths themselves are private. */
type Reachable = {
	readonly mounts: readonly Mount[];
	readonly output: string | undefined;
	readonly stage: {readonly directory: string; readonly sources: readonly string[]} | undefined;
};

/** bubblewrap cannot limit the number of files in a scratch that it makes; root can make one beforehand. */
export function countsFiles(id: number | undefined): boolean {
	return id !== undefined;
}

/**
 * An unprivileged user cannot pass through a private directory, such as root's home. As root we then show it just the mounts, in a
 * directory that only the sandbox's own mount namespace has.
 */
export async function makeReachable(
	mounts: readonly Mount[],
	output: string | undefined,
	id: number | undefined,
): Promise<Reachable> {
	const {mounts: real, output: directory, hidden} = await resolveMounts(mounts, output, id);
	if (!countsFiles(id)) return {mounts: real, output: directory, stage: undefined};
	const all = [...real.map(({source}) => source), ...(directory === undefined ? [] : [directory])];
	const stage = STAGES.find((candidate) => existsSync(candidate) && !all.some((path) => path.startsWith(`${candidate}/`)));
	if (stage === undefined) throw new WritError('sandbox_unavailable', `none of ${STAGES.join(', ')} is free to mount in`);
	const staged = (path: string) => (hidden.includes(path) ? join(stage, String(hidden.indexOf(path))) : path);
	return {
		mounts: real.map(({source, target}) => ({source: staged(source), target})),
		output: directory === undefined ? undefined : staged(directory),
		stage: {directory: stage, sources: hidden},
	};
}

/**
 * The real paths of what is to be mounted, and which of them the user `id` could not get at. The output directory is that user's from
 * now on. Throws `sandbox_unavailable` for what does not exist, or could not be read once it is mounted.
 */
export async function resolveMounts(
	mounts: readonly Mount[],
	output: string | undefined,
	id: number | undefined,
): Promise<{readonly mounts: readonly Mount[]; readonly output: string | undefined; readonly hidden: readonly string[]}> {
	const real = await Promise.all(mounts.map(async ({source, target}) => ({source: await resolveSource(source), target})));
	const directory = output === undefined ? undefined : await resolveSource(output);
	if (id === undefined) return {mounts: real, output: directory, hidden: []};
	if (directory !== undefined) await chown(directory, id, id);
	const all = [...real.map(({source}) => source), ...(directory === undefined ? [] : [directory])];
	const hidden = (await Promise.all(all.map(async (path) => ((await isHidden(path, id)) ? [path] : [])))).flat();
	return {mounts: real, output: directory, hidden};
}

/** Directories that every distribution has and nobody needs inside. */
const STAGES = ['/mnt', '/media', '/srv', '/opt'];

async function resolveSource(path: string): Promise<string> {
	return realpath(path).catch((cause) => {
		throw new WritError('sandbox_unavailable', `${path} cannot be mounted: it does not exist`, {cause});
	});
}

// When memory runs out on the host, a run is what has to go.
const VOLUNTEER = 'echo 1000 > /proc/self/oom_score_adj || :; ';
// Arguments, never interpolation: no path can become shell syntax.
const JOIN = 'while [ "$1" != -- ]; do echo $$ > "$1" || exit 111; shift; done; shift; exec "$@"';
const STAGE = `set -e; stage=$1; scratch=$2; shift 2; n=0; mount -t tmpfs -o mode=0755,size=1m,nosuid,nodev writ "$stage"
mkdir "$stage/scratch"; mount -t tmpfs -o "$scratch,nosuid,nodev" writ "$stage/scratch"
while [ "$1" != -- ]; do if [ -d "$1" ]; then mkdir "$stage/$n"; else : > "$stage/$n"; fi
mount --bind "$1" "$stage/$n"; n=$((n+1)); shift; done; shift; exec "$@"`;

/** Where the program that sets the runner's own limits is mounted. */
export const PRLIMIT = '/runtime/prlimit';

export type Launch = {
	readonly programs: Programs;
	/** descriptors that whoever started us left open */
	readonly strays: readonly number[];
	readonly joinFiles: readonly string[];
	readonly stage: Reachable['stage'];
	readonly id: number | undefined;
	readonly limits: SandboxLimits;
	readonly rlimits: Readonly<Record<string, number>>;
	readonly command: readonly string[];
};

/** The process that is started is the one that becomes bubblewrap: each program replaces the one before. */
export function launchCommand(launch: Launch): [string, ...string[]] {
	const {programs, strays, joinFiles, stage, id, limits, rlimits, command} = launch;
	const scratch = `mode=0700,uid=${id},gid=${id},size=${limits.scratchBytes},nr_inodes=${scratchFiles(limits)}`;
	const identity = id === undefined ? [] : [`--reuid=${id}`, `--regid=${id}`, '--clear-groups', '--bounding-set=-all'];
	// Only bash can name a descriptor above 9.
	// Only with `--norc`: a bash whose standard input is a socket takes itself for a remote shell and runs ~/.bashrc.
	const shell = strays.length > 0 ? ([programs.bash, '--norc'] as const) : ([programs.sh] as const);
	const options = Object.entries(rlimits).map(([name, limit]) => `--${name}=${limit}`);
	const closing = strays.map((descriptor) => `exec ${descriptor}>&-; `).join('');
	return [
		...([...shell, '-c', `${closing}${VOLUNTEER}${JOIN}`, 'writ', ...joinFiles, '--'] as const),
		...(stage ? [programs.unshare, '--mount', '--propagation', 'private', '--', programs.sh, '-c', STAGE, 'writ'] : []),
		...(stage ? [stage.directory, scratch, ...stage.sources, '--'] : []),
		...[programs.setpriv, ...identity, '--inh-caps=-all', '--no-new-privs', '--pdeathsig=KILL', '--'],
		...[programs.bwrap, '--args', String(ARGUMENTS_FD), '--', PRLIMIT, ...options, '--', ...command],
	];
}

/**
 * Limits of each single process, by the name that prlimit knows. Memory, processor time and processes are here only where no control
 * group limits the whole tree.
 */
export function processLimits(
	limits: SandboxLimits,
	grouped: ReadonlySet<string>,
	reservedBytes: number,
): Readonly<Record<string, number>> {
	return {
		nofile: limits.openFiles,
		fsize: limits.fileBytes ?? limits.scratchBytes,
		...{core: 0, memlock: 65_536, msgqueue: 0, sigpending: 256},
		...(grouped.has('pids') ? {} : {nproc: limits.processes + BUBBLEWRAP_PROCESSES}),
		...(grouped.has('memory') ? {} : {data: limits.memoryBytes + reservedBytes}),
		...(grouped.has('cpu') ? {} : {cpu: Math.ceil((limits.wallMs / 1000) * limits.cpus) + STARTUP_SECONDS}),
	};
}

const BUBBLEWRAP_PROCESSES = 2;
const STARTUP_SECONDS = 2;

/** How many files scratch may hold: one for each page of it, for each takes memory of the kernel. */
export function scratchFiles({scratchBytes}: SandboxLimits): number {
	return Math.max(1_024, Math.floor(scratchBytes / 4_096));
}

/**
 * Ends a detached child with all that it started and that has not left its group. bubblewrap's inner process waits for the outer one
 * before it asks to die with it: killed in that moment, the outer alone would leave it waiting for ever.
 */
export function killGroup(child: ChildProcess): void {
	try {
		if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
	} catch {
		// all of it is gone
	}
}
