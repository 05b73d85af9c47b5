/** The command line of `msb` 0.6, as arguments. None of them can become shell syntax, and none holds a payload. */
import {execFile, spawn} from 'node:child_process';
import {existsSync} from 'node:fs';
import {access, constants, stat} from 'node:fs/promises';
import {homedir} from 'node:os';
import {join} from 'node:path';
import {promisify} from 'node:util';
import {WritError} from '#contract/errors.ts';
import type {SandboxLimits, SandboxSpec} from '#contract/sandbox.ts';
import {notStarted} from '../endings.ts';
import {ENVIRONMENT} from '../process/bubblewrap.ts';
import type {Mount, Program} from '../runtime.ts';

/** `file` and the arguments before ours. */
export type Msb = readonly [file: string, ...args: string[]];
/** What of a program a guest needs; its mounts come from this machine. */
export type GuestProgram = Pick<Program, 'command' | 'mounts' | 'environment' | 'reservedBytes'>;
export type Guest = {
	readonly name: string;
	readonly image: string;
	readonly spec: SandboxSpec;
	readonly program: GuestProgram;
	/** it ends by itself then, whatever becomes of us */
	readonly lifetimeSeconds: number;
};

const MIB = 2 ** 20;
/** The kernel and the agent inside take this much. */
const GUEST_OVERHEAD_BYTES = 128 * MIB;
const NOBODY = '65534:65534';
const BOOT_LIMIT_MS = 60_000;
const run = promisify(execFile);

/** `MSB_API_KEY` and profiles make msb use a hosted service: nothing of our environment reaches it, and it is told to stay here. */
export const ENVIRONMENT_OF_MSB = {HOME: homedir(), PATH: '/usr/local/bin:/usr/bin:/bin', MSB_BACKEND: 'local'};

/** Where people have it: as named, where its installer or npm put it, or on the search path. */
export function findMsb(path: string | undefined): Msb {
	const places = [join(homedir(), '.microsandbox/bin/msb'), join(homedir(), '.local/bin/msb')];
	return [path ?? places.find((place) => existsSync(place)) ?? 'msb'];
}

/** What it printed. Throws `sandbox_unavailable` with its own words. */
export async function callMsb([file, ...before]: Msb, args: readonly string[], signal?: AbortSignal): Promise<string> {
	const options = {env: ENVIRONMENT_OF_MSB, timeout: BOOT_LIMIT_MS, killSignal: 'SIGKILL', ...(signal ? {signal} : {})} as const;
	try {
		return (await run(file, [...before, ...args], options)).stdout;
	} catch (cause) {
		if (signal?.aborted) throw new WritError('cancelled', 'cancelled before it finished', {cause});
		throw failed(cause as NodeJS.ErrnoException & {stderr?: string; killed?: boolean}, args[0] ?? '');
	}
}

function failed(cause: NodeJS.ErrnoException & {stderr?: string; killed?: boolean}, command: string): WritError {
	if (cause.code === 'ENOENT')
		return new WritError('sandbox_unavailable', '`msb` is not installed', {
			hint: 'run `npm install -g microsandbox`, or set MSB_CLI_PATH; it needs Linux with KVM, or macOS on Apple silicon',
			cause,
		});
	const said = cause.killed ? `msb ${command} took over ${BOOT_LIMIT_MS} ms` : (cause.stderr ?? cause.message);
	const {message} = notStarted(said.trim(), cause);
	const known = KNOWN.find(({pattern}) => pattern.test(said));
	return new WritError('sandbox_unavailable', message, {
		hint: known?.hint ?? 'run `msb doctor`, which says what microsandbox needs',
		cause,
	});
}

/** What keeps this machine from booting guests, as far as can be seen without msb; `msb doctor` sees more. */
export async function kvmTrouble(device = '/dev/kvm'): Promise<string | undefined> {
	if (process.platform !== 'linux') return undefined;
	return access(device, constants.R_OK | constants.W_OK).then(
		() => undefined,
		({code}: NodeJS.ErrnoException) =>
			code === 'ENOENT'
				? `there is no ${device}: load the kvm module, and in a virtual machine turn on nested virtualisation`
				: `this user may not use ${device}: run \`sudo usermod -aG kvm $USER\` and log in again`,
	);
}

const KNOWN = [
	{
		pattern: /image not (?:cached|found)/,
		hint: 'run `docker save IMAGE | msb load`: writ never lets microsandbox pull an image',
	},
	{
		pattern: /before agent relay became available/,
		hint: 'the virtual machine did not boot: run `msb doctor`; in a virtual machine, nested virtualisation must be on',
	},
];

/** Boots a guest that does nothing yet. */
export async function createArguments({name, image, spec, program, lifetimeSeconds}: Guest): Promise<string[]> {
	const {limits, output} = spec;
	const memory = mebibytes(limits.memoryBytes + limits.scratchBytes + GUEST_OVERHEAD_BYTES);
	const mounts = await Promise.all([...program.mounts, ...spec.mounts].map(mountArguments));
	const quota = mebibytes(limits.fileBytes ?? limits.scratchBytes);
	return [
		...['create', '--quiet', '--name', name, '--cpus', String(Math.max(1, Math.ceil(limits.cpus))), '--memory', memory],
		...['--no-net', '--pull', 'never', '--security', 'restricted', '--hostname', 'sandbox', '--user', NOBODY],
		...['--max-duration', `${lifetimeSeconds}s`, '--tmpfs', `/tmp:${mebibytes(limits.scratchBytes)}`],
		...mounts.flat(),
		...(output === undefined ? [] : ['--mount-dir', `${plain(output)}:/out:uid=65534,gid=65534,quota=${quota}`]),
		...['--', image],
	];
}

async function mountArguments({source, target}: Mount): Promise<string[]> {
	const found = await stat(source).catch((cause) => {
		throw new WritError('sandbox_unavailable', `${source} cannot be mounted: it does not exist`, {cause});
	});
	return [found.isDirectory() ? '--mount-dir' : '--mount-file', `${plain(source)}:${plain(target)}:ro`];
}

/** A colon or comma in a path would begin the next part of the option. */
function plain(path: string): string {
	if (/[:,]/.test(path))
		throw new WritError('sandbox_unavailable', `${path} cannot be mounted: microsandbox takes no path with a colon or comma`);
	return path;
}

// Descriptor 3 of the runner is the standard output that msb passes on byte by byte; whatever is printed is standard error.
const ENTRY = ['/bin/sh', '-c', 'exec 3>&1 1>&2; exec env -i "$@"', 'writ'];

/** Starts the runner in a guest. Its standard streams are ours. */
export function execArguments({name, spec, program}: Guest): string[] {
	const variables = Object.entries({...ENVIRONMENT, ...program.environment}).map(([key, value]) => `${key}=${value}`);
	return [
		...['exec', '--quiet', '--stream', '--user', NOBODY, '--workdir', '/tmp'],
		...rlimits(spec.limits, program.reservedBytes).flatMap((limit) => ['--rlimit', limit]),
		...[name, '--', ...ENTRY, ...variables, ...program.command],
	];
}

export function removeArguments(name: string): string[] {
	return ['remove', '--force', '--quiet', name];
}

/** The guest is one run's alone, so a limit of its user's processes is a limit of the run. */
function rlimits({openFiles, processes, fileBytes, scratchBytes, memoryBytes}: SandboxLimits, reservedBytes: number): string[] {
	return [
		`nofile=${openFiles}`,
		`nproc=${processes + SHELL_PROCESSES}`,
		`fsize=${fileBytes ?? scratchBytes}`,
		`data=${memoryBytes + reservedBytes}`,
		'core=0',
	];
}

const SHELL_PROCESSES = 1;

function mebibytes(bytes: number): string {
	return `${Math.ceil(bytes / MIB)}M`;
}

export function spawnMsb([file, ...before]: Msb, args: readonly string[]) {
	return spawn(file, [...before, ...args], {cwd: '/', env: ENVIRONMENT_OF_MSB, stdio: ['pipe', 'pipe', 'pipe']});
}
