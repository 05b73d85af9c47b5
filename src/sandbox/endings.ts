/** Why a sandbox ended without an answer, in words for the person who asked. */
import {constants} from 'node:os';
import {WritError} from '#contract/errors.ts';
import type {Frame, SandboxLimits} from '#contract/sandbox.ts';

export type Death = {
	readonly code: number | null;
	readonly by: NodeJS.Signals | null;
	readonly stderr: string;
	/** what the control group, or whoever watches the output directory, says was run into */
	readonly exceeded: readonly ('memoryBytes' | 'processes' | 'fileBytes')[];
};

const LIMITS = {
	memoryBytes: {name: 'the memory limit', setting: 'WRIT_SANDBOX_MEMORY_MB'},
	processes: {name: 'the limit of processes and threads', setting: 'WRIT_SANDBOX_PROCESSES'},
	scratchBytes: {name: 'the limit of scratch space', setting: 'WRIT_SANDBOX_SCRATCH_MB'},
	fileBytes: {name: 'the limit of one file and of all files in /out', setting: 'the free space of the data directory'},
	openFiles: {name: 'the limit of open files', setting: 'WRIT_SANDBOX_OPEN_FILES'},
	cpus: {name: 'the limit of processor time', setting: 'WRIT_SANDBOX_CPUS'},
} as const;

const STDERR_TAIL = 2_000;
/** bubblewrap and shells report a signal as 128 and its number. */
const SIGNALLED = 128;

export function timedOut(wallMs: number): WritError {
	return new WritError('runner_timeout', `stopped after ${wallMs} ms, the time limit of a sandbox`, {
		hint: 'ask for less data, or raise RUN_TIMEOUT_SECONDS',
		details: {limit: 'wallMs', value: wallMs},
	});
}

export function cancelled(): WritError {
	return new WritError('cancelled', 'cancelled before it finished');
}

export function notStarted(reason: string, cause?: unknown): WritError {
	const known = STARTING.find(({pattern}) => pattern.test(reason));
	return new WritError(
		'sandbox_unavailable',
		`a sandbox could not be started: ${reason.trim().slice(-500) || 'it ended at once'}`,
		{
			hint: known?.hint ?? 'run `writ doctor`, which says what the sandbox needs',
			cause,
		},
	);
}

const STARTING = [
	{
		pattern: /apparmor|setting up uid map: Permission denied|loopback: Failed RTM_NEWADDR/i,
		hint: 'run `sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`, or give bwrap an AppArmor profile that allows `userns`',
	},
	{
		pattern: /No permissions to create (?:a )?new namespace|Creating new namespace failed/i,
		hint: 'run `sudo sysctl -w kernel.unprivileged_userns_clone=1 user.max_user_namespaces=15000`; in a container, allow user namespaces in its seccomp profile',
	},
];

/** The sandbox is gone and there is no last frame: say which limit did it, or how it died. */
export function diedError({code, by, stderr, exceeded}: Death, limits: SandboxLimits): WritError {
	const signal = by ?? signalOf(code);
	const tail = stderr.slice(-STDERR_TAIL);
	if (exceeded.includes('memoryBytes') || OUT_OF_MEMORY.test(tail)) return beyond('memoryBytes', limits);
	if (exceeded.includes('processes')) return beyond('processes', limits);
	if (signal === 'SIGXFSZ' || exceeded.includes('fileBytes')) return beyond('fileBytes', limits);
	if (signal === 'SIGXCPU') return beyond('cpus', limits);
	const how = signal ? `was killed by ${signal}` : `ended with exit code ${code}`;
	return new WritError('runner_internal_error', `the runner ${how} before it answered`, {
		details: {exitCode: code, signal, stderr: tail},
	});
}

/** The runner could still say that it failed; the reason may be a limit all the same. */
export function exceededBy(last: Frame | undefined, exceeded: Death['exceeded'], limits: SandboxLimits): WritError | undefined {
	if (last?.type !== 'error') return undefined;
	const [first] = exceeded;
	if (first) return beyond(first, limits);
	const told = TOLD.find(({pattern}) => pattern.test(last.message));
	return told && beyond(told.limit, limits);
}

/** A runner at the end of its resources may break its protocol before it dies: the limit is the better answer. */
export function limitBehind(error: unknown, exceeded: Death['exceeded'], limits: SandboxLimits): unknown {
	const [first] = exceeded;
	return first && error instanceof WritError && error.code === 'runner_internal_error' ? beyond(first, limits) : error;
}

const OUT_OF_MEMORY = /heap out of memory|std::bad_alloc|Cannot allocate memory|Out of memory/;

/** How Python, Node and DuckDB word a limit they ran into. Narrow: a message may quote the user's data, which may say anything. */
const TOLD = [
	{pattern: /\[Errno 2[78]\]|^IO Error: .*No space left on device|^(?:ENOSPC|EFBIG):/, limit: 'scratchBytes'},
	{pattern: /\[Errno 24\]|^EMFILE:/, limit: 'openFiles'},
	{pattern: /\[Errno 11\]|can't start new thread|^spawn \S+ EAGAIN/, limit: 'processes'},
	{pattern: /\[Errno 12\]|^MemoryError\b/, limit: 'memoryBytes'},
] as const;

/** A limit was reached; the error names it, its value and the setting that raises it. */
export function beyond(limit: keyof typeof LIMITS, limits: SandboxLimits): WritError {
	if (limit === 'fileBytes' && limits.fileBytes === undefined) return beyond('scratchBytes', limits);
	const {name, setting} = LIMITS[limit];
	return new WritError(
		'runner_resource_exceeded',
		`stopped at ${limits[limit]}${limit.endsWith('Bytes') ? ' bytes' : ''}, ${name} of a sandbox`,
		{
			hint: `ask for less data, or raise ${setting}`,
			details: {limit, value: limits[limit]},
		},
	);
}

function signalOf(code: number | null): NodeJS.Signals | null {
	if (code === null || code <= SIGNALLED) return null;
	const name = Object.entries(constants.signals).find(([, number]) => number === code - SIGNALLED)?.[0];
	return (name ?? null) as NodeJS.Signals | null;
}
