/** Why a sandbox ended without an answer, in words for the person who asked. */
import {constants} from 'node:os';
import {WritError} from '#contract/errors.ts';
import type {Frame, SandboxLimits} from '#contract/sandbox.ts';

export type Death = {
	readonly code: number | null;
	readonly by: NodeJS.Signals | null;
	readonly stderr: string;
	/** what the control group says was run into */
	readonly exceeded: readonly ('memoryBytes' | 'processes')[];
};

const LIMITS = {
	memoryBytes: {name: 'the memory limit', setting: 'SANDBOX_MEMORY_BYTES'},
	processes: {name: 'the limit of processes and threads', setting: 'SANDBOX_PROCESSES'},
	scratchBytes: {name: 'the limit of scratch space', setting: 'SANDBOX_SCRATCH_BYTES'},
	cpus: {name: 'the limit of processor time', setting: 'SANDBOX_CPUS'},
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
	if (signal === 'SIGXFSZ') return beyond('scratchBytes', limits);
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
	if (FULL.test(last.message)) return beyond('scratchBytes', limits);
	return undefined;
}

const OUT_OF_MEMORY = /heap out of memory|std::bad_alloc|Cannot allocate memory|Out of memory/;
const FULL = /No space left on device|ENOSPC|EFBIG|File too large/;

function beyond(limit: keyof typeof LIMITS, limits: SandboxLimits): WritError {
	const {name, setting} = LIMITS[limit];
	return new WritError('runner_resource_exceeded', `stopped at ${limits[limit]}, ${name} of a sandbox`, {
		hint: `ask for less data, or raise ${setting}`,
		details: {limit, value: limits[limit]},
	});
}

function signalOf(code: number | null): NodeJS.Signals | null {
	if (code === null || code <= SIGNALLED) return null;
	const name = Object.entries(constants.signals).find(([, number]) => number === code - SIGNALLED)?.[0];
	return (name ?? null) as NodeJS.Signals | null;
}
