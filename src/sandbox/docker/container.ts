/** One container as the engine is asked to make it. Whatever is not named here does not exist inside. */
import type {SandboxLimits} from '#contract/sandbox.ts';
import {ENVIRONMENT, INSIDE_ID} from '../process/bubblewrap.ts';
import {processLimits, scratchFiles} from '../process/launch.ts';
import type {Mount, Program} from '../runtime.ts';

export type Plan = {
	readonly limits: SandboxLimits;
	readonly program: Pick<Program, 'command' | 'environment'>;
	/** of this machine, read-only */
	readonly mounts: readonly Mount[];
	/** the only directory of this machine that can be written, at `/out` */
	readonly output: string | undefined;
	readonly image: string;
	readonly runtime: string;
	/** user and group inside */
	readonly user: string;
	/** null where the engine can filter no system calls */
	readonly seccomp: string | null;
	readonly labels: Readonly<Record<string, string>>;
	/** The kernel of gVisor is a process with memory and threads of its own, and it counts the processes inside itself. */
	readonly isGvisor: boolean;
};

/** Anybody inside; nobody outside. */
export const NOBODY = `${INSIDE_ID}:${INSIDE_ID}`;

/**
 * An engine passes on two streams of a container. The first is the runner's private descriptor 3; whatever is printed goes to the
 * second. The arguments are arguments: none can become shell syntax.
 */
const ENTRY = ['/usr/bin/sh', '-c', 'exec 3>&1 1>&2; exec "$@"', 'sh'];

export function containerBody(plan: Plan): object {
	const {limits, program, mounts, output, image, runtime, user, seccomp, labels, isGvisor} = plan;
	const memory = limits.memoryBytes + limits.scratchBytes + (isGvisor ? GVISOR_BYTES : 0);
	const binds = mounts.map(({source, target}) => bind(source, target, true));
	const environment = Object.entries({...ENVIRONMENT, ...program.environment}).map(([name, value]) => `${name}=${value}`);
	return {
		...{Image: image, Entrypoint: ENTRY, Cmd: program.command, Env: environment, User: user, WorkingDir: '/tmp'},
		...{Hostname: 'sandbox', NetworkDisabled: true, StopSignal: 'SIGKILL', Labels: labels, Healthcheck: {Test: ['NONE']}},
		...{AttachStdin: true, AttachStdout: true, AttachStderr: true, OpenStdin: true, StdinOnce: true, Tty: false},
		HostConfig: {
			...{Runtime: runtime, NetworkMode: 'none', IpcMode: 'none', CgroupnsMode: 'private', Init: false, Privileged: false},
			...{ReadonlyRootfs: true, CapDrop: ['ALL'], LogConfig: {Type: 'none', Config: {}}, RestartPolicy: {Name: 'no'}},
			SecurityOpt: ['no-new-privileges', ...(seccomp === null ? [] : [`seccomp=${seccomp}`])],
			Mounts: [...binds, ...(isGvisor ? NO_DEVICES : []), ...(output === undefined ? [] : [bind(output, '/out', false)])],
			Tmpfs: {'/tmp': scratch(limits, user)},
			// No swap beyond the memory. Scratch is memory too; supervise.ts watches that the processes alone stay below theirs.
			...{Memory: memory, MemorySwap: memory, OomScoreAdj: 1000},
			// Sandboxes take the processors that nobody else wants.
			...{NanoCpus: Math.round(limits.cpus * 1e9), CpuShares: 64},
			PidsLimit: isGvisor ? GVISOR_THREADS + limits.processes * GVISOR_THREADS_EACH : limits.processes,
			Ulimits: ulimits(limits, isGvisor ? ['memory', 'cpu'] : ['memory', 'cpu', 'pids']),
			// Masked is more than read-only.
			...{MaskedPaths: MASKED, ReadonlyPaths: []},
		},
	};
}

/** The kernel of gVisor lets everybody open these devices of its own, and masks nothing. */
const NO_DEVICES = ['/dev/fuse', '/dev/net/tun'].map((device) => bind('/dev/null', device, true));

const GVISOR_BYTES = 128 * 2 ** 20;
const GVISOR_THREADS = 256;
const GVISOR_THREADS_EACH = 4;

function bind(source: string, target: string, isReadOnly: boolean): object {
	return {Type: 'bind', Source: source, Target: target, ReadOnly: isReadOnly, BindOptions: {Propagation: 'rprivate'}};
}

function scratch(limits: SandboxLimits, user: string): string {
	const [uid, gid] = user.split(':');
	const size = `size=${limits.scratchBytes},nr_inodes=${scratchFiles(limits)}`;
	return `rw,noexec,nosuid,nodev,${size},mode=0700,uid=${uid},gid=${gid}`;
}

/** Of each process. `grouped` is limited for all processes together. */
function ulimits(limits: SandboxLimits, grouped: readonly string[]): object[] {
	const each = processLimits(limits, new Set(grouped), 0);
	return Object.entries(each).map(([Name, value]) => ({Name, Soft: value, Hard: value}));
}

/** Nothing that runs inside needs them, and each says something about the host or changes it. A path that is not there is passed over. */
const MASKED = [
	...['/sys', '/dev/mqueue', '/dev/pts'],
	...[
		'acpi',
		'asound',
		'bus',
		'cmdline',
		'config.gz',
		'consoles',
		'crypto',
		'diskstats',
		'driver',
		'fs',
		'interrupts',
		'iomem',
	].map(proc),
	...['ioports', 'irq', 'kallsyms', 'kcore', 'key-users', 'keys', 'kmsg', 'latency_stats', 'locks', 'mdstat', 'modules'].map(
		proc,
	),
	...['mtrr', 'partitions', 'pressure', 'sched_debug', 'schedstat', 'scsi', 'slabinfo', 'softirqs', 'stat', 'swaps', 'sys'].map(
		proc,
	),
	...['sysrq-trigger', 'sysvipc', 'timer_list', 'tty', 'version', 'vmallocinfo', 'vmstat', 'zoneinfo'].map(proc),
];

function proc(name: string): string {
	return `/proc/${name}`;
}
